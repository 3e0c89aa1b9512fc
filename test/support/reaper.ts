/**
 * Ends what this process started, however this process ends.
 *
 * On an ordinary exit the 'exit' hook kills the noted processes and removes the noted folders. For the ends
 * that run no hook (SIGKILL, a crash) a small shell of its own process group holds the same list and does
 * the same when its input closes. What has been ended in the ordinary way is struck from both lists.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SIGNALS = [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const;

const children = new Set<ChildProcess>();
const folders = new Set<string>();
let hooked = false;
let watch: ChildProcess | undefined;

/** The lists are parted by line ends, so that a folder's name may hold spaces. */
const WATCH = `
trap '' INT TERM HUP
set -f
N='
'
IFS="$N"
pids= dirs=
without() { for x in $1; do [ "$x" = "$2" ] || echo "$x"; done; }
while IFS=' ' read -r what name; do
  case $what in
    pid) pids="$pids$N$name" ;;
    dir) dirs="$dirs$N$name" ;;
    nopid) pids=$(without "$pids" "$name") ;;
    nodir) dirs=$(without "$dirs" "$name") ;;
  esac
done
[ -z "$pids" ] || kill -9 $pids
[ -z "$dirs" ] || { rm -rf -- $dirs; sleep 0.2; rm -rf -- $dirs; }
`;

/** A new temporary folder that goes when this process does. */
export function temporary(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `${name}-`));
  folders.add(folder);
  tell(`dir ${folder}`);
  return folder;
}

/** Removes a folder made by `temporary`. */
export function remove(folder: string): void {
  folders.delete(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  tell(`nodir ${folder}`);
}

/** Notes a child: it is killed when this process ends, unless it has ended before. */
export function adopt<T extends ChildProcess>(child: T): T {
  const { pid } = child;
  if (pid === undefined) return child;
  children.add(child);
  tell(`pid ${pid}`);
  child.once('exit', () => {
    children.delete(child);
    tell(`nopid ${pid}`);
  });
  return child;
}

/** Asks a child to end, waits until it has; after `graceMs` it is killed. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM', graceMs = 5000) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await gone;
  clearTimeout(timer);
}

/** Ends everything that is noted, at once, and waits until all of it has gone. */
export async function endAll(): Promise<void> {
  await Promise.all([...children].map((child) => end(child, 'SIGKILL')));
  for (const folder of folders) remove(folder);
  await dismiss();
}

/** Sends the watching shell home and waits until it has gone. What is still noted is ended by it. */
export async function dismiss(): Promise<void> {
  const shell = watch;
  if (!shell) return;
  watch = undefined;
  shell.ref();
  const gone = once(shell, 'exit');
  shell.stdin?.end();
  await gone;
}

function tell(line: string): void {
  if (!watch) {
    watch = start();
    for (const child of children) if (child.pid !== undefined) watch.stdin?.write(`pid ${child.pid}\n`);
    for (const folder of folders) watch.stdin?.write(`dir ${folder}\n`);
  }
  watch.stdin?.write(`${line}\n`);
}

function start(): ChildProcess {
  const shell = spawn('/bin/sh', ['-c', WATCH], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  shell.unref();
  shell.stdin.on('error', () => {});
  (shell.stdin as unknown as { unref(): void }).unref();
  if (hooked) return shell;
  hooked = true;
  process.on('exit', reap);
  // With nothing left to do a process takes itself down, which may turn for ever (Node 26, seen once in
  // CleanupHandles): it is ended instead, when all others have heard that it is over.
  process.once('beforeExit', () => setImmediate(() => process.exit()));
  process.on('beforeExit', () => {
    if (children.size === 0 && folders.size === 0) dismiss();
  });
  // Where nobody else listens, a signal would end this process without its 'exit' hook.
  for (const [signal, number] of SIGNALS) {
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(128 + number);
    });
  }
  return shell;
}

function reap(): void {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
}
