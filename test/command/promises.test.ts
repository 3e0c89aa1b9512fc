/** README's table of guarantees is the one that the code goes by. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { promiseTable } from '../../src/command/promises.ts';
import { type Fixture, startAll, stopAll } from './tables.ts';

let servers: Fixture[];

before(async () => {
  servers = await startAll();
});

after(() => stopAll(servers));

test('README says of every command with several keys what the code does', () => {
  const table = promiseTable(servers.flatMap(({ table: { commands } }) => commands));
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  assert.ok(readme.includes(`\n${table}\n`), `README has another table than this:\n${table}`);
});

test('no command with several keys is left out', () => {
  const named = promiseTable(servers.flatMap(({ table: { commands } }) => commands));
  for (const name of [
    'SINTER',
    'SORT ... STORE',
    'RENAME',
    'MSETNX',
    'EVAL',
    'LMPOP',
    'BITOP',
    'XREAD',
    'MGET',
  ])
    assert.match(named, new RegExp(`[| ]${name.replaceAll('.', '\\.')}[,| ]`), name);
});
