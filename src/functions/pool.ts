// Function threads of one worker: which job goes to which thread, and what the runs on them ask of the worker.
//
// A thread runs one slice at a time, and a run that waits in an await takes none: so a job goes to any thread that
// runs nothing at this moment, to one without suspended runs first, and waits in a queue while there is none. However
// deep functions call each other through runOnKey, the outer ones are suspended and keep no thread from the inner.
// As many as there are cores run side by side, since more would only take turns; one that goes on for long is left out
// of the account, so that those behind it do not wait for it. Threads are started one at a time, since a start costs far more than most runs do: what waits is often done before.
//
// A run has two ends: its outcome is told when its function has ended, and it is forgotten when what it has started
// in the background has ended, too. Both are not later than its `maxRunTime`.

import { availableParallelism } from 'node:os';
import type { Host, Job, Outcome, Runner } from './job.ts';
import type { Registrations } from './library.ts';
import {
  type Answer,
  DROPPED,
  type Ending,
  type News,
  type Question,
  type Report,
  type Source,
  TERMINATED,
} from './protocol.ts';
import { Seat, type SeatEvents } from './seat.ts';

export interface PoolOptions {
  /** Threads at most. */
  readonly threads: number;
  /** Bytes of one library on one thread. */
  readonly memory: number;
  /** Bytes that one run may give. */
  readonly maxReplyBytes: number;
  /** ms that a run may go on without giving way; asked before each run, since it can be changed. */
  readonly lockTimeout: () => number;
}

/** Runs under way or waiting, of one worker. */
export const MAX_RUNS = 10_000;
/** ms that looking at a library may take, waiting for a thread included. */
const INSPECT_TIME = 30_000;

const CORES = availableParallelism();
/** ms. A run that goes on for longer is a long one. */
const BRIEF = 20;

/** What there is to do: a job, or a library to look at. */
type Work = { readonly job: Job } | { readonly source: Source };

interface Run {
  readonly id: number;
  readonly work: Work;
  readonly host: Host | undefined;
  readonly settle: (ending: Ending) => void;
  timer: NodeJS.Timeout | undefined;
  seat: Seat | undefined;
}

export class Pool implements Runner, SeatEvents {
  readonly options: PoolOptions;
  private readonly seats: Seat[] = [];
  private readonly runs = new Map<number, Run>();
  private readonly waiting = new Set<Run>();
  private lastRun = 0;
  private later: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(options: PoolOptions) {
    this.options = options;
  }

  async inspect({ name, apiVersion, code, config }: Source): Promise<Registrations> {
    const ending = await this.begin({ source: { name, apiVersion, code, config } }, INSPECT_TIME, undefined);
    if ('registrations' in ending) return ending.registrations;
    throw new Error('error' in ending ? ending.error : TERMINATED);
  }

