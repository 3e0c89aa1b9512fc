// The test stand: a real cluster, a lone server, and every endpoint that can be started here in front of them.
//
//   slotless --+                           haproxy (TCP) --+
//   predixy  --+--> cluster, 3 primaries                   +--> lone server = bare
//   ...      --+                                     bare -+
//
// Everything listens on loopback, has one worker thread, and is configured for speed: no latency monitors, no
// log of requests. Peers that are not in PATH are left out.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Cluster, startCluster, startLone } from '../test/support/cluster.ts';
import { freePort } from '../test/support/ports.ts';
import { predixyConfig } from '../test/support/predixy.ts';
import { end, remove, temporary } from '../test/support/reaper.ts';
import { findServer, which } from '../test/support/servers.ts';
import { until } from '../test/support/wait.ts';
import { type Endpoint, spawnWithFiles } from './loads.ts';
import type { Options } from './options.ts';

export const HOST = '127.0.0.1';
const MAIN = join(import.meta.dirname, '../src/main.ts');

export interface Stand {
  readonly endpoints: readonly Endpoint[];
  /** One line each: what was left out and why. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/** Starts all that `options.only` allows. What fails to start is left out with a note, and makes the exit code 1. */
export async function openStand(options: Options): Promise<Stand> {
  const server = await findServer('redis');
  const folder = temporary('slotless-bench');
  const closers: (() => Promise<void>)[] = [];
  const endpoints: Endpoint[] = [];
  const notes: string[] = [];
  const close = async () => {
    for (const closer of closers.reverse()) await closer();
    remove(folder);
  };
  const add = async (name: string, start: () => Promise<Started | undefined>) => {
    if (options.only.length > 0 && !options.only.includes(name)) return;
    try {
      const started = await start();
      if (started === undefined) {
        notes.push(`${name}: not in PATH, left out`);
        return;
      }
      if (started.child !== undefined) closers.push(() => end(started.child!, 'SIGTERM', 3000));
      await until(`${name} to answer PING`, () => answersPing(started.port), 15_000);
      endpoints.push({ name, host: HOST, port: started.port, pid: started.pid });
    } catch (error) {
      notes.push(`${name}: left out: ${(error as Error).message}`);
      process.exitCode = 1;
    }
  };
  try {
    const cluster = await startCluster({ server, primaries: 3, replicas: 0 });
    closers.push(() => cluster.stop());
    const lone = await startLone({ server, config: ['--maxclients', '100000'] });
    closers.push(() => lone.stop());
    for (const [name, main] of [['slotless', MAIN] as const, ...options.proxies]) {
      await add(name, () => startProxy(main, cluster, options.settings));
    }
    await add('predixy', () => startPredixy(cluster, folder));
    // Before haproxy, whose idle clients would leave their marks on the lone server's memory.
    await add('bare', async () => ({ port: lone.port, pid: lone.pid, child: undefined }));
    await add('haproxy', () => startHaproxy(lone.port, folder));
  } catch (error) {
    await close();
    throw error;
  }
  return { endpoints, notes, close };
}

interface Started {
  readonly port: number;
  readonly pid: number;
  readonly child: ChildProcess | undefined;
}

/** Starts a build of the proxy with one worker, and waits until it is ready. */
export async function startProxy(
  main: string,
  cluster: Cluster,
  settings: readonly string[],
): Promise<Started> {
  const port = await freePort();
  const seeds = cluster.nodes.map((node) => `${HOST}:${node.port}`).join(',');
  const own = ['--cluster', seeds, '--listen', `${HOST}:${port}`, '--admin', 'off', '--workers', '1'];
  const most = ['--limits.clients', '100000'];
  return started(process.execPath, [main, ...own, ...most, ...settings], port, /\bready\b/);
}

async function startPredixy(cluster: Cluster, folder: string): Promise<Started | undefined> {
  const program = which('predixy');
  if (program === undefined) return undefined;
  const port = await freePort();
  const file = join(folder, 'predixy.conf');
  const seeds = cluster.nodes.map((node) => `${HOST}:${node.port}`);
  await writeFile(file, predixyConfig(port, seeds));
  return started(program, [file], port);
}

async function startHaproxy(serverPort: number, folder: string): Promise<Started | undefined> {
  const program = which('haproxy') ?? which('haproxy', '/usr/sbin:/usr/local/sbin');
  if (program === undefined) return undefined;
  const port = await freePort();
  const file = join(folder, 'haproxy.cfg');
  await writeFile(
    file,
    `global
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen redis
    bind ${HOST}:${port}
    server lone ${HOST}:${serverPort}
`,
  );
  return started(program, ['-db', '-f', file], port);
}

/** Starts a program and, where `ready` is given, waits for a line of it that matches. Throws what it said last. */
async function started(
  program: string,
  args: readonly string[],
  port: number,
  ready?: RegExp,
): Promise<Started> {
  const child = spawnWithFiles(program, args);
  let said = '';
  const hear = (bytes: Buffer) => {
    said = (said + bytes.toString()).slice(-4000);
  };
  child.stdout!.on('data', hear);
  child.stderr!.on('data', hear);
  const over = () => child.exitCode !== null || child.signalCode !== null;
  await once(child, 'spawn');
  const isReady = () => over() || ready === undefined || ready.test(said);
  const failure = await until('a line with "ready"', isReady, 15_000).then(
    () => (over() ? 'it ended at once' : undefined),
    (error: Error) => error.message,
  );
  if (failure !== undefined) {
    await end(child);
    const lines = said.trim().split('\n');
    throw new Error(`${failure}: ${lines.find((line) => /error|fatal/i.test(line)) ?? lines.at(-1)}`);
  }
  return { port, pid: child.pid ?? 0, child };
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, HOST, () => socket.write('*1\r\n$4\r\nPING\r\n'));
    socket.once('data', (bytes) => {
      socket.destroy();
      resolve(bytes.toString() === '+PONG\r\n');
    });
    socket.once('error', reject);
  });
}
