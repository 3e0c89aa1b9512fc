import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SETTINGS } from '../../src/config/schema.ts';
import { kebab, variable } from '../../src/config/sources.ts';
import { fails, failsFile, SEED, withFiles } from './given.ts';

test('a flag is written by its path, or in kebab-case, with its value behind a space or a sign', () => {
  for (const flag of ['--limits.clientQuery', '--limits.client-query', '--limits-client-query']) {
    assert.equal(withFiles([...SEED, flag, '1GiB']).limits.clientQuery, 1024 ** 3, flag);
    assert.equal(withFiles([...SEED, `${flag}=2m`]).limits.clientQuery, 2e6, flag);
  }
});

test('a flag given twice: lists grow, for the rest the last one wins', () => {
  const config = withFiles([...SEED, '--cluster', 'b:2', '--workers', '2', '--workers', '3']);
  assert.equal(config.cluster.length, 2);
  assert.equal(config.workers, 3);
});

test('no two settings share a flag or a variable', () => {
  const paths = SETTINGS.map(({ path }) => path);
  assert.equal(new Set(paths.map(variable)).size, paths.length);
  assert.equal(new Set(paths.map((path) => kebab(path).replaceAll('.', '-'))).size, paths.length);
  assert.equal(variable('limits.clientQuery'), 'SLOTLESS_LIMITS_CLIENT_QUERY');
});

test('an unknown name ends with the nearest one there is', () => {
  fails(
    [...SEED, '--limits.argument=5'],
    '--limits.argument: no such flag; the nearest is --limits.arguments',
  );
  fails([...SEED, '--argumens', '5'], '--argumens: no such flag; the nearest is --limits.arguments');
  fails([], 'SLOTLESS_CLUSTR: no such variable; the nearest is SLOTLESS_CLUSTER', { SLOTLESS_CLUSTR: 'a:1' });
  failsFile(
    'limits:\n  client: 5',
    'limits.client: no such setting in proxy.yaml line 2; the nearest is limits.clients',
  );
  failsFile('limitz: {}', 'limitz: no such setting in proxy.yaml line 1; the nearest is limits');
  failsFile('__proto__: {}', /^__proto__: no such setting in proxy\.yaml line 1; the nearest is /);
});

test('a flag without a value, a value without a flag and a missing cluster are errors', () => {
  fails([...SEED, '--workers'], '--workers: found no value; allowed: --workers value');
  fails([...SEED, 'on'], 'argument 3: found a value without a flag; allowed: --name value');
  const nothing =
    'cluster: found nothing; allowed: one or more of host:port or [v6]:port, with a comma between them';
  fails([], nothing);
  fails(['--cluster='], nothing.replace('nothing', 'nothing in flag --cluster'));
});

test('in YAML lists, mappings and text mean the same, and numbers are not reinterpreted', () => {
  const yaml = `
cluster:
  - a:1
  - "[::1]:2"
password: 0123
username: "null"
admin: off
natMap: { "a:1": b:2 }
allow: [Debug, cluster|failover]
limits:
refresh.every: 20s
`;
  const config = withFiles([], {}, { 'proxy.yaml': yaml });
  assert.equal(config.cluster.length, 2);
  assert.equal(config.password, '0123');
  assert.equal(config.username, 'null');
  assert.equal(config.admin, 'off');
  assert.deepEqual(config.natMap, { 'a:1': { host: 'b', port: 2 } });
  assert.deepEqual(config.allow, ['debug', 'cluster|failover']);
  assert.equal(config.refresh.every, 20000);
  assert.equal(withFiles([], {}, { 'proxy.yaml': 'cluster: a:1\npassword: null' }).password, '');
});

test('a YAML error names the line and shows nothing of the file', () => {
  const rest = 'allowed: one mapping of settings, with quotes around values that begin with a sign';
  const quoted = 'cluster: a:1\npassword: "hunter2\n';
  assert.equal(
    failsFile(quoted, /^proxy\.yaml line \d, column \d+: found no YAML \(missing char\); /).includes(
      'hunter2',
    ),
    false,
  );
  failsFile('log:\n\thunter2: 2', /^proxy\.yaml line 2, column \d+: found no YAML \([a-z ]+\); /);
  failsFile(
    'cluster:\n  - [::1]:5',
    `proxy.yaml line 2, column 10: found no YAML (unexpected token); ${rest}`,
  );
  failsFile('workers: 1\nworkers: 2', `proxy.yaml line 2, column 1: found no YAML (duplicate key); ${rest}`);
  failsFile(
    'limits: {users: 1}\nlimits.users: 2',
    'limits.users: found twice, the second time in proxy.yaml line 2; allowed: once',
  );
  failsFile(
    'password: *hunter2',
    'password: found an alias in proxy.yaml line 1; allowed: text, or a list or mapping of texts',
  );
  failsFile(
    'cluster: a:1\npassword: !!int hunter2',
    /^proxy\.yaml line 2, column 11: found no YAML \(tag resolve failed\); /,
  );
  failsFile('cluster: a:1\npassword: "\\q2"', /\(bad dq escape\)/);
});

test('a folder of functions may be named by their group alone, wherever settings are given', () => {
  const file = (text: string) => withFiles(SEED, {}, { 'proxy.yaml': text }).functions;
  assert.equal(file('functions: /etc/lib').dir, '/etc/lib');
  assert.equal(file('functions: { dir: /etc/lib, threads: 3 }').threads, 3);
  assert.equal(file('functions:').dir, '');
  assert.equal(withFiles([...SEED, '--functions', 'lib']).functions.dir, 'lib');
  assert.equal(withFiles(SEED, { SLOTLESS_FUNCTIONS: 'lib' }).functions.dir, 'lib');
  failsFile('functions: [a]', 'functions: found a list in proxy.yaml line 1; allowed: a mapping of settings');
  failsFile('limits: 5', 'limits: found a text in proxy.yaml line 1; allowed: a mapping of settings');
});

test('how far commands go across slots may be said by their group alone', () => {
  const file = (text: string) => withFiles(SEED, {}, { 'proxy.yaml': text }).crossSlot;
  assert.equal(file('crossSlot: all').level, 'all');
  const both = file('crossSlot: { level: reads, commands: { rename: refuse, "@scripting": all } }');
  assert.deepEqual([both.level, both.commands], ['reads', { rename: 'refuse', '@scripting': 'all' }]);
  assert.equal(withFiles([...SEED, '--crossSlot', 'refuse']).crossSlot.level, 'refuse');
  assert.equal(withFiles([...SEED, '--cross-slot', 'refuse']).crossSlot.level, 'refuse');
  assert.equal(withFiles(SEED, { SLOTLESS_CROSS_SLOT: 'all' }).crossSlot.level, 'all');
  const commands = withFiles(SEED, { SLOTLESS_CROSS_SLOT_COMMANDS: 'msetnx=all,rename=refuse' }).crossSlot;
  assert.deepEqual(commands.commands, { msetnx: 'all', rename: 'refuse' });
  fails(
    [...SEED, '--crossSlot', 'some'],
    'crossSlot.level: found "some" in flag --crossSlot; allowed: refuse | reads | writes | all',
  );
});
