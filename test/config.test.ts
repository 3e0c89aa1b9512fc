/**
 * The configuration from outside: what wins, what is out of bounds, and what the operator is told when it
 * cannot be used. The errors are compared whole, since their text is what they are for.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SETTINGS } from '../src/config/schema.ts';
import { kebab } from '../src/config/sources.ts';
import { ConfigError, DEFAULTS } from '../src/config.ts';
import { fails, failsFile, SEED, withFiles } from './config/given.ts';

test('without anything but a cluster every setting has its default', () => {
  assert.deepEqual(withFiles(SEED), { ...DEFAULTS, cluster: [{ host: 'a', port: 1 }] });
});

test('the defaults are those the design gives', () => {
  const expected = {
    file: '',
    cluster: [],
    username: '',
    password: '',
    listen: [{ host: '127.0.0.1', port: 6379 }],
    workers: 1,
    admin: { host: '127.0.0.1', port: 9121 },
    clientAuth: 'passthrough',
    clusterView: 'single',
    natMap: {},
    allow: [],
    transactions: 'one-slot',
    crossSlot: {
      level: 'writes',
      commands: {},
      maxBytes: 64 * 1024 * 1024,
      atOnce: 256 * 1024 * 1024,
      waitFor: 10000,
    },
    requestTimeout: 60000,
    zone: '',
    zones: {},
    reads: {
      from: 'primary',
      groups: {},
      ownWrites: 10000,
      maxLag: { unit: 'ms', most: 10000 },
      check: 100,
      silence: 100,
      hedgeAfter: 'off',
      hedgeBudget: 0.05,
    },
    redirects: { max: 400 },
    failover: { holdFor: 5000 },
    clientOutputLimit: 1073741824,
    limits: {
      clients: 10000,
      arguments: 1048576,
      bulk: 536870912,
      inline: 65536,
      clientQuery: 1073741824,
      clientPending: 10000,
      transactionCommands: 100_000,
      transactionBytes: 64 * 1024 * 1024,
      replyDepth: 128,
      trackedKeys: 1000000,
      subscriptions: 1000000,
      users: 64,
    },
    streamAbove: 1048576,
    pubsub: {
      mode: 'cluster',
      from: 'primary',
      onGap: 'keep',
      silence: 5000,
      outputLimit: { hard: 33554432, soft: 8388608, softFor: 60000 },
    },
    functions: {
      dir: '',
      threads: 8,
      memory: 128 * 1024 * 1024,
      maxCode: 1024 * 1024,
      libraries: 1000,
      maxRunTime: 30000,
      maxReplyBytes: 64 * 1024 * 1024,
      remoteTaskTimeout: 500,
      lockTimeout: 500,
    },
    scripts: { count: 10000, bytes: 67108864 },
    node: { links: 1, maxPending: 100000, maxPendingBytes: 268435456, dedicated: 256, blocked: 1024 },
    link: {
      connectTimeout: 2000,
      timeout: 1000,
      backoffMin: 50,
      backoffMax: 2000,
      keepAlive: 30000,
      name: 'slotless',
    },
    refresh: { every: 10000, jitter: 0.2, minGap: 100, ask: 3 },
    drain: { grace: 3000, timeout: 5000 },
    log: { level: 'info' },
  };
  assert.deepEqual(DEFAULTS, expected);
});

test('flags win over the environment, the environment over the file, the file over the defaults', () => {
  const files = { 'proxy.yaml': 'cluster: file:1\nworkers: 2\nlimits:\n  users: 2\n  clients: 2\n' };
  const env = { SLOTLESS_LIMITS_USERS: '3', SLOTLESS_WORKERS: '3', HOME: '/' };
  const config = withFiles(['--workers', '4'], env, files);
  assert.deepEqual(config.cluster, [{ host: 'file', port: 1 }]);
  assert.equal(config.limits.clients, 2);
  assert.equal(config.limits.users, 3);
  assert.equal(config.workers, 4);
  assert.equal(config.limits.inline, DEFAULTS.limits.inline);
});

test('proxy.yaml of the working directory is read when no file is named, and said to be', () => {
  const files = { 'proxy.yaml': 'cluster: a:1', 'other.yaml': 'cluster: b:1', 'third.yaml': 'cluster: c:1' };
  const seen = (argv: string[], env = {}) => {
    const { file, cluster } = withFiles(argv, env, files);
    return `${file} ${cluster[0]?.host}`;
  };
  assert.equal(seen([]), 'proxy.yaml a');
  assert.equal(seen(['--config', 'other.yaml']), 'other.yaml b');
  assert.equal(seen([], { SLOTLESS_CONFIG: 'third.yaml' }), 'third.yaml c');
  assert.equal(seen(['--config=other.yaml'], { SLOTLESS_CONFIG: 'third.yaml' }), 'other.yaml b');
  assert.equal(withFiles(SEED).file, '');
});

test('a file that is named must be there', () => {
  fails(
    [...SEED, '--config', 'none.yaml'],
    'config: found ENOENT when reading "none.yaml"; allowed: a file that can be read',
  );
});

test('every number is refused just outside its bounds and taken on them', () => {
  const apart = ['--link.backoff-max=10m', '--refresh.every=1h'];
  for (const { path, kind, low, high } of SETTINGS) {
    if (!['ms', 'bytes', 'count', 'ratio'].includes(kind)) continue;
    // One setting bounds the other here; each is tried on its own side.
    const others = apart.filter((flag) => !flag.startsWith(`--${kebab(path)}`));
    if (path === 'link.backoffMax' || path === 'refresh.every')
      others.push('--link.backoff-min=1', '--refresh.min-gap=0');
    const value = (number: number) => withFiles([...SEED, ...others, `--${path}=${number}`]);
    value(low);
    value(high);
    const message = (found: number) =>
      new RegExp(
        `^${path.replace('.', '\\.')}: found "${found}" in flag --${path}; allowed: a .* from .* to .*$`,
      );
    assert.throws(() => value(low - 1), { name: 'ConfigError', message: message(low - 1) }, path);
    assert.throws(() => value(high + 1), { name: 'ConfigError', message: message(high + 1) }, path);
  }
});

test('a wrong type ends with the path, what was found and what is allowed', () => {
  fails(
    [...SEED, '--workers', 'two'],
    'workers: found "two" in flag --workers; allowed: a whole number from 1 to 64',
  );
  fails(
    [...SEED, '--workers', '1.5'],
    'workers: found "1.5" in flag --workers; allowed: a whole number from 1 to 64',
  );
  fails(
    SEED,
    'redirects.max: found "" in variable SLOTLESS_REDIRECTS_MAX; allowed: a whole number from 1 to 10000'.replace(
      '""',
      'nothing',
    ),
    { SLOTLESS_REDIRECTS_MAX: '' },
  );
  fails(
    [...SEED, '--cluster-view=both'],
    'clusterView: found "both" in flag --cluster-view; allowed: single | real',
  );
  failsFile(
    'cluster: a:1\nlimits:\n  # bytes\n  inline: 5x\n',
    'limits.inline: found "5x" in proxy.yaml line 4; allowed: a size from 1kb to 64mb',
  );
  failsFile('workers: [1]', 'workers: found "1" in proxy.yaml line 1; allowed: a whole number from 1 to 64');
  failsFile(
    'workers: {a: 1}',
    'workers: found a mapping in proxy.yaml line 1; allowed: a whole number from 1 to 64',
  );
  failsFile('limits: 5', 'limits: found a text in proxy.yaml line 1; allowed: a mapping of settings');
  failsFile('- a', 'found a list in proxy.yaml line 1; allowed: a mapping of settings');
});

test('settings that bound each other are checked together', () => {
  fails(
    [...SEED, '--link.backoff-min=5s'],
    'link.backoffMin: found 5s; allowed: at most link.backoffMax, which is 2s',
  );
  fails(
    [...SEED, '--refresh.min-gap=11s'],
    'refresh.minGap: found 11s; allowed: at most refresh.every, which is 10s',
  );
});

test('a secret is repeated in no error', () => {
  assert.equal(
    failsFile('password: [hunter2]', /^password: found a value that is not shown in /).includes('hunter2'),
    false,
  );
  fails(['--cluster', 'redis://u:p,w@h:1'], /^cluster: found "\*\*\*@h:1" in flag --cluster; /);
  fails([...SEED, '--pasword=hunter2'], '--pasword: no such flag; the nearest is --password');
  fails(
    [...SEED, '--password', 'two', 'hunter2'],
    'argument 5: found a value without a flag; allowed: --name value',
  );
});

test('whatever is given, the answer is a frozen Config or one line', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      ...SETTINGS.map(({ path }) => `--${path}`),
      '--config',
      '--',
      '-',
      '--help',
      'a:1',
      '5',
      '1kb',
    ),
    fc.string({ unit: 'binary', maxLength: 12 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), fc.string({ unit: 'binary' }), (argv, yaml) => {
      try {
        assert.ok(Object.isFrozen(withFiles([...SEED, ...argv], {}, { 'proxy.yaml': yaml })));
      } catch (error) {
        assert.ok(error instanceof ConfigError, String(error));
        assert.ok(/^[^\n\r]{1,400}$/.test(error.message), error.message);
      }
    }),
  );
});

test('a Config is frozen to its depths', () => {
  const frozen = (value: unknown): boolean =>
    typeof value !== 'object' ||
    value === null ||
    (Object.isFrozen(value) && Object.values(value).every(frozen));
  assert.ok(frozen(withFiles([...SEED, '--nat-map', 'a:1=b:2'])));
  assert.ok(frozen(DEFAULTS));
});
