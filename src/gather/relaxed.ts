// A command that writes keys of several slots, or is a script: it runs on copies of all of them, in one slot, and
// what it has changed is written back.
//
//     MSETNX a{1} x b{2} y      slot 1, slot 2:   WATCH a{1}             WATCH b{2}           links of one's own
//                                                 DUMP a{1}              DUMP b{2}
//                               slot 1:           MULTI, RESTORE tmp.., MSETNX tmp:0 x tmp:1 y, DUMP tmp.., EXEC
//                               slot 1, slot 2:   MULTI, RESTORE .. EXEC                      under these WATCHes
//
// The run changes nothing of anybody's. If one of the keys is changed by others before the first is written back,
// all is done over again: so it is as if the command had run at one instant. From then on each slot is changed at
// one instant, but not all at the same: see write-back.ts.
//
// It runs where most keys lie. A command that fails midway has changed what it has changed, as on one server.

import * as errors from '../resp/errors.ts';
import { type Copy, mayCopy, newId, sizesOf } from './copies.ts';
import type { Crossing } from './crossing.ts';
import { type Reach, Refusal } from './reach.ts';
import { succeeded } from './replies.ts';
import { nativeOf } from './script.ts';
import { Standins } from './standins.ts';
import { step } from './steps.ts';
import { inSlots, type Place, readKey, type Target, targetsOf } from './targets.ts';
import { writeBack } from './write-back.ts';

/** How often it is done over again, at most. */
const ATTEMPTS = 16;
/** The longest pause before the next attempt, ms; the first ones are shorter. */
const PAUSE = 200;

export async function runRelaxed(call: Crossing): Promise<Buffer> {
  const { reach, limits, command } = call;
  const targets = targetsOf(call.keys);
  const sizes = await sizesOf(reach, targets);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  mayCopy(bytes, limits.maxBytes);
  const groups = inSlots(targets);
  const slot = fullest(groups, targets, sizes);
  const native = await nativeOf(call, slot);
  return reach.within(bytes, async () => {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const reply = await withPlaces(reach, groups, async (places) => {
        const copies = await read(places);
        if (copies === undefined) return undefined;
        mayCopy(lengthOf(copies), limits.maxBytes);
        const standins = new Standins(slot, newId(), copies, targets);
        step('relaxed: run');
        const { reply, changes } = await standins.run(
          reach,
          native.words((key) => standins.nameOf(key)),
        );
        mayCopy(lengthOf(changes.map(({ after }) => after)), limits.maxBytes);
        if (!(await writeBack(call, places, changes, slot))) return undefined;
        return native.restore(standins.rename(reply));
      });
      if (reply !== undefined) return reply;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(PAUSE, 2 ** attempt)));
    }
    throw new Refusal(errors.keysChanged(command.name, ATTEMPTS));
  });
}

/** Runs work with a link to each slot on which its keys are watched. Undefined when a slot is on the move. */
async function withPlaces<T>(
  reach: Reach,
  groups: ReadonlyMap<number, readonly Target[]>,
  work: (places: readonly Place[]) => Promise<T | undefined>,
): Promise<T | undefined> {
  step('relaxed: watch');
  const taken = await Promise.allSettled(
    [...groups].map(async ([slot, targets]) => {
      const held = await reach.hold(slot, ['WATCH', ...targets.map(({ name }) => name)]);
      return { slot, targets, held };
    }),
  );
  const places = taken.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  try {
    const failed = taken.find((each) => each.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    for (const { held } of places) succeeded(held.reply);
    return await work(places);
  } finally {
    for (const { held } of places) held.release();
  }
}

/** What the keys are while they are watched, by name. Undefined when a slot is on the move. */
async function read(places: readonly Place[]): Promise<Copy[] | undefined> {
  step('relaxed: read');
  const read = await Promise.all(
    places.flatMap(({ held, targets }) => targets.map((target) => readKey(held, target))),
  );
  return read.some((each) => each === undefined) ? undefined : (read as Copy[]);
}

function lengthOf(copies: readonly Copy[]): number {
  return copies.reduce((sum, { payload }) => sum + (payload?.length ?? 0), 0);
}

/** The slot of most keys; of those with as many, the one of most bytes. */
function fullest(
  groups: ReadonlyMap<number, readonly Target[]>,
  targets: readonly Target[],
  sizes: readonly number[],
): number {
  const bytesOf = (slot: number) =>
    sizes.reduce((sum, size, i) => (targets[i]!.slot === slot ? sum + size : sum), 0);
  const [[best]] = [...groups].sort(
    ([a, ofA], [b, ofB]) => ofB.length - ofA.length || bytesOf(b) - bytesOf(a),
  ) as [[number, readonly Target[]]];
  return best;
}
