// What the proxy itself says, in RESP2 or RESP3.
//
// Every builder gives a whole encoded value, and the aggregates are built of such values. Where the two
// protocol versions differ, `resp` is the first argument, and the RESP2 form is the one Redis gives to a RESP2
// client: a map is a flat array, a set an array, a double a bulk, a boolean 1 or 0.
//
// The constants are shared by all clients and must never be written to.

import { encodeArguments } from './canonical.ts';

/** The protocol version a client speaks. */
export type Resp = 2 | 3;

/** A plain tree that `encode` can write. A string is a bulk; a number an integer or, when not whole, a double. */
export type Value =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | readonly Value[]
  | ReadonlyMap<Value, Value>
  | ReadonlySet<Value>;

export const OK = Buffer.from('+OK\r\n');
export const PONG = Buffer.from('+PONG\r\n');
export const QUEUED = Buffer.from('+QUEUED\r\n');
export const RESET = Buffer.from('+RESET\r\n');
export const ZERO = Buffer.from(':0\r\n');
export const ONE = Buffer.from(':1\r\n');
export const EMPTY_ARRAY = Buffer.from('*0\r\n');
export const EMPTY_BULK = Buffer.from('$0\r\n\r\n');

const CRLF = Buffer.from('\r\n');
const NIL2 = Buffer.from('$-1\r\n');
const NIL_ARRAY2 = Buffer.from('*-1\r\n');
const NIL3 = Buffer.from('_\r\n');
const TRUE3 = Buffer.from('#t\r\n');
const FALSE3 = Buffer.from('#f\r\n');

/** `-text`: the text begins with its prefix (`ERR`), one character per byte; line breaks become spaces. */
export function error(text: string): Buffer {
  return line('-', text);
}

/** `+text`: one character per byte; line breaks become spaces. */
export function simple(text: string): Buffer {
  return line('+', text);
}

/** A whole number. */
export function integer(value: number | bigint): Buffer {
  return Buffer.from(`:${value}\r\n`, 'latin1');
}

/** A bulk of these bytes. */
export function bulk(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`, 'latin1'), bytes, CRLF]);
}

/** A bulk of this text in UTF-8. */
export function bulkString(text: string): Buffer {
  return Buffer.from(`$${Buffer.byteLength(text)}\r\n${text}\r\n`);
}

/** An array of encoded values. */
export function array(parts: readonly Uint8Array[]): Buffer {
  return aggregate('*', parts.length, parts);
}

/** A map of encoded keys and values. */
export function map(resp: Resp, pairs: readonly (readonly [Uint8Array, Uint8Array])[]): Buffer {
  return resp === 3 ? aggregate('%', pairs.length, pairs.flat()) : array(pairs.flat());
}

/** A set of encoded values. */
export function set(resp: Resp, parts: readonly Uint8Array[]): Buffer {
  return aggregate(resp === 3 ? '~' : '*', parts.length, parts);
}

/** Something said unasked, of encoded values; in RESP2 it looks like an array. */
export function push(resp: Resp, parts: readonly Uint8Array[]): Buffer {
  return aggregate(resp === 3 ? '>' : '*', parts.length, parts);
}

/** The null where a value is expected. */
export function nil(resp: Resp): Buffer {
  return resp === 3 ? NIL3 : NIL2;
}

/** The null where an array is expected. */
export function nilArray(resp: Resp): Buffer {
  return resp === 3 ? NIL3 : NIL_ARRAY2;
}

/** A double in its shortest exact form. */
export function double(resp: Resp, value: number): Buffer {
  const text = doubleText(value);
  return resp === 3 ? Buffer.from(`,${text}\r\n`, 'latin1') : bulkString(text);
}

export function bool(resp: Resp, value: boolean): Buffer {
  if (resp === 3) return value ? TRUE3 : FALSE3;
  return value ? ONE : ZERO;
}

/** Text meant to be shown as it is; `format` has three letters. */
export function verbatim(resp: Resp, text: string, format: 'txt' | 'mkd' = 'txt'): Buffer {
  if (resp === 2) return bulkString(text);
  return Buffer.from(`=${Buffer.byteLength(text) + 4}\r\n${format}:${text}\r\n`);
}

/** Encodes a command for a node. Text is UTF-8. */
export function command(args: readonly (string | Uint8Array | number)[]): Buffer {
  const parts = args.map((arg) => (arg instanceof Uint8Array ? arg : Buffer.from(String(arg))));
  const starts = new Int32Array(parts.length);
  const ends = new Int32Array(parts.length);
  let at = 0;
  for (const [i, part] of parts.entries()) {
    starts[i] = at;
    at += part.length;
    ends[i] = at;
  }
  return encodeArguments(Buffer.concat(parts), starts, ends, parts.length);
}

/** Writes a plain tree. */
export function encode(resp: Resp, value: Value): Buffer {
  if (value === null) return nil(resp);
  if (typeof value === 'string') return bulkString(value);
  if (typeof value === 'number') return Number.isSafeInteger(value) ? integer(value) : double(resp, value);
  if (typeof value === 'bigint') return integer(value);
  if (typeof value === 'boolean') return bool(resp, value);
  if (value instanceof Uint8Array) return bulk(value);
  if (value instanceof Map) {
    const pairs = [...(value as ReadonlyMap<Value, Value>)];
    return map(
      resp,
      pairs.map(([key, each]) => [encode(resp, key), encode(resp, each)] as const),
    );
  }
  const parts = [...(value as Iterable<Value>)].map((each) => encode(resp, each));
  return value instanceof Set ? set(resp, parts) : array(parts);
}

function line(type: string, text: string): Buffer {
  const out = Buffer.from(`${type}${text}\r\n`, 'latin1');
  // After encoding, as a character beyond latin1 may come out as a line break.
  for (let i = 1; i < out.length - 2; i++) {
    if (out[i] === 13 || out[i] === 10) out[i] = 32;
  }
  return out;
}

function aggregate(type: string, count: number, parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from(`${type}${count}\r\n`, 'latin1'), ...parts]);
}

function doubleText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return Object.is(value, -0) ? '-0' : String(value);
}
