// The loader: a process of its own that puts one workload on one endpoint and prints what it saw as JSON.
//
//   node bench/loader.ts '{"task":"load","host":"127.0.0.1","port":6379,"pid":1234,"workload":"get-1",...}'
//
// Closed loop: every connection sends its next pipeline when the last one is answered; latency is counted from
// the sending. Open loop (`rate`): pipelines are due at fixed times whatever the endpoint does, and latency is
// counted from the time a pipeline was due, so a stall is charged to all that had to wait for it (no coordinated
// omission). The open loop polls instead of sleeping, since a timer of 1 ms is coarser than the latencies: it
// takes a processor for itself.
// PUBLISH has its own loops: see fanout.ts.

import { Connection, IN_FLIGHT, type Observer } from './connection.ts';
import { FanOut } from './fanout.ts';
import { idle } from './idle.ts';
import { Meter, type Sample } from './meter.ts';
import { type Pipeline, pipelines, population, WORKLOADS, type Workload } from './workloads.ts';

/** What to do, given as JSON in the first argument. */
export interface Job {
  /** `populate` writes all keys and asks each pipeline once; `idle` opens `connections` and holds them. */
  readonly task: 'populate' | 'load' | 'idle';
  readonly host: string;
  readonly port: number;
  /** The endpoint's process, 0 when not known. */
  readonly pid: number;
  readonly workload: string;
  readonly connections: number;
  /** Seconds of load before the measuring, and of measuring. */
  readonly warm: number;
  readonly seconds: number;
  /** Ends the measuring after so many commands instead; 0: by time. */
  readonly requests: number;
  /** Commands (messages published) per second of the open loop; 0: closed loop. */
  readonly rate: number;
}

class Load implements Observer {
  readonly #job: Job;
  readonly #workload: Workload;
  readonly #connections: Connection[] = [];
  readonly #meter: Meter;
  readonly #end: (result: Sample | Error) => void;
  #ending = false;

  constructor(job: Job, workload: Workload, end: (result: Sample | Error) => void) {
    this.#job = job;
    this.#workload = workload;
    this.#meter = new Meter(job.pid);
    this.#end = end;
  }

  async run(): Promise<void> {
    const { host, port, rate, warm } = this.#job;
    const list = pipelines(this.#workload);
    for (let i = 0; i < this.#workload.connections; i++) {
      this.#connections.push(await Connection.open(host, port, list, i * 7, this));
    }
    if (rate > 0) this.#pump(performance.now(), (this.#workload.pipeline * 1000) / rate);
    else for (const connection of this.#connections) connection.send(performance.now());
    setTimeout(() => this.#start(), warm * 1000);
  }

  answered(connection: Connection, commands: number, due: number): void {
    const now = performance.now();
    this.#meter.add(due, now, commands);
    if (this.#ending) this.#finishWhenDrained(now);
    else if (this.#job.rate === 0) connection.send(now);
    if (this.#meter.count >= this.#job.requests && this.#job.requests > 0) this.#stop();
  }

  failed(error: Error): void {
    this.#end(error);
  }

  /** The open loop: the pipeline with the ordinal k is due at `from` + k * `gap`, on each connection in turn. */
  #pump(from: number, gap: number): void {
    let k = 0;
    const turn = () => {
      if (this.#ending) return;
      const now = performance.now();
      for (; from + k * gap <= now; k++) {
        const connection = this.#connections[k % this.#connections.length]!;
        if (connection.pending === IN_FLIGHT) break;
        connection.send(from + k * gap);
      }
      setImmediate(turn);
    };
    turn();
  }

  #start(): void {
    this.#meter.start();
    if (this.#job.requests === 0) setTimeout(() => this.#stop(), this.#job.seconds * 1000);
  }

  #stop(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#finishWhenDrained(performance.now());
  }

  /** A closed loop leaves out what is in flight at the end, as at the start; an open loop owes an account of all. */
  #finishWhenDrained(now: number): void {
    if (this.#job.rate > 0 && this.#connections.some((connection) => connection.pending > 0)) return;
    const sample = this.#meter.sample(now);
    for (const connection of this.#connections) connection.close();
    this.#end(sample);
  }
}

/** Writes all keys, then asks every pipeline of the workload once: wrong replies end the run before it begins. */
async function populate(job: Job, workload: Workload): Promise<void> {
  const list: Pipeline[] = [...population(workload), ...pipelines(workload)];
  let left = list.length;
  await new Promise<void>((resolve, reject) => {
    const observer: Observer = {
      answered: (connection) => {
        left--;
        if (left > 0) return connection.send(0);
        connection.close();
        resolve();
      },
      failed: reject,
    };
    Connection.open(job.host, job.port, list, 0, observer).then((connection) => connection.send(0));
  });
}

async function perform(job: Job): Promise<Sample | object> {
  if (job.task === 'idle') return idle(job);
  const workload = WORKLOADS.find(({ name }) => name === job.workload);
  if (workload === undefined) throw new Error(`unknown workload ${job.workload}`);
  if (job.task === 'populate') {
    await populate(job, workload);
    return {};
  }
  return new Promise((resolve, reject) => {
    const end = (result: Sample | Error) => (result instanceof Error ? reject(result) : resolve(result));
    const load = workload.command === 'PUBLISH' ? FanOut : Load;
    new load(job, workload, end).run();
  });
}

try {
  const result = await perform(JSON.parse(process.argv[2] ?? '{}'));
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (error) {
  process.stdout.write(`${JSON.stringify({ error: (error as Error).message })}\n`);
  process.exitCode = 1;
}
