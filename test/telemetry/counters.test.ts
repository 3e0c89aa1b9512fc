import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { BUCKETS, bucketOf } from '../../src/telemetry/buckets.ts';
import { Counters, TOTAL } from '../../src/telemetry/counters.ts';

const NAMES = ['get', 'set', 'config|get'];

test('arrays of one buffer do not overlap', () => {
  const counters = Counters.create(NAMES);
  const arrays = [counters.totals, counters.calls, counters.errors, counters.micros, counters.histogram];
  for (const [i, array] of arrays.entries()) array.fill(i + 1);
  for (const [i, array] of arrays.entries()) assert.ok(array.every((value) => value === i + 1));
  const length = arrays.reduce((sum, array) => sum + array.byteLength, 0);
  assert.equal(length, counters.buffer.byteLength);
});

test('every total has a place of its own', () => {
  const places = Object.values(TOTAL);
  assert.equal(new Set(places).size, places.length);
  assert.ok(Math.max(...places) < Counters.create([]).totals.length);
});

test('the histogram of a command is a view of its part', () => {
  const counters = Counters.create(NAMES);
  counters.histogram[1 * BUCKETS + bucketOf(50)]! += 1;
  assert.equal(counters.latencies(1)[bucketOf(50)], 1);
  assert.equal(counters.latencies(0).length, BUCKETS);
  assert.ok(counters.latencies(0).every((count) => count === 0));
});

test('what one thread counts another one reads', async () => {
  const counters = Counters.create(NAMES);
  const script = `
    const { workerData } = require('node:worker_threads');
    import(workerData.url).then(({ Counters, TOTAL }) => {
      const counters = Counters.attach(workerData.buffer, workerData.names);
      for (let i = 0; i < 1000; i++) counters.calls[2] += 1;
      counters.totals[TOTAL.clients] = 7;
    });`;
  const url = new URL('../../src/telemetry/counters.ts', import.meta.url).href;
  const worker = new Worker(script, {
    eval: true,
    workerData: { url, buffer: counters.buffer, names: NAMES },
  });
  await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  assert.equal(counters.calls[2], 1000);
  assert.equal(counters.totals[TOTAL.clients], 7);
});

test('attaching with other names is refused', () => {
  assert.throws(() => Counters.attach(Counters.create(NAMES).buffer, ['get']), RangeError);
});

test('a new table carries on from the old one, by name', () => {
  const old = Counters.create(NAMES);
  old.totals[TOTAL.clientsTotal] = 5;
  old.calls.set([1, 2, 3]);
  old.latencies(2)[4] = 3;
  const next = Counters.create(['json.get', 'config|get', 'get']).carry(old);
  assert.equal(next.totals[TOTAL.clientsTotal], 5);
  assert.deepEqual([...next.calls], [0, 3, 1]);
  assert.equal(next.latencies(1)[4], 3);
});
