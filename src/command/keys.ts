// Where the keys of a call are, and the slot they share. HOT: once per command.
//
// Three ways, the quickest first: a plain range is walked by three integers of the Command; key specs are
// followed as the server follows them (db.c, getKeysUsingKeySpecs); and for the few commands whose specs
// say less than the server's own finder knows, the finder is written out here (db.c, sortGetKeys and its
// neighbours), since that is what a cluster's node checks slots with.
//
// Channels of shard pub/sub count as keys: they are routed in the same way. Arguments that make no sense
// are no error here: INVALID goes to any node, and the client gets the server's own words.

import { type Arguments, equalsIgnoreCase, integerAt } from './arguments.ts';
import { BEGIN, type Command, FIND, FLAG, HAND, type KeySpec } from './command.ts';
import { slotOf } from './slot.ts';

/** The arguments make no sense (numkeys is no number, or more than there are). Any node says what is wrong. */
export const INVALID = -1;
/** The table cannot tell; COMMAND GETKEYS can. */
export const UNKNOWN = -2;
/** The keys lie in several slots. */
export const CROSS = -3;
/** The call has no keys. */
export const NONE = -4;

/** Argument indexes of keys, in the order of the key specs: at[0..count). To be used again and again. */
export class Keys {
  count = 0;
  at: Int32Array = new Int32Array(64);

  add(index: number): void {
    if (this.count === this.at.length) {
      const longer = new Int32Array(this.count * 2);
      longer.set(this.at);
      this.at = longer;
    }
    this.at[this.count++] = index;
  }
}

/**
 * Finds the keys of a call whose arity has been checked.
 * @returns how many, 0 where it has none; or INVALID or UNKNOWN, when what is in `keys` means nothing
 */
export function findKeys(command: Command, args: Arguments, keys: Keys): number {
  keys.count = 0;
  if (command.keyFirst > 0) return addRange(command, args, keys);
  if (command.hand !== HAND.none) return findByHand(command.hand, args, keys);
  if (command.keysUnknown) return UNKNOWN;
  const specs = command.keySpecs;
  for (let i = 0; i < specs.length; i++) {
    if (!keysOfSpec(specs[i]!, command, args, keys)) return INVALID;
  }
  return keys.count;
}

/** @returns the slot of all keys of a call, 0..16383; or CROSS, NONE, INVALID or UNKNOWN */
export function slotOfKeys(command: Command, args: Arguments): number {
  const first = command.keyFirst;
  if (first > 0 && first < args.argc && first === command.keyLast) {
    return slotOf(args.bytes, args.starts[first]!, args.ends[first]!);
  }
  const count = findKeys(command, args, scratch);
  if (count <= 0) return count === 0 ? NONE : count;
  return slotOfAll(args, scratch);
}

/** The slot that all found keys share, or CROSS. `keys` must not be empty. */
export function slotOfAll(args: Arguments, keys: Keys): number {
  const { bytes, starts, ends } = args;
  const at = keys.at;
  const slot = slotOf(bytes, starts[at[0]!]!, ends[at[0]!]!);
  for (let i = 1; i < keys.count; i++) {
    if (slotOf(bytes, starts[at[i]!]!, ends[at[i]!]!) !== slot) return CROSS;
  }
  return slot;
}

/**
 * Whether this call may block, though the command need not: XREAD and XREADGROUP with BLOCK. Commands that
 * always block have the flag `blocking`.
 */
export function blocks(command: Command, args: Arguments): boolean {
  return command.hand === HAND.xread && readOption(args, 'block') > 0;
}

/**
 * Whether this call reads keys that a pattern names: SORT and SORT_RO with GET, or with a BY that has a star. Which
 * they are depends on the data.
 */
export function hasPatterns(command: Command, args: Arguments): boolean {
  if (command.hand !== HAND.sort && command.hand !== HAND.sortRo) return false;
  for (let i = 2; i + 1 < args.argc; i++) {
    if (equalsIgnoreCase(args, i, 'limit')) i += 2;
    else if (equalsIgnoreCase(args, i, 'store')) i += 1;
    else if (equalsIgnoreCase(args, i, 'get')) return true;
    else if (equalsIgnoreCase(args, i, 'by') && hasStar(args, ++i)) return true;
  }
  return false;
}

/** Where options stand in a call of XREAD or XREADGROUP; 0 where one doesn't. */
export function xreadOptions(args: Arguments): Readonly<Record<'block' | 'streams' | 'group', number>> {
  const at = (option: string) => readOption(args, option);
  return { block: at('block'), streams: at('streams'), group: at('group') };
}

/** For slotOfKeys, which is done with it before it returns. */
const scratch = new Keys();

function addRange(command: Command, args: Arguments, keys: Keys): number {
  const last = command.keyLast >= 0 ? command.keyLast : args.argc + command.keyLast;
  if (last >= args.argc) return INVALID;
  for (let i = command.keyFirst; i <= last; i += command.keyStep) keys.add(i);
  return keys.count;
}

