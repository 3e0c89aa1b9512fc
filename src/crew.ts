// The workers: starts them, passes on what they ask each other, and puts another in the place of one that dies.
//
//   worker 0 --ask--> crew --ask--> workers 1, 2 ...
//            <-answer--    <-answer-
//
// A worker that dies, by a mistake or for want of memory, takes its own clients with it and nobody else. The others
// are told, so that they count nothing of it any more; what they have asked of it is answered without it; and the
// one that takes its place is told by them what it would have heard (pauses, monitors, subscriptions) before it opens
// its door. When that dies too, the next waits a while longer.

import { rmSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { Door } from './client/listener.ts';
import type { Topology } from './cluster/topology.ts';
import type { Held, Keep } from './functions/holdings.ts';
import type { Log } from './log.ts';
import { Counters, GAUGES, TOTAL } from './telemetry/counters.ts';
import { CLIENTS, type FromWorker, type Inquiry, type ToWorker, type WorkerStart } from './worker.ts';

/** Until the next worker is started in a dead one's place, ms: at first, and at most. */
const FIRST_WAIT = 50;
const LONGEST_WAIT = 10_000;
/** A worker that has lived for so long, ms, was well. */
const WELL_AFTER = 60_000;

export interface CrewOptions {
  /** What is the same for every worker. */
  readonly start: Pick<WorkerStart, 'config' | 'server' | 'commands' | 'shared'>;
  /** Commands' names by id. */
  readonly names: readonly string[];
  readonly topology: () => Topology;
  /** The libraries of remote functions. */
  readonly held: () => Held;
  /** A worker wants libraries to be changed. @throws (rejects) an Error with the text for the client */
  readonly keep: (what: Keep) => Promise<void>;
  /** A worker wants a newer map. */
  readonly stale: (news: boolean) => void;
  readonly log: Log;
}

interface Member {
  readonly index: number;
  readonly counters: Counters;
  doors: readonly Door[];
  /** Undefined while another is on its way. */
  worker: Worker | undefined;
  startedAt: number;
  /** In a row, each soon after the last. */
  deaths: number;
}

/** Something that workers have been asked. */
interface Asked {
  /** Who asks: a worker, or MAIN. */
  readonly from: number;
  readonly waiting: Set<number>;
  readonly values: unknown[];
  readonly done: (values: unknown[]) => void;
}

/** The main thread, where it asks the workers. */
const MAIN = -1;

export class Crew {
  private readonly options: CrewOptions;
  private readonly members: Member[] = [];
  private readonly inquiries = new Map<number, Asked>();
  private inquiry = 0;
  private closing = false;

  constructor(options: CrewOptions) {
    this.options = options;
  }

  /** Starts all workers; the doors as they are bound. Rejects when one can't be started. */
  async open(wanted: readonly Door[]): Promise<readonly Door[]> {
    let doors = wanted;
    for (let index = 0; index < this.options.start.config.workers; index++) {
      const counters = Counters.create(this.options.names);
      const member = { index, counters, doors, worker: undefined, startedAt: 0, deaths: 0 };
      // A unix socket can't be shared: the first worker alone listens there.
      if (index > 0) member.doors = doors.filter((door) => !('path' in door));
      this.members.push(member);
      const bound = await this.start(member, false);
      if (index === 0) doors = member.doors = bound;
    }
    return doors;
  }

  get counters(): readonly Counters[] {
    return this.members.map(({ counters }) => counters);
  }

  /** Why not all of it serves, if so. */
  get problem(): string | undefined {
    const missing = this.members.filter(({ worker }) => worker === undefined).length;
    return missing === this.members.length && missing > 0 ? 'its workers have died' : undefined;
  }

  /** Tells every worker. */
  tell(message: ToWorker): void {
    for (const { worker } of this.members) worker?.postMessage(message);
  }

  /** Asks every worker; resolves with the answers of those that live. */
  ask(what: Inquiry): Promise<unknown[]> {
    return new Promise((resolve) => this.inquire(MAIN, what, resolve));
  }

  /** Has all workers take leave of their clients, and ends them; within a time in ms. */
  async drain(within: number): Promise<void> {
    this.closing = true;
    const workers = this.members.flatMap(({ worker }) => worker ?? []);
    const late = new Promise((resolve) => setTimeout(resolve, within).unref());
    await Promise.race([late, Promise.all(workers.map(drained))]);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  /** While it drains: clients that are still connected go on no longer. */
  hurry(): void {
    this.tell({ type: 'drain' });
  }

  /** Resolves with the doors when the worker listens. `newcomer`: in the place of another. */
  private start(member: Member, newcomer: boolean): Promise<readonly Door[]> {
    const { start, topology, held } = this.options;
    const { index, counters, doors } = member;
    const workerData: WorkerStart = {
      ...start,
      index,
      counters: counters.buffer,
      topology: topology(),
      held: held(),
      doors,
      newcomer,
    };
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), { workerData });
    member.worker = worker;
    member.startedAt = performance.now();
    let reason = 'it has ended';
    return new Promise((resolve, reject) => {
      let listening = false;
      worker.on('message', (message: FromWorker) => {
        if (message.type === 'listening') {
          listening = true;
          resolve(message.doors);
        } else if (message.type === 'failed') reject(new Error(message.reason));
        else this.receive(index, message);
      });
      worker.on('error', (error: unknown) => {
        reason = (error as Error).stack ?? String(error);
        reject(error);
      });
      worker.on('exit', () => {
        reject(new Error(reason));
        if (listening || newcomer) this.died(member, worker, reason);
      });
    });
  }

  private died(member: Member, worker: Worker, reason: string): void {
    if (this.closing || member.worker !== worker) return;
    const { index, counters, startedAt } = member;
    member.worker = undefined;
    member.deaths = performance.now() - startedAt > WELL_AFTER ? 1 : member.deaths + 1;
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (member.deaths - 1));
    const clients = counters.totals[TOTAL.clients]!;
    this.options.log.error(
      { worker: index, clients, reason, wait },
      'a worker has died; another takes its place',
    );
    Atomics.sub(new BigInt64Array(this.options.start.shared), CLIENTS, BigInt(clients));
    for (const gauge of GAUGES) counters.totals[gauge] = 0;
    for (const [id, inquiry] of this.inquiries) {
      if (inquiry.from === index) this.inquiries.delete(id);
      else if (inquiry.waiting.delete(index)) this.finish(id);
    }
    this.tell({ type: 'gone', index });
    setTimeout(() => this.replace(member), wait).unref();
  }

  private async replace(member: Member): Promise<void> {
    if (this.closing) return;
    // What a dead listener leaves behind.
    for (const door of member.doors) if ('path' in door) rmSync(door.path, { force: true });
    try {
      await this.start(member, true);
      this.options.log.info({ worker: member.index }, 'a worker has taken the place of one that died');
    } catch (error) {
      // One that only could not listen is still there, and is of no use.
      const { worker } = member;
      await worker?.terminate();
      this.options.log.error(
        { worker: member.index, reason: (error as Error).message },
        'a worker could not be started',
      );
    }
  }

  private receive(from: number, message: FromWorker): void {
    if (message.type === 'stale') return this.options.stale(message.news);
    // Not the one that may have taken its place meanwhile.
    const { worker } = this.members[from]!;
    const answer = (id: number, value: unknown) =>
      worker?.postMessage({ type: 'answer', id, value } satisfies ToWorker);
    if (message.type === 'ask') this.inquire(from, message.what, (values) => answer(message.id, values));
    else if (message.type === 'keep')
      this.options.keep(message.what).then(
        () => answer(message.id, undefined),
        (error: Error) => answer(message.id, error.message),
      );
    else if (message.type === 'answer') {
      const inquiry = this.inquiries.get(message.id);
      if (!inquiry?.waiting.delete(from)) return;
      inquiry.values.push(message.value);
      this.finish(message.id);
    }
  }

  private inquire(from: number, what: Inquiry, done: (values: unknown[]) => void): void {
    const others = this.members.filter(({ index, worker }) => index !== from && worker !== undefined);
    const id = this.inquiry++;
    this.inquiries.set(id, { from, waiting: new Set(others.map(({ index }) => index)), values: [], done });
    for (const { worker } of others) worker!.postMessage({ type: 'ask', id, what } satisfies ToWorker);
    this.finish(id);
  }

  private finish(id: number): void {
    const { waiting, values, done } = this.inquiries.get(id)!;
    if (waiting.size > 0) return;
    this.inquiries.delete(id);
    done(values);
  }
}

function drained(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    worker.on('message', (message: FromWorker) => {
      if (message.type === 'drained') resolve();
    });
    worker.on('exit', () => resolve());
    worker.postMessage({ type: 'drain' } satisfies ToWorker);
  });
}
