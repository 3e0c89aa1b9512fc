/**
 * `node .ci/setup.mjs FILE [args]`: makes sure of what the project needs, then runs FILE on Node >= 24.12.
 *
 * It is plain JavaScript for the Node that happens to be there (20 or newer) and needs nothing installed:
 * the dependencies come by `npm ci`, a new enough Node as the devDependency `node`. When all is in place
 * (nearly always, and then `npm run` has put the right Node first in PATH) it costs one look at two files,
 * and this process turns into FILE: same pid, same terminal, nothing in between.
 *
 * From an old Node, FILE runs as a child in a session of its own. So a Ctrl-C, which the terminal sends to
 * every process of the group (and npm to its child once more), reaches it through here, and once.
 */

import { execFile, spawn } from 'node:child_process';
import { accessSync, constants, statSync, symlinkSync } from 'node:fs';
import { constants as os } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const WANTED = [24, 12];
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];
/** The same signal twice within this time is one wish, come by two ways. */
const ONE_WISH_MS = 400;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const ownNode = join(modules, 'node/bin/node');

await main();

async function main() {
  const [file, ...args] = process.argv.slice(2);
  if (!file) fail('usage: node .ci/setup.mjs FILE [args]');
  try {
    await ensureDependencies();
    run(await ensureNode(), [resolve(root, file), ...args]);
  } catch (error) {
    fail(error.message);
  }
}

/** node_modules is there and not older than the lock file; else `npm ci` makes it so. */
async function ensureDependencies() {
  const installed = modified(join(modules, '.package-lock.json'));
  if (installed > 0 && installed >= modified(join(root, 'package-lock.json'))) return;
  const flags = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  await step('installing the dependencies (npm ci)', 'npm', flags, root);
}

/** A Node that is new enough: this one, or the devDependency. */
async function ensureNode() {
  if (isNewEnough(process.versions.node)) return process.execPath;
  // npm may have held back the package's install script, which fetches the binary: then it is run here.
  if (!executable(ownNode)) {
    const what = `installing Node (this one is ${process.versions.node}, ${WANTED.join('.')} or newer is needed)`;
    await step(what, process.execPath, ['installArchSpecificPackage.js'], join(modules, 'node'));
  }
  if (!executable(ownNode))
    throw new Error(`no Node at ${ownNode}: install Node ${WANTED.join('.')} or newer`);
  // Nor has npm then linked it to where `npm run` finds it.
  const link = join(modules, '.bin/node');
  if (!executable(link)) symlinkSync('../node/bin/node', link);
  return ownNode;
}

function run(node, args) {
  if (node === process.execPath && process.execve) {
    process.execve(node, [node, ...process.execArgv, ...args], process.env);
  }
  // npm puts this folder into PATH, but may have done so before there was a `node` in it.
  const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` };
  const child = spawn(node, args, { stdio: 'inherit', detached: true, env });
  const last = {};
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const now = Date.now();
      if (now - (last[signal] ?? 0) > ONE_WISH_MS) child.kill(signal);
      last[signal] = now;
    });
  }
  child.on('error', (error) => fail(error.message));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + os.signals[signal]));
}

/** Runs one command of the set-up behind one line of progress; what it says is shown only if it fails. */
function step(what, command, args, cwd) {
  const started = Date.now();
  const seconds = () => `${Math.round((Date.now() - started) / 1000)} s`;
  const { isTTY } = process.stderr;
  process.stderr.write(`slotless: ${what} ...`);
  const show = () => process.stderr.write(`\rslotless: ${what} ... ${seconds()} `);
  const ticks = isTTY ? setInterval(show, 1000) : undefined;
  return new Promise((done, failed) => {
    const child = execFile(command, args, { cwd, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      clearInterval(ticks);
      for (const signal of SIGNALS) process.off(signal, end);
      if (ended) process.exit(128 + os.signals[ended]);
      if (!error) {
        process.stderr.write(`${isTTY ? `\rslotless: ${what} ...` : ''} done in ${seconds()}\n`);
        return done();
      }
      process.stderr.write(` failed\n${stdout}${stderr}`);
      failed(new Error(`${[command, ...args].join(' ')}: ${error.code ?? error.signal ?? error.message}`));
    });
    let ended;
    const end = (signal) => {
      ended = signal;
      child.kill(signal);
    };
    for (const signal of SIGNALS) process.on(signal, end);
  });
}

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > WANTED[0] || (major === WANTED[0] && minor >= WANTED[1]);
}

function modified(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function executable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function fail(message) {
  process.stderr.write(`slotless: ${message}\n`);
  process.exit(1);
}
