// One reply of XREAD made of several slots', in the order of the streams that were asked for. COLD.
//
//     RESP2: an array of [name, entries]        RESP3: a map of names to entries        nothing: the null

import { skip } from '../resp/reply.ts';
import { array, nilArray, type Resp } from '../resp/write.ts';
import { isNil } from './blocking.ts';
import { headOf } from './head.ts';

/** What one slot was asked for, and its answer. */
export interface StreamsOfSlot {
  /** Of each stream asked for: its place in the whole call, and its name. */
  readonly asked: readonly { readonly at: number; readonly name: Buffer }[];
  /** No error. */
  readonly reply: Buffer;
}

export function mergeStreams(resp: Resp, slots: readonly StreamsOfSlot[]): Buffer {
  const found = slots.flatMap(({ asked, reply }) => (isNil(reply) ? [] : placed(resp, asked, reply)));
  if (found.length === 0) return nilArray(resp);
  found.sort((a, b) => a.at - b.at);
  const parts = found.map(({ bytes }) => bytes);
  return resp === 3 ? Buffer.concat([Buffer.from(`%${parts.length}\r\n`), ...parts]) : array(parts);
}

/** The streams of one reply, each with its place. A slot gives them in the order in which it was asked. */
function placed(resp: Resp, asked: StreamsOfSlot['asked'], reply: Buffer): { at: number; bytes: Buffer }[] {
  const { count, end } = headOf(reply);
  const found: { at: number; bytes: Buffer }[] = [];
  let at = end;
  let next = 0;
  for (let i = 0; i < count; i++) {
    const nameAt = resp === 3 ? at : at + PAIR.length;
    const nameEnd = skip(reply, nameAt, reply.length);
    const stop = skip(reply, nameEnd, reply.length);
    const name = reply.subarray(reply.indexOf('\r\n', nameAt) + 2, nameEnd - 2);
    while (next < asked.length && !asked[next]!.name.equals(name)) next++;
    found.push({ at: asked[next++]?.at ?? Number.MAX_SAFE_INTEGER, bytes: reply.subarray(at, stop) });
    at = stop;
  }
  return found;
}

/** Before each stream in RESP2. */
const PAIR = '*2\r\n';
