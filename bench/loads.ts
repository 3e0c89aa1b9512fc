// Runs the loaders as child processes, one at a time, and brings their figures into one shape.
//
// The own loader (loader.ts) verifies every reply and reads the endpoint's CPU at the bounds of its span.
// redis-benchmark is the independent witness: it verifies only that no reply is an error, and the CPU counted
// here includes its connecting.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { adopt, end } from '../test/support/reaper.ts';
import { cpuSeconds, residentBytes } from './account.ts';
import type { Job } from './loader.ts';
import type { Sample } from './meter.ts';
import { keyName, MGET_KEYS, type Workload } from './workloads.ts';

/** An address to put load on, and the process behind it (0: not known, so no CPU and no memory). */
export interface Endpoint {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
}

/** How a round is bounded: see Job in loader.ts. */
export interface Span {
  readonly warm: number;
  readonly seconds: number;
  readonly requests: number;
  readonly rate: number;
}

const LOADER = join(import.meta.dirname, 'loader.ts');
const NOTHING = { workload: '', connections: 0, warm: 0, seconds: 0, requests: 0, rate: 0 };
/** Seconds beyond its span after which a loader is given up; much more for a span given as a number of commands. */
const PATIENCE = { time: 30, requests: 600 };

/** Writes the workload's keys through the endpoint and asks each pipeline once. Throws what went wrong. */
export async function populate(endpoint: Endpoint, workload: Workload): Promise<void> {
  const { host, port, pid } = endpoint;
  await load({ ...NOTHING, host, port, pid, task: 'populate', workload: workload.name });
}

/** One round of the own loader. */
export async function ownRound(endpoint: Endpoint, workload: Workload, span: Span): Promise<Sample> {
  const { host, port, pid } = endpoint;
  const { warm, seconds, requests, rate } = span;
  const bounds = { warm, seconds, requests, rate };
  return (await load({
    ...NOTHING,
    ...bounds,
    host,
    port,
    pid,
    task: 'load',
    workload: workload.name,
  })) as Sample;
}

/** One round of redis-benchmark: as many requests as the endpoint's own pace needs for the span. */
export async function benchmarkRound(
  endpoint: Endpoint,
  workload: Workload,
  span: Span,
  program: { benchmark: string; env: NodeJS.ProcessEnv },
): Promise<Sample> {
  const run = async (requests: number) => {
    const args = benchmarkArguments(endpoint, workload, requests);
    const { stdout } = await promisify(execFile)(program.benchmark, args, { env: program.env });
    return stdout;
  };
  const trial = readBenchmark(
    await run(workload.size > 1024 ? 2000 : 20000 * Math.min(workload.pipeline, 8)),
  );
  if (span.warm > 0) await run(Math.ceil(trial.perSecond * span.warm));
  const requests = span.requests || Math.ceil(trial.perSecond * span.seconds);
  const before = cpuSeconds(endpoint.pid);
  const seen = readBenchmark(await run(requests));
  const cpu = cpuSeconds(endpoint.pid) - before;
  return {
    ...seen,
    cpu: (cpu * 1e6) / requests,
    rss: residentBytes(endpoint.pid),
    busy: (cpu / requests) * seen.perSecond,
    loader: Number.NaN,
  };
}

/** Holds `clients` idle clients on the endpoint for as long as `whileOpen` takes. */
export async function withIdleClients<T>(
  endpoint: Endpoint,
  clients: number,
  whileOpen: () => Promise<T>,
): Promise<T> {
  const { host, port, pid } = endpoint;
  const child = start({ ...NOTHING, host, port, pid, task: 'idle', connections: clients });
  try {
    const gone = once(child, 'exit').then(() => ['{"error":"the loader ended without a result"}']);
    const [line] = await Promise.race([once(child.stdout!, 'data'), gone]);
    throwIfError(JSON.parse(String(line)));
    return await whileOpen();
  } finally {
    child.stdin!.end();
    await end(child);
  }
}

/** A child process that may open as many files as this user may at all. */
export function spawnWithFiles(
  program: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv } = {},
): ChildProcess {
  const script = 'ulimit -n "$(ulimit -H -n)" 2>/dev/null; exec "$0" "$@"';
  return adopt(spawn('/bin/sh', ['-c', script, program, ...args], { stdio: 'pipe', ...options }));
}

function start(job: Job): ChildProcess {
  const child = spawnWithFiles(process.execPath, [LOADER, JSON.stringify(job)]);
  child.stderr!.pipe(process.stderr);
  return child;
}

async function load(job: Job): Promise<unknown> {
  const child = start(job);
  const patience = job.warm + job.seconds + (job.requests > 0 ? PATIENCE.requests : PATIENCE.time);
  const timer = setTimeout(() => child.kill('SIGKILL'), patience * 1000);
  const [output] = await Promise.all([text(child.stdout!), once(child, 'exit')]);
  clearTimeout(timer);
  if (output === '') throw new Error(`no result from the loader, which has ${patience} s`);
  const result = JSON.parse(output);
  throwIfError(result);
  for (const [key, value] of Object.entries(result)) if (value === null) result[key] = Number.NaN;
  return result;
}

function throwIfError(result: { error?: string }): void {
  if (result.error !== undefined) throw new Error(result.error);
}

function benchmarkArguments(endpoint: Endpoint, workload: Workload, requests: number): string[] {
  const key = keyName(workload, '__rand_int__');
  const value = 'x'.repeat(workload.size);
  const commands = {
    GET: ['GET', key],
    SET: ['SET', key, value],
    MGET: ['MGET', ...Array.from({ length: MGET_KEYS }, () => key)],
    MULTI: undefined,
    PUBLISH: undefined,
  };
  const asked = commands[workload.command];
  if (asked === undefined) throw new Error(`redis-benchmark sends no ${workload.command}`);
  const options = {
    '-h': endpoint.host,
    '-p': endpoint.port,
    '-c': workload.connections,
    '-P': workload.pipeline,
    '-n': requests,
    '-r': workload.keys,
  };
  return [...Object.entries(options).flat().map(String), ...asked];
}

/** Reads redis-benchmark's report. Source: show_latency_report in redis-benchmark.c. */
function readBenchmark(report: string): Omit<Sample, 'cpu' | 'rss' | 'busy' | 'loader'> {
  const perSecond = /throughput summary: ([\d.]+) requests per second/.exec(report)?.[1];
  const summary = /latency summary \(msec\):\s+avg[^\n]*\n\s+([\d. ]+)/.exec(report)?.[1];
  if (perSecond === undefined || summary === undefined) {
    throw new Error(`redis-benchmark: ${report.trim().split('\n').at(-1)}`);
  }
  const [, , p50, , p99] = summary.trim().split(/ +/).map(Number);
  const steps = [...report.matchAll(/^([\d.]+)% <= ([\d.]+) milliseconds/gm)];
  const p999 = steps.find(([, share]) => Number(share) >= 99.9)?.[2];
  return {
    perSecond: Number(perSecond),
    p50: p50 ?? Number.NaN,
    p99: p99 ?? Number.NaN,
    p999: Number(p999 ?? Number.NaN),
  };
}
