// Writes back what a run on copies has changed, slot by slot, under the WATCH that was there before it began.
//
//     slots of which nothing changed      EXEC of their WATCH: what was read there still holds
//     the others, the run's own last      RESTORE, DEL or PEXPIREAT under theirs; a key that expires comes first
//
// Up to the first write nothing has happened, and a key that somebody has changed means: all over again. Where a
// later slot is the one that refuses, those already written are put back as they were, unless somebody has changed
// them since: then some keys are new and some are old, and the error says which.

import * as errors from '../resp/errors.ts';
import { Copies, type Copy, newId, Proofs, restore } from './copies.ts';
import type { Crossing } from './crossing.ts';
import type { Place } from './places.ts';
import { Refusal, type Words } from './reach.ts';
import { bulkOf, isError, succeeded } from './replies.ts';
import { type Change, isSame } from './standins.ts';
import { step } from './steps.ts';

/** A slot to be written. */
interface Part {
  readonly place: Place;
  readonly changes: readonly Change[];
}

/** A slot that was. */
interface Done extends Part {
  /** What DUMP said of its keys right then. */
  readonly dumps: readonly (Buffer | undefined)[];
}

const proofs = new Proofs();

/**
 * Writes changes. `last`: the slot whose turn comes last.
 * @returns false when nothing is changed, since somebody has changed a key meanwhile
 * @throws Refusal that names the keys when some are changed and some are not
 */
export async function writeBack(
  call: Crossing,
  places: readonly Place[],
  changes: readonly Change[],
  last: number,
): Promise<boolean> {
  const bySlot = Map.groupBy(changes, ({ before }) => before.slot);
  const parts = places.flatMap((place): Part[] => {
    const own = bySlot.get(place.slot);
    return own === undefined ? [] : [{ place, changes: own }];
  });
  parts.sort((a, b) => endOf(a) - endOf(b) || Number(a.place.slot === last) - Number(b.place.slot === last));
  for (const { place, changes } of parts) {
    const options = { slot: place.slot, id: newId(), expiring: false, most: call.limits.maxBytes };
    const copies = changes.map(({ after }) => after);
    await proofs.require(call.reach, new Copies(options, copies));
  }
  step('relaxed: verify');
  const untouched = places.filter(({ slot }) => !bySlot.has(slot));
  const valid = await Promise.all(untouched.map(isUntouched));
  if (valid.includes(false)) return false;
  return writeParts(call, parts);
}

/** When the first key of a slot expires, which ends its WATCH as any change does: so it is written before others. */
function endOf({ changes }: Part): number {
  return Math.min(
    ...changes.map(({ before: { expires } }) => (expires < 0 ? Number.MAX_SAFE_INTEGER : expires)),
  );
}

/** Whether nobody has changed the keys of a slot. */
async function isUntouched(place: Place): Promise<boolean> {
  try {
    return await place.isUntouched();
  } catch (error) {
    if (error instanceof Refusal && error.unknown) return false;
    throw error;
  }
}

async function writeParts(call: Crossing, parts: readonly Part[]): Promise<boolean> {
  const done: Done[] = [];
  for (const [i, part] of parts.entries()) {
    step('relaxed: write');
    const dumps = await write(part, i < parts.length - 1).catch((error: unknown) => error);
    if (Array.isArray(dumps)) {
      done.push({ ...part, dumps });
      continue;
    }
    if (dumps !== undefined && !(dumps instanceof Refusal)) throw dumps;
    const unknown = dumps?.unknown === true ? [part] : [];
    if (unknown.length === 0 && (await undo(done, unknown))) {
      if (dumps === undefined) return false;
      throw dumps;
    }
    throw i === 0 ? dumps : inPart(call, parts, done, unknown, dumps);
  }
  step('relaxed: done');
  return true;
}

/** Writes one slot. Undefined when somebody was faster. `looks`: what its keys are then is asked in the same instant. */
async function write({ place, changes }: Part, looks: boolean): Promise<(Buffer | undefined)[] | undefined> {
  const writes = changes.map(({ after, before, value }) => writing(after, before, value));
  const dumps = looks ? changes.map(({ after }): Words => ['DUMP', after.name]) : [];
  const replies = await place.exec([...writes, ...dumps], !looks);
  if (replies === undefined) return undefined;
  const failed = replies.find(isError);
  // Those beside it were executed.
  if (failed !== undefined) throw new Refusal(failed, true);
  return replies.slice(writes.length).map(bulkOf);
}

/** The command that makes a key what it is to be. `value`: not only its time. */
function writing({ name, payload, expires }: Copy, now: Copy, value: boolean): Words {
  if (payload === undefined) return ['DEL', name];
  if (value || now.payload === undefined) return restore(name, payload, expires);
  return expires < 0 ? ['PERSIST', name] : ['PEXPIREAT', name, expires];
}

/** Puts back what was written, the last first. Whether all of it was; `unknown` gets a part that may have been. */
async function undo(done: Done[], unknown: Part[]): Promise<boolean> {
  while (done.length > 0) {
    step('relaxed: undo');
    const part = done.at(-1)!;
    const undone = await undoPart(part).catch((error: unknown) => error);
    if (undone !== true) {
      if (undone instanceof Refusal && undone.unknown) unknown.push(done.pop()!);
      return false;
    }
    done.pop();
  }
  return true;
}

async function undoPart({ place, changes, dumps }: Done): Promise<boolean> {
  const now = await place.again(changes.map(({ after }) => after));
  if (now === undefined || !now.every((key, i) => isOurs(key, changes[i]!.after, dumps[i]))) return false;
  const undos = changes.map(({ before, after, value }) => writing(before, after, value));
  const replies = await place.exec(undos, false);
  for (const reply of replies ?? []) succeeded(reply);
  return replies !== undefined;
}

/** Whether a key is what was written, or has expired since. */
function isOurs(now: Copy, { expires }: Copy, dump: Buffer | undefined): boolean {
  if (now.payload === undefined && expires >= 0 && expires <= Date.now()) return true;
  return isSame(now.payload, dump) && now.expires === expires;
}

/** `unknown`: parts of which nobody knows whether they are written. */
function inPart(
  call: Crossing,
  parts: readonly Part[],
  done: readonly Part[],
  unknown: readonly Part[],
  refusal: Refusal | undefined,
): Refusal {
  const written = new Set(done.map(({ place }) => place));
  const doubtful = new Set(unknown.map(({ place }) => place));
  const names = (of: (part: Part) => boolean) =>
    parts.filter(of).flatMap(({ changes }) => changes.map(({ after }) => after.name.toString('latin1')));
  const keys = {
    written: names(({ place }) => written.has(place)),
    unwritten: names(({ place }) => !written.has(place) && !doubtful.has(place)),
    unknown: names(({ place }) => doubtful.has(place)),
  };
  const why = refusal === undefined ? 'the keys were changed by others' : refusal.message;
  return new Refusal(errors.writtenInPart(call.command.name, keys, why), unknown.length > 0);
}
