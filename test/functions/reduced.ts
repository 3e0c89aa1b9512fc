/** Replies through a reducer, written as JavaScript: a string is a bulk, a bigint an integer, a number a double. */

import { Reduction } from '../../src/client/reduction.ts';
import type { Reducer } from '../../src/functions/reducer.ts';
import { reducerOf } from '../../src/functions/reducers.ts';
import { type Decoded, encodeValue, Failure, Members, Pairs } from '../../src/resp/value.ts';
import { decode, type Value } from '../support/client.ts';

export type Plain =
  | string
  | bigint
  | number
  | boolean
  | null
  | Error
  | readonly Plain[]
  | Set<Plain>
  | Map<Plain, Plain>;

export function decoded(value: Plain): Decoded {
  if (typeof value === 'string') return Buffer.from(value);
  if (value instanceof Error) return new Failure(value.message);
  if (value instanceof Set) return new Members([...value].map(decoded));
  if (value instanceof Map)
    return new Pairs([...value].map(([key, item]) => [decoded(key), decoded(item)] as const));
  return Array.isArray(value) ? value.map(decoded) : (value as Decoded);
}

export interface Given {
  readonly resp?: 2 | 3;
  /** In which order the replies come; default: as they stand. */
  readonly arrival?: readonly number[];
  readonly order?: 'node' | 'arrival';
  readonly partial?: boolean;
  readonly maxBytes?: number;
}

/** The bytes of the reply that a reducer makes. */
export function reducedBytes(name: string, replies: readonly Plain[], given: Given = {}): Buffer {
  const { resp = 3, arrival = [...replies.keys()], order = 'node', partial, maxBytes = 2 ** 20 } = given;
  const labels = replies.map((_, i) => `node n${i}`);
  const reduction = new Reduction(reducerOf(name) as Reducer, labels, { partial, order, maxBytes });
  for (const at of arrival) {
    const reply = encodeValue(resp, decoded(replies[at]!));
    if (reduction.take(at, reply, `n${at}`)) break;
  }
  return reduction.result(resp);
}

/** The same as a plain value. */
export function reduced(name: string, replies: readonly Plain[], given: Given = {}): Value {
  return decode(reducedBytes(name, replies, given));
}
