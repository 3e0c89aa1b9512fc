// A command that runs on the server, with copies of the keys that are not there: SUNIONSTORE, PFMERGE, BITOP, COPY,
// ZINTER, LCS, and any module's that only reads or writes one key.
//
//     SUNIONSTORE d{2} a{1} b{2}        slot 2:  MULTI
//                                                RESTORE tmp <a's dump>
//                                                SUNIONSTORE d{2} tmp b{2}
//                                                UNLINK tmp
//                                                EXEC
//
// It runs in the slot of the key it writes, so that this key changes at one instant; one that only reads runs where
// most bytes are. Errors, empty results, types and encodings are the server's, since it does it all. What is copied was
// read key by key: no two of them at the same instant.
//
// A result whose sources all lie in one other slot is made there, and sent: mostly it is smaller than they are
// (ZRANGESTORE, GEOSEARCHSTORE, SORT STORE). Small sources are copied all the same: a value that has been sent may be
// encoded in another way than one that was made in its place.

import type { Key } from '../command/across.ts';
import { temporaryKey } from '../command/reserved.ts';
import * as errors from '../resp/errors.ts';
import { inSomeSlot } from './aside.ts';
import { Copies, dump, mayCopy, newId, Proofs, type Source, sizesOf } from './copies.ts';
import type { Crossing } from './crossing.ts';
import { GONE, isOnTheMove, type Reach, Refusal, type Words } from './reach.ts';
import { runRelaxed } from './relaxed.ts';
import { bulkOf, integerOf, isError, succeeded } from './replies.ts';
import { step } from './steps.ts';

/** They write nothing but their result, whatever was there before. */
const OVERWRITE: ReadonlySet<string> = new Set([
  'sinterstore',
  'sunionstore',
  'sdiffstore',
  'zinterstore',
  'zunionstore',
  'zdiffstore',
  'zrangestore',
  'geosearchstore',
  'georadius',
  'georadiusbymember',
  'bitop',
  'sort',
]);

/** COPY takes the time to live along. */
const EXPIRING: ReadonlySet<string> = new Set(['copy']);

/** Sources of so many bytes are copied as cheaply as their result. */
const SMALL = 4096;

/** Of what is on its way to its destination, ms. */
const LIFETIME = 10_000;

const proofs = new Proofs();

export async function copyAndRun(call: Crossing): Promise<Buffer> {
  try {
    return await runAtHome(call);
  } catch (error) {
    if (!isOnTheMove(error)) throw error;
    const overwrites = OVERWRITE.has(call.command.name) || call.keys.every(({ written }) => !written);
    return overwrites ? runAside(call) : runRelaxed(call);
  }
}

async function runAtHome(call: Crossing): Promise<Buffer> {
  const { keys, reach, limits, command } = call;
  const written = keys.find((key) => key.written);
  const sources = distinct(
    keys.filter((key) => !key.written && key.name.compare(written?.name ?? NONE) !== 0),
  );
  const elsewhere = sources.filter(({ slot }) => slot !== written?.slot);
  const sizes = await sizesOf(reach, written === undefined ? sources : elsewhere);
  if (written !== undefined && sum(sizes) > SMALL && sendsResult(call, written, sources))
    return runThere(call, written, sum(sizes));

  const slot = written?.slot ?? heaviest(sources, sizes);
  const copied = (written === undefined ? sources : elsewhere)
    .map((source, i) => ({ source, size: sizes[i]! }))
    .filter(({ source }) => source.slot !== slot);
  const bytes = sum(copied.map(({ size }) => size));
  mayCopy(bytes, limits.maxBytes);
  return reach.within(bytes, async () => {
    const expiring = EXPIRING.has(command.name);
    const dumps = await dump(
      reach,
      copied.map(({ source }) => source),
      copied.map(({ size }) => size),
      expiring,
    );
    mayCopy(sum(dumps.map(({ payload }) => payload?.length ?? 0)), limits.maxBytes);
    const copies = new Copies({ slot, id: newId(), expiring, most: limits.maxBytes }, dumps);
    return runHere(call, copies, written !== undefined);
  });
}

/** Runs the command with its copies. */
async function runHere(call: Crossing, copies: Copies, writes: boolean): Promise<Buffer> {
  const { words, keys, reach } = call;
  if (writes) await proofs.require(reach, copies, true);
  const native = [...words];
  for (const { at, name } of keys) native[at] = copies.nameOf(name);
  const { restores } = copies;
  step('copy: run');
  const all = [...restores, native, ...copies.removals()];
  const replies = await reach.atomically(copies.slot, all, !writes, true);
  for (let i = 0; i < restores.length; i++) succeeded(replies[i]);
  step('copy: done');
  return copies.rename(replies[restores.length]!);
}

