// MGET, DEL, UNLINK, EXISTS and TOUCH key by key, for when the keys of a slot are at two nodes: see cluster/apart.ts.
//
// They come to the same done one by one; only that others may see it half done, as where keys are in several slots.
// MSET promises more, and waits.

import type { Pieces } from '../cluster/apart.ts';
import type { Command } from '../command/command.ts';
import { mergeSplit } from '../command/merge.ts';
import { singlyKeyed, splitByKey } from '../command/split.ts';

/**
 * The call at `bytes[from..to)`, all of whose keys are in `slot`, cut; undefined for a command that can't be.
 * @param gathering told of the bytes of replies that wait for others, and (negative) that they wait no more
 */
export function keyByKey(
  command: Command,
  slot: number,
  [bytes, from, to]: readonly [Buffer, number, number],
  gathering: (bytes: number) => void,
): Pieces | undefined {
  if (!singlyKeyed(command)) return undefined;
  const plan = splitByKey(bytes, from, to, slot);
  return {
    bytes: plan.bytes,
    from: plan.from,
    to: plan.to,
    merge: (replies) => mergeSplit(plan, command, replies),
    gathering,
  };
}
