// Measuring replies, RESP2 and RESP3: where one ends, never what it says. HOT: runs once per reply.
//
//   *2\r\n $3\r\n foo\r\n :1\r\n  +OK\r\n      measure() gives the offset behind the first reply, then behind
//   |---------- a reply ------->|              the second; -1 while there is more to come
//
// Elements are taken one after the other in a loop; of the aggregates around them only the number of elements
// still expected is kept, on a stack of bounded depth. So a hostile nesting costs neither the call stack nor
// memory. A whole element is measured by one stateless pass; only the one that straddles two chunks goes
// through the byte-by-byte states below, and the two accept exactly the same bytes. Lengths are as Redis writes
// them, digits without sign or leading zero (and -1 for the null of RESP2); the text of a line is not judged.
//
// An attribute (`|`) belongs to the reply behind it, which it neither counts for nor ends. A push (`>`) stands
// at the top alone. Streamed types (`$?`, `*?`), which no server sends, are violations.

const CR = 13;
const LF = 10;
const BANG = 33;
const HASH = 35;
const DOLLAR = 36;
const PERCENT = 37;
const PAREN = 40;
const ASTERISK = 42;
const PLUS = 43;
const COMMA = 44;
const MINUS = 45;
const ZERO = 48;
const COLON = 58;
const EQUALS = 61;
const PUSH = 62;
const UNDERSCORE = 95;
const ATTRIBUTE = 124;
const TILDE = 126;

const INCOMPLETE = -1;
const VIOLATION = -2;
const AGGREGATE = -3;
const NULL = -4;

/** Bytes of a simple string or an error; of any other line. */
const LONG_LINE = 1048576;
const LINE = 65536;
/** Digits of a length: any more would not be exact in a number. */
const MAX_DIGITS = 15;

// Where the framer stands: between elements, or inside one.
const BETWEEN = 0;
const IN_LENGTH = 1;
const IN_TEXT = 2;
const IN_BULK = 3;

/** Offset behind the length line that `lengthLine` has just read. */
let afterLength = 0;

/** Measures one reply after the other, in chunks cut anywhere. */
export class ReplyFramer {
  /** Type byte of the top-level reply being measured or just done (43 '+', 62 '>', ...), 0 before its first byte. */
  type = 0;
  /** After a -1: bytes of the present bulk, its CRLF counted, that have yet to come; 0 outside of one. */
  bulkLeft = 0;

  private readonly maxDepth: number;
  private readonly stack: Float64Array;
  private depth = 0;
  /** Elements still expected at this depth. */
  private left = 1;

  private phase = BETWEEN;
  /** The element that straddles: its type, the bytes of its line so far, the number in it. */
  private opener = 0;
  private seen = 0;
  private value = 0;
  private negative = false;
  private afterCR = false;

  /** `maxDepth`: how deep aggregates may nest; 1 is an array of scalars. */
  constructor(maxDepth: number) {
    this.maxDepth = maxDepth;
    this.stack = new Float64Array(maxDepth);
  }

  /** Forgets what was begun, for a new connection. */
  reset(): void {
    this.type = 0;
    this.bulkLeft = 0;
    this.depth = 0;
    this.left = 1;
    this.phase = BETWEEN;
  }

  /**
   * Measures on from `from`: the beginning of a reply or, after a -1, the bytes that follow those already seen.
   * Gives the offset just past the reply, after which the next may begin; -1 when it goes on beyond `end`;
   * -2 when the bytes are not RESP or nest too deep, after which the framer is of no use before `reset`.
   */
  measure(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    if (this.phase !== BETWEEN) {
      at = this.resume(bytes, at, end);
      if (at < 0) return at;
      const settled = this.settle(this.opener, this.value);
      if (settled !== INCOMPLETE) return settled === 0 ? at : settled;
    } else if (this.depth === 0) {
      if (at >= end) {
        this.type = 0;
        return INCOMPLETE;
      }
      this.type = bytes[at]!;
      const next = scalar(bytes, at, end);
      if (next >= 0) return next;
    }
    while (at < end) {
      const type = bytes[at]!;
      if (this.depth === 0) this.type = type;
      let next = scalar(bytes, at, end);
      let children = 0;
      if (next === AGGREGATE) {
        children = lengthLine(bytes, at, end);
        next = children >= 0 || children === NULL ? afterLength : children;
      }
      if (next === INCOMPLETE) {
        this.begin(type);
        return this.resume(bytes, at + 1, end);
      }
      if (next < 0) return next;
      at = next;
      const settled = this.settle(type, children);
      if (settled !== INCOMPLETE) return settled === 0 ? at : settled;
    }
    return INCOMPLETE;
  }

