/**
 * `npm test [-- FILES]`: sees to the servers, then becomes node's own test runner over `test`.
 *
 * FILES are test files, folders or any part of a path (`npm test -- resp`). Three files run at a time: most of
 * them have a cluster of six servers and a proxy running. The servers are looked for here once, so that the
 * files, which are processes of their own, find them in place.
 */

import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { COMPILED } from './support/proxy.ts';
import { dismiss } from './support/reaper.ts';
import { availableServers } from './support/servers.ts';

const CONCURRENCY = 3;
/** A test that hangs fails after this time. */
const TIMEOUT_MS = 5 * 60_000;

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const wanted = process.argv.slice(2).map((arg) => arg.replace(/^\.\//, ''));
const files = globSync('test/**/*.test.ts')
  .sort()
  .filter((file) => wanted.length === 0 || wanted.some((one) => file.includes(one)));
if (files.length === 0) fail(`no test file matches ${wanted.join(' ')}`);

try {
  process.stderr.write('slotless: looking for servers ...');
  const servers = await availableServers((line) => process.stderr.write(` ${line} ...`));
  process.stderr.write(` ${servers.map(({ flavour, version }) => `${flavour} ${version}`).join(', ')}\n`);
} catch (error) {
  process.stderr.write('\n');
  fail(error instanceof Error ? error.message : String(error));
}
await dismiss();

// The runner in this process's place: its exit code and its last lines are this command's.
process.execve?.(
  process.execPath,
  [
    process.execPath,
    '--test',
    `--test-concurrency=${CONCURRENCY}`,
    `--test-timeout=${TIMEOUT_MS}`,
    '--test-reporter=spec',
    ...files,
  ],
  { NODE_COMPILE_CACHE: COMPILED, ...process.env },
);

function fail(message: string): never {
  process.stderr.write(`slotless: ${message}\n`);
  process.exit(1);
}
