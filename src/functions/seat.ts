// One function thread, as its worker sees it: what it has to do, and whether it comes back.
//
// The thread ends what goes on for too long by itself. This end watches over what the thread can't end: one native step
// that takes for ever. It counts the CPU time of the thread, too, as at its low priority a thread may wait long for
// its turn: a thread that has used far more than it should for one slice is killed, with all that was on it.

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { Job } from './job.ts';
import type { Answer, Order, Report, ThreadStart } from './protocol.ts';

export interface SeatEvents {
  /** Something came of a slice, or the thread wants a reply for `call`. */
  report(seat: Seat, report: Report): void;
  /** The thread is no more. */
  lost(seat: Seat, reason: string): void;
}

/** ms of CPU beyond twice the limit of a slice: to start, to look at arguments, to write replies. */
const PATIENCE = 1000;
/** ms between two looks at a thread that is at work. */
const LOOK_EVERY = 250;
/** Libraries that a thread keeps, compiled. */
const MAX_LIBRARIES = 16;
/** MB. Deep recursion in QuickJS takes about 30 times its own stack of this. */
const STACK_MB = 16;

export class Seat {
  /** It has started. */
  ready = false;
  /** Runs that are on it, suspended or not. */
  readonly runs = new Set<number>();
  /** Versions of libraries that it has; the longest unused comes first. */
  private readonly versions = new Set<string>();
  /** Since when it has been at work without a pause, in performance.now(); 0: it is not. */
  busySince = 0;
  /** The run that waits for a reply right now; 0: none. */
  calling = 0;
  private owed = 0;
  private readonly worker: Worker;
  private readonly port: MessagePort;
  private readonly bell = new Int32Array(new SharedArrayBuffer(4));
  private readonly lockTimeout: () => number;
  /** What a slice may take just now, and what the thread had taken before it: ms of CPU. */
  private limit = 0;
  private used = 0;
  private watchdog: NodeJS.Timeout | undefined;

  constructor(limits: Omit<ThreadStart, 'bell' | 'port'>, lockTimeout: () => number, events: SeatEvents) {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    port1.unref();
    this.lockTimeout = lockTimeout;
    const workerData: ThreadStart = { ...limits, bell: this.bell, port: port2 };
    this.worker = new Worker(new URL('./thread.ts', import.meta.url), {
      workerData,
      transferList: [port2],
      resourceLimits: { stackSizeMb: STACK_MB },
    });
    this.worker.unref();
    this.worker.on('message', (report: Report) => this.hear(report, events));
    let reason = 'it did not give way';
    this.worker.on('error', (error) => {
      reason = String(error);
    });
    this.worker.on('exit', () => {
      this.stopWatching();
      this.port.close();
      events.lost(this, reason);
    });
  }

  /** It runs nothing at this moment. */
  get free(): boolean {
    return this.ready && this.owed === 0;
  }

  has(version: string): boolean {
    return this.versions.has(version);
  }

  start(run: number, job: Job, lockTimeout: number): void {
    const { library, ...task } = job;
    const { version } = library;
    const known = this.versions.delete(version);
    this.versions.add(version);
    const [oldest] = this.versions;
    const forget = this.versions.size > MAX_LIBRARIES ? oldest : undefined;
    if (forget !== undefined) this.versions.delete(forget);
    const given = known ? undefined : library;
    this.order({ type: 'start', run, task, version, library: given, forget, lockTimeout });
  }

  order(order: Order): void {
    this.owed++;
    if (this.busySince === 0 && this.calling === 0) this.busySince = performance.now();
    this.worker.postMessage(order);
    if (this.calling === 0 && this.watchdog === undefined) this.watch(this.lockTimeout());
  }

  /** The reply that it waits for. */
  reply(answer: Answer): void {
    this.calling = 0;
    this.busySince = performance.now();
    this.port.postMessage(answer);
    Atomics.add(this.bell, 0, 1);
    Atomics.notify(this.bell, 0);
    this.watch(this.lockTimeout());
  }

  end(): void {
    void this.worker.terminate();
  }

  private hear(report: Report, events: SeatEvents): void {
    this.stopWatching();
    this.used = report.used;
    if (report.type === 'ready') this.ready = true;
    if (report.type === 'call') this.calling = report.run;
    if (report.type === 'idle') this.owed--;
    if (this.owed === 0 || this.calling !== 0) this.busySince = 0;
    if (this.owed > 0 && this.calling === 0) {
      this.watch(report.type === 'loading' ? report.limit : this.lockTimeout());
    }
    events.report(this, report);
  }

  private watch(limit: number): void {
    this.limit = limit;
    this.watchdog = setInterval(() => void this.look(), LOOK_EVERY);
    this.watchdog.unref();
  }

  private stopWatching(): void {
    clearInterval(this.watchdog);
    this.watchdog = undefined;
  }

  private async look(): Promise<void> {
    const { watchdog, limit, used } = this;
    // It rejects when the thread has ended meanwhile.
    const usage = await this.worker.cpuUsage().catch(() => ({ user: 0, system: 0 }));
    const spent = (usage.user + usage.system) / 1000 - used;
    if (this.watchdog === watchdog && spent > 2 * limit + PATIENCE) this.end();
  }
}
