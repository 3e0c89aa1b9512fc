/**
 * Programs and libraries from Debian's packages, unpacked into a folder of our own.
 *
 * Nothing is installed on the system, no service is started and no root is needed: apt resolves what is
 * missing (it reads the system's own package state), downloads into our cache, and `dpkg-deb -x` unpacks.
 * The archive is the one the machine's own apt sources name; for backports the same source is taken with
 * another suite, so its mirror and its keys hold there too.
 *
 * The tests run in parallel processes, so a folder appears whole (rename) and one process at a time works
 * on the cache (a lock that names its owner, so that a dead owner's lock can be taken over).
 */

import { type ExecFileOptions, execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import {
  cp,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { userInfo } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { adopt } from './reaper.ts';

/** Runs a program to its end; should this process end before, it does too. */
function run(program: string, args: string[], options: ExecFileOptions = {}) {
  const running = promisify(execFile)(program, args, { encoding: 'utf8', ...options });
  adopt(running.child);
  return running as Promise<{ stdout: string; stderr: string }>;
}

/** Where unpacked packages and apt's lists are kept between runs. */
export const CACHE = fileURLToPath(new URL('../../node_modules/.cache/slotless/', import.meta.url));

/** apt's lists of our own, and how long they are good for. */
const LISTS = join(CACHE, 'lists');
const LISTS_KEEP_MS = 3600_000;

export type Progress = (line: string) => void;

export interface UnpackOptions {
  /** Look in the release's backports, too. */
  backports?: boolean;
  /** Told what is being done, one short line each. */
  progress?: Progress;
}

/**
 * The root folder (with `usr/`, `etc/`, ...) of `packages` and of what they need that the system lacks.
 * `name` is the folder's name in the cache: the work is done once per name.
 * Throws an Error of one line where there is no apt, no such package or no way to the archive.
 */
export async function unpack(name: string, packages: string[], options: UnpackOptions = {}): Promise<string> {
  const root = join(CACHE, name);
  if (existsSync(root)) return root;
  await mkdir(CACHE, { recursive: true });
  const unlock = await lock(join(CACHE, 'lock'));
  try {
    if (!existsSync(root)) await download(root, packages, options);
    return root;
  } finally {
    await unlock();
  }
}

/** Unpacks any packages (a client library, a loader) the way the servers are; returns their root folder. */
export function installPeers(packages: string[], options: UnpackOptions = {}): Promise<string> {
  return unpack([...packages].sort().join('+'), packages, options);
}

/** The environment in which programs below `root` find each other and their libraries. */
export async function environmentOf(root: string): Promise<NodeJS.ProcessEnv> {
  const libraries: string[] = [];
  for (const lib of ['usr/lib', 'lib']) {
    for (const entry of await readdir(join(root, lib), { withFileTypes: true }).catch(() => [])) {
      if (entry.isDirectory() && entry.name.includes('-linux-')) libraries.push(join(root, lib, entry.name));
    }
  }
  const before = process.env['LD_LIBRARY_PATH'];
  if (before) libraries.push(before);
  return {
    ...process.env,
    PATH: [join(root, 'usr/bin'), join(root, 'usr/sbin'), process.env['PATH']].join(delimiter),
    LD_LIBRARY_PATH: libraries.join(delimiter),
  };
}

async function download(root: string, packages: string[], options: UnpackOptions): Promise<void> {
  const progress = options.progress ?? (() => {});
  const work = `${root}.work`;
  await rm(work, { recursive: true, force: true });
  await mkdir(join(work, 'archives/partial'), { recursive: true });
  await mkdir(join(work, 'root'), { recursive: true });
  // The sandbox user cannot write here, and hooks that tidy the system's own cache are not ours to run.
  const settings = join(work, 'apt.conf');
  const hooks = ['APT::Update::Pre-Invoke', 'APT::Update::Post-Invoke', 'APT::Update::Post-Invoke-Success'];
  await writeFile(
    settings,
    [
      ...hooks.map((hook) => `#clear ${hook};`),
      'Debug::NoLocking "1";',
      `Dir::Cache "${work}";`,
      'Dir::Cache::archives "archives";',
      `APT::Sandbox::User "${userInfo().username}";`,
      'Acquire::Languages "none";',
      'Acquire::Retries "2";',
    ].join('\n'),
  );
  const names = packages.join(' ');
  const archives = join(work, 'archives');
  const fetch = async (...more: string[]) => {
    progress(`downloading ${names}`);
    const flags = ['-c', settings, ...more];
    await apt([...flags, 'install', '-y', '-d', '--reinstall', '--no-install-recommends', ...packages]);
    // apt is content when a package is installed and its archive is not to be had: we are not.
    const files = await readdir(archives);
    const missing = packages.find((one) => !files.some((file) => file.startsWith(`${one}_`)));
    if (missing) throw new Error(`no archive of ${missing}`);
  };
  const update = (sources: string[]) => {
    progress('reading the package lists');
    return ownLists(settings, sources);
  };
  try {
    if (options.backports) {
      if (age(LISTS) > LISTS_KEEP_MS) await update([]);
      await fetch(...(await update(await withBackports(settings))), '-t', await backports(settings));
    } else if (age(LISTS) < LISTS_KEEP_MS) {
      await fetch('-o', `Dir::State::lists=${LISTS}`);
    } else {
      // The system's lists are missing on a bare machine, and may be stale: then read our own.
      await fetch().catch(async () => fetch(...(await update([]))));
    }
    for (const file of await readdir(join(work, 'archives'))) {
      if (file.endsWith('.deb'))
        await run('dpkg-deb', ['-x', join(work, 'archives', file), join(work, 'root')]);
    }
    await rename(join(work, 'root'), root);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Updates lists of our own (they start as a copy of the system's); returns the flags that select them. */
async function ownLists(settings: string, sources: string[]): Promise<string[]> {
  if (!existsSync(LISTS)) {
    const system = '/var/lib/apt/lists';
    const wanted = (path: string) => path === system || /_(InRelease|Release|Packages)[^/]*$/.test(path);
    if (existsSync(system)) await cp(system, LISTS, { recursive: true, filter: wanted }).catch(() => {});
    await mkdir(join(LISTS, 'partial'), { recursive: true });
  }
  const flags = ['-o', `Dir::State::lists=${LISTS}`, ...sources];
  // One broken source of the machine's many fails an update, and need not concern us: the install will tell.
  await apt(['-c', settings, ...flags, 'update']).catch(() => {});
  const now = new Date();
  await utimes(LISTS, now, now);
  return flags;
}

async function backports(settings: string): Promise<string> {
  return `${(await release(settings)).codename}-backports`;
}

/** The release's name and the source it comes from, as the machine's own apt sources have them. */
async function release(settings: string): Promise<{ codename: string; suite: string; source: string }> {
  const flags = ['-o', `Dir::State::lists=${LISTS}`];
  const fields = '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(CODENAME)|$(RELEASE)|$(SUITE)|$(SOURCESENTRY)';
  const wanted = ['indextargets', '--format', fields, 'Created-By: Packages'];
  const { stdout } = await apt(['-c', settings, ...flags, ...wanted]);
  for (const line of stdout.split('\n')) {
    const [origin, label, component, codename, suite, , entry] = line.split('|');
    if (origin !== 'Debian' || label !== 'Debian' || component !== 'main') continue;
    if (!codename || !suite || !entry || /-(updates|backports|security)/.test(suite)) continue;
    return { codename, suite, source: entry.replace(/:\d+$/, '') };
  }
  throw new Error("no source of Debian's main archive among apt's sources");
}

/** A folder of sources: the system's own, and the release's entry once more with the suite of its backports. */
async function withBackports(settings: string): Promise<string[]> {
  const { codename, suite, source } = await release(settings);
  const parts = join(dirname(settings), 'sources');
  await mkdir(parts, { recursive: true });
  const system = '/etc/apt/sources.list.d';
  for (const name of await readdir(system).catch(() => []))
    await symlink(join(system, name), join(parts, name));
  const text = await readFile(source, 'utf8');
  const other = source.endsWith('.sources')
    ? text.split(/\n\s*\n/).map((stanza) => stanzaFor(stanza, suite, codename))
    : text.split('\n').map((line) => lineFor(line, suite, codename));
  const entry = other.find((one) => one !== undefined);
  if (!entry) throw new Error(`no entry for ${suite} in ${basename(source)}`);
  await writeFile(
    join(parts, `slotless-backports.${source.endsWith('.sources') ? 'sources' : 'list'}`),
    entry,
  );
  return ['-o', `Dir::Etc::sourceparts=${parts}`];
}

/** One stanza of a .sources file turned to backports, if it is the release's own. */
function stanzaFor(stanza: string, suite: string, codename: string): string | undefined {
  const lines = stanza.split('\n').filter((line) => !line.startsWith('#'));
  const suites = lines.findIndex((line) => /^Suites:/i.test(line));
  if (!lines[suites]?.split(/[:\s]+/).includes(suite)) return undefined;
  lines[suites] = `Suites: ${codename}-backports`;
  return `${lines.join('\n')}\n`;
}

/** The same for one line of a .list file: `deb [options] URI suite components`. */
function lineFor(line: string, suite: string, codename: string): string | undefined {
  const match = /^(\s*deb\s+(?:\[[^\]]*\]\s+)?\S+\s+)(\S+)(\s+.*)$/.exec(line);
  if (match?.[2] !== suite) return undefined;
  return `${match[1]}${codename}-backports${match[3]}\n`;
}

async function apt(args: string[]): Promise<{ stdout: string }> {
  const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  try {
    return await run('apt-get', ['-q', ...args], { env, maxBuffer: 64 << 20 });
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: string };
    if (code === 'ENOENT') throw new Error('no apt-get on this machine');
    const said = (stderr ?? '').split('\n').find((line) => line.startsWith('E:'));
    throw new Error(`apt-get: ${said?.slice(3) ?? String(error).split('\n')[0]}`);
  }
}

/** Takes the lock: a symbolic link that names the owner's pid, made in one step. Returns its release. */
async function lock(path: string): Promise<() => Promise<void>> {
  for (;;) {
    try {
      await symlink(String(process.pid), path);
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = Number(await readlink(path).catch(() => '0'));
    if (owner > 0 && !alive(owner)) {
      const stale = `${path}.${process.pid}`;
      await rename(path, stale).catch(() => {});
      await rm(stale, { force: true });
    } else await delay(50);
  }
}

/** Milliseconds since a file or folder was last changed; endless where there is none. */
export function age(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? Date.now() - found.mtimeMs : Number.POSITIVE_INFINITY;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
