// What a blocking command's links are sent: one command, or one in a MULTI of its own. Cold.

import type { Pending } from '../cluster/link.ts';
import { command as encodeCommand } from '../resp/write.ts';

const MINUS = 45;
const MULTI = encodeCommand(['MULTI']);
const EXEC = encodeCommand(['EXEC']);
/** The reply of an EXEC with one command stands behind this. */
const ONE_REPLY = '*1\r\n';

/** In place of a reply: the link was lost. `sent`: the command may have reached the node. */
export interface Lost {
  readonly reason: string;
  readonly sent: boolean;
}

/**
 * A call in a MULTI of its own, where nothing blocks. A user who may not give MULTI has the call executed by
 * itself; it must not block long, and its own reply counts.
 */
export function sendOnce(
  send: (bytes: Buffer, pending: Pending) => void,
  request: Buffer,
  done: (reply: Buffer | Lost) => void,
): void {
  let alone = false;
  let reply: Buffer | undefined;
  const begun = (said: Buffer) => {
    alone = said[0] === MINUS;
  };
  const called = (said: Buffer) => {
    if (alone || said[0] === MINUS) reply = said;
  };
  send(MULTI, collect(begun));
  send(request, collect(called));
  send(
    EXEC,
    collect(
      (said) => done(reply ?? insideOf(said)),
      (lost) => done(reply ?? lost),
    ),
  );
}

/** The one reply inside an EXEC's. */
function insideOf(reply: Buffer): Buffer {
  return reply.toString('latin1', 0, ONE_REPLY.length) === ONE_REPLY
    ? reply.subarray(ONE_REPLY.length)
    : reply;
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
