/**
 * The proxy as a process of its own, the way a user starts it: `src/main.ts` with flags, ready when its log
 * says so.
 */

import { spawn } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CACHE } from './apt.ts';
import { connect, type RawClient } from './client.ts';
import type { Cluster } from './cluster.ts';
import { freePort } from './ports.ts';
import { adopt, end } from './reaper.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
/** Where Node keeps what it has made of the sources: it takes a proxy's start from two seconds of CPU to less than one. */
export const COMPILED = join(CACHE, 'compiled');
const READY_WITHIN_MS = 20_000;
const TRIES = 5;

export interface ProxyOptions {
  /** The nodes to start from. Anything with `seeds` will do. */
  cluster: Pick<Cluster, 'seeds'> & { password?: string | undefined };
  /** Settings by their dotted path: `{ 'redirects.max': 3, workers: 2 }`. */
  settings?: Record<string, string | number | boolean>;
  /** Protocol version that `connect` asks for with HELLO; none is asked for when it is left out. */
  resp?: 2 | 3;
  /** Where it listens; default: a free port. */
  port?: number;
  /** What is started instead of `src/main.ts`, and where: an installed package's command. */
  program?: string;
  cwd?: string;
  /** Flags for node itself. */
  nodeFlags?: string[];
  /** Don't wait for the `ready` line: a cluster that is not there yet. */
  unready?: boolean;
}

export interface RunningProxy {
  readonly port: number;
  readonly pid: number;
  /** What it has logged so far, one line each. */
  readonly log: string[];
  /** Settles with the exit code (or the signal) when the process has ended. */
  readonly exited: Promise<number | NodeJS.Signals>;
  /** A raw client, in the protocol version asked for. */
  connect(): Promise<RawClient>;
  /** Resolves when a line of the log matches; at once if one has. Rejects when the process ends before. */
  logged(pattern: RegExp): Promise<string>;
  /** SIGTERM, then waits for the end. */
  stop(): Promise<void>;
}

/** Starts the proxy before a cluster, on a free port. Rejects with its log when it does not get ready. */
export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  if (options.port !== undefined || options.settings?.['listen'] !== undefined) return start(options);
  for (let tries = 1; ; tries++) {
    const port = await freePort();
    try {
      return await start({ ...options, port });
    } catch (error) {
      // Somebody else's server has taken the port in between.
      const taken = (error as Error).message.includes(`EADDRINUSE: address already in use 127.0.0.1:${port}`);
      if (!taken || tries === TRIES) throw error;
    }
  }
}

async function start(options: ProxyOptions): Promise<RunningProxy> {
  const port = options.port ?? (await freePort());
  const { cluster, resp } = options;
  const settings: Record<string, string | number | boolean> = {
    listen: `127.0.0.1:${port}`,
    cluster: cluster.seeds.join(','),
    admin: 'off',
    // Tests have done with their clients when they stop it.
    'drain.grace': 0,
    ...(cluster.password && { password: cluster.password }),
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([path, value]) => [`--${path}`, String(value)]);
  const [program, args] = options.program
    ? [options.program, flags]
    : [process.execPath, [...(options.nodeFlags ?? []), MAIN, ...flags]];
  const child = adopt(
    spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: ownEnvironment(),
      // In a group of its own: a Ctrl-C at the terminal is for the one who started it.
      detached: true,
      ...(options.cwd && { cwd: options.cwd }),
    }),
  );
  const log: string[] = [];
  const waiting = new Set<() => void>();
  const exited = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? -1));
  });
  let over = false;
  exited.then(() => {
    over = true;
    for (const look of waiting) look();
  });
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      log.push(...lines);
      for (const look of waiting) look();
    });
  }
  const logged = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const line = log.find((one) => pattern.test(one));
        if (line === undefined && !over) return;
        waiting.delete(look);
        if (line !== undefined) resolve(line);
        else reject(new Error(`the proxy ended without a line that matches ${pattern}:\n${log.join('\n')}`));
      };
      waiting.add(look);
      look();
    });
  const proxy: RunningProxy = {
    port,
    pid: child.pid ?? 0,
    log,
    exited,
    logged,
    connect: async () => {
      const client = await connect(port);
      if (resp) await client.call('HELLO', resp);
      return client;
    },
    stop: async () => {
      await end(child, 'SIGTERM', 10_000);
      await exited;
    },
  };
  if (!options.unready) await ready(proxy, logged);
  return proxy;
}

async function ready(proxy: RunningProxy, logged: RunningProxy['logged']): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`the proxy was not ready after ${READY_WITHIN_MS} ms:\n${proxy.log.join('\n')}`));
    }, READY_WITHIN_MS);
  });
  try {
    await Promise.race([logged(/\bready\b/), late]);
  } catch (error) {
    await proxy.stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** This Node first in PATH, and no settings of the proxy's own that whoever runs the tests may have set. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('SLOTLESS_')),
  );
  return {
    NODE_COMPILE_CACHE: COMPILED,
    ...env,
    PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`,
  };
}
