// Whether a reply holds no data: nothing else is answered about a key that does not exist. Pure. Hot for who reads
// from replicas that do not know of moves.
//
//   nil, integers up to 0, empty strings, arrays and maps, +none, and arrays of nothing but these
//
// More replies than those about missing keys are so (a TTL of -1, the length 0 of a string); none of these holds data.

const CR = 13;
const HASH = 35;
const DOLLAR = 36;
const PERCENT = 37;
const ASTERISK = 42;
const PLUS = 43;
const MINUS = 45;
const ZERO = 48;
const COLON = 58;
const UNDERSCORE = 95;
const TILDE = 126;
const F = 102;

/** `bytes[from..to)` is a reply, or the beginning of one: then whether what there is of it holds no data. */
export function isVoid(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; ) {
    if (!isVoidLine(bytes, at, to)) return false;
    while (at < to && bytes[at] !== CR) at++;
    at += 2;
  }
  return true;
}

function isVoidLine(bytes: Uint8Array, at: number, to: number): boolean {
  const cut = at + 1 >= to;
  const next = bytes[at + 1];
  switch (bytes[at]) {
    case CR:
      return true;
    case ASTERISK:
    case TILDE:
    case PERCENT:
    case UNDERSCORE:
      return true;
    case DOLLAR:
    case COLON:
      return cut || next === ZERO || next === MINUS;
    case HASH:
      return cut || next === F;
    case PLUS:
      return NONE.every((byte, i) => at + i >= to || bytes[at + i] === byte);
    default:
      return false;
  }
}

const NONE = [...Buffer.from('+none\r\n')];
