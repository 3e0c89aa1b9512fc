// Replies as values, both ways: for what the proxy has to look into and say again. Cold.
//
//   bytes of a node --decode--> Decoded --encode--> bytes for a client, in its own protocol version
//
// What RESP2 can't say is said as Redis says it to a RESP2 client: see write.ts. A value that was decoded and is
// encoded in the version it came in has the same bytes, but for doubles, which are written in their shortest form.

import {
  array,
  bool,
  bulk,
  double,
  error,
  integer,
  map,
  nil,
  type Resp,
  set,
  simple,
  verbatim,
} from './write.ts';

/** `+text`, one character per byte. */
export class Status {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** `-text`, or a blob error: one character per byte, with its prefix. */
export class Failure {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** `=15\r\ntxt:Some string`. */
export class Verbatim {
  readonly format: string;
  readonly bytes: Buffer;
  constructor(format: string, bytes: Buffer) {
    this.format = format;
    this.bytes = bytes;
  }
}

/** `(digits`, a whole number of any size. */
export class BigNumber {
  readonly digits: string;
  constructor(digits: string) {
    this.digits = digits;
  }
}

/** `%`, in the order in which the pairs stand. */
export class Pairs {
  readonly entries: readonly (readonly [Decoded, Decoded])[];
  constructor(entries: readonly (readonly [Decoded, Decoded])[]) {
    this.entries = entries;
  }
}

/** `~`, in the order in which the members stand. */
export class Members {
  readonly items: readonly Decoded[];
  constructor(items: readonly Decoded[]) {
    this.items = items;
  }
}

/** A bulk is a Buffer, an integer a bigint, a double a number; what is pushed is an array. */
export type Decoded =
  | Buffer
  | bigint
  | number
  | boolean
  | null
  | Status
  | Failure
  | Verbatim
  | BigNumber
  | Pairs
  | Members
  | readonly Decoded[];

const CR = 13;

/** The value of one whole reply, in RESP2 or RESP3. Its bulks are views of `bytes`. @throws where it is no reply */
export function decode(bytes: Buffer): Decoded {
  const reader = new Decoder(bytes);
  const value = reader.value();
  if (reader.at !== bytes.length) throw new TypeError('more bytes than one reply has');
  return value;
}

/** Writes a value for a client. */
export function encodeValue(resp: Resp, value: Decoded): Buffer {
  if (value === null) return nil(resp);
  if (typeof value === 'bigint') return integer(value);
  if (typeof value === 'number') return double(resp, value);
  if (typeof value === 'boolean') return bool(resp, value);
  if (Buffer.isBuffer(value)) return bulk(value);
  if (value instanceof Status) return simple(value.text);
  if (value instanceof Failure) return error(value.text);
  if (value instanceof Verbatim) return writeVerbatim(resp, value);
  if (value instanceof BigNumber) return writeBigNumber(resp, value);
  if (value instanceof Members)
    return set(
      resp,
      value.items.map((item) => encodeValue(resp, item)),
    );
  if (value instanceof Pairs)
    return map(
      resp,
      value.entries.map(([key, item]) => [encodeValue(resp, key), encodeValue(resp, item)] as const),
    );
  return array((value as readonly Decoded[]).map((item) => encodeValue(resp, item)));
}

function writeVerbatim(resp: Resp, { format, bytes }: Verbatim): Buffer {
  if (resp === 2) return bulk(bytes);
  const text = verbatim(3, '');
  return Buffer.concat([
    Buffer.from(`=${bytes.length + 4}\r\n${format}:`, 'latin1'),
    bytes,
    text.subarray(text.length - 2),
  ]);
}

function writeBigNumber(resp: Resp, { digits }: BigNumber): Buffer {
  return resp === 3 ? Buffer.from(`(${digits}\r\n`, 'latin1') : bulk(Buffer.from(digits, 'latin1'));
}

class Decoder {
  at = 0;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  value(): Decoded {
    const type = String.fromCharCode(this.bytes[this.at++] ?? 0);
    switch (type) {
      case '$':
        return this.blob();
      case ':':
        return BigInt(this.line());
      case '*':
      case '>':
        return this.many(1);
      case '+':
        return new Status(this.line());
      case '-':
        return new Failure(this.line());
      case '_':
        this.line();
        return null;
      case '#':
        return this.line() === 't';
      case ',':
        return toDouble(this.line());
      case '(':
        return new BigNumber(this.line());
      case '!':
        return new Failure((this.blob() ?? Buffer.alloc(0)).toString('latin1'));
      case '=': {
        const text = this.blob() ?? Buffer.alloc(0);
        return new Verbatim(text.toString('latin1', 0, 3), text.subarray(4));
      }
      case '~':
        return new Members(this.many(1) ?? []);
      case '%':
        return new Pairs(inPairs(this.many(2) ?? []));
      case '|':
        // Attributes are about the value behind them, which is what counts.
        this.many(2);
        return this.value();
    }
    throw new TypeError('no reply');
  }

  private line(): string {
    const end = this.bytes.indexOf(CR, this.at);
    if (end < 0) throw new TypeError('a line without an end');
    const text = this.bytes.toString('latin1', this.at, end);
    this.at = end + 2;
    return text;
  }

  private blob(): Buffer | null {
    const length = Number(this.line());
    if (length < 0) return null;
    const from = this.at;
    this.at += length + 2;
    if (!(this.at <= this.bytes.length)) throw new TypeError('a bulk without an end');
    return this.bytes.subarray(from, from + length);
  }

  private many(each: number): Decoded[] | null {
    const count = Number(this.line());
    if (count < 0) return null;
    const items: Decoded[] = [];
    for (let i = 0; i < count * each; i++) items.push(this.value());
    return items;
  }
}

/** Of items that stand in turn, as RESP2 writes a map: each field with its value. */
export function inPairs(flat: readonly Decoded[]): [Decoded, Decoded][] {
  const entries: [Decoded, Decoded][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) entries.push([flat[i]!, flat[i + 1]!]);
  return entries;
}

/** The text of a double in RESP3. */
function toDouble(text: string): number {
  if (text === 'inf') return Number.POSITIVE_INFINITY;
  if (text === '-inf') return Number.NEGATIVE_INFINITY;
  return Number(text);
}
