import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SETTINGS } from '../../src/config/schema.ts';
import { read, write } from '../../src/config/values.ts';
import { fails, SEED, withFiles } from './given.ts';

test('addresses are names, IPv4, IPv6 in brackets and paths of sockets', () => {
  const config = withFiles([
    '--cluster=node-1.example_x:6379,10.0.0.1:1,[::1]:65535',
    '--listen=/run/slotless.sock,[::]:0',
    '--admin=off',
    '--nat-map=10.0.0.1:1=[::1]:2, a:1=b:2',
  ]);
  assert.deepEqual(config.cluster, [
    { host: 'node-1.example_x', port: 6379 },
    { host: '10.0.0.1', port: 1 },
    { host: '::1', port: 65535 },
  ]);
  assert.deepEqual(config.listen, [{ path: '/run/slotless.sock' }, { host: '::', port: 0 }]);
  assert.equal(config.admin, 'off');
  assert.deepEqual(config.natMap, { '10.0.0.1:1': { host: '::1', port: 2 }, 'a:1': { host: 'b', port: 2 } });
});

test('an address that is none of these is refused', () => {
  const allowed = 'one or more of host:port or [v6]:port, with a comma between them';
  for (const text of [
    'a',
    'a:',
    ':1',
    'a:0',
    'a:65536',
    '::1:6379',
    '[::g]:1',
    'a:1,',
    'a b:1',
    '/sock',
    'a:1e3',
  ])
    fails(
      ['--cluster', text],
      `cluster: found ${JSON.stringify(text)} in flag --cluster; allowed: ${allowed}`,
    );
});

test('sizes are as in redis.conf and times have units', () => {
  const sizes = {
    '64kb': 65536,
    '64k': 64000,
    '1MB': 1048576,
    '1mib': 1048576,
    '1 m': 1e6,
    '65536': 65536,
    '65536b': 65536,
  };
  for (const [text, bytes] of Object.entries(sizes))
    assert.equal(withFiles([...SEED, '--limits.inline', text]).limits.inline, bytes, text);
  const times = { '5s': 5000, '250ms': 250, '250': 250, '2m': 120000, '1H': 3600000, '0': 0 };
  for (const [text, ms] of Object.entries(times))
    assert.equal(withFiles([...SEED, '--drain.grace', text]).drain.grace, ms, text);
});

test('any value within bounds comes back when it is written and read again', () => {
  for (const setting of SETTINGS.filter(({ kind }) => kind === 'ms' || kind === 'bytes' || kind === 'count'))
    fc.assert(
      fc.property(fc.integer({ min: setting.low, max: setting.high }), (value) => {
        assert.equal(read(setting, write(setting, value)), value);
      }),
      { numRuns: 50 },
    );
});
