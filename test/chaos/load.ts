/**
 * The load: 64 clients over all slots, half of them one command at a time, half pipelined, and its account.
 *
 * Its rate is bounded, so that a pause is the proxy's or the cluster's and not that of a machine without a free
 * core. How long this process itself was held up is told beside the pauses, which can't be shorter.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../support/wait.ts';
import { Caller, type InFlight, type Sight } from './caller.ts';
import { Findings, type Ledger } from './ledger.ts';
import { Work } from './work.ts';

export interface LoadOptions {
  readonly port: number;
  readonly clients: number;
  /** Commands a second of all clients together. */
  readonly rate: number;
  readonly round: string;
  readonly inFlight: InFlight;
  /** How many of the clients wait for a replica behind each write. */
  readonly safe: number;
}

const TICK_MS = 5;
/** Commands under way of the clients that pipeline. */
const [LEAST, MOST] = [8, 32];
/** A pipelining client is given so many times the commands of one that waits for each reply. */
const SHARE = 4;
/** Beyond this a reply is not waited for any longer. */
const PATIENCE_MS = 90_000;

export class Load {
  readonly findings = new Findings();
  readonly sight: Sight = {
    answered: 0,
    errors: new Map(),
    unconfirmed: new Map(),
    unknown: 0,
    unread: 0,
    pause: 0,
    latencies: [],
  };
  /** The latencies of each stretch that was marked. */
  readonly marks: Sight['latencies'][] = [];
  private readonly callers: Caller[];
  private readonly own = monitorEventLoopDelay({ resolution: 1 });
  private ticking: NodeJS.Timeout | undefined;

  constructor(options: LoadOptions) {
    const { port, clients, rate, round, safe, inFlight } = options;
    const single = (rate / clients) * (2 / (1 + SHARE));
    this.callers = Array.from({ length: clients }, (_, client) => {
      const work = new Work(
        { client, clients, round, safe: client % 2 === 0 && client < safe * 2 },
        this.findings,
      );
      const depth = client % 2 === 0 ? 1 : LEAST + Math.floor(Math.random() * (MOST - LEAST + 1));
      const pace = { depth, rate: depth === 1 ? single : single * SHARE };
      return new Caller(port, work, pace, this.sight, inFlight);
    });
  }

  /** Resolves when all clients are connected and have begun. */
  async start(): Promise<void> {
    await Promise.all(this.callers.map((caller) => caller.start()));
    this.own.enable();
    this.ticking = setInterval(() => {
      const now = performance.now();
      for (const caller of this.callers) caller.tick(now);
    }, TICK_MS);
  }

  /** Every key that was written to. */
  get ledgers(): Ledger[] {
    return this.callers.flatMap(({ work }) => [...work.ledgers.values()]);
  }

  /** Runs for so many ms. */
  async runs(ms: number): Promise<void> {
    await delay(ms);
  }

  /** Ends a stretch of time: latencies are kept apart. */
  mark(): void {
    this.marks.push(this.sight.latencies);
    this.sight.latencies = [];
  }

  /** The longest time in which this process did nothing, ms. */
  get ownPause(): number {
    return this.own.max / 1e6;
  }

  /** No more commands; resolves when all have been answered. */
  async stop(): Promise<void> {
    clearInterval(this.ticking);
    const idle = () => this.callers.every(({ pending }) => pending === 0);
    await until('all replies', idle, PATIENCE_MS).catch(() => {});
    this.own.disable();
    for (const caller of this.callers) caller.close();
  }
}
