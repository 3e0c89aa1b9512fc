import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BUCKETS, bucketOf, bucketStart, quantile } from '../../src/telemetry/buckets.ts';

test('a latency is in the bucket whose bounds it lies between', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 3e8, noNaN: true }), (us) => {
      const bucket = bucketOf(us);
      assert.ok(bucketStart(bucket) <= us);
      assert.ok(bucket === BUCKETS - 1 || us < bucketStart(bucket + 1));
    }),
  );
});

test('each bucket begins at its own start, and the one before ends there', () => {
  for (let bucket = 1; bucket < BUCKETS; bucket++) {
    assert.equal(bucketOf(bucketStart(bucket)), bucket);
    assert.equal(bucketOf(bucketStart(bucket) - 0.125), bucket - 1);
  }
});

test('what is no latency or beyond all bounds has a bucket too', () => {
  for (const us of [0, -1, 0.5, Number.NaN, -Infinity]) assert.equal(bucketOf(us), 0);
  for (const us of [2 ** 27, 2 ** 31, 2 ** 53, Infinity]) assert.equal(bucketOf(us), BUCKETS - 1);
  assert.equal(bucketOf(2 ** 27 - 1), BUCKETS - 2);
});

test('a quantile is within a quarter of the true one', () => {
  const latencies = fc.array(fc.integer({ min: 2, max: 1e8 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(latencies, fc.double({ min: 0.01, max: 1, noNaN: true }), (values, q) => {
      const sorted = values.toSorted((a, b) => a - b);
      const exact = sorted[Math.ceil(q * sorted.length) - 1]!;
      const found = quantile([histogram(values)], q);
      assert.ok(found >= exact / 1.26 && found <= exact * 1.26, `${found} for ${exact}`);
    }),
  );
});

test('histograms are taken together, and none at all give 0', () => {
  const low = histogram([10, 10, 10]);
  const high = histogram([1000]);
  assert.equal(bucketOf(quantile([low, high], 0.5)), bucketOf(10));
  assert.equal(bucketOf(quantile([low, high], 0.99)), bucketOf(1000));
  assert.equal(quantile([low, high], 0.75), quantile([new Float64Array([...low, ...high])], 0.75));
  assert.equal(quantile([histogram([])], 0.99), 0);
  assert.equal(quantile([], 0.99), 0);
});

function histogram(values: readonly number[]): Float64Array {
  const counts = new Float64Array(BUCKETS);
  for (const value of values) counts[bucketOf(value)]! += 1;
  return counts;
}