/** Adds the keys of one spec. @returns false where the arguments do not fit it */
export function keysOfSpec(spec: KeySpec, command: Command, args: Arguments, keys: Keys): boolean {
  const argc = args.argc;
  const begin = spec.begin === BEGIN.index ? spec.index : afterKeyword(spec, args);
  if (begin === 0) return true;
  let first = begin;
  let last: number;
  let step = spec.keyStep;
  if (spec.find === FIND.range) {
    if (spec.lastKey >= 0) last = first + spec.lastKey;
    else if (spec.limit <= 1) last = argc + spec.lastKey;
    else last = first + Math.trunc((argc - first) / spec.limit) + spec.lastKey;
    // An open range may be empty, as that of PFMERGE's sources is.
    if (spec.lastKey < 0 && last < first) return true;
  } else {
    const at = first + spec.keyNumIndex;
    const number = at < argc ? integerAt(args.bytes, args.starts[at]!, args.ends[at]!) : undefined;
    if (number === undefined || number < 0) return false;
    if (number === 0) return (command.flags & FLAG.noMandatoryKeys) !== 0;
    first += spec.firstKey;
    step = Math.max(1, step);
    last = first + (number - 1) * step;
  }
  if (last >= argc || last < first) return false;
  for (let i = first; i <= last; i += Math.max(1, step)) keys.add(i);
  return true;
}

/** The argument after the keyword of a spec, searched forwards or, from a negative index, backwards; or 0. */
function afterKeyword(spec: KeySpec, args: Arguments): number {
  if (spec.index > 0) {
    for (let i = spec.index; i < args.argc - 1; i++) {
      if (equalsIgnoreCase(args, i, spec.keyword)) return i + 1;
    }
    return 0;
  }
  for (let i = args.argc + spec.index; i > 0; i--) {
    if (equalsIgnoreCase(args, i, spec.keyword)) return i + 1;
  }
  return 0;
}

function findByHand(hand: number, args: Arguments, keys: Keys): number {
  switch (hand) {
    case HAND.sort:
      return findSort(args, keys);
    case HAND.sortRo:
      keys.add(1);
      return 1;
    case HAND.geoRadius:
      return findGeoRadius(args, keys);
    case HAND.migrate:
      return findMigrate(args, keys);
    default:
      return findXread(args, keys);
  }
}

/** The source and the last STORE. What BY and GET name is no key of the call: see hasPatterns. */
function findSort(args: Arguments, keys: Keys): number {
  let store = 0;
  for (let i = 2; i < args.argc; i++) {
    if (equalsIgnoreCase(args, i, 'limit')) i += 2;
    else if (equalsIgnoreCase(args, i, 'get') || equalsIgnoreCase(args, i, 'by')) i += 1;
    else if (equalsIgnoreCase(args, i, 'store') && i + 1 < args.argc) store = i + 1;
  }
  keys.add(1);
  if (store > 0) keys.add(store);
  return keys.count;
}

function hasStar({ bytes, starts, ends }: Arguments, i: number): boolean {
  return bytes.subarray(starts[i], ends[i]).includes(STAR);
}

const STAR = 42;

/** The source and the last of STORE and STOREDIST, which is the one the server writes. */
function findGeoRadius(args: Arguments, keys: Keys): number {
  let store = 0;
  for (let i = 5; i + 1 < args.argc; i++) {
    if (equalsIgnoreCase(args, i, 'store') || equalsIgnoreCase(args, i, 'storedist')) store = ++i;
  }
  keys.add(1);
  if (store > 0) keys.add(store);
  return keys.count;
}

/** The key at 3, or those after KEYS where it is empty. */
function findMigrate(args: Arguments, keys: Keys): number {
  for (let i = 6; i < args.argc; i++) {
    if (equalsIgnoreCase(args, i, 'auth')) i += 1;
    else if (equalsIgnoreCase(args, i, 'auth2')) i += 2;
    else if (equalsIgnoreCase(args, i, 'keys')) {
      if (args.ends[3]! > args.starts[3]! || i + 1 >= args.argc) return INVALID;
      for (let key = i + 1; key < args.argc; key++) keys.add(key);
      return keys.count;
    }
  }
  keys.add(3);
  return 1;
}

/** The first half of what follows STREAMS; the second half are ids. */
function findXread(args: Arguments, keys: Keys): number {
  const streams = readOption(args, 'streams');
  const left = args.argc - streams - 1;
  if (streams === 0 || left === 0 || left % 2 !== 0) return INVALID;
  for (let i = 0; i < left / 2; i++) keys.add(streams + 1 + i);
  return keys.count;
}

/** Where an option of XREAD or XREADGROUP stands, 0 where it doesn't. A group or a key may bear its name. */
function readOption(args: Arguments, wanted: string): number {
  for (let i = 1; i < args.argc; i++) {
    if (equalsIgnoreCase(args, i, wanted)) return i;
    if (equalsIgnoreCase(args, i, 'group')) i += 2;
    else if (equalsIgnoreCase(args, i, 'noack')) continue;
    else if (takesOne(args, i)) i += 1;
    else return 0;
  }
  return 0;
}

function takesOne(args: Arguments, i: number): boolean {
  return (
    equalsIgnoreCase(args, i, 'block') ||
    equalsIgnoreCase(args, i, 'count') ||
    equalsIgnoreCase(args, i, 'claim')
  );
}
