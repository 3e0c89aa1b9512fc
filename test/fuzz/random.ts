/**
 * Chance by a seed, and what is done with bytes by chance: mutated, and cut.
 *
 * Each session of a run draws from a generator of its own, made of the run's seed and the session's number:
 * so a session can be made again without all those that ran beside it.
 */

export class Random {
  private state: number;

  constructor(seed: number, session = 0) {
    this.state = (seed ^ Math.imul(session + 1, 0x9e3779b9)) >>> 0;
    for (let i = 0; i < 4; i++) this.next();
  }

  /** From 0 up to 1, which it is never (mulberry32). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number from 0 up to `below`, which it is never. */
  int(below: number): number {
    return Math.floor(this.next() * below);
  }

  /** From 1 to `most`, small ones more often: every order of magnitude alike. */
  size(most: number): number {
    return Math.max(1, Math.floor(most ** this.next()));
  }

  chance(part: number): boolean {
    return this.next() < part;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)]!;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i++) bytes[i] = this.int(256);
    return bytes;
  }

  /** Bytes that mean something in the protocol, more often than chance would have it. */
  tokens(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i++) bytes[i] = TOKENS.charCodeAt(this.int(TOKENS.length));
    return bytes;
  }
}

const TOKENS = '\r\n\r\n\r\n*$+-:%~>|_#,(!=0123456789019 "\'\\\0x\xff';

/** Numbers at the edges of what lengths may be. */
export const NUMBERS = [
  ...['-1', '-2', '0', '00', '01', '-0', '+1', '', ' 1', '1 ', '1.5', '1e3', '0x10', 'NaN', '\0', '?'],
  ...['65535', '65536', '1048576', '1048577', '16777215', '33554431', '536870911', '536870912', '536870913'],
  ...['2147483647', '2147483648', '4294967295', '4294967296', '9007199254740991', '9007199254740993'],
  ...['999999999999999', '9223372036854775807', '9223372036854775808', '-9223372036854775808'],
  ...['18446744073709551615', '99999999999999999999999999999999999999'],
];

/** The bytes with up to a few things done to them. `others` give what is spliced in. */
export function mutate(random: Random, bytes: Buffer, others: readonly Buffer[]): Buffer {
  let mutated = bytes;
  for (let times = random.size(6); times > 0; times--) mutated = once(random, mutated, others);
  return mutated;
}

function once(random: Random, bytes: Buffer, others: readonly Buffer[]): Buffer {
  const at = random.int(bytes.length + 1);
  const to = Math.min(bytes.length, at + random.size(Math.max(2, bytes.length - at)));
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(to)];
  switch (random.int(9)) {
    case 0: {
      const flipped = Buffer.from(bytes);
      if (at < bytes.length) flipped[at] = flipped[at]! ^ (1 << random.int(8));
      return flipped;
    }
    case 1:
      return Buffer.concat([before, random.bytes(random.size(64)), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([before, random.tokens(random.size(16)), bytes.subarray(at)]);
    case 3:
      return Buffer.concat([before, after]);
    case 4:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at, to), after]);
    case 5:
      return Buffer.from(before);
    case 6: {
      const other = random.pick(others);
      const from = random.int(other.length);
      const piece = other.subarray(from, from + random.size(other.length));
      return Buffer.concat([before, piece, random.chance(0.5) ? after : bytes.subarray(at)]);
    }
    default:
      return otherNumber(random, bytes, at);
  }
}

/** The next number behind `at`, if there is one, replaced by a hostile one. */
function otherNumber(random: Random, bytes: Buffer, at: number): Buffer {
  const isDigit = (byte: number | undefined) => byte !== undefined && byte >= 48 && byte <= 57;
  let from = at;
  while (from < bytes.length && !isDigit(bytes[from])) from++;
  let to = from;
  while (isDigit(bytes[to])) to++;
  const number = random.chance(0.3) ? String(random.int(100)) : random.pick(NUMBERS);
  return Buffer.concat([bytes.subarray(0, from), Buffer.from(number, 'latin1'), bytes.subarray(to)]);
}

/** The bytes in pieces: one, a few, or one byte each. */
export function cut(random: Random, bytes: Buffer): Buffer[] {
  const kind = random.int(4);
  if (kind === 0 || bytes.length < 2) return [bytes];
  if (kind === 1 && bytes.length <= 200) return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
  const marks = Array.from({ length: random.size(12) }, () => random.int(bytes.length)).sort((a, b) => a - b);
  return [0, ...marks].map((from, i) => bytes.subarray(from, marks[i] ?? bytes.length));
}
