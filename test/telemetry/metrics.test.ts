/**
 * The text for Prometheus, read back by a small parser of its own: names, HELP and TYPE lines, labels, and
 * histograms that add up.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { BUCKETS, bucketOf } from '../../src/telemetry/buckets.ts';
import { Counters, TOTAL } from '../../src/telemetry/counters.ts';
import { BOUNDARIES } from '../../src/telemetry/histogram.ts';
import { type Metrics, openMetrics } from '../../src/telemetry/metrics.ts';

const NAMES = ['get', 'set', 'config|get'];
const GET = 0;
const SET = 1;

let workers: Counters[];
let ready: boolean;
let metrics: Metrics;

beforeEach(() => {
  workers = [Counters.create(NAMES), Counters.create(NAMES)];
  ready = true;
  metrics = openMetrics({
    counters: () => workers,
    nodes: () => ({ primary: 3, replica: 2 }),
    ready: () => ready,
  });
});

afterEach(() => metrics.close());

test('totals are added up over the workers', async () => {
  workers[0]!.totals[TOTAL.clients] = 3;
  workers[1]!.totals[TOTAL.clients] = 4;
  workers[1]!.totals[TOTAL.bytesToNodes] = 1e12;
  workers[0]!.totals[TOTAL.redirectsAsk] = 2;
  const { samples } = await scrape();
  assert.equal(samples.get('slotless_clients'), 7);
  assert.equal(samples.get('slotless_bytes_total{direction="to_nodes"}'), 1e12);
  assert.equal(samples.get('slotless_redirects_total{kind="ask"}'), 2);
  assert.equal(samples.get('slotless_nodes{role="primary"}'), 3);
  assert.equal(samples.get('slotless_nodes{role="replica"}'), 2);
  assert.equal(samples.get('slotless_workers'), 2);
  assert.ok(samples.get('process_resident_memory_bytes')! > 1e7);
});

test('readiness is asked for each time', async () => {
  assert.equal((await scrape()).samples.get('slotless_ready'), 1);
  ready = false;
  assert.equal((await scrape()).samples.get('slotless_ready'), 0);
});

test('what a worker says of itself carries its number', async () => {
  workers[1]!.totals[TOTAL.heapBytes] = 5e6;
  const { samples } = await scrape();
  assert.equal(samples.get('slotless_worker_heap_bytes{worker="0"}'), 0);
  assert.equal(samples.get('slotless_worker_heap_bytes{worker="1"}'), 5e6);
});

test('commands are listed once they were called, by outcome', async () => {
  record(workers[0]!, GET, 100, false);
  record(workers[1]!, GET, 100, true);
  const { samples } = await scrape();
  assert.equal(samples.get('slotless_commands_total{command="get",outcome="ok"}'), 1);
  assert.equal(samples.get('slotless_commands_total{command="get",outcome="error"}'), 1);
  assert.deepEqual(
    [...samples.keys()].filter((name) => name.includes('command="set"') || name.includes('config|get')),
    [],
  );
});

test('latencies are a histogram of Prometheus: cumulative, with sum and count', async () => {
  const latencies = [1, 15, 20, 100, 100, 5000, 1e6, 60e6];
  for (const [i, us] of latencies.entries()) record(workers[i % 2]!, SET, us, false);
  const { samples } = await scrape();
  const name = 'slotless_command_duration_seconds';
  assert.equal(samples.get(`${name}_count{command="set"}`), latencies.length);
  const sum = latencies.reduce((a, b) => a + b) / 1e6;
  assert.ok(Math.abs(samples.get(`${name}_sum{command="set"}`)! - sum) < 1e-9);
  for (const bound of BOUNDARIES) {
    const below = latencies.filter((us) => us / 1e6 < bound).length;
    assert.equal(samples.get(`${name}_bucket{command="set",le="${bound}"}`), below, String(bound));
  }
  assert.equal(samples.get(`${name}_bucket{command="set",le="+Inf"}`), latencies.length);
  assert.equal(
    [...samples.keys()].filter((key) => key.startsWith(`${name}_bucket`)).length,
    BOUNDARIES.length + 1,
  );
});

test('each metric has a HELP and a TYPE line of its own, and nothing is added to its name', async () => {
  record(workers[0]!, GET, 100, false);
  const { samples, types, helps, text } = await scrape();
  for (const sample of samples.keys()) {
    const family = sample.replace(/\{.*/, '');
    const base = types.has(family) ? family : family.replace(/_(bucket|sum|count)$/, '');
    assert.ok(types.has(base), sample);
    assert.match(helps.get(base) ?? '', /^[A-Z].{10,}\.$/, base);
    assert.equal(types.get(base) === 'counter', base.endsWith('_total'), base);
    assert.match(base, /^(slotless|process)_[a-z_]+$/);
  }
  assert.equal(types.get('slotless_command_duration_seconds'), 'histogram');
  assert.doesNotMatch(text, /otel|target_info|description missing/);
  assert.ok(text.endsWith('\n'));
});

function record(counters: Counters, id: number, us: number, error: boolean): void {
  counters.calls[id]! += 1;
  counters.micros[id]! += us;
  counters.histogram[id * BUCKETS + bucketOf(us)]! += 1;
  if (error) counters.errors[id]! += 1;
}

async function scrape() {
  const text = await metrics.text();
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  const helps = new Map<string, string>();
  for (const line of text.split('\n')) {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment) {
      const known = comment[1] === 'HELP' ? helps : types;
      assert.equal(known.has(comment[2]!), false, line);
      known.set(comment[2]!, comment[3]!);
    } else if (line !== '') {
      const sample = /^([a-z_]+(?:\{[^}]*\})?) (\S+)$/.exec(line);
      assert.ok(sample, line);
      assert.equal(samples.has(sample[1]!), false, line);
      samples.set(sample[1]!, Number(sample[2]));
    }
  }
  return { text, samples, types, helps };
}
