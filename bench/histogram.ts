// A latency histogram of fixed size: 64 linear steps per octave, from 125 ns to 268 s.
//
//   count of 1/8 µs   0 1 2 ... 127 | 128 130 132 ... 254 | 256 260 ... 508 | ...
//   bucket            0 1 2 ... 127 | 128 129 130 ... 191 | 192 193 ... 255 | ...
//
// So a quantile is off by at most 1/64 of itself, at the cost of two shifts and one `+= 1` for a recording.
// A list of all latencies would grow by a million numbers in a round, and its garbage would show up as
// latency of the endpoint under test.

const UNITS_PER_MILLISECOND = 8000;
const LARGEST = 2 ** 31 - 1;
const BUCKETS = 25 * 64 + 64;

export class Histogram {
  readonly #counts: Float64Array = new Float64Array(BUCKETS);
  #total = 0;

  /** Records `count` commands that took `milliseconds` each. */
  add(milliseconds: number, count: number): void {
    const units = Math.max(0, Math.min(LARGEST, milliseconds * UNITS_PER_MILLISECOND)) | 0;
    const shift = units < 128 ? 0 : 25 - Math.clz32(units);
    this.#counts[(shift << 6) + (units >> shift)]! += count;
    this.#total += count;
  }

  /** The latency in milliseconds that the share `q` (0..1) of all commands did not pass; NaN when there are none. */
  quantile(q: number): number {
    if (this.#total === 0) return Number.NaN;
    const rank = Math.max(1, Math.ceil(q * this.#total));
    let seen = 0;
    let bucket = 0;
    for (; bucket < BUCKETS - 1; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) break;
    }
    return middleOf(bucket) / UNITS_PER_MILLISECOND;
  }
}

function middleOf(bucket: number): number {
  if (bucket < 128) return bucket + 0.5;
  const shift = (bucket >> 6) - 1;
  return (bucket - (shift << 6) + 0.5) * 2 ** shift;
}
