// A call of SORT or SORT_RO, read as the server reads it (sort.c, sortCommandGeneric), and the keys that its patterns
// name.
//
//     SORT k BY w_* GET # GET o_*->f LIMIT 0 10        element 7:  weight w_7, then 7 itself and field f of the hash o_7
//
// Option by option, so that of two faults the first is told. A BY without a star means that nothing is ordered, also
// where another BY has one; a GET without a star is nothing, whatever key bears that name. As in C, a text ends at
// its first NUL where a star or an arrow is looked for.

import * as errors from '../resp/errors.ts';
import { integerAt } from './arguments.ts';
import { slotOf } from './slot.ts';

/** What a call asks for. */
export interface Sort {
  readonly key: Buffer;
  /** Whose weights order the elements. Undefined: their own. */
  readonly by: Pattern | undefined;
  /** Nothing is ordered; `by` is undefined. */
  readonly unsorted: boolean;
  /** What is replied of each element; itself where there is none. */
  readonly gets: readonly Pattern[];
  readonly desc: boolean;
  readonly alpha: boolean;
  /** The two numbers of LIMIT as they were given; all elements where there are none. */
  readonly limit: readonly [Buffer, Buffer] | undefined;
  readonly store: Buffer | undefined;
  /** All of BY and GET that a server in a cluster looks at, also where they come to nothing. */
  readonly patterns: readonly Pattern[];
}

/** What BY or GET names: the element itself, nothing at all, or keys, of which `field` if they are hashes. */
export type Pattern =
  | { readonly names: 'element' | 'nothing'; readonly text: Buffer }
  | {
      readonly names: 'keys';
      readonly text: Buffer;
      readonly before: Buffer;
      readonly after: Buffer;
      readonly field: Buffer | undefined;
    };

/** One of a pattern's keys. */
export interface Named {
  readonly key: Buffer;
  readonly field: Buffer | undefined;
}

const STAR = 42;
const HASH = 35;
const OPEN = 123;
const CLOSE = 125;

/**
 * Reads a call.
 * @param words all of them, the command's name first
 * @param readsAll whether the user may read every key, without which there are no patterns
 * @returns the error reply where the server would give one
 */
export function parseSort(words: readonly Buffer[], readsAll = true): Sort | Buffer {
  const readOnly = textOf(words[0]!) === 'sort_ro';
  const [gets, patterns]: [Pattern[], Pattern[]] = [[], []];
  let [by, limit, store]: [Sort['by'], Sort['limit'], Sort['store']] = [undefined, undefined, undefined];
  let [unsorted, desc, alpha] = [false, false, false];
  for (let i = 2; i < words.length; i++) {
    const option = textOf(words[i]!);
    const left = words.length - i - 1;
    if (option === 'asc') desc = false;
    else if (option === 'desc') desc = true;
    else if (option === 'alpha') alpha = true;
    else if (option === 'limit' && left >= 2) {
      limit = [words[++i]!, words[++i]!];
      if (limit.some((word) => numberOf(word) === undefined)) return errors.notInteger();
    } else if (option === 'store' && left >= 1 && !readOnly) store = words[++i]!;
    else if (option === 'by' && left >= 1) {
      by = patternOf(words[++i]!);
      if (by.names !== 'keys') unsorted = true;
      else if (!readsAll) return errors.sortDenied('BY');
      else patterns.push(by);
    } else if (option === 'get' && left >= 1) {
      if (!readsAll) return errors.sortDenied('GET');
      gets.push(patternOf(words[++i]!));
      patterns.push(gets.at(-1)!);
    } else return errors.syntax();
  }
  if (unsorted) by = undefined;
  return { key: words[1]!, by, unsorted, gets, desc, alpha, limit, store, patterns };
}

/** The options with which a server itself gives the elements in their order, where they are their own weights. */
export function ownOrder({ unsorted, desc, alpha, limit }: Sort): (string | Buffer)[] {
  return [
    ...(unsorted ? ['BY', 'nosort'] : []),
    ...(desc ? ['DESC'] : []),
    ...(alpha ? ['ALPHA'] : []),
    ...(limit === undefined ? [] : ['LIMIT', ...limit]),
  ];
}

/** The part of so many elements in order that LIMIT leaves: from one index up to another. */
export function windowOf({ limit }: Pick<Sort, 'limit'>, length: number): [from: number, to: number] {
  if (limit === undefined) return [0, length];
  const [start, count] = limit.map((word) => numberOf(word)!) as [number, number];
  const from = Math.min(Math.max(start, 0), length);
  return [from, count < 0 ? length : Math.min(from + count, length)];
}

export function patternOf(text: Buffer): Pattern {
  if (text[0] === HASH && (text.length === 1 || text[1] === 0)) return { names: 'element', text };
  if (!hasStar(text)) return { names: 'nothing', text };
  const star = text.indexOf(STAR);
  const arrow = inC(text, star).indexOf('->');
  const at = arrow < 0 ? text.length : star + arrow;
  const isField = at + 2 < text.length && text[at + 2] !== 0;
  return {
    names: 'keys',
    text,
    before: text.subarray(0, star),
    after: text.subarray(star + 1, isField ? at : text.length),
    field: isField ? text.subarray(at + 2) : undefined,
  };
}

/** The key that a pattern names for an element; undefined where it names none. */
export function named(pattern: Pattern, element: Buffer): Named | undefined {
  if (pattern.names !== 'keys') return undefined;
  return { key: Buffer.concat([pattern.before, element, pattern.after]), field: pattern.field };
}

/** Whether every key of every pattern is in a slot, whatever the elements: by a hash tag in front of the star. */
export function allIn(slot: number, { patterns }: Sort): boolean {
  return patterns.every((pattern) => pattern.names === 'element' || slotOfPattern(pattern) === slot);
}

function slotOfPattern(pattern: Pattern): number {
  const fixed = pattern.names === 'keys' ? pattern.before : pattern.text;
  const open = fixed.indexOf(OPEN);
  const close = open < 0 ? -1 : fixed.indexOf(CLOSE, open);
  return close > open + 1 ? slotOf(fixed, 0, fixed.length) : -1;
}

function hasStar(text: Buffer): boolean {
  return inC(text).includes(STAR);
}

/** A text from an index on, as far as C's string functions see it. */
function inC(text: Buffer, from = 0): Buffer {
  const end = text.indexOf(0, from);
  return text.subarray(from, end < 0 ? text.length : end);
}

function textOf(word: Buffer): string {
  return word.toString('latin1').toLowerCase();
}

function numberOf(word: Buffer): number | undefined {
  return integerAt(word, 0, word.length);
}
