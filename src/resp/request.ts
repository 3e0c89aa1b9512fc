// Framing of what clients send. HOT: runs once per command.
//
//   *3\r\n $3\r\n SET \r\n $1\r\n k \r\n $5\r\n hello \r\n      frame() finds where the command ends and where
//   from        starts[0]          starts[1]    starts[2]  to   its arguments lie; nothing is decoded or copied
//
// SECURITY BOUNDARY. A command's bytes are forwarded as they came, on links that many clients share. What one
// reader takes for the end of a command and another does not is request smuggling: one client would speak in
// another's name. Redis is lenient: it takes \r and any byte for the end of a length, and any two bytes for
// the end of an argument; and it takes inline lines. All of that is accepted here too, but then the command is
// written anew, so that `bytes[from..to)` of a COMMAND is always canonical RESP: array of bulks, lengths
// without sign or leading zero, CRLF at every end. Nothing irregular leaves the proxy.
//
// What is accepted, and the text of every error, is Redis 7.0's (networking.c: processMultibulkBuffer,
// processInlineBuffer), but never depends on how the bytes were cut: a line is too big when it is longer than
// the limit, where Redis decides by what it happens to have read. A NUL in a line hides its end, as there.
//
// A frame stops anywhere and resumes; of what it has passed it reads at most one short length again.

import { encodeArguments } from './canonical.ts';
import { splitInline } from './inline.ts';

/** The command goes on beyond what is there. */
export const MORE = 0;
/** A whole command. */
export const COMMAND = 1;
/** A blank line or an array of no arguments: to be passed over (`consumed`) without a reply. */
export const EMPTY = 2;
/** Not a command: reply with `error` and close. */
export const VIOLATION = 3;

/** Bounds of a request: number of arguments, bytes of one argument (below 2 GiB), bytes of an inline line or a length. */
export interface RequestLimits {
  arguments: number;
  bulk: number;
  inline: number;
}

/** Redis's bounds for a client that has yet to authenticate (networking.c). */
const UNAUTHENTICATED_ARGUMENTS = 10;
const UNAUTHENTICATED_BULK = 16384;

const CR = 13;
const LF = 10;
const DOLLAR = 36;
const ASTERISK = 42;
const ZERO = 48;

// Where a frame stands.
const START = 0;
const COUNT = 1;
const LENGTH = 2;
const CONTENT = 3;
const INLINE = 4;

// What findEnd says in place of an offset.
const UNFINISHED = -1;
const TOO_BIG = -2;

const INITIAL_ARGUMENTS = 64;
/** Beyond this many arguments the arrays are not kept for the next command. */
const KEPT_ARGUMENTS = 4096;
/** The least an argument takes: `$0\r\n\r\n`. */
const LEAST_ARGUMENT = 6;
const NO_BYTES: Uint8Array = Buffer.alloc(0);

/** One command being framed. The caller calls `reset` with the offset of the next one before framing it. */
export class Frame {
  /** Where the command lies: the input or, when that was not canonical, an encoding made here. */
  bytes: Uint8Array = NO_BYTES;
  /** The whole command is `bytes[from..to)`: canonical RESP, to be forwarded as it is. */
  from = 0;
  to = 0;
  /** Complete arguments; argument i is `bytes[starts[i]..ends[i])`. On MORE: those complete so far. */
  argc = 0;
  starts = new Int32Array(INITIAL_ARGUMENTS);
  ends = new Int32Array(INITIAL_ARGUMENTS);
  /** Offset in the input just past this command. */
  consumed = 0;
  /** On MORE: at least this many bytes are missing (1 or more). */
  need = 0;
  /** Number of arguments announced, -1 as long as it is not known. */
  expected = -1;
  /**
   * On MORE inside an argument: the input offset where its content begins, and its length; `partLength` is -1
   * when there is none. A caller that sends a huge argument on in pieces may drop what it has sent and `rebase`;
   * offsets of what is gone are then negative, `from` among them. It must write every length and every CRLF
   * itself, the client's own may be irregular; and when `from` is negative nothing is written anew here: after
   * the COMMAND the remaining arguments lie in the input.
   */
  partStart = 0;
  partLength = -1;
  /** False once something irregular was seen in the command. */
  canonical = true;
  /** On VIOLATION: Redis's own text without the prefix `ERR`: for errors.ts `protocol`, as it may hold any byte. */
  error = '';

  /** @internal Where the line or the content that is being read begins. */
  at = 0;
  /** @internal The search for the end of that line goes on here. */
  scan = 0;
  /** @internal */
  phase = START;

