// Reducers over numbers: sum min max avg, and what counts as true: and, or.
//
// Numbers are integers, doubles and strings that hold one, at any depth of arrays; a boolean is 1 or 0, as RESP2 has
// it. All else is passed over. Integers are exact, however large; what they are added to a double with is a double.

import { BigNumber, type Decoded, Status, Verbatim } from '../resp/value.ts';
import { listOf, type Part, type Reducer } from './reducer.ts';

export type Numeric = bigint | number;

const INTEGER = /^[+-]?\d{1,40}$/;
const DOUBLE = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const INFINITE = /^[+-]?inf(inity)?$/i;
/** What is longer is no number that anybody means. */
const LONGEST = 64;
const LARGEST = 2n ** 63n - 1n;

/** The number that a value is or holds. */
export function numberOf(value: Decoded): Numeric | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isNaN(value) ? undefined : value;
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (Buffer.isBuffer(value)) return ofText(value);
  if (value instanceof Status) return ofText(Buffer.from(value.text, 'latin1'));
  if (value instanceof Verbatim) return ofText(value.bytes);
  return value instanceof BigNumber ? BigInt(value.digits) : undefined;
}

function ofText(bytes: Buffer): Numeric | undefined {
  if (bytes.length > LONGEST) return undefined;
  const text = bytes.toString('latin1');
  if (INTEGER.test(text)) return BigInt(text.replace('+', ''));
  if (DOUBLE.test(text)) return Number(text);
  if (!INFINITE.test(text)) return undefined;
  return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** Writes a number as the smallest type of reply that holds it. */
export function numeric(value: Numeric): Decoded {
  if (typeof value === 'number' || (value <= LARGEST && value >= -LARGEST - 1n)) return value;
  return new BigNumber(String(value));
}

/** The text of a number, as a hash or a score would have it. */
export function numericText(value: Numeric): string {
  if (typeof value === 'bigint' || Number.isFinite(value)) return String(value);
  return value > 0 ? 'inf' : '-inf';
}

export function plus(a: Numeric, b: Numeric): Numeric {
  return typeof a === 'bigint' && typeof b === 'bigint' ? a + b : Number(a) + Number(b);
}

function eachNumber(value: Decoded, take: (number: Numeric) => void): void {
  const items = listOf(value);
  if (items !== undefined) {
    for (const item of items) eachNumber(item, take);
    return;
  }
  const number = numberOf(value);
  if (number !== undefined) take(number);
}

abstract class OverNumbers implements Reducer {
  readonly onError = 'fail';
  readonly ordered = false;
  readonly done = false;
  held = 0;

  add({ reply, place }: Part): void {
    eachNumber(reply, (number) => this.take(number, place));
  }

  protected abstract take(number: Numeric, place: number): void;
  abstract result(): Decoded;
}

/** 0 where there is no number. */
export class Sum extends OverNumbers {
  protected count = 0;
  private whole = 0n;
  /** The doubles of each place, so that they are added in the same order whatever came first. */
  private readonly doubles = new Map<number, number>();

  protected take(number: Numeric, place: number): void {
    this.count++;
    if (typeof number === 'bigint') {
      this.whole += number;
      return;
    }
    this.doubles.set(place, (this.doubles.get(place) ?? 0) + number);
  }

  protected get total(): Numeric {
    if (this.doubles.size === 0) return this.whole;
    const places = [...this.doubles].sort(([a], [b]) => a - b);
    return places.reduce((sum, [, double]) => sum + double, Number(this.whole));
  }

  result(): Decoded {
    return numeric(this.total);
  }
}

/** A double; nil where there is no number. */
export class Average extends Sum {
  override result(): Decoded {
    return this.count === 0 ? null : Number(this.total) / this.count;
  }
}

/** The least or the greatest number as it came, an integer where an equal double came too; nil where there is none. */
export class Extreme extends OverNumbers {
  private best: Numeric | undefined = undefined;
  private readonly sign: 1 | -1;

  /** `sign`: 1 for the greatest, -1 for the least. */
  constructor(sign: 1 | -1) {
    super();
    this.sign = sign;
  }

  protected take(number: Numeric): void {
    const { best, sign } = this;
    if (best === undefined || (sign > 0 ? number > best : number < best)) this.best = number;
    else if (typeof number === 'bigint' && typeof best === 'number' && number >= best && number <= best)
      this.best = number;
  }

  result(): Decoded {
    return this.best === undefined ? null : numeric(this.best);
  }
}

/**
 * 1 or 0: whether all are true, or one is; over nothing `and` is 1 and `or` is 0. Not true are nil, false, every
 * number that is 0 and the empty string; an array is true element by element.
 */
export class Logical implements Reducer {
  readonly onError = 'fail';
  readonly ordered = false;
  readonly done = false;
  readonly held = 0;
  private readonly all: boolean;
  private value: boolean;

  constructor(all: boolean) {
    this.all = all;
    this.value = all;
  }

  add({ reply }: Part): void {
    this.look(reply);
  }

  private look(value: Decoded): void {
    const items = listOf(value);
    if (items !== undefined) for (const item of items) this.look(item);
    else if (isTrue(value) !== this.all) this.value = !this.all;
  }

  result(): Decoded {
    return this.value ? 1n : 0n;
  }
}

function isTrue(value: Decoded): boolean {
  if (value === null) return false;
  const number = numberOf(value);
  if (number !== undefined) return number !== 0n && number !== 0;
  return !(Buffer.isBuffer(value) && value.length === 0);
}