  async run(job: Job, host: Host): Promise<Outcome> {
    const ending = await this.begin({ job }, job.maxRunTime, host);
    if ('reply' in ending || 'result' in ending) return ending;
    throw new Error('error' in ending ? ending.error : TERMINATED);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.later);
    for (const run of [...this.runs.values()]) this.forget(run, { error: 'The proxy is closing' });
    for (const seat of [...this.seats]) this.retire(seat);
  }

  report(seat: Seat, report: Report): void {
    for (const news of report.news) this.hear(seat, news);
    if (report.type === 'call') this.call(seat, report.run, report.words);
    if (report.type === 'idle' && report.worn && seat.free && seat.runs.size === 0) this.retire(seat);
    this.placeWaiting();
  }

  lost(seat: Seat, reason: string): void {
    this.retire(seat);
    // Nor will the next one: those that wait shall not wait for ever.
    if (!seat.ready && !this.closed)
      for (const run of [...this.waiting])
        this.forget(run, { error: `slotless: a function thread could not be started: ${reason}` });
    for (const id of seat.runs) {
      const run = this.runs.get(id);
      if (!run) continue;
      run.host?.log('warn', `the thread of a function has been ended: ${reason}`);
      this.forget(run, { error: TERMINATED });
    }
    this.placeWaiting();
  }

  private begin(work: Work, time: number, host: Host | undefined): Promise<Ending> {
    if (this.closed) return Promise.resolve({ error: 'The proxy is closing' });
    if (this.runs.size >= MAX_RUNS) return Promise.resolve({ error: 'Too many functions are running' });
    const id = ++this.lastRun;
    return new Promise((settle) => {
      const run: Run = { id, work, host, settle, timer: undefined, seat: undefined };
      this.runs.set(id, run);
      // One at a shard has all of its time for itself: what others do to the threads is not held against it.
      if (!isAtShard(work)) this.limit(run, time);
      this.waiting.add(run);
      this.placeWaiting();
    });
  }

  /** As many as there are threads for, in the order in which they came. */
  private placeWaiting(): void {
    for (const run of this.waiting) {
      const seat = this.seatFor(run);
      if (!seat) break;
      this.waiting.delete(run);
      this.place(run, seat);
    }
    // One to spare, so that the next job finds it started.
    if (this.runs.size > 0 && this.seats.every((seat) => seat.ready && !seat.free)) this.open();
  }

  private place(run: Run, seat: Seat): void {
    const { id, work } = run;
    const lockTimeout = this.options.lockTimeout();
    run.seat = seat;
    seat.runs.add(id);
    // First: who waits for it has a word of its own for what takes too long.
    run.host?.started?.();
    if (isAtShard(work)) this.limit(run, work.job.maxRunTime);
    if ('job' in work) seat.start(id, work.job, lockTimeout);
    else seat.order({ type: 'inspect', run: id, source: work.source, lockTimeout });
  }

  private seatFor({ work }: Run): Seat | undefined {
    if (this.isCrowded()) return undefined;
    const version = 'job' in work ? work.job.library.version : undefined;
    const free = this.seats.filter((seat) => seat.free);
    const idle = free.filter((seat) => seat.runs.size === 0);
    return idle.find((seat) => version !== undefined && seat.has(version)) ?? idle[0] ?? free[0];
  }

  /** Every core has a run that has just begun: they are waited for, for a moment. */
  private isCrowded(): boolean {
    const now = performance.now();
    const brief = this.seats.filter((seat) => seat.busySince > now - BRIEF);
    if (brief.length < CORES) return false;
    this.later ??= setTimeout(() => {
      this.later = undefined;
      this.placeWaiting();
    }, BRIEF).unref();
    return true;
  }

  /** A thread more, if there may be one. */
  private open(): void {
    const { threads, memory, maxReplyBytes, lockTimeout } = this.options;
    if (this.closed || this.seats.length >= threads) return;
    this.seats.push(new Seat({ memory, maxReplyBytes }, lockTimeout, this));
  }

  private retire(seat: Seat): void {
    const at = this.seats.indexOf(seat);
    if (at < 0) return;
    this.seats.splice(at, 1);
    seat.end();
  }

  private hear(seat: Seat, news: News): void {
    const run = this.runs.get(news.run);
    if (news.type === 'over') seat.runs.delete(news.run);
    if (!run) return;
    switch (news.type) {
      case 'ask':
        return this.ask(run, news.ask, news.question);
      case 'log':
        return run.host?.log(news.level, news.text);
      case 'ended':
        return run.settle(news.ending);
      case 'over':
        return this.forget(run, { error: DROPPED });
    }
  }

  private ask(run: Run, ask: number, question: Question): void {
    const { host, id } = run;
    if (!host) return;
    answered(() => put(host, question)).then((answer) => {
      if (this.runs.has(id)) run.seat?.order({ type: 'answer', run: id, ask, answer });
    });
  }

  private call(seat: Seat, id: number, words: readonly Uint8Array[]): void {
    const host = this.runs.get(id)?.host;
    if (!host) return seat.reply({ gone: true });
    answered(async () => ({ replies: [await host.call(words)] })).then((answer) => {
      if (this.runs.has(id)) seat.reply(answer);
    });
  }

  private limit(run: Run, time: number): void {
    run.timer = setTimeout(() => this.giveUp(run), time);
    run.timer.unref();
  }

  /** It has not ended in time. */
  private giveUp(run: Run): void {
    const { seat, id } = run;
    this.forget(run, { error: DROPPED });
    if (seat === undefined) return;
    if (seat.calling === id) seat.reply({ gone: true });
    seat.order({ type: 'drop', run: id });
    seat.runs.delete(id);
  }

  /** The ending counts only if there was none before. */
  private forget(run: Run, ending: Ending): void {
    clearTimeout(run.timer);
    this.runs.delete(run.id);
    this.waiting.delete(run);
    run.settle(ending);
  }
}

function isAtShard(work: Work): work is { readonly job: Job } {
  return 'job' in work && work.job.kind === 'cluster';
}

/** What a host does of itself for a question. */
async function put(host: Host, question: Question): Promise<Answer> {
  switch (question.kind) {
    case 'calls': {
      const [only, ...more] = question.commands;
      if (only && more.length === 0) return { replies: [await host.call(only)] };
      return { replies: await host.calls(question.commands) };
    }
    case 'runOnKey':
      return { sent: await host.runOnKey(question.key, question.name, question.args) };
    case 'runOnShards':
      return host.runOnShards(question.name, question.args);
    case 'map':
      return { replies: [await host.map(question.commands, question.reducer, question.options)] };
    case 'fanout':
      return { replies: [await host.fanout(question.commands[0] ?? [], question.reducer, question.options)] };
  }
}

/** A rejection, too, is an answer. */
async function answered(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
