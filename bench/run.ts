// The bench: compares any number of endpoints in turn, in one run. `npm run bench -- --help` lists the flags.
//
// For each workload the endpoints take turns, round by round (A B C, A B C, ...), so that a change in the
// machine's mood meets all of them. Only ratios within one run are to be trusted, never absolute figures.
// A wrong reply, or an endpoint that can't serve a workload, is shown with the table and makes the exit code 1.

import { writeFile } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { findServer } from '../test/support/servers.ts';
import { residentBytes } from './account.ts';
import { benchmarkRound, type Endpoint, ownRound, populate, withIdleClients } from './loads.ts';
import type { Sample } from './meter.ts';
import { HELP, type Options, readOptions } from './options.ts';
import { align, digits, type Series, type Summary, summarize, table } from './report.ts';
import { openStand } from './stand.ts';
import { WORKLOADS, type Workload } from './workloads.ts';

interface IdleCost {
  readonly name: string;
  readonly clients: number;
  /** Bytes resident before the clients came, and with all of them idle. */
  readonly before: number;
  readonly after: number;
  readonly perClient: number;
  readonly error?: string;
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stdout.write(HELP);
    return;
  }
  if (options.endpoints.length > 0) return measure(options, options.endpoints);
  progress('starting a cluster and the endpoints in front of it');
  const stand = await openStand(options);
  try {
    progress('');
    for (const note of stand.notes) console.log(note);
    await measure(options, stand.endpoints);
  } finally {
    await stand.close();
  }
}

async function measure(options: Options, endpoints: readonly Endpoint[]): Promise<void> {
  if (endpoints.length === 0) throw new Error('there is no endpoint to measure');
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, kernel: release(), node: process.version };
  console.log(`${machine.cpus} x ${machine.model}, kernel ${machine.kernel}\n`);
  if (options.idle > 0) {
    const idle = await measureIdle(options, endpoints);
    await save(options, { machine, options, endpoints, idle });
    return;
  }
  const results: { workload: string; baseline: string; summaries: Summary[] }[] = [];
  for (const workload of options.workloads) {
    const baseline = baselineOf(options, endpoints, workload);
    const summaries = summarize(await compare(options, endpoints, workload), baseline);
    const unit = workload.command === 'PUBLISH' ? 'delivery' : 'command';
    console.log(table(titleOf(options, workload), summaries, unit));
    results.push({ workload: workload.name, baseline, summaries });
  }
  await save(options, { machine, options, endpoints, results });
}

/** All rounds of one workload. An endpoint that fails once has no further rounds. */
async function compare(
  options: Options,
  endpoints: readonly Endpoint[],
  workload: Workload,
): Promise<Series[]> {
  const round = await loaderOf(options);
  const all = endpoints.map((endpoint) => ({
    endpoint,
    name: endpoint.name,
    rounds: [] as Sample[],
    error: '',
  }));
  const attempt = async (series: (typeof all)[number], what: () => Promise<void>) => {
    if (series.error !== '') return;
    try {
      await what();
    } catch (error) {
      series.error = (error as Error).message;
      process.exitCode = 1;
    }
  };
  if (workload.command !== 'PUBLISH')
    for (const series of all) await attempt(series, () => populate(series.endpoint, workload));
  for (let i = 1; i <= options.rounds; i++) {
    for (const series of all) {
      progress(`${workload.name}: round ${i} of ${options.rounds}, ${series.name}`);
      await attempt(series, async () => {
        series.rounds.push(await round(series.endpoint, workload));
      });
    }
  }
  progress('');
  return all.map(({ name, rounds, error }) => (error === '' ? { name, rounds } : { name, rounds, error }));
}

async function loaderOf(options: Options): Promise<(e: Endpoint, w: Workload) => Promise<Sample>> {
  if (options.loader === 'own') return (endpoint, workload) => ownRound(endpoint, workload, options);
  const program = await findServer('redis');
  return (endpoint, workload) => benchmarkRound(endpoint, workload, options, program);
}

async function measureIdle(options: Options, endpoints: readonly Endpoint[]): Promise<IdleCost[]> {
  const costs: IdleCost[] = [];
  for (const endpoint of endpoints) {
    const { name, pid } = endpoint;
    progress(`${options.idle} idle clients: ${name}`);
    let before = Number.NaN;
    let after = Number.NaN;
    let failure: { error?: string } = {};
    try {
      // What an endpoint allocates for its first work is no client's cost.
      await populate(endpoint, WORKLOADS[0]!);
      before = await settled(pid);
      after = await withIdleClients(endpoint, options.idle, () => settled(pid));
    } catch (error) {
      failure = { error: (error as Error).message };
      process.exitCode = 1;
    }
    const perClient = (after - before) / options.idle;
    costs.push({ name, clients: options.idle, before, after, perClient, ...failure });
  }
  progress('');
  const rows = costs.map(({ name, before, after, perClient, error }) => [
    name,
    digits(before / 2 ** 20, 1),
    digits(after / 2 ** 20, 1),
    digits(perClient / 1024, 2),
    error ?? '',
  ]);
  console.log(`${options.idle} idle clients`);
  console.log(align([['endpoint', 'MiB before', 'MiB with them', 'KiB per client', ''], ...rows]));
  return costs;
}

/** Bytes resident once they have stopped changing: four looks in a row within half a percent, or after 20 s. */
async function settled(pid: number): Promise<number> {
  let last = residentBytes(pid);
  let calm = 0;
  for (let look = 0; look < 40 && calm < 4 && !Number.isNaN(last); look++) {
    await delay(500);
    const now = residentBytes(pid);
    calm = Math.abs(now - last) <= last / 200 ? calm + 1 : 0;
    last = now;
  }
  return last;
}

/** Proxies are held against a proxy; what is published against a lone server, which need not hear it first. */
function baselineOf(options: Options, endpoints: readonly Endpoint[], workload: Workload): string {
  const usual = workload.command === 'PUBLISH' ? ['bare'] : ['predixy', 'haproxy'];
  const wanted = options.baseline === '' ? usual : [options.baseline];
  const found = wanted.find((name) => endpoints.some((endpoint) => endpoint.name === name));
  if (found === undefined && options.baseline !== '') {
    throw new Error(`--baseline: no endpoint is named ${options.baseline}`);
  }
  return found ?? '';
}

function titleOf({ rounds, requests, seconds, rate, loader }: Options, workload: Workload): string {
  const publishes = workload.command === 'PUBLISH';
  const loop =
    rate > 0 ? `open loop at ${rate}/s` : `closed loop${publishes ? ` of ${workload.pipeline}` : ''}`;
  const span = requests > 0 ? `${requests} ${publishes ? 'deliveries' : 'commands'}` : `${seconds} s`;
  return (
    `${workload.title} (${workload.name}): ${workload.connections} connections, ${workload.size} bytes, ` +
    `${loop}, ${loader} loader, median of ${rounds} rounds of ${span}`
  );
}

async function save(options: Options, figures: object): Promise<void> {
  if (options.json === '') return;
  await writeFile(options.json, `${JSON.stringify({ at: new Date().toISOString(), ...figures }, null, 2)}\n`);
  console.log(`all figures: ${options.json}`);
}

/** One line on the terminal that is written over; nothing where there is no terminal. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = 1;
}
