import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counters, TOTAL } from '../../src/telemetry/counters.ts';
import { startVitals } from '../../src/telemetry/vitals.ts';

test('a worker writes its heap, its CPU and its lag, until it is told to stop', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const counters = Counters.create([]);
  const stop = startVitals(counters, 1000);
  assert.equal(counters.totals[TOTAL.heapBytes], 0);
  t.mock.timers.tick(1000);
  assert.ok(counters.totals[TOTAL.heapBytes]! > 1e6);
  assert.ok(counters.totals[TOTAL.cpuSeconds]! > 0);
  assert.ok(counters.totals[TOTAL.loopLag]! >= 0);
  assert.ok(counters.totals[TOTAL.loopBusy]! >= 0 && counters.totals[TOTAL.loopBusy]! <= 1);
  stop();
  counters.totals[TOTAL.heapBytes] = 0;
  t.mock.timers.tick(5000);
  assert.equal(counters.totals[TOTAL.heapBytes], 0);
});