  /** Counts an element that is done or, with `children` above 0, begun: 0 when the reply is done, else -1 or -2. */
  private settle(type: number, children: number): number {
    if (type === PUSH && this.depth > 0) return VIOLATION;
    if (type !== ATTRIBUTE) this.left--;
    if (children > 0) {
      if (this.depth === this.maxDepth) return VIOLATION;
      this.stack[this.depth++] = this.left;
      this.left = type === PERCENT || type === ATTRIBUTE ? children * 2 : children;
      return INCOMPLETE;
    }
    while (this.left === 0) {
      if (this.depth === 0) {
        this.left = 1;
        return 0;
      }
      this.left = this.stack[--this.depth]!;
    }
    return INCOMPLETE;
  }

  private begin(type: number): void {
    this.opener = type;
    this.phase = isText(type) ? IN_TEXT : IN_LENGTH;
    this.seen = 0;
    this.value = 0;
    this.negative = false;
    this.afterCR = false;
  }

  /** Goes on inside the element that straddles. When that ends, `value` has the number of its children. */
  private resume(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    if (this.phase === IN_TEXT) {
      at = this.resumeText(bytes, at, end);
    } else if (this.phase === IN_LENGTH) {
      at = this.resumeLength(bytes, at, end);
      if (at >= 0 && isBulk(this.opener)) {
        if (this.negative) this.value = 0;
        else {
          this.bulkLeft = this.value + 2;
          this.phase = IN_BULK;
        }
      }
    }
    if (this.phase === IN_BULK && at >= 0) at = this.resumeBulk(bytes, at, end);
    if (at >= 0) this.phase = BETWEEN;
    return at;
  }

  private resumeText(bytes: Uint8Array, from: number, end: number): number {
    const limit = lineLimit(this.opener);
    for (let at = from; at < end; at++) {
      const byte = bytes[at]!;
      if (this.afterCR) return byte === LF ? at + 1 : VIOLATION;
      if (byte === CR) this.afterCR = true;
      else if (++this.seen > limit) return VIOLATION;
    }
    return INCOMPLETE;
  }

  private resumeLength(bytes: Uint8Array, from: number, end: number): number {
    for (let at = from; at < end; at++) {
      const byte = bytes[at]!;
      if (this.afterCR) {
        if (byte !== LF) return VIOLATION;
        if (this.negative) this.value = 0;
        return at + 1;
      }
      const digit = byte ^ ZERO;
      if (byte === CR) {
        if (this.seen === 0 || (this.negative && this.value === 0)) return VIOLATION;
        this.afterCR = true;
      } else if (byte === MINUS && this.seen === 0 && mayBeNull(this.opener)) {
        this.negative = true;
        this.seen = 1;
      } else if (
        digit > 9 ||
        (this.seen === 1 && this.value === 0 && !this.negative) ||
        this.seen === MAX_DIGITS
      ) {
        return VIOLATION;
      } else if (this.negative && (this.seen > 1 || digit !== 1)) {
        return VIOLATION;
      } else {
        this.value = this.value * 10 + digit;
        this.seen++;
      }
    }
    return INCOMPLETE;
  }

  private resumeBulk(bytes: Uint8Array, from: number, end: number): number {
    const taken = Math.min(this.bulkLeft, end - from);
    const at = from + taken;
    const left = this.bulkLeft - taken;
    this.bulkLeft = left;
    // The last two bytes, as far as they are among those just taken.
    if (left <= 1 && taken >= 2 - left && bytes[at - 2 + left] !== CR) return VIOLATION;
    if (left > 0) return INCOMPLETE;
    if (taken > 0 && bytes[at - 1] !== LF) return VIOLATION;
    this.value = 0;
    return at;
  }
}

