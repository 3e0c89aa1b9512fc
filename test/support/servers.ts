/**
 * The servers that tests, bench and demo run on: found in PATH, else unpacked from Debian's packages.
 *
 * A found server is a set of paths and the environment they run in, of one version: `redis-cli` and
 * `redis-benchmark` are the server's own. In Debian's packages `redis-server` is a symbolic link to a binary
 * that looks at the name it is called by, so the link itself is what is run.
 */

import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { age, CACHE, environmentOf, type Progress, unpack } from './apt.ts';

export { environmentOf, installPeers } from './apt.ts';

const run = promisify(execFile);

export type Flavour = 'redis' | 'valkey';

export interface Server {
  flavour: Flavour;
  /** As the server says it: `7.0.15`. */
  version: string;
  /** Paths of the programs. */
  server: string;
  cli: string;
  benchmark: string;
  /** The environment to run them in. */
  env: NodeJS.ProcessEnv;
}

/** What is asked of each flavour, and the Debian packages that have it. */
const FLAVOURS = {
  redis: { atLeast: [7, 0], packages: ['redis-server', 'redis-tools'] },
  valkey: { atLeast: [8, 0], packages: ['valkey-server', 'valkey-tools'] },
} as const;

/** How long it is remembered that a flavour is not to be had, so that each test file need not ask again. */
const MISSING_FOR_MS = 12 * 3600_000;

const found = new Map<Flavour, Promise<Server>>();

/** The server of a flavour, from PATH or from Debian's packages. Throws one line that says what to install. */
export function findServer(flavour: Flavour = 'redis', progress?: Progress): Promise<Server> {
  let server = found.get(flavour);
  if (!server) {
    server = find(flavour, progress);
    found.set(flavour, server);
  }
  return server;
}

/** Every flavour to be had here, Redis first. Throws where there is none. */
export async function availableServers(progress?: Progress): Promise<Server[]> {
  const servers: Server[] = [];
  let refusal: unknown;
  for (const flavour of ['redis', 'valkey'] as const) {
    const missing = join(CACHE, `${flavour}.missing`);
    if (age(missing) < MISSING_FOR_MS && !(await inPath(flavour))) continue;
    try {
      servers.push(await findServer(flavour, progress));
    } catch (error) {
      refusal ??= error;
      await mkdir(CACHE, { recursive: true });
      await writeFile(missing, String(error));
    }
  }
  if (servers.length === 0) throw refusal ?? new Error(advice('redis', 'tried a short while ago'));
  return servers;
}

/** The full path of a program in PATH. */
export function which(program: string, path = process.env['PATH'] ?? ''): string | undefined {
  for (const folder of path.split(delimiter)) {
    const file = join(folder || '.', program);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

async function find(flavour: Flavour, progress?: Progress): Promise<Server> {
  const here = await inPath(flavour);
  if (here) return here;
  try {
    const { packages } = FLAVOURS[flavour];
    const options = progress ? { progress } : {};
    // Where the release itself has no such package, its backports may.
    const root = existsSync(join(CACHE, flavour))
      ? join(CACHE, flavour)
      : await unpack(flavour, [...packages], options).catch((error) => {
          if (flavour === 'redis') throw error;
          return unpack(flavour, [...packages], { ...options, backports: true });
        });
    const env = await environmentOf(root);
    const server = await describe(flavour, join(root, 'usr/bin'), `${flavour}-server`, env);
    if (!server) throw new Error('the unpacked server does not run or is too old');
    const [cli, benchmark] = [
      await launcher(root, server.cli, env),
      await launcher(root, server.benchmark, env),
    ];
    return { ...server, cli, benchmark };
  } catch (error) {
    throw new Error(advice(flavour, error instanceof Error ? error.message : String(error)));
  }
}

/** A server in PATH; it may go by the other flavour's name, as compatibility packages have it. */
async function inPath(flavour: Flavour): Promise<Server | undefined> {
  for (const name of [`${flavour}-server`, 'redis-server', 'valkey-server']) {
    const path = which(name);
    if (!path) continue;
    const server = await describe(flavour, path.slice(0, -name.length - 1), name, process.env);
    if (server) return server;
  }
  return undefined;
}

/** Asks the server itself what it is: its flavour and version decide, whatever its name. */
async function describe(flavour: Flavour, folder: string, name: string, env: NodeJS.ProcessEnv) {
  const server = join(folder, name);
  const said = await run(server, ['--version'], { env }).catch(() => undefined);
  const match = /^(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)/.exec(said?.stdout ?? '');
  if (match?.[1]?.toLowerCase() !== flavour) return undefined;
  const [major, minor] = [Number(match[2]), Number(match[3])];
  const [wantMajor, wantMinor] = FLAVOURS[flavour].atLeast;
  if (major < wantMajor || (major === wantMajor && minor < wantMinor)) return undefined;
  const family = name.slice(0, -'-server'.length);
  const cli = which(`${family}-cli`, folder) ?? which(`${family}-cli`);
  const benchmark = which(`${family}-benchmark`, folder) ?? which(`${family}-benchmark`);
  if (!cli || !benchmark) return undefined;
  return { flavour, version: `${major}.${minor}.${match[4]}`, server, cli, benchmark, env } satisfies Server;
}

/** A small script that runs an unpacked program with its libraries, from any shell: its path. */
async function launcher(root: string, program: string, env: NodeJS.ProcessEnv): Promise<string> {
  const path = join(root, basename(program));
  const script = `#!/bin/sh\nLD_LIBRARY_PATH='${env['LD_LIBRARY_PATH']}' exec '${program}' "$@"\n`;
  if (existsSync(path) && (await readFile(path, 'utf8')) === script) return path;
  // It appears whole: other processes may be about to run it.
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, script, { mode: 0o755 });
  await rename(draft, path);
  return path;
}

function advice(flavour: Flavour, why: string): string {
  const [major, minor] = FLAVOURS[flavour].atLeast;
  return (
    `no ${flavour}-server ${major}.${minor} or newer (${why}); install one: ` +
    `on Debian: apt-get install ${flavour}-server; on macOS: brew install ${flavour}; ` +
    `with Docker: an image with "RUN apt-get update && apt-get install -y ${flavour}-server"`
  );
}