  /** Makes ready for the command at input offset `from`. */
  reset(from: number): void {
    this.from = from;
    this.to = from;
    this.argc = 0;
    this.consumed = from;
    this.expected = -1;
    this.partLength = -1;
    this.canonical = true;
    this.at = from;
    this.scan = from;
    this.phase = START;
    if (this.starts.length > KEPT_ARGUMENTS) {
      this.starts = new Int32Array(INITIAL_ARGUMENTS);
      this.ends = new Int32Array(INITIAL_ARGUMENTS);
    }
  }

  /** After MORE: the input has moved to `bytes`, where every offset is greater by `delta` (or smaller). */
  rebase(bytes: Uint8Array, delta: number): void {
    this.bytes = bytes;
    if (delta === 0) return;
    this.from += delta;
    this.to += delta;
    this.consumed += delta;
    this.partStart += delta;
    this.at += delta;
    this.scan += delta;
    const { starts, ends, argc } = this;
    for (let i = 0; i < argc; i++) {
      starts[i] = Math.max(starts[i]! + delta, -0x40000000);
      ends[i] = Math.max(ends[i]! + delta, -0x40000000);
    }
  }

  /** @internal Appends an argument. */
  add(start: number, end: number): void {
    if (this.argc === this.starts.length) this.grow();
    this.starts[this.argc] = start;
    this.ends[this.argc++] = end;
  }

  /** @internal */
  grow(): void {
    const starts = new Int32Array(this.starts.length * 2);
    const ends = new Int32Array(this.ends.length * 2);
    starts.set(this.starts);
    ends.set(this.ends);
    this.starts = starts;
    this.ends = ends;
  }
}

/**
 * Frames the command at `f`'s own position in `input[0..end)`, or goes on with it after a MORE.
 * `authenticated` false applies the narrower bounds Redis has before AUTH: so run a command before framing the
 * next one while the client is not authenticated. Says MORE, COMMAND, EMPTY or VIOLATION.
 */
export function frame(
  f: Frame,
  input: Uint8Array,
  end: number,
  limits: RequestLimits,
  authenticated: boolean,
): number {
  f.bytes = input;
  let at = f.at;
  let phase = f.phase;
  if (phase === START) {
    if (at >= end) return more(f, START, at, 1);
    phase = input[at] === ASTERISK ? COUNT : INLINE;
  }
  if (phase === INLINE) return frameInline(f, input, end, limits.inline);

  let expected = f.expected;
  if (phase === COUNT) {
    const short = shortLength(input, at, end);
    if (short >= 0) {
      expected = short >> 4;
      at += short & 15;
    } else {
      const cr = findEnd(f, input, at, end, CR, limits.inline);
      if (cr === UNFINISHED) return more(f, COUNT, at, 4 - (end - at));
      if (cr === TOO_BIG) return violation(f, 'too big mbulk count string');
      if (input[cr + 1] !== LF) f.canonical = false;
      expected = integer(input, at + 1, cr);
      at = cr + 2;
    }
    if (!(expected <= limits.arguments)) return violation(f, 'invalid multibulk length');
    if (!authenticated && expected > UNAUTHENTICATED_ARGUMENTS) {
      return violation(f, 'unauthenticated multibulk length');
    }
    if (expected <= 0) {
      f.to = f.consumed = at;
      return EMPTY;
    }
    f.expected = expected;
  }

  let argc = f.argc;
  let starts = f.starts;
  let ends = f.ends;
  let length = -1;
  if (phase === CONTENT) {
    length = f.partLength;
    f.partLength = -1;
  }
  do {
    if (length < 0) {
      const short = shortLength(input, at, end);
      if (short >= 0 && input[at] === DOLLAR) {
        length = short >> 4;
        at += short & 15;
      } else {
        const cr = findEnd(f, input, at, end, CR, limits.inline);
        if (cr === UNFINISHED) {
          f.argc = argc;
          return more(f, LENGTH, at, LEAST_ARGUMENT - (end - at), expected - argc - 1);
        }
        if (cr === TOO_BIG) return violation(f, 'too big bulk count string');
        if (input[at] !== DOLLAR)
          return violation(f, `expected '$', got '${String.fromCharCode(input[at]!)}'`);
        if (input[cr + 1] !== LF) f.canonical = false;
        length = integer(input, at + 1, cr);
        at = cr + 2;
      }
      // A NaN fails these comparisons as well.
      if (!(length >= 0 && length <= limits.bulk)) return violation(f, 'invalid bulk length');
      if (!authenticated && length > UNAUTHENTICATED_BULK) return violation(f, 'unauthenticated bulk length');
    }
    const stop = at + length;
    if (stop + 2 > end) {
      f.argc = argc;
      f.partStart = at;
      f.partLength = length;
      return more(f, CONTENT, at, stop + 2 - end, expected - argc - 1);
    }
    if (input[stop] !== CR || input[stop + 1] !== LF) f.canonical = false;
    if (argc === starts.length) {
      f.grow();
      starts = f.starts;
      ends = f.ends;
    }
    starts[argc] = at;
    ends[argc] = stop;
    at = stop + 2;
    length = -1;
  } while (++argc < expected);

  f.argc = argc;
  f.to = f.consumed = at;
  if (!f.canonical && f.from >= 0) rewrite(f, input);
  return COMMAND;
}

