// Values on their way into a library and out of it.
//
//   reply bytes --decode--> Decoded --toCarrier--> JSON text | --REVIVE--> what the library gets
//   reply bytes <-encodeValue- Decoded <-fromCarrier- JSON text | <-FLATTEN- what the library has returned
//                          outside                              |  inside
//
// Only text and bytes cross the line. So no code of a library (a getter, a proxy, a toJSON) ever runs under the hands
// of the outside: it runs inside, within the limits of its run, before anything crosses. And what crosses is read
// as bytes from a client are: a library that has bent its own language can send nonsense, which is an error.
//
// JSON says strings, finite numbers, booleans and null as themselves. All else is an array that begins with a tag:
//   a item...   o key value...   S item...   i digits   d NaN|Infinity|-Infinity|-0   b index of a buffer
//   + status    - error          = format text          ( big number                   j JSON of its own

import { isUtf8 } from 'node:buffer';
import {
  BigNumber,
  type Decoded,
  encodeValue,
  Failure,
  inPairs,
  Members,
  Pairs,
  Status,
  Verbatim,
} from '../resp/value.ts';
import type { Sent } from './job.ts';

/** A value as JSON has it, see above. */
export type Carrier = string | number | boolean | null | readonly Carrier[];

/** Nested deeper than this no value goes out. */
export const MAX_DEPTH = 100;

/** Bulks are text, or an ArrayBuffer each. */
export type BulksAs = 'text' | 'raw';

/**
 * Of a value for the library. With `raw` its bulks go to `buffers`.
 * @throws an Error where a bulk is no UTF-8
 */
export function toCarrier(value: Decoded, as: BulksAs, buffers: Uint8Array[]): Carrier {
  const inner = (item: Decoded) => toCarrier(item, as, buffers);
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (Number.isFinite(value) && !Object.is(value, -0)) return value;
    return ['d', Object.is(value, -0) ? '-0' : String(value)];
  }
  if (typeof value === 'bigint') return ['i', String(value)];
  if (Buffer.isBuffer(value)) return as === 'raw' ? ['b', buffers.push(value) - 1] : toText(value);
  if (value instanceof Status) return ['+', fromBytes(value.text)];
  if (value instanceof Failure) return ['-', fromBytes(value.text)];
  if (value instanceof Verbatim) return ['=', value.format, toText(value.bytes)];
  if (value instanceof BigNumber) return ['(', value.digits];
  if (value instanceof Members) return ['S', ...mapped(value.items, inner)];
  if (value instanceof Pairs) {
    return ['o', ...value.entries.flatMap(([key, item]) => [toKey(key), inner(item)])];
  }
  return ['a', ...mapped(value as readonly Decoded[], inner)];
}

/** An argument or a result of a cluster function. */
export function sentToCarrier(sent: Sent, buffers: Uint8Array[]): Carrier {
  return 'raw' in sent ? ['b', buffers.push(sent.raw) - 1] : ['j', sent.json];
}

/** @throws an Error where the library has sent nonsense */
export function fromCarrier(value: unknown, buffers: readonly Uint8Array[]): Decoded {
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'string') return Buffer.from(value);
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (!Array.isArray(value)) throw nonsense();
  const [tag, first, second] = value as unknown[];
  const items = () => value.slice(1).map((item) => fromCarrier(item, buffers));
  switch (tag) {
    case 'a':
      return items();
    case 'S':
      return new Members(items());
    case 'o':
      return new Pairs(inPairs(items()));
    case 'i':
    case '(':
      return toInteger(text(first), tag);
    case 'd':
      return Number(text(first));
    case 'b':
      return Buffer.from(bytes(first, buffers));
    case '+':
      return new Status(toBytes(text(first)));
    case '-':
      return new Failure(toBytes(text(first)));
    case '=':
      return new Verbatim(text(first).slice(0, 3).padEnd(3), Buffer.from(text(second)));
  }
  throw nonsense();
}

/**
 * The reply for a client.
 * @throws an Error where it would be longer than `max` bytes
 */
export function encodeReply(resp: 2 | 3, value: Decoded, max: number): Uint8Array {
  const reply = encodeValue(resp, value);
  if (reply.length > max) throw new Error(TOO_LONG);
  return reply;
}

/** The result of a cluster function. @throws an Error where it is longer than `max` */
export function limited(sent: Sent, max: number): Sent {
  if (('json' in sent ? sent.json : sent.raw).length > max) throw new Error(TOO_LONG);
  return sent;
}

/** The word of a command, or its ArrayBuffer. @throws an Error where the library has sent nonsense */
export function toWord(value: unknown, buffers: readonly Uint8Array[]): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value);
  if (Array.isArray(value) && value[0] === 'b') return bytes(value[1], buffers);
  throw nonsense();
}

/** The words of a command. @throws an Error where the library has sent nonsense */
export function toWords(value: unknown, buffers: readonly Uint8Array[]): Uint8Array[] {
  if (!Array.isArray(value)) throw nonsense();
  return value.map((word) => toWord(word, buffers));
}

/** @throws an Error where the library has sent nonsense */
export function toSent(value: unknown, buffers: readonly Uint8Array[]): Sent {
  return typeof value === 'string' ? { json: value } : { raw: toWord(value, buffers) };
}

/** A view of the same bytes: what is posted between threads comes as a plain Uint8Array. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Of a reply or a result. */
export const TOO_LONG = 'The reply is longer than functions.maxReplyBytes allows';

/** What bent language makes of a carrier. */
function nonsense(): Error {
  return new Error('The library has changed the language so that its value can not be read');
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw nonsense();
  return value;
}

function bytes(index: unknown, buffers: readonly Uint8Array[]): Uint8Array {
  const found = typeof index === 'number' ? buffers[index] : undefined;
  if (!found) throw nonsense();
  return found;
}

/** An integer in RESP has 64 bits. */
function toInteger(digits: string, tag: 'i' | '('): bigint | BigNumber {
  if (!/^[+-]?[0-9]+$/.test(digits)) throw nonsense();
  if (tag === '(' || digits.length > 20) return new BigNumber(digits);
  const value = BigInt(digits);
  return BigInt.asIntN(64, value) === value ? value : new BigNumber(digits);
}

/** Without a closure's array on the stack: replies are long. */
function mapped(items: readonly Decoded[], each: (item: Decoded) => Carrier): Carrier[] {
  return items.map(each);
}

function toText(value: Uint8Array): string {
  if (!isUtf8(value)) throw new Error('Could not decode value as string');
  return Buffer.from(value.buffer, value.byteOffset, value.length).toString();
}

/** Lines of RESP are one character per byte; the library has text. */
function fromBytes(line: string): string {
  return Buffer.from(line, 'latin1').toString();
}

function toBytes(line: string): string {
  return Buffer.from(line).toString('latin1');
}

/** What a key of a map is as the name of a property. */
function toKey(key: Decoded): string {
  if (Buffer.isBuffer(key)) return toText(key);
  if (key instanceof Status || key instanceof Failure) return fromBytes(key.text);
  if (key instanceof BigNumber) return key.digits;
  if (key instanceof Verbatim) return toText(key.bytes);
  if (typeof key === 'object' && key !== null) return JSON.stringify(toCarrier(key, 'text', []));
  return String(key);
}
