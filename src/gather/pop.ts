// LMPOP and ZMPOP of keys in several slots: the keys are asked in their order, those that follow each other in one
// slot together, until one has something.
//
//     LMPOP 3 a{1} b{1} c{2} LEFT COUNT 2        slot 1:  LMPOP 2 a{1} b{1} LEFT COUNT 2     nothing
//                                                slot 2:  LMPOP 1 c{2} LEFT COUNT 2          the reply
//
// A key of another type is met where one server would meet it, and each pop is the server's own. Of two elements that
// come while the slots are being asked, the one behind may be served. What blocks until something comes is in
// client/rivals.ts, and begins in the same way.

import type { Key } from '../command/across.ts';
import { isNil } from '../command/blocking.ts';
import * as errors from '../resp/errors.ts';
import { nilArray } from '../resp/write.ts';
import type { Crossing } from './crossing.ts';
import { step } from './steps.ts';

export async function pop({ words, keys, reach }: Crossing): Promise<Buffer> {
  const name = words[0]!;
  const options = words.slice(2 + keys.length);
  // With none left the server misses LEFT or MIN, and so it would not with fewer keys.
  if (options.length === 0) return errors.syntax();
  for (const run of runsOf(keys)) {
    step('pop: ask');
    const names = run.map((key) => key.name);
    const reply = await reach.ask(run[0]!.slot, [name, names.length, ...names, ...options], false);
    if (!isNil(reply)) return reply;
  }
  return nilArray(reach.resp);
}

/** Keys that follow each other and lie in one slot. */
function runsOf(keys: readonly Key[]): Key[][] {
  const runs: Key[][] = [];
  for (const key of keys) {
    const last = runs.at(-1);
    if (last !== undefined && last[0]!.slot === key.slot) last.push(key);
    else runs.push([key]);
  }
  return runs;
}
