// The first line of a reply that is an array, a set or a map, for merging.

export interface Head {
  /** The type byte: `*`, `~` or `%`; or NOT_AN_ARRAY. A null of either version counts as an array of none. */
  type: number;
  /** Elements, or pairs of a map; -1 for a null. */
  count: number;
  /** Where the elements begin. */
  end: number;
}

export const NOT_AN_ARRAY = 0;

/** @returns always the same object, good until the next call */
export function headOf(reply: Uint8Array): Head {
  const type = reply[0]!;
  head.type = type === ASTERISK || type === TILDE || type === PERCENT ? type : NOT_AN_ARRAY;
  head.count = -1;
  head.end = 3;
  if (type === UNDERSCORE) head.type = ASTERISK;
  else if (head.type !== NOT_AN_ARRAY) readCount(reply);
  return head;
}

const ASTERISK = 42;
const TILDE = 126;
const PERCENT = 37;
const UNDERSCORE = 95;
const MINUS = 45;
const CR = 13;

const head: Head = { type: NOT_AN_ARRAY, count: -1, end: 0 };

function readCount(reply: Uint8Array): void {
  let at = 1;
  let count = 0;
  const negative = reply[at] === MINUS;
  if (negative) at++;
  for (; reply[at] !== CR; at++) count = count * 10 + (reply[at]! - 48);
  head.count = negative ? -1 : count;
  head.end = at + 2;
}