/** A line of words; always encoded anew. */
function frameInline(f: Frame, input: Uint8Array, end: number, limit: number): number {
  const from = f.at;
  const lineFeed = findEnd(f, input, from, end, LF, limit);
  if (lineFeed === UNFINISHED) return more(f, INLINE, from, 1);
  if (lineFeed === TOO_BIG) return violation(f, 'too big inline request');
  const to = lineFeed > from && input[lineFeed - 1] === CR ? lineFeed - 1 : lineFeed;
  const words = Buffer.allocUnsafe(to - from);
  f.to = f.consumed = lineFeed + 1;
  f.canonical = false;
  if (!splitInline(input, from, to, words, f)) return violation(f, 'unbalanced quotes in request');
  if (f.argc === 0) return EMPTY;
  f.expected = f.argc;
  rewrite(f, words);
  return COMMAND;
}

/** Replaces the command, whose arguments lie in `source`, by its canonical encoding. */
function rewrite(f: Frame, source: Uint8Array): void {
  f.bytes = encodeArguments(source, f.starts, f.ends, f.argc);
  f.from = 0;
  f.to = f.bytes.length;
}

/**
 * Offset of `terminator` in the line that begins at `at`: CR, which another byte has to follow, or LF.
 * UNFINISHED when it is not there yet, TOO_BIG when more than `limit` bytes come before it.
 */
function findEnd(
  f: Frame,
  input: Uint8Array,
  at: number,
  end: number,
  terminator: number,
  limit: number,
): number {
  const stop = Math.min(end, at + limit + 1);
  let p = Math.max(f.scan, at);
  for (; p < stop; p++) {
    const byte = input[p]!;
    if (byte === terminator) {
      f.scan = p;
      return terminator === CR && p + 1 >= end ? UNFINISHED : p;
    }
    if (byte === 0) break;
  }
  f.scan = p;
  return end - at > limit ? TOO_BIG : UNFINISHED;
}

/**
 * The common case of a length line, all of it there and canonical: up to seven digits and CRLF behind the type
 * byte at `at`. Gives value << 4 | bytes of the line, or -1 for everything else.
 */
function shortLength(input: Uint8Array, at: number, end: number): number {
  const last = Math.min(end - 2, at + 8);
  let value = 0;
  let p = at + 1;
  for (; p <= last; p++) {
    const digit = input[p]! ^ ZERO;
    if (digit > 9) break;
    value = value * 10 + digit;
  }
  if (p > last || input[p] !== CR || input[p + 1] !== LF) return -1;
  const width = p - at;
  if (width === 1 || (width > 2 && input[at + 1] === ZERO)) return -1;
  return (value << 4) | (width + 2);
}

/** Redis's string2ll: an int64 in its one canonical spelling (inexact beyond 2^53), else NaN. */
function integer(bytes: Uint8Array, from: number, to: number): number {
  if (to - from > 20) return Number.NaN;
  const text = String.fromCharCode(...bytes.subarray(from, to));
  if (!/^(0|-?[1-9][0-9]*)$/.test(text)) return Number.NaN;
  const value = BigInt(text);
  return BigInt.asIntN(64, value) === value ? Number(value) : Number.NaN;
}

/** Stops in `phase`; `missing` bytes of the present line or argument, and `after` whole arguments, have yet to come. */
function more(f: Frame, phase: number, at: number, missing: number, after = 0): number {
  f.phase = phase;
  f.at = at;
  // Stays a small integer whatever was announced; a lower bound all the same.
  f.need = Math.min(Math.max(missing, 1) + after * LEAST_ARGUMENT, 0x3fffffff);
  return MORE;
}

function violation(f: Frame, text: string): number {
  f.error = `Protocol error: ${text}`;
  return VIOLATION;
}