/** All it reads lies in one slot, and it writes in another. */
function sendsResult({ command, keys }: Crossing, written: Key, sources: readonly Source[]): boolean {
  if (!OVERWRITE.has(command.name) || sources.length === 0) return false;
  if (keys.some((key) => !key.written && key.name.equals(written.name))) return false;
  const { slot } = sources[0]!;
  return slot !== written.slot && sources.every((source) => source.slot === slot);
}

/** Makes the result where its sources are, and sends it to its destination. `bytes`: of the sources. */
async function runThere(call: Crossing, written: Key, bytes: number): Promise<Buffer> {
  const { words, keys, reach } = call;
  const { slot } = keys.find((key) => !key.written)!;
  const as = temporaryKey(slot, newId(), 0);
  const native: Words = words.map((word, at) => (at === written.at ? as : word));
  step('copy: run');
  if (bytes > reach.pourAbove) return pourResult(call, written, { slot, name: as }, native);
  const [reply, dumped] = await reach.atomically(slot, [native, ['DUMP', as], ['UNLINK', as]], true, true);
  return isError(reply!) ? reply! : storeDump(reach, written, dumped!, reply!);
}

/** Stores a result, or that there is none, by what DUMP said of it. */
export async function storeDump(
  reach: Reach,
  { name, slot }: Source,
  dumped: Buffer,
  reply: Buffer,
): Promise<Buffer> {
  const payload = bulkOf(dumped);
  step('copy: store');
  succeeded(
    payload === undefined
      ? await reach.ask(slot, ['DEL', name], false)
      : await reach.ask(slot, ['RESTORE', name, 0, payload, 'REPLACE'], false),
  );
  step('copy: done');
  return reply;
}

/**
 * In some other slot, on copies of all that it reads: a transaction needs all its keys at one node, and in a slot that
 * is on the move new ones are made at another node than that of the old. Single keys are found wherever they are.
 */
async function runAside(call: Crossing): Promise<Buffer> {
  const { words, keys, reach, limits } = call;
  const written = keys.find((key) => key.written);
  const sources = distinct(keys.filter((key) => !key.written));
  const sizes = await sizesOf(reach, sources);
  mayCopy(sum(sizes), limits.maxBytes);
  return reach.within(sum(sizes), async () => {
    const dumps = await dump(reach, sources, sizes, false);
    mayCopy(sum(dumps.map(({ payload }) => payload?.length ?? 0)), limits.maxBytes);
    return inSomeSlot(async (slot) => {
      const copies = new Copies({ slot, id: newId(), expiring: false, most: limits.maxBytes }, dumps);
      const as = temporaryKey(slot, newId(), 0);
      const native = [...words];
      for (const { at, name, written } of keys) native[at] = written ? as : copies.nameOf(name);
      const { restores } = copies;
      step('copy: run');
      const all = [...restores, native, ['DUMP', as], ...copies.removals(as)];
      const replies = await reach.atomically(slot, all, true, true);
      for (let i = 0; i < restores.length; i++) succeeded(replies[i]);
      const [reply, dumped] = replies.slice(restores.length);
      if (written !== undefined && !isError(reply!)) return storeDump(reach, written, dumped!, reply!);
      step('copy: done');
      return copies.rename(reply!);
    });
  });
}

/** The same where the result may be large: it is a key of its own for a moment, with a time to live. */
async function pourResult(
  { reach, limits }: Crossing,
  written: Key,
  { slot, name: as }: Source,
  native: Words,
): Promise<Buffer> {
  const make = [native, ['PEXPIRE', as, LIFETIME], ['MEMORY', 'USAGE', as]];
  const [reply, , usage] = await reach.atomically(slot, make, true, true);
  const size = integerOf(usage!) ?? 0;
  if (isError(reply!)) return reply!;
  try {
    mayCopy(size, limits.maxBytes);
    step('copy: store');
    await reach.within(size, async () => {
      const { name } = written;
      const pouring = { name: as, slot, as: name, replace: true, lifetime: 0, most: limits.maxBytes };
      const [stored] = await reach.atomically(written.slot, [size === 0 ? ['DEL', name] : pouring], false);
      succeeded(stored);
      if (stored === GONE) throw new Refusal(errors.notServed('its result was gone before it was stored'));
    });
  } finally {
    await reach.ask(slot, ['UNLINK', as], false);
  }
  step('copy: done');
  return reply!;
}

const NONE = Buffer.alloc(0);

function heaviest(sources: readonly Source[], sizes: readonly number[]): number {
  const bySlot = new Map<number, number>();
  sources.forEach(({ slot }, i) => {
    bySlot.set(slot, (bySlot.get(slot) ?? 0) + sizes[i]!);
  });
  let best = sources[0]!.slot;
  for (const [slot, bytes] of bySlot) if (bytes > bySlot.get(best)!) best = slot;
  return best;
}

function distinct(keys: readonly Key[]): Source[] {
  const byName = new Map(keys.map((key) => [key.name.toString('latin1'), key]));
  return [...byName.values()];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
