// One function thread, as its worker sees it: what it has to do, and whether it comes back.
//
// The thread ends what goes on for too long by itself, in CPU time. This end has a wall clock for what the thread
// can't end: one native step that takes for ever. It is wound up when the thread gets to work and stopped when it has
// nothing to do or waits for us; when it runs down the thread is killed, with all that was on it.

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { Answer, Order, Report, ThreadStart } from './protocol.ts';

export interface SeatEvents {
  /** Something came of a slice, or the thread wants a reply for `call`. */
  report(seat: Seat, report: Report): void;
  /** The thread is no more. */
  lost(seat: Seat): void;
}

/** Beside the lock timeout many times over: starting, loading, and waiting for a CPU at the lowest priority. */
const PATIENCE_TIMES = 10;
const PATIENCE_MORE = 5000;
/** MB. Deep recursion in QuickJS takes about 30 times its own stack of this. */
const STACK_MB = 16;

export class Seat {
  /** Runs that are on it, suspended or not. */
  readonly runs = new Set<number>();
  /** Versions of libraries that have run on it. */
  readonly versions = new Set<string>();
  /** The run that waits for a reply right now; 0: none. */
  calling = 0;
  private owed = 0;
  private readonly worker: Worker;
  private readonly port: MessagePort;
  private readonly bell = new Int32Array(new SharedArrayBuffer(4));
  private readonly patience: () => number;
  private watchdog: NodeJS.Timeout | undefined;

  constructor(limits: Omit<ThreadStart, 'bell' | 'port'>, lockTimeout: () => number, events: SeatEvents) {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    port1.unref();
    this.patience = () => PATIENCE_TIMES * lockTimeout() + PATIENCE_MORE;
    const workerData: ThreadStart = { ...limits, bell: this.bell, port: port2 };
    this.worker = new Worker(new URL('./thread.ts', import.meta.url), {
      workerData,
      transferList: [port2],
      resourceLimits: { stackSizeMb: STACK_MB },
    });
    this.worker.unref();
    this.worker.on('message', (report: Report) => {
      this.stopWatching();
      if (report.type === 'call') this.calling = report.run;
      else this.owed--;
      if (this.owed > 0 && this.calling === 0) this.watch();
      events.report(this, report);
    });
    // What it was is told to those who wait for its runs.
    this.worker.on('error', () => {});
    this.worker.on('exit', () => {
      this.stopWatching();
      this.port.close();
      events.lost(this);
    });
  }

  /** It runs nothing at this moment. */
  get free(): boolean {
    return this.owed === 0;
  }

  order(order: Order): void {
    this.owed++;
    this.worker.postMessage(order);
    if (this.calling === 0 && this.watchdog === undefined) this.watch();
  }

  /** The reply that it waits for. */
  reply(answer: Answer): void {
    this.calling = 0;
    this.port.postMessage(answer);
    Atomics.add(this.bell, 0, 1);
    Atomics.notify(this.bell, 0);
    this.watch();
  }

  end(): void {
    void this.worker.terminate();
  }

  private watch(): void {
    this.watchdog = setTimeout(() => this.end(), this.patience());
    this.watchdog.unref();
  }

  private stopWatching(): void {
    clearTimeout(this.watchdog);
    this.watchdog = undefined;
  }
}
