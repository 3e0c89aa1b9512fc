/**
 * `npm run demo`: a real cluster of six, the proxy in front of it, and a line that shows what it does.
 *
 *   your redis-cli --> 6379: slotless --> 3 primaries, 3 replicas on free ports, in a temporary folder
 *
 * Ctrl-C ends all of it. Everything started is in the reaper's list, so that nothing stays behind however
 * the demo ends, in the middle of its set-up too.
 */

import { relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startCluster } from '../test/support/cluster.ts';
import { freePort, isFree } from '../test/support/ports.ts';
import { type RunningProxy, startProxy } from '../test/support/proxy.ts';
import { endAll } from '../test/support/reaper.ts';
import { findServer, type Server, which } from '../test/support/servers.ts';
import { Figures } from './figures.ts';

const HOST = '127.0.0.1';
const FIRST_PORT = 6379;
/** How often the live line is written: anew in its place on a terminal, as a further line elsewhere. */
const [EVERY_MS, EVERY_MS_ELSEWHERE] = [1000, 5000];

const terminal = process.stdout.isTTY === true;
let proxy: RunningProxy | undefined;
let stopping = false;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(0));
main().catch((error) => {
  // What breaks while all is being ended was meant to.
  if (!stopping) fail(error);
});

async function main(): Promise<void> {
  const server = await step('looking for a server', async (progress) => {
    const found = await findServer('redis', progress).catch((error) => {
      return findServer('valkey', progress).catch(() => Promise.reject(error));
    });
    return [found, `${found.flavour} ${found.version}`];
  });
  const cluster = await step('starting a cluster of 3 primaries and 3 replicas', async () => {
    const started = await startCluster({ server, primaries: 3, replicas: 1 });
    return [started, `on ports ${started.nodes.map(({ port }) => port).join(', ')}`];
  });
  const admin = await freePort();
  proxy = await step('starting the proxy', async () => {
    const port = await firstFreePort();
    const started = await startProxy({ cluster, port, settings: { admin: `${HOST}:${admin}` } });
    return [started, `on ${HOST}:${port}`];
  });
  proxy.exited.then((code) => {
    if (!stopping) fail(new Error(`the proxy ended (${code}):\n${proxy?.log.slice(-10).join('\n')}`));
  });
  console.log(instructions(server, proxy.port));
  await live(`http://${HOST}:${admin}/metrics`);
}

/** Does one step of the set-up behind one line of progress. */
async function step<T>(
  what: string,
  work: (progress: (line: string) => void) => Promise<[T, string]>,
): Promise<T> {
  process.stdout.write(`${what} ...`);
  const [result, said] = await work((line) => process.stdout.write(` ${line} ...`));
  process.stdout.write(` ${said}\n`);
  return result;
}

async function firstFreePort(): Promise<number> {
  let port = FIRST_PORT;
  while (!(await isFree(port, HOST))) port++;
  return port;
}

function instructions(server: Server, port: number): string {
  const cli = `${command(server.cli)} -p ${port}`;
  const benchmark = `${command(server.benchmark)} -p ${port}`;
  return `
The cluster looks like one server now. In another terminal:

  ${cli}
      SET greeting hello
      MSET a 1 b 2 c 3
      MGET a b c
      SCAN 0

and something to watch here:

  ${benchmark} -t set,get,mset -P 16 -n 1000000 -q

Ctrl-C ends the proxy and the cluster.
`;
}

/** How a program is called from the shell: by its name where that is enough. */
function command(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const short = relative(process.cwd(), path);
  return which(name) === path ? name : short.startsWith('..') ? path : short;
}

/** The line of figures, until the demo is stopped. */
async function live(address: string): Promise<void> {
  let before: Figures | undefined;
  while (!stopping) {
    const response = await fetch(address, { signal: AbortSignal.timeout(EVERY_MS_ELSEWHERE) });
    const now = new Figures(await response.text(), performance.now());
    const line = now.line(before);
    if (terminal) process.stdout.write(`\r\x1b[K${line}`);
    else console.log(line);
    before = now;
    await delay(terminal ? EVERY_MS : EVERY_MS_ELSEWHERE);
  }
}

function fail(error: unknown): void {
  process.stdout.write('\n');
  console.error(`slotless: ${error instanceof Error ? error.message : String(error)}`);
  stop(1);
}

/** Ends the proxy in its own way, then all the rest; a second Ctrl-C changes nothing. */
async function stop(code: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  process.stdout.write(`${terminal ? '\r\x1b[K' : ''}stopping ...`);
  await proxy?.stop();
  await endAll();
  process.stdout.write(' all ended, nothing is left behind\n');
  process.exit(code);
}
