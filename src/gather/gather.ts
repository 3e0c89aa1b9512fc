// Works out a call with keys in several slots: by the way its command goes (command/across.ts).

import type { Way } from '../command/across.ts';
import * as errors from '../resp/errors.ts';
import { copyAndRun } from './copy.ts';
import type { Crossing } from './crossing.ts';
import { move } from './move.ts';
import { pop } from './pop.ts';
import { runRelaxed } from './relaxed.ts';
import { sort } from './sort.ts';

const WAYS: Partial<Readonly<Record<Way, (call: Crossing) => Promise<Buffer>>>> = {
  copy: copyAndRun,
  sort,
  pop,
  move,
  relaxed: runRelaxed,
};

/** @returns the reply @throws Refusal with an error for one */
export async function gather(way: Way, call: Crossing): Promise<Buffer> {
  const work = WAYS[way];
  return work === undefined ? errors.crossSlot() : work(call);
}
