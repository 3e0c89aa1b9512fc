// What a loader has seen between the start and the end of the measured span.
//
// The endpoint's CPU is read here, at these two moments, not around the loader's process.

import { cpuSeconds, residentBytes } from './account.ts';
import { Histogram } from './histogram.ts';

/** What was seen of one endpoint in one round. A figure that can't be known is null in JSON and NaN here. */
export interface Sample {
  /** Microseconds of CPU that the endpoint spent per command, or per delivered message. */
  readonly cpu: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** Bytes resident at the end. */
  readonly rss: number;
  /** Share of one processor that the endpoint used: CPU seconds per second. */
  readonly busy: number;
  /** The same of the loader: near 1, it is the loader's pace that was measured, not the endpoint's. */
  readonly loader: number;
}

export class Meter {
  /** Commands, or deliveries, in the span. */
  count = 0;
  readonly #pid: number;
  readonly #latency = new Histogram();
  #from = Number.POSITIVE_INFINITY;
  #cpu = 0;
  #own = 0;

  /** `pid`: the endpoint's process, 0 when not known. */
  constructor(pid: number) {
    this.#pid = pid;
  }

  /** What is due from now on counts. */
  start(): void {
    this.#cpu = cpuSeconds(this.#pid);
    this.#own = cpuSeconds(process.pid);
    this.#from = performance.now();
  }

  /** Counts `count` commands that were due, and done, at these times (of performance.now). */
  add(due: number, now: number, count: number): void {
    if (due < this.#from) return;
    this.#latency.add(now - due, count);
    this.count += count;
  }

  /** The span ends now. */
  sample(now: number): Sample | Error {
    const cpu = cpuSeconds(this.#pid) - this.#cpu;
    const own = cpuSeconds(process.pid) - this.#own;
    if (this.count === 0) return new Error('nothing was answered');
    const seconds = (now - this.#from) / 1000;
    return {
      cpu: (cpu * 1e6) / this.count,
      perSecond: this.count / seconds,
      p50: this.#latency.quantile(0.5),
      p99: this.#latency.quantile(0.99),
      p999: this.#latency.quantile(0.999),
      rss: residentBytes(this.#pid),
      busy: cpu / seconds,
      loader: own / seconds,
    };
  }
}
