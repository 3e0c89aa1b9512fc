// SMOVE from slot to slot: the member is added there, and then removed here.
//
// Somebody else may remove it here in between. Then he was first, so it is taken away there again, if it was not
// there before. The set as a whole is never read, and need not be watched: a member is there or it is not. (A third,
// who adds the same member there in just that instant and is told that it is there already, loses it so. To leave it
// there would bring back what was removed, and needs one less to meet.)

import { ONE, ZERO } from '../resp/write.ts';
import type { Crossing } from './crossing.ts';
import { Lost } from './lock.ts';
import { moving, type Pair } from './pair.ts';
import { integerOf, isError } from './replies.ts';
import { step } from './steps.ts';

export function smove(call: Crossing): Promise<Buffer> {
  const member = call.words[3]!;
  return moving(call, async (pair) => {
    const { source, destination } = pair;
    const isMember = ['SISMEMBER', source.name, member];
    const [before] = await pair.ask(isMember, ['EXISTS', destination.name]);
    if (!isOne(before)) return notThere(call, before);
    await pair.lock({ watched: false, reads: [isMember] });
    const now = source.seen[0]!;
    return isOne(now) ? move(pair, member) : notThere(call, now);
  });
}

async function move({ source, destination }: Pair, member: Buffer): Promise<Buffer> {
  step('move: write');
  const [added] = await destination.change([['SADD', destination.name, member]]);
  if (added !== undefined && isError(added)) return added;
  step('move: remove');
  const [removed] = await source.change([['SREM', source.name, member]]);
  if (removed === undefined || isOne(removed)) return ONE;
  step('move: undo');
  if (added === undefined) throw new Lost('somebody else has removed the member');
  if (isOne(added)) await destination.change([['SREM', destination.name, member]]);
  destination.changed = false;
  return removed;
}

/** The reply where the source has no such member: t_set.c looks at the types of both, if there is a source. */
async function notThere({ keys, reach }: Crossing, isMember: Buffer): Promise<Buffer> {
  if (isError(isMember)) return isMember;
  const [source, destination] = keys;
  const exists = await reach.ask(source!.slot, ['EXISTS', source!.name], true);
  if (integerOf(exists) === 0) return ZERO;
  const size = await reach.ask(destination!.slot, ['SCARD', destination!.name], true);
  return isError(size) ? size : ZERO;
}

function isOne(reply: Buffer): boolean {
  return !isError(reply) && integerOf(reply) === 1;
}
