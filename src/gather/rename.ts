// RENAME and RENAMENX from slot to slot: the key is restored there, with its time to live, and then removed here.
//
// What is removed must be what was copied, so the source is watched. When somebody has changed it meanwhile, RENAME
// copies it anew, over the older copy. RENAMENX takes its copy away and begins anew, which it may do only while nobody
// has touched the copy: so that is watched in the same breath in which it is made.
//
// A large key is poured from node to node (see reach.ts), and is then taken for changed whenever it was touched.
//
// A list that was touched may be what it was: those who wait in a BLMOVE of ours pop what is there and push it again.
// Dumps don't tell, since those of the same value may differ: their compression is not determined. So such a list is
// compared with its copy.

import * as errors from '../resp/errors.ts';
import { OK, ONE, ZERO } from '../resp/write.ts';
import { mayCopy, restore } from './copies.ts';
import type { Crossing } from './crossing.ts';
import { type Lock, Lost, pause, TRIES } from './lock.ts';
import { moving, type Pair, Thwarted } from './pair.ts';
import { GONE, type Queued, type Reach, type Words } from './reach.ts';
import { bulkOf, integerOf, isError } from './replies.ts';
import { step } from './steps.ts';

export function rename(call: Crossing): Promise<Buffer> {
  const { reach, limits, command } = call;
  const isNx = command.name === 'renamenx';
  return moving(call, async (pair) => {
    const { source, destination } = pair;
    const [size, there] = await pair.ask(['MEMORY', 'USAGE', source.name], ['EXISTS', destination.name]);
    const bytes = integerOf(size);
    if (bytes === undefined) return errors.noSuchKey();
    if (isNx && integerOf(there) === 1) return ZERO;
    mayCopy(bytes, limits.maxBytes);
    return reach.within(bytes, async () => {
      const way = bytes > reach.pourAbove ? pouring(pair, limits.maxBytes) : sending(reach, pair);
      await pair.lock({ watched: true, reads: way.reads }, bytes);
      return isNx ? renameNx(pair, way) : renameOver(reach, pair, way);
    });
  });
}

async function renameOver(reach: Reach, { source, destination }: Pair, way: Way): Promise<Buffer> {
  for (let tries = 0; tries < TRIES; tries++) {
    if (tries > 0) {
      await pause(tries);
      await source.look();
    }
    const restore = way.restore(true);
    if (restore === undefined) {
      if (!destination.changed) return errors.noSuchKey();
      // Its time to live may have ended, here and there.
      const copy = await reach.ask(destination.slot, ['EXISTS', destination.name], true);
      if (integerOf(copy) === 0) return OK;
      throw new Lost('the source has been removed meanwhile');
    }
    step('move: write');
    const { changed } = destination;
    const [restored] = await destination.change([restore]);
    if (restored === GONE) {
      destination.changed = changed;
      continue;
    }
    if (restored !== undefined && isError(restored)) return restored;
    step('move: remove');
    if (await way.remove()) return OK;
  }
  throw new Lost('the source is changed all the time');
}

async function renameNx({ destination }: Pair, way: Way): Promise<Buffer> {
  const restore = way.restore(false);
  if (restore === undefined) return errors.noSuchKey();
  destination.keeps = true;
  step('move: write');
  const [restored] = await destination.change([restore]);
  if (restored === GONE) {
    destination.changed = false;
    throw new Thwarted();
  }
  if (restored?.toString('latin1', 0, 8) === '-BUSYKEY') return ZERO;
  if (restored !== undefined && isError(restored)) return restored;
  step('move: remove');
  // Where the reply is lost, the key may be somebody else's.
  if (restored !== undefined && (await way.remove())) return ONE;
  step('move: undo');
  if (restored === undefined || !(await destination.takeBack([['UNLINK', destination.name]])))
    throw new Lost('both keys have been changed meanwhile');
  destination.changed = false;
  throw new Thwarted();
}

/** How the key is copied. */
interface Way {
  /** What is read of the source under its lock. */
  readonly reads: readonly Words[];
  /** What makes the copy, by what was read; undefined where there is no source. */
  restore(replace: boolean): Queued | undefined;
  /** Removes what was copied; false: it is not the same any more. */
  remove(): Promise<boolean>;
}

/** A large key comes from its node while it is written: it is copied anew whenever it was touched. */
function pouring({ source, destination }: Pair, most: number): Way {
  const { name, slot } = source;
  return {
    reads: [['PEXPIRETIME', name]],
    restore: (replace) => {
      if (integerOf(source.seen[0]!) === NO_KEY) return undefined;
      return { name, slot, as: destination.name, replace, lifetime: undefined, most };
    },
    remove: async () => (await source.attempt([['UNLINK', name]])) !== undefined,
  };
}

/** A small one is read, and written. */
function sending(reach: Reach, { source, destination }: Pair): Way {
  return {
    reads: copying(source),
    restore: (replace) => restoring(source, destination, replace),
    remove: () => remove(reach, source, destination),
  };
}

/** What PEXPIRETIME says where there is no key. */
const NO_KEY = -2;

async function remove(reach: Reach, source: Lock, destination: Lock): Promise<boolean> {
  const [copied, until] = source.seen;
  const list = ({ name }: Lock) => ['LRANGE', name, 0, -1];
  source.sight = { watched: true, reads: [...copying(source), list(source)] };
  for (let tries = 1; tries <= TRIES; tries++) {
    if (await source.attempt([['UNLINK', source.name]])) return true;
    await pause(tries);
    const [dump, expires, elements] = await source.look();
    if (!expires!.equals(until!)) return false;
    if (dump!.equals(copied!)) continue;
    const copy = await reach.ask(destination.slot, list(destination), true);
    if (isError(copy) || !copy.equals(elements!)) return false;
  }
  return false;
}

/** What is read of a key that is to be copied. */
function copying({ name }: Lock): Words[] {
  return [
    ['DUMP', name],
    ['PEXPIRETIME', name],
  ];
}

/** The command that makes the copy; undefined where there is no source. */
function restoring({ seen: [dump, expires] }: Lock, { name }: Lock, replace: boolean): Words | undefined {
  const payload = bulkOf(dump!);
  if (payload === undefined) return undefined;
  return restore(name, payload, integerOf(expires!)!, replace);
}
