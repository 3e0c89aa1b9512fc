// A framed command, as every function of this room takes it: argument i is bytes[starts[i]..ends[i]),
// argument 0 is the command's name.
//
// The bytes are canonical RESP: argument i stands behind its own `$<length>\r\n`, written without leading
// zeros, is followed by `\r\n`, and the next argument comes right after it. The framer of requests
// guarantees this (it re-encodes inline and irregular commands), and split relies on it: it copies whole
// arguments with their headers.
//
//     *2\r\n$3\r\nGET\r\n$3\r\nkey\r\n
//               ^  ^         ^  ^
//       starts[0]  ends[0]   |  ends[1]
//                    starts[1]
//
// Nothing here makes a string of an argument but `toText`, which is for cold paths.

export interface Arguments {
  readonly bytes: Uint8Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly argc: number;
}

/**
 * Whether argument `i` is `text` but for the case of ASCII letters, as strcasecmp in the server has it.
 * @param text in lower case, ASCII
 */
export function equalsIgnoreCase(args: Arguments, i: number, text: string): boolean {
  const start = args.starts[i]!;
  const length = args.ends[i]! - start;
  if (length !== text.length) return false;
  const bytes = args.bytes;
  for (let j = 0; j < length; j++) {
    if (lower(bytes[start + j]!) !== text.charCodeAt(j)) return false;
  }
  return true;
}

/** Argument `i` as UTF-8 text; bytes that are not UTF-8 become U+FFFD. */
export function toText(args: Arguments, i: number): string {
  const bytes = args.bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(
    'utf8',
    args.starts[i],
    args.ends[i],
  );
}

/**
 * Argument `i` as an integer, by the rules of the server's string2ll: an optional minus, no plus, no
 * spaces, no leading zeros, within 64 bits with a sign. A number beyond 2^53 is rounded, as doubles are.
 * @returns undefined where the argument is no such integer
 */
export function toInteger(args: Arguments, i: number): number | undefined {
  return integerAt(args.bytes, args.starts[i]!, args.ends[i]!);
}

/** The integer written in bytes[start..end), by the rules of `toInteger`. */
export function integerAt(bytes: Uint8Array, start: number, end: number): number | undefined {
  let at = start;
  const negative = bytes[at] === MINUS && end > start;
  if (negative) at++;
  const digits = end - at;
  if (digits < 1 || digits > 19) return undefined;
  const first = bytes[at]! - ZERO;
  if (first === 0) return digits === 1 && !negative ? 0 : undefined;
  let value = 0;
  for (let j = at; j < end; j++) {
    const digit = bytes[j]! - ZERO;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  if (digits === 19 && !fits64(bytes, at, negative)) return undefined;
  // Digit by digit, a long number is rounded at each step.
  if (digits > 15) value = Number(Buffer.from(bytes.subarray(at, end)).toString('latin1'));
  return negative ? -value : value;
}

/** One byte, with A-Z turned to a-z and all else left as it is. */
export function lower(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte | 32 : byte;
}

const ZERO = 48;
const MINUS = 45;
const LARGEST = Buffer.from('9223372036854775807');

/** Whether 19 digits at `at` stay within 2^63-1, or 2^63 when negative. Doubles cannot tell. */
function fits64(bytes: Uint8Array, at: number, negative: boolean): boolean {
  for (let j = 0; j < 18; j++) {
    const difference = bytes[at + j]! - LARGEST[j]!;
    if (difference !== 0) return difference < 0;
  }
  return bytes[at + 18]! - ZERO <= (negative ? 8 : 7);
}
