// The reply to what is sent on a link without a call around it: the whole of it, in a buffer of its own. Cold.

import type { Pending } from '../cluster/link.ts';

/** In place of a reply: the link was lost. `sent`: the command may have reached the node. */
export interface Lost {
  readonly reason: string;
  readonly sent: boolean;
}

/** A whole reply, or why there is none. */
export function collect(done: (reply: Buffer) => void, lost: (why: Lost) => void = () => {}): Pending {
  const pieces: Buffer[] = [];
  return {
    reply: (bytes, from, to) => done(Buffer.from(bytes.subarray(from, to))),
    piece: (bytes, from, to, last) => {
      pieces.push(Buffer.from(bytes.subarray(from, to)));
      if (last) done(Buffer.concat(pieces));
    },
    lost: (sent, _begun, reason) => lost({ reason, sent }),
  };
}