/**
 * End of the one whole element (reply, or element of one) at `at`: an offset, -1 when it goes on beyond `end`,
 * -2 when it is not RESP. Stateless; nested to any depth.
 */
export function skip(bytes: Uint8Array, at: number, end: number): number {
  let expected = 1;
  let p = at;
  do {
    if (p >= end) return INCOMPLETE;
    const next = scalar(bytes, p, end);
    if (next === AGGREGATE) {
      const type = bytes[p]!;
      const children = lengthLine(bytes, p, end);
      if (children < 0 && children !== NULL) return children;
      if (type === PUSH && p > at) return VIOLATION;
      if (type !== ATTRIBUTE) expected--;
      if (children > 0) expected += type === PERCENT || type === ATTRIBUTE ? children * 2 : children;
      p = afterLength;
    } else if (next < 0) {
      return next;
    } else {
      expected--;
      p = next;
    }
  } while (expected > 0);
  return p;
}

/** End of the element at `at` when it is a whole scalar, else INCOMPLETE, VIOLATION or AGGREGATE. */
function scalar(bytes: Uint8Array, at: number, end: number): number {
  switch (bytes[at]) {
    case DOLLAR:
    case EQUALS:
    case BANG: {
      const length = lengthLine(bytes, at, end);
      if (length < 0) return length === NULL ? afterLength : length;
      const stop = afterLength + length;
      if (stop + 2 > end) return INCOMPLETE;
      return bytes[stop] === CR && bytes[stop + 1] === LF ? stop + 2 : VIOLATION;
    }
    case PLUS:
    case COLON:
    case MINUS:
    case COMMA:
    case HASH:
    case UNDERSCORE:
    case PAREN: {
      const stop = Math.min(end - 1, at + 2 + lineLimit(bytes[at]!));
      for (let p = at + 1; p < stop; p++) {
        if (bytes[p] === CR) return bytes[p + 1] === LF ? p + 2 : VIOLATION;
      }
      return stop === end - 1 ? INCOMPLETE : VIOLATION;
    }
    case ASTERISK:
    case TILDE:
    case PERCENT:
    case PUSH:
    case ATTRIBUTE:
      return AGGREGATE;
    default:
      return VIOLATION;
  }
}

/** The number of the length line at `at`, and `afterLength`; NULL for -1, INCOMPLETE or VIOLATION. */
function lengthLine(bytes: Uint8Array, at: number, end: number): number {
  const stop = Math.min(end - 1, at + 2 + MAX_DIGITS);
  let value = 0;
  let p = at + 1;
  for (; p < stop; p++) {
    const digit = bytes[p]! ^ ZERO;
    if (digit > 9) break;
    value = value * 10 + digit;
  }
  if (p >= stop) return stop === end - 1 ? INCOMPLETE : VIOLATION;
  afterLength = p + 2;
  if (bytes[p] === CR && bytes[p + 1] === LF && p > at + 1 && (bytes[at + 1] !== ZERO || p === at + 2))
    return value;
  if (bytes[p] !== MINUS || p !== at + 1 || !mayBeNull(bytes[at]!)) return VIOLATION;
  if (at + 5 > end) return INCOMPLETE;
  afterLength = at + 5;
  return bytes[at + 2] === ZERO + 1 && bytes[at + 3] === CR && bytes[at + 4] === LF ? NULL : VIOLATION;
}

/** Types that are one line of text; all others begin with a length. */
function isText(type: number): boolean {
  return (
    type === PLUS ||
    type === MINUS ||
    type === COLON ||
    type === COMMA ||
    type === HASH ||
    type === UNDERSCORE ||
    type === PAREN
  );
}

function isBulk(type: number): boolean {
  return type === DOLLAR || type === EQUALS || type === BANG;
}

function mayBeNull(type: number): boolean {
  return type === DOLLAR || type === ASTERISK;
}

function lineLimit(type: number): number {
  return type === PLUS || type === MINUS ? LONG_LINE : LINE;
}
