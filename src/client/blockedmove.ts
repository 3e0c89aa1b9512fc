// BLMOVE and BRPOPLPUSH whose keys lie in different slots: moved as LMOVE is (see gather/lmove.ts), and while the source
// is empty, waited for at its node.
//
//   LMOVE a b  --nil-->  BLMOVE a a LEFT LEFT <time left>  --somebody has pushed-->  LMOVE a b, again
//
// What waits pops an element and pushes it where it was, so it changes nothing. Of several clients that wait so, any
// may be the first to move; who finds nothing then waits again, with the time that is left. Cold.

import { keysAcross } from '../command/across.ts';
import { isNil } from '../command/blocking.ts';
import { gather } from '../gather/gather.ts';
import { objectionOf } from '../gather/pair.ts';
import { isError } from '../gather/replies.ts';
import { crossingOf, withReach } from './across.ts';
import type { Blocking } from './blocked.ts';
import { denialOfOther } from './rights.ts';
import { endedReply } from './seat.ts';

const LEFT = Buffer.from('LEFT');

export async function blockOnMove(call: Blocking): Promise<Buffer> {
  const { client, command, args, timeout, words } = call;
  const denied = await denialOfOther(client, args);
  if (denied !== undefined) return call.conclude(denied, false);
  const keys = keysAcross(command, args);
  const { name, slot } = keys[0]!;
  const waits = [Buffer.from('BLMOVE'), name, name, LEFT, LEFT, words[timeout.at]!];
  return withReach(client, async (reach) => {
    const crossing = crossingOf(client, command, args, keys, reach);
    const objection = timeout.valid ? undefined : await objectionOf(crossing);
    if (objection !== undefined) return call.conclude(objection, false);
    for (;;) {
      const moved = await gather('move', crossing);
      if (!isNil(moved)) return call.conclude(moved, false);
      if (call.how !== undefined) return call.conclude(endedReply(call.how, reach.resp), true);
      const pushed = await call.sit(slot, waits, false, reach.asker.lane).run();
      if (call.how !== undefined) return call.conclude(endedReply(call.how, reach.resp), true);
      if (isNil(pushed) || isError(pushed)) return call.conclude(pushed, true);
    }
  });
}
