/** Jobs on function threads, with a scripted host in the place of the cluster. */

import assert from 'node:assert';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Sent } from '../../src/functions/job.ts';
import type { Library } from '../../src/functions/library.ts';
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

test('functions that call each other a hundred deep need one thread', async (t) => {
  const pool = startPool(t, { threads: 1 });
  const library = await load(
    pool,
    `redis.registerFunction('f', () => 1);
     redis.registerClusterFunction('hop', async (client, left) =>
       left === 0 ? 'deep' : client.runOnKey('k', 'hop', left - 1));`,
  );
  const { host } = scripted({}, { runOnKey: (_key, name, args) => hop(name, args) });
  const hop = async (name: string, args: readonly Sent[]): Promise<Sent> => {
    const outcome = await pool.run({ kind: 'cluster', library, name, args, maxRunTime: 5000 }, host);
    return 'result' in outcome ? outcome.result : { json: 'null' };
  };
  assert.deepEqual(await hop('hop', [{ json: '100' }]), { json: '"deep"' });
});

test('a function that loops does not make others late while there is a thread', async (t) => {
  const pool = startPool(t, { threads: 4, lockTimeout: () => 1000 });
  const library = await load(
    pool,
    `redis.registerFunction('loop', () => { for (;;); });
     redis.registerFunction('fine', () => 'fine');`,
  );
  const order: string[] = [];
  const note = (what: string) => () => void order.push(what);
  const loop = assert.rejects(call(pool, library, 'loop')).then(note('loop'));
  await Promise.all([call(pool, library, 'fine'), call(pool, library, 'fine')]).then(note('fine'));
  await loop;
  assert.deepEqual(order, ['fine', 'loop']);
});

test('jobs wait for a thread, in the order in which they came', async (t) => {
  const pool = startPool(t, { threads: 1 });
  const library = await load(pool, `redis.registerFunction('f', (client, i) => client.call('echo', i))`);
  const { host, asked } = scripted();
  const all = Array.from({ length: 50 }, (_, i) => call(pool, library, 'f', { args: [String(i)], host }));
  await Promise.all(all);
  assert.deepEqual(
    asked,
    Array.from({ length: 50 }, (_, i) => `echo ${i}`),
  );
});

test('a promise that never resolves ends at its time', async (t) => {
  const pool = startPool(t);
  const library = await load(
    pool,
    `redis.registerAsyncFunction('never', () => new Promise(() => {}));
     redis.registerAsyncFunction('asks', async (client) => client.runOnKey('k', 'f'));`,
  );
  const { host } = scripted({}, { runOnKey: () => new Promise(() => {}) });
  const message = 'Promise was dropped without been resolved. Usually happened because of timeout or OOM.';
  await assert.rejects(call(pool, library, 'never', { maxRunTime: 50 }), { message });
  await assert.rejects(call(pool, library, 'asks', { maxRunTime: 50, host }), { message });
});

test('a call that has no reply ends with its run, and the thread goes on', async (t) => {
  const pool = startPool(t, { threads: 1 });
  const library = await load(
    pool,
    `let caught = 'nothing';
     redis.registerFunction('call', (client) => { try { client.call('get', 'k') } catch (e) { caught = e.message } });
     redis.registerFunction('caught', () => caught);`,
  );
  const { host } = scripted({}, { call: () => new Promise(() => {}) });
  await assert.rejects(call(pool, library, 'call', { maxRunTime: 50, host }), {
    message: /^Promise was dropped/,
  });
  assert.equal(await call(pool, library, 'caught'), '$22\r\nUsed on invalid client\r\n');
});

test('the time that a call waits does not count', async (t) => {
  const pool = startPool(t, { lockTimeout: () => 50 });
  const library = await load(
    pool,
    `redis.registerFunction('f', (client) => { for (let i = 0; i < 3; i++) client.call('echo', i); return 'done' })`,
  );
  const slow = scripted().host;
  const host = { ...slow, call: (words: readonly Uint8Array[]) => delay(60).then(() => slow.call(words)) };
  assert.equal(await call(pool, library, 'f', { host }), '$4\r\ndone\r\n');
});

