// Commands with keys in several slots: how each is done, what that promises, and which setting permits it. README's
// table is made of this one.
//
//     way           SINTER a{1} b{2}             the keys that are only read are copied to the slot where it runs
//     what a key    SUNIONSTORE d{1} a{1} b{2}   d is written, so it runs there; a is there, b is copied
//     is for        RENAME a{1} b{2}             moved: written there first, then removed here
//
// A command without a row goes by what its key specs, or COMMAND GETKEYSANDFLAGS, say of its keys, those of modules
// too: where it writes one of them at most, the others are copied; else it runs on copies of them all, which are
// written back (`relaxed`). COLD.

import type { Arguments } from './arguments.ts';
import { ACCESS, type Command, HAND, type KeySpec, SCRIPT } from './command.ts';
import { findKeys, Keys, keysOfSpec } from './keys.ts';
import { slotOf } from './slot.ts';

/** How a command across slots is done; each has its file in `gather`. */
export type Way = 'copy' | 'sort' | 'pop' | 'move' | 'streams' | 'groups' | 'relaxed' | 'never';

/** What is promised, in README's words. */
export const PROMISES = {
  read: 'sources read one by one',
  store: 'destination atomic, sources read one by one',
  pop: 'atomic per key; the keys are asked in their order',
  move: 'moved, never lost',
  streams: 'atomic per slot; all slots are read at once',
  groups: 'atomic per slot; all is checked before anything is delivered, and what was is in the reply',
  relaxed: 'atomic per slot; runs on copies, which are written back if nobody changed the keys meanwhile',
  never: 'refused',
} as const;

/** The settings of `crossSlot.level`, each permits what those before it do. */
export const LEVELS = ['refuse', 'reads', 'writes', 'all'] as const;
export type Level = (typeof LEVELS)[number];

const WRITTEN = ACCESS.OW | ACCESS.RW | ACCESS.RM;

/** A key of a call. */
export interface Key {
  /** Index of the argument. */
  readonly at: number;
  readonly name: Buffer;
  readonly slot: number;
  readonly written: boolean;
}

const WAYS: Readonly<Record<string, Way>> = {
  sort: 'sort',
  sort_ro: 'sort',
  lmpop: 'pop',
  zmpop: 'pop',
  blpop: 'pop',
  brpop: 'pop',
  blmpop: 'pop',
  bzpopmin: 'pop',
  bzpopmax: 'pop',
  bzmpop: 'pop',
  rename: 'move',
  renamenx: 'move',
  smove: 'move',
  lmove: 'move',
  rpoplpush: 'move',
  blmove: 'move',
  brpoplpush: 'move',
  xread: 'streams',
  xreadgroup: 'groups',
  migrate: 'never',
  watch: 'never',
};

/** Its key specs say that it may change what it reads: a cached count, which is nothing of the data. */
const ONLY_READS: ReadonlySet<string> = new Set(['pfcount']);

/** How a call is done whose keys lie in several slots. */
export function wayAcross({ name, script }: Command, keys: readonly Pick<Key, 'name' | 'written'>[]): Way {
  if (Object.hasOwn(WAYS, name)) return WAYS[name]!;
  if (script !== SCRIPT.none) return 'relaxed';
  const [first, ...others] = keys.filter(({ written }) => written);
  return others.every((key) => key.name.equals(first!.name)) ? 'copy' : 'relaxed';
}

/** Whether a command changes the keys of one of its specs. */
export function isWritten({ name }: Command, { access }: KeySpec): boolean {
  return (access & WRITTEN) !== 0 && !ONLY_READS.has(name);
}

/** The least level that permits a call. */
export function levelOf(way: Way, keys: readonly Pick<Key, 'written'>[]): Level {
  if (way === 'relaxed') return 'all';
  if (way === 'pop' || way === 'move' || way === 'groups') return 'writes';
  return keys.some(({ written }) => written) ? 'writes' : 'reads';
}

/** What is promised of a call that some level permits. */
export function promiseOf(way: Way, level: Level): string {
  if (way === 'copy' || way === 'sort') return level === 'reads' ? PROMISES.read : PROMISES.store;
  return PROMISES[way];
}

/** The keys of a call in the order of the key specs, doubles and all; empty where it makes no sense. */
export function keysAcross(command: Command, args: Arguments): Key[] {
  const found = new Keys();
  if (command.hand !== HAND.none || command.keySpecs.length === 0) {
    if (findKeys(command, args, found) <= 0) return [];
    // Sources first, and where there is a second one it is where the result is stored.
    const stores = command.hand === HAND.sort || command.hand === HAND.geoRadius;
    return [...found.at.subarray(0, found.count)].map((at, i) => keyAt(args, at, stores && i === 1));
  }
  const keys: Key[] = [];
  for (const spec of command.keySpecs) {
    found.count = 0;
    if (!keysOfSpec(spec, command, args, found)) return [];
    const written = isWritten(command, spec);
    for (let i = 0; i < found.count; i++) keys.push(keyAt(args, found.at[i]!, written));
  }
  return keys;
}

/**
 * The same of a call whose keys a server has told, as COMMAND GETKEYSANDFLAGS does. Undefined where a key's name
 * stands among the other arguments as well, so that it can't be told which of them is the key.
 */
export function keysTold(
  args: Arguments,
  told: readonly (readonly [Buffer, readonly string[]])[],
): Key[] | undefined {
  const keys: Key[] = [];
  for (const [name, flags] of told) {
    const written = flags.some(
      (flag) => flag in ACCESS && (ACCESS[flag as keyof typeof ACCESS] & WRITTEN) !== 0,
    );
    const places = placesOf(args, name);
    if (places.length !== told.filter(([other]) => other.equals(name)).length) return undefined;
    if (keys.some((key) => key.name.equals(name))) continue;
    for (const at of places) keys.push(keyAt(args, at, written));
  }
  return keys;
}

function placesOf({ bytes, starts, ends, argc }: Arguments, name: Buffer): number[] {
  const places: number[] = [];
  for (let i = 1; i < argc; i++) if (name.equals(bytes.subarray(starts[i]!, ends[i]!))) places.push(i);
  return places;
}

function keyAt(args: Arguments, at: number, written: boolean): Key {
  const { bytes, starts, ends } = args;
  const from = starts[at]!;
  const to = ends[at]!;
  return { at, name: Buffer.from(bytes.subarray(from, to)), slot: slotOf(bytes, from, to), written };
}
