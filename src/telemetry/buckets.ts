/**
 * HOT. The buckets of a latency: four to each octave of microseconds, from 1 us to 134 s.
 *
 *   bucket   0     1     2     3     4    5    6    7    8   ...  107     108
 *   from us  1     1.25  1.5   1.75  2    2.5  3    3.5  4   ...  117e6   134e6 and more
 *
 * So a quantile is at most a quarter off at any scale, for 872 bytes a command and no configuration.
 * The bucket is found from the leading zeros of the number in quarters of a microsecond: no logarithm,
 * no search. Bucket 0 also holds what is shorter.
 */

/** Number of buckets of one histogram. */
export const BUCKETS = 109;

const OVERFLOW = 2 ** 27;

/** The bucket of a latency in microseconds, 0 .. BUCKETS - 1. Nonsense (NaN, negative) is in bucket 0. */
export function bucketOf(us: number): number {
  if (!(us >= 1)) return 0;
  if (us >= OVERFLOW) return BUCKETS - 1;
  const quarters = (us * 4) | 0;
  const octave = 29 - Math.clz32(quarters);
  return (octave << 2) + ((quarters >>> octave) & 3);
}

/** Where a bucket begins, in microseconds: the end of the one before. */
export function bucketStart(bucket: number): number {
  return bucket === 0 ? 0 : 2 ** (bucket >> 2) * (1 + (bucket & 3) / 4);
}

/**
 * The latency in microseconds below which the part `q` (0 .. 1) of all entries lies, taking the
 * histograms together; inside a bucket entries are taken to be spread evenly. 0 when there are none.
 */
export function quantile(histograms: readonly Float64Array[], q: number): number {
  const sum = new Float64Array(BUCKETS);
  let total = 0;
  for (const histogram of histograms) {
    for (let i = 0; i < histogram.length; i++) {
      sum[i % BUCKETS]! += histogram[i]!;
      total += histogram[i]!;
    }
  }
  let left = q * total;
  for (let i = 0; i < BUCKETS; i++) {
    const here = sum[i]!;
    if (here > 0 && left <= here) {
      const start = bucketStart(i);
      return i === BUCKETS - 1 ? start : start + (bucketStart(i + 1) - start) * (left / here);
    }
    left -= here;
  }
  return 0;
}
