// The one canonical way to write a command: an array of bulks, every length in plain digits, every end CRLF.
//
// Used where a command's own bytes cannot be forwarded: inline lines, irregular requests, and what the proxy
// itself asks of a node.

const CR = 13;
const LF = 10;
const DOLLAR = 36;
const ASTERISK = 42;
const ZERO = 48;

/**
 * Encodes the arguments `source[starts[i]..ends[i])`. `starts` and `ends` are made to point into the result,
 * which must not share memory with `source`.
 */
export function encodeArguments(
  source: Uint8Array,
  starts: Int32Array,
  ends: Int32Array,
  argc: number,
): Buffer {
  let size = digits(argc) + 3;
  for (let i = 0; i < argc; i++) {
    const length = ends[i]! - starts[i]!;
    size += digits(length) + 3 + length + 2;
  }
  const out = Buffer.allocUnsafe(size);
  let p = writeLength(out, 0, ASTERISK, argc);
  for (let i = 0; i < argc; i++) {
    const start = starts[i]!;
    const length = ends[i]! - start;
    p = writeLength(out, p, DOLLAR, length);
    starts[i] = p;
    out.set(source.subarray(start, start + length), p);
    p += length;
    ends[i] = p;
    out[p++] = CR;
    out[p++] = LF;
  }
  return out;
}

/** Writes type byte, number and CRLF at `at`; gives the offset behind them. */
export function writeLength(out: Uint8Array, at: number, type: number, value: number): number {
  out[at] = type;
  const last = at + digits(value);
  let rest = value;
  for (let p = last; p > at; p--) {
    out[p] = ZERO + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  out[last + 1] = CR;
  out[last + 2] = LF;
  return last + 3;
}

/** Decimal digits of a whole number that is not negative. */
export function digits(value: number): number {
  let count = 1;
  for (let bound = 10; value >= bound; bound *= 10) count++;
  return count;
}