test('a job that waited too long for a thread is given up', async (t) => {
  const pool = startPool(t, { threads: 1, lockTimeout: () => 1000 });
  const library = await load(
    pool,
    `redis.registerFunction('loop', () => { for (;;); }); redis.registerFunction('f', () => 1);`,
  );
  const loop = assert.rejects(call(pool, library, 'loop'));
  await assert.rejects(call(pool, library, 'f', { maxRunTime: 20 }), { message: /^Promise was dropped/ });
  await loop;
});

test('a pool that is closed ends what is under way and takes no more', async (t) => {
  const pool = startPool(t);
  const library = await load(pool, `redis.registerAsyncFunction('never', () => new Promise(() => {}))`);
  const under = assert.rejects(call(pool, library, 'never'), { message: 'The proxy is closing' });
  pool.close();
  await under;
  await assert.rejects(call(pool, library, 'never'), { message: 'The proxy is closing' });
});

test('what runs on one thread at a time has its own replies', async (t) => {
  const pool = startPool(t, { threads: 2 });
  const library = await load(
    pool,
    `redis.registerAsyncFunction('f', async (client, i) => {
       const first = await client.block((c) => c.callAsync('echo', i));
       const [key] = await Promise.all([client.runOnKey(i, 'f'), client.block((c) => c.callAsync('echo', i))]);
       return first === i && key === i;
     })`,
  );
  const { host } = scripted(
    {},
    { runOnKey: (key) => Promise.resolve({ json: JSON.stringify(Buffer.from(key).toString()) }) },
  );
  const all = Array.from({ length: 200 }, (_, i) => call(pool, library, 'f', { args: [String(i)], host }));
  assert.deepEqual(new Set(await Promise.all(all)), new Set(['#t\r\n']));
});

test('a thread keeps some libraries compiled, and loads the others again', async (t) => {
  const pool = startPool(t, { threads: 1 });
  const libraries: Library[] = [];
  for (let i = 0; i < 20; i++) {
    libraries.push(await load(pool, `redis.registerFunction('f', () => ${i})`, `lib${i}`));
  }
  for (const round of [1, 2]) {
    const replies = await Promise.all(libraries.map((library) => call(pool, library, 'f')));
    assert.deepEqual(
      replies,
      libraries.map((_, i) => `:${i}\r\n`),
      `round ${round}`,
    );
  }
});

test('long replies are whole', async (t) => {
  const pool = startPool(t);
  const library = await load(
    pool,
    `redis.registerFunction('text', (client, n) => 'x'.repeat(Number(n)));
     redis.registerFunction('call', (client) => client.call('long').length);`,
  );
  for (const length of [60_000, 70_000, 3_000_000]) {
    const reply = await call(pool, library, 'text', { args: [String(length)] });
    assert.equal(reply, `$${length}\r\n${'x'.repeat(length)}\r\n`);
  }
  const { host } = scripted({ long: `$1000000\r\n${'y'.repeat(1_000_000)}\r\n` });
  assert.equal(await call(pool, library, 'call', { host }), ':1000000\r\n');
});

test('a cluster function has all of its time from when it has a thread', async (t) => {
  const pool = startPool(t, { threads: 1, lockTimeout: () => 300 });
  const library = await load(
    pool,
    `redis.registerFunction('loop', () => { while (true); });
    redis.registerClusterFunction('quick', async () => 'done');`,
  );
  const { host } = scripted();
  const loop = call(pool, library, 'loop').catch((error: Error) => error.message);
  let started = 0;
  const job = { kind: 'cluster', library, name: 'quick', args: [], maxRunTime: 200 } as const;
  const outcome = await pool.run(job, { ...host, started: () => started++ });
  assert.deepEqual(outcome, { result: { json: '"done"' } });
  assert.equal(started, 1);
  assert.match(String(await loop), /Execution was terminated/);
});
