// What makes one reply of many: the shape that all reducers have, and how they look at replies.
//
//   replies, as they come or in their order --> add, add, add --> result
//
// The invariant: a reducer keeps its state and not the replies, as far as its result allows it; and the result does
// not depend on which reply came first. Where that would need them in their order, it says `ordered`, and whoever
// feeds it keeps those that came too early. Else each reply brings its place in the order, by which ties are settled.
//
// RESP2 and RESP3 give the same: a map is looked at as RESP2 writes it, field and value in turn, a set as an array.

import { type Decoded, Members, Pairs } from '../resp/value.ts';

/** The reply of one node, or of one command. No error, but for a reducer that keeps them. */
export interface Part {
  /** `host:port`; undefined where no node was asked. */
  readonly node: string | undefined;
  /** In the order of the replies, from 0. */
  readonly place: number;
  /** As it came. */
  readonly bytes: number;
  readonly reply: Decoded;
}

/** A part that failed: it makes the whole an error, or is passed over, or is a reply like others. */
export type OnError = 'fail' | 'pass' | 'keep';

export interface Reducer {
  /** Unless the caller says otherwise. */
  readonly onError: OnError;
  /** `add` must be called in the order of the places. */
  readonly ordered: boolean;
  /** Bytes that it holds, about. */
  readonly held: number;
  /** It has its result, whatever may still come. */
  readonly done: boolean;
  /** @throws Unreducible where the reply is not what this reducer is for */
  add(part: Part): void;
  result(): Decoded;
}

/** The message is a clause about the reply. */
export class Unreducible extends Error {}

/** The elements of a reply: those of an array, a set or a map; of a nil none; of anything else the reply itself. */
export function elementsOf(reply: Decoded): readonly Decoded[] {
  return reply === null ? [] : (listOf(reply) ?? [reply]);
}

/** The items of an array, a set or a map; undefined for what is none of these. */
export function listOf(value: Decoded): readonly Decoded[] | undefined {
  if (Array.isArray(value)) return value as readonly Decoded[];
  if (value instanceof Members) return value.items;
  return value instanceof Pairs ? value.entries.flat() : undefined;
}

/**
 * A map, or an array of pairs, or one in which the two of each pair stand in turn.
 * @throws Unreducible
 */
export function entriesOf(value: Decoded): readonly (readonly [Decoded, Decoded])[] {
  if (value === null) return [];
  if (value instanceof Pairs) return value.entries;
  const items = listOf(value);
  if (items === undefined) throw new Unreducible('it is neither a map nor an array of pairs');
  if (inPairs(items)) return items;
  if (items.length % 2 !== 0) throw new Unreducible('it is an array of an odd length, and no pairs');
  return Array.from({ length: items.length / 2 }, (_, i) => [items[2 * i]!, items[2 * i + 1]!] as const);
}

/** Whether each item is an array of two. */
export function inPairs(items: readonly Decoded[]): items is readonly (readonly [Decoded, Decoded])[] {
  return items.length > 0 && items.every((item) => Array.isArray(item) && item.length === 2);
}

/** The same value on memory of its own: bulks are views of the reply that they came in. */
export function owned(value: Decoded): Decoded {
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (Array.isArray(value)) return (value as readonly Decoded[]).map(owned);
  if (value instanceof Members) return new Members(value.items.map(owned));
  if (value instanceof Pairs)
    return new Pairs(value.entries.map(([key, item]) => [owned(key), owned(item)] as const));
  return value;
}
