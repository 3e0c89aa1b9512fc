// A command that writes keys of several slots, or is a script: it runs on copies of all of them, in one slot, and
// what it has changed is written back.
//
//     MSETNX a{1} x b{2} y      slot 1, slot 2:   lock and WATCH a{1}    lock and WATCH b{2}  links of one's own
//                                                 DUMP a{1}              DUMP b{2}
//                               slot 1:           MULTI, RESTORE tmp.., MSETNX tmp:0 x tmp:1 y, DUMP tmp.., EXEC
//                               slot 1, slot 2:   MULTI, RESTORE .. EXEC                      under these WATCHes
//
// The run changes nothing of anybody's. If one of the keys is changed by others before the first is written back,
// all is done over again: so it is as if the command had run at one instant. From then on each slot is changed at
// one instant, but not all at the same: see write-back.ts.
//
// It runs where most keys lie, or, while that slot is on the move, in some other. A command that fails midway has
// changed what it has changed, as on one server.

import * as errors from '../resp/errors.ts';
import { someSlot } from './aside.ts';
import { Budget } from './budget.ts';
import { type Copy, mayCopy, newId, sizesOf } from './copies.ts';
import type { Crossing } from './crossing.ts';
import { Hindered, Place, type Target, targetsOf, withPlaces } from './places.ts';
import { isOnTheMove, Refusal } from './reach.ts';
import { type Native, nativeOf } from './script.ts';
import { Standins } from './standins.ts';
import { step } from './steps.ts';
import { type Patience, Turns, waitedInVain } from './turns.ts';
import { writeBack } from './write-back.ts';

/** Links to nodes that such commands of a worker have at once, beside those of one that needs more. */
const LINKS = 64;
/** How often it is done over again since others change the keys, at most. */
const ATTEMPTS = 16;
/** The longest pause before it is tried again, ms; the first ones are shorter. */
const PAUSE = 64;

/** Those of one worker that want the same key queue up here; the locks keep it from other proxies and from moves. */
const turns = new Turns();
const links = new Budget(LINKS);

export async function runRelaxed(call: Crossing): Promise<Buffer> {
  const { reach, limits, command } = call;
  const targets = targetsOf(call.keys);
  const sizes = await sizesOf(reach, targets);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  mayCopy(bytes, limits.maxBytes);
  const slot = fullest(targets, sizes);
  const { waitFor } = limits;
  const patience = { command: command.name, waitFor, deadline: performance.now() + waitFor };
  const names = targets.map(({ name }) => name);
  return turns.during(names, LINKS, patience, () =>
    reach.within(bytes, () => untilDone(call, targets, slot, patience)),
  );
}

async function untilDone(
  call: Crossing,
  targets: readonly Target[],
  fullest: number,
  patience: Patience,
): Promise<Buffer> {
  const { reach, command } = call;
  let slot = fullest;
  let native = await nativeOf(call, slot);
  for (let tries = 1, changed = 0; ; tries++) {
    const token = newId();
    const places = [...Map.groupBy(targets, (target) => target.slot)]
      .sort(([a], [b]) => a - b)
      .map(([slot, own]) => new Place(reach, slot, own, token));
    try {
      const reply = await links.within(places.length, () =>
        withPlaces(places, tries > 1, () => runOnce(call, places, slot, native)),
      );
      if (reply !== undefined) return reply;
      if (++changed === ATTEMPTS) throw new Refusal(errors.keysChanged(command.name, ATTEMPTS));
    } catch (error) {
      const moves = isOnTheMove(error);
      if (!moves && !(error instanceof Hindered)) throw error;
      if (performance.now() > patience.deadline) throw moves ? error : hindrance(error, patience);
      if (moves) {
        slot = someSlot();
        native = await nativeOf(call, slot);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(PAUSE, 2 ** (tries / 2))));
  }
}

/** The error where it has waited for too long. */
function hindrance({ moving, message }: Hindered, patience: Patience): Refusal {
  return moving ? new Refusal(errors.notServed(message)) : waitedInVain(patience);
}

/**
 * Runs it on copies of what the places have, and writes back what it has changed. Undefined when somebody has
 * changed a key meanwhile, and nothing is done.
 */
async function runOnce(
  call: Crossing,
  places: readonly Place[],
  slot: number,
  native: Native,
): Promise<Buffer | undefined> {
  const { reach, limits } = call;
  const targets = places.flatMap((place) => place.targets);
  const copies = places.flatMap((place) => place.copies);
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
}

function lengthOf(copies: readonly Copy[]): number {
  return copies.reduce((sum, { payload }) => sum + (payload?.length ?? 0), 0);
}

/** The slot of most keys; of those with as many, the one of most bytes. */
function fullest(targets: readonly Target[], sizes: readonly number[]): number {
  const count = new Map<number, number>();
  const bytes = new Map<number, number>();
  targets.forEach(({ slot }, i) => {
    count.set(slot, (count.get(slot) ?? 0) + 1);
    bytes.set(slot, (bytes.get(slot) ?? 0) + sizes[i]!);
  });
  const [best] = [...count.keys()].sort(
    (a, b) => count.get(b)! - count.get(a)! || bytes.get(b)! - bytes.get(a)!,
  );
  return best!;
}
