// Inline commands: a line of words instead of RESP, as typed into telnet or sent by a health check.
//
// The words are split as Redis's sdssplitargs (sds.c) does it, to the byte:
//
//   SET  key "a\x00b\n"  'it\'s'     ->  SET | key | a NUL b LF | it's
//
// In double quotes \xHH, \n \r \t \b \a are escapes and a backslash before anything else gives that byte;
// in single quotes only \' is one. A quote may open inside a word, but a word ends with its closing quote:
// what follows must be a blank or the end of the line. An unescaped word is never longer than its source,
// so one buffer of the line's length holds them all.

const QUOTE = 34;
const APOSTROPHE = 39;
const BACKSLASH = 92;
const LETTER_X = 120;

/** Where the words go: word i is `out[start..end)`. */
export interface WordSink {
  add(start: number, end: number): void;
}

/**
 * Splits the line `bytes[from..to)` (without its line feed) into words, writes them one behind the other into
 * `out` (at least `to - from` bytes) and tells `sink` where each one lies.
 * False when the quotes are unbalanced; some words may have been told by then.
 */
export function splitInline(
  bytes: Uint8Array,
  from: number,
  to: number,
  out: Uint8Array,
  sink: WordSink,
): boolean {
  let at = from;
  let written = 0;
  for (;;) {
    while (at < to && isBlank(bytes[at]!)) at++;
    if (at === to) return true;
    const start = written;
    let quote = 0;
    let open = true;
    while (open) {
      if (at === to) {
        if (quote !== 0) return false;
        break;
      }
      const byte = bytes[at++]!;
      if (quote === 0) {
        if (byte === QUOTE || byte === APOSTROPHE) quote = byte;
        else if (endsWord(byte)) open = false;
        else out[written++] = byte;
      } else if (byte === quote) {
        if (at < to && !isBlank(bytes[at]!)) return false;
        open = false;
      } else if (byte !== BACKSLASH || at === to) {
        out[written++] = byte;
      } else if (quote === APOSTROPHE) {
        out[written++] = bytes[at] === APOSTROPHE ? bytes[at++]! : byte;
      } else if (
        bytes[at] === LETTER_X &&
        at + 2 < to &&
        hex(bytes[at + 1]!) >= 0 &&
        hex(bytes[at + 2]!) >= 0
      ) {
        out[written++] = hex(bytes[at + 1]!) * 16 + hex(bytes[at + 2]!);
        at += 3;
      } else {
        out[written++] = escaped(bytes[at++]!);
      }
    }
    sink.add(start, written);
  }
}

/** C's isspace. */
function isBlank(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

/** Vertical tab and form feed separate words but, as in Redis, do not end one. */
function endsWord(byte: number): boolean {
  return byte === 32 || byte === 10 || byte === 13 || byte === 9 || byte === 0;
}

/** What a backslash and `byte` stand for in double quotes. */
function escaped(byte: number): number {
  switch (byte) {
    case 110:
      return 10;
    case 114:
      return 13;
    case 116:
      return 9;
    case 98:
      return 8;
    case 97:
      return 7;
    default:
      return byte;
  }
}

function hex(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
