/** Jobs on function threads, with a scripted host in the place of the cluster. */

import assert from 'node:assert';
import { test } from 'node:test';
import { call, load, scripted, startPool } from './support.ts';

test('what a library registers is told in the order of registration', async (t) => {
  const library = await load(
    startPool(t),
    `redis.registerFunction('b', () => 1, { description: 'text', flags: [redis.functionFlags.NO_WRITES] });
     redis.registerAsyncFunction('a', () => 1);
     redis.registerClusterFunction('remote', async () => 1);
     redis.registerReducer('sum', () => 1);
     redis.registerCommand('RMR.SUM', () => 1, { arity: -2, firstKey: 1, lastKey: -1, keyStep: 1, flags: ['readonly'] });`,
  );
  assert.deepEqual(library.registrations, {
    functions: [
      { name: 'b', isAsync: false, flags: ['no-writes'], description: 'text' },
      { name: 'a', isAsync: true, flags: [], description: null },
    ],
    clusterFunctions: ['remote'],
    reducers: ['sum'],
    commands: [{ name: 'RMR.SUM', arity: -2, firstKey: 1, lastKey: -1, keyStep: 1, flags: ['readonly'] }],
  });
});

test('a function calls commands, and its value is the reply', async (t) => {
  const pool = startPool(t);
  const library = await load(
    pool,
    `redis.registerFunction('get', (client, key) => client.call('echo', 'value of', key));`,
  );
  const { host, asked } = scripted();
  assert.equal(await call(pool, library, 'get', { args: ['k'], host }), '$10\r\nvalue of k\r\n');
  assert.deepEqual(asked, ['echo value of k']);
});

test('an endless loop is ended, and the library answers again', async (t) => {
  const pool = startPool(t);
  const library = await load(
    pool,
    `redis.registerFunction('loop', () => { for (;;); });
     redis.registerFunction('fine', () => 'fine');`,
  );
  await assert.rejects(call(pool, library, 'loop'), {
    message: 'Err Execution was terminated due to OOM or timeout',
  });
  assert.equal(await call(pool, library, 'fine'), '$4\r\nfine\r\n');
});
