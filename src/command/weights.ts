// Elements in the order of their weights, as SORT has it (sort.c, sortCompare).
//
//     numbers   a missing weight is 0; of equal weights the elements' bytes decide
//     texts     a missing weight is before all others; of equal weights nothing decides, and the elements stay as they are
//     DESC      turns every comparison round, that of equal weights too
//
// A number is what C's strtod takes: blanks in front, 0x1.8p3 and inf as well, nothing at all for 0. What is no number,
// or is out of a double's range at either end, is an error of the whole call.

/** Smallest number that a double holds in full; strtod calls what is less, and had to be rounded, out of range. */
const SMALLEST = 2 ** -1022;

const BLANKS = /^[ \t\n\v\f\r]+/;
const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const SOME_DIGIT = /^[^eE]*[1-9]/;
const HEXADECIMAL = /^([+-]?)0[xX](?=\.?[\da-fA-F])0*([\da-fA-F]*)(?:\.([\da-fA-F]*))?(?:[pP]([+-]?\d+))?$/;
const INFINITE = /^([+-]?)inf(?:inity)?$/i;

/** The number that a text stands for; undefined where the server finds none. */
export function scoreOf(weight: Buffer): number | undefined {
  const end = weight.indexOf(0);
  const whole = weight.toString('latin1', 0, end < 0 ? weight.length : end);
  if (whole === '') return 0;
  const text = whole.replace(BLANKS, '');
  if (DECIMAL.test(text)) return decimal(text);
  const infinite = INFINITE.exec(text);
  if (infinite !== null) return infinite[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const [, sign, integer, fraction, power] = HEXADECIMAL.exec(text) ?? [];
  if (integer === undefined) return undefined;
  const size = hexadecimal(integer, fraction ?? '', Number(power ?? 0));
  return sign === '-' && size !== undefined ? -size : size;
}

function decimal(text: string): number | undefined {
  const value = Number(text);
  const size = Math.abs(value);
  if (size === 0) return SOME_DIGIT.test(text) ? undefined : value;
  return size >= SMALLEST && size !== Number.POSITIVE_INFINITY ? value : undefined;
}

/** More digits than this only decide how a double is rounded: one of them says whether there were any. */
const DIGITS = 32;

function hexadecimal(integer: string, fraction: string, power: number): number | undefined {
  const digits = (integer + fraction).replace(/^0+/, '');
  if (digits === '') return 0;
  const rest = digits.slice(DIGITS);
  const kept = digits.slice(0, DIGITS) + (/[^0]/.test(rest) ? '1' : '0');
  const whole = BigInt(`0x${kept}`);
  const mantissa = Number(whole);
  const shift = power - 4 * fraction.length + 4 * (rest.length - 1);
  // In two steps, neither of which leaves the range when the whole does not.
  const half = Math.trunc(shift / 2);
  const size = mantissa * 2 ** half * 2 ** (shift - half);
  if (size === Number.POSITIVE_INFINITY) return undefined;
  const exact = BigInt(mantissa) === whole && size / 2 ** (shift - half) / 2 ** half === mantissa;
  return size >= SMALLEST || exact ? size : undefined;
}

/**
 * Indexes of elements in the order of numbers.
 * @param scores one for each element
 */
export function byScores(elements: readonly Buffer[], scores: readonly number[], desc: boolean): number[] {
  const sign = desc ? -1 : 1;
  return elements
    .map((_, i) => i)
    .sort((a, b) => {
      const [one, other] = [scores[a]!, scores[b]!];
      if (one === other) return sign * Buffer.compare(elements[a]!, elements[b]!);
      return one > other ? sign : -sign;
    });
}

/**
 * Indexes of elements in the order of texts.
 * @param weights one for each element, undefined where it is missing
 * @param inOrder every weight, in ascending order
 */
export function byTexts(
  weights: readonly (Buffer | undefined)[],
  inOrder: readonly Buffer[],
  desc: boolean,
): number[] {
  const ranks = new Map(inOrder.map((weight, rank) => [weight.toString('latin1'), rank]));
  const rankOf = (weight: Buffer | undefined) =>
    weight === undefined ? -1 : ranks.get(weight.toString('latin1'))!;
  const places = weights.map(rankOf);
  const sign = desc ? -1 : 1;
  return weights.map((_, i) => i).sort((a, b) => sign * (places[a]! - places[b]!));
}

/** Every weight once. */
export function distinct(weights: readonly (Buffer | undefined)[]): Buffer[] {
  const byText = new Map<string, Buffer>();
  for (const weight of weights) if (weight !== undefined) byText.set(weight.toString('latin1'), weight);
  return [...byText.values()];
}

/** A text as C compares it by the rules of a language: up to its first NUL. */
export function untilNul(text: Buffer): Buffer {
  const end = text.indexOf(0);
  return end < 0 ? text : text.subarray(0, end);
}
