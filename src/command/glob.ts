// Glob patterns, as the server matches them (util.c, stringmatchlen): for keys that the proxy itself has to
// pick. Only the last star is ever gone back to, so a pattern of many stars costs no more than its length times
// the text's.

/** Whether the whole text is of the pattern. Case counts. An empty text is of no pattern but the empty one. */
export function matchesGlob(pattern: Uint8Array, text: Uint8Array): boolean {
  if (text.length === 0) return pattern.length === 0;
  let p = 0;
  let t = 0;
  let star = -1;
  let starText = 0;
  while (t < text.length) {
    if (pattern[p] === STAR) {
      star = p++;
      starText = t;
      continue;
    }
    const next = p < pattern.length ? matchOne(pattern, p, text[t]!) : -1;
    if (next >= 0) {
      p = next;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++starText;
    } else return false;
  }
  while (pattern[p] === STAR) p++;
  return p === pattern.length;
}

const STAR = 42;
const DASH = 45;
const QUESTION = 63;
const OPEN = 91;
const BACKSLASH = 92;
const CLOSE = 93;
const CARET = 94;

/** Matches one byte with what stands at `p`, which is no star; returns where the pattern goes on, or -1. */
function matchOne(pattern: Uint8Array, p: number, byte: number): number {
  const first = pattern[p]!;
  if (first === QUESTION) return p + 1;
  if (first === OPEN) return matchClass(pattern, p + 1, byte);
  const literal = first === BACKSLASH && p + 1 < pattern.length ? p + 1 : p;
  return pattern[literal] === byte ? literal + 1 : -1;
}

/** `[...]`, from behind its bracket on. One that is never closed ends with the pattern. */
function matchClass(pattern: Uint8Array, from: number, byte: number): number {
  const end = pattern.length;
  const negated = pattern[from] === CARET;
  let found = false;
  let p = negated ? from + 1 : from;
  while (p < end && pattern[p] !== CLOSE) {
    if (pattern[p] === BACKSLASH && p + 1 < end) {
      found ||= pattern[p + 1] === byte;
      p += 2;
    } else if (p + 2 < end && pattern[p + 1] === DASH) {
      const low = Math.min(pattern[p]!, pattern[p + 2]!);
      const high = Math.max(pattern[p]!, pattern[p + 2]!);
      found ||= low <= byte && byte <= high;
      p += 3;
    } else {
      found ||= pattern[p] === byte;
      p++;
    }
  }
  return found === negated ? -1 : Math.min(p + 1, end);
}
