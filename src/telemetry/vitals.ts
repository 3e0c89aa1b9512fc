/**
 * How a worker itself is doing: its heap, its thread's CPU, how late its event loop runs.
 *
 * These can only be asked from within the thread, so each worker writes them to its counters once a
 * second. The lag is by how much that very timer came late: coarse, but it costs one timer, where a
 * sampling histogram would wake an idle worker fifty times a second.
 */
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import type { Counters } from './counters.ts';
import { TOTAL } from './counters.ts';

/** Writes the vitals of this thread into `counters` every `every` milliseconds; returns what ends it. */
export function startVitals(counters: Counters, every = 1000): () => void {
  const { totals } = counters;
  let due = performance.now() + every;
  let before = performance.eventLoopUtilization();
  const measure = () => {
    const now = performance.now();
    const utilization = performance.eventLoopUtilization();
    const { user, system } = process.threadCpuUsage();
    totals[TOTAL.loopLag] = Math.max(0, now - due) / 1000;
    totals[TOTAL.loopBusy] = performance.eventLoopUtilization(utilization, before).utilization;
    totals[TOTAL.cpuSeconds] = (user + system) / 1e6;
    totals[TOTAL.heapBytes] = process.memoryUsage().heapUsed;
    before = utilization;
    due = now + every;
  };
  const timer = setInterval(measure, every).unref();
  return () => clearInterval(timer);
}
