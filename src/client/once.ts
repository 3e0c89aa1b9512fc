// What a blocking command's links are sent: one command, or one in a MULTI of its own. Cold.

import type { Pending } from '../cluster/link.ts';
import { collect, type Lost } from './collect.ts';
import { EXEC, MULTI } from './transaction.ts';

const MINUS = 45;
/** The reply of an EXEC with one command stands behind this. */
const ONE_REPLY = '*1\r\n';

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
