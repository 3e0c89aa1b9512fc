/** What the clients of functions do, and what they say to those who use them when they may not. */

import assert from 'node:assert';
import { after, test } from 'node:test';
import type { Host, Job } from '../../../src/functions/job.ts';
import type { Library } from '../../../src/functions/library.ts';
import { until } from '../../support/wait.ts';
import { type Call, call, load, scripted, startPool } from '../support.ts';

const pool = startPool({ after });

/** The reply of a function of this body. */
async function sync(body: string, options: Call = {}, more = ''): Promise<string> {
  const library = await load(pool, `${more}\nredis.registerFunction('f', (client, ...args) => { ${body} })`);
  return call(pool, library, 'f', options);
}

async function async_(body: string, options: Call = {}, more = ''): Promise<string> {
  const library = await load(
    pool,
    `${more}\nredis.registerAsyncFunction('f', async (client, ...args) => { ${body} })`,
  );
  return call(pool, library, 'f', options);
}

function clusterJob(library: Library, args: (Job & { kind: 'cluster' })['args']): Job {
  return { kind: 'cluster', library, name: 'remote', args, maxRunTime: 5000 };
}

test('the words of a command may be text, numbers and buffers', async () => {
  const { host, asked } = scripted({ set: '+OK\r\n' });
  const body = `client.call('set', 'ü', 1, 2.5, 3n, new Uint8Array([255, 0]).buffer, new String('s'))`;
  await sync(body, { host });
  assert.deepEqual(asked, ['set \xc3\xbc 1 2.5 3 \xff\0 s']);
});

for (const word of ['undefined', 'null', 'true', '{}', '[]', '() => 1', 'Symbol()']) {
  test(`${word} is no word of a command`, () =>
    assert.rejects(sync(`client.call('echo', ${word})`), {
      message: 'Can not convert argument to string',
    }));
}

test('a call without a command is refused', () =>
  assert.rejects(sync('client.call()'), { message: 'Wrong number of arguments given' }));

test('an error of a server is thrown with its text, and can be caught', async () => {
  const { host } = scripted({ get: '-WRONGTYPE no such luck\r\n' });
  await assert.rejects(sync(`client.call('get', 'k')`, { host }), { message: 'WRONGTYPE no such luck' });
  const caught = `try { client.call('get', 'k') } catch (e) { return e.message + (e instanceof Error) }`;
  assert.equal(await sync(caught, { host }), '$26\r\nWRONGTYPE no such lucktrue\r\n');
});

test('what the cluster has no answer for is thrown, too', async () => {
  const host: Host = { ...scripted().host, call: () => Promise.reject(new Error('The slot is not served')) };
  await assert.rejects(sync(`client.call('get', 'k')`, { host }), { message: 'The slot is not served' });
  await assert.rejects(async_(`return client.block((c) => c.callAsync('get', 'k'))`, { host }), {
    message: 'The slot is not served',
  });
});

test('callAsync within a function is sent as one, at its end or before the next call', async () => {
  const { host, asked } = scripted();
  const reply = await sync(
    `const a = client.callAsync('echo', 'a'), b = client.callAsyncRaw('echo', 'b');
     const c = client.call('echo', 'c');
     const d = client.callAsync('echo', 'd');
     return Promise.all([a, b.then((it) => it.byteLength), c, d])`,
    { host },
  );
  assert.equal(reply, '*4\r\n$1\r\na\r\n:1\r\n$1\r\nc\r\n$1\r\nd\r\n');
  assert.deepEqual(asked, ['echo a | echo b', 'echo c', 'echo d']);
});

test('callAsync within a block is sent as one, and each has its own answer', async () => {
  const { host, asked } = scripted({ bad: '-ERR bad\r\n', raw: '$1\r\n\xff\r\n' });
  const reply = await async_(
    `const all = client.block((c) => [c.callAsync('echo', 1), c.callAsync('bad'), c.callAsync('raw')]);
     return (await Promise.allSettled(all)).map((it) => it.value ?? it.reason.message)`,
    { host },
  );
  assert.equal(reply, '*3\r\n$1\r\n1\r\n$7\r\nERR bad\r\n$32\r\nCould not decode value as string\r\n');
  assert.deepEqual(asked, ['echo 1 | bad | raw']);
});

test('callAsync after the function has returned is a call of its own', async () => {
  const { host, asked } = scripted();
  await sync(
    `return client.callAsync('echo', 1).then(() => Promise.all([client.callAsync('echo', 2), client.callAsync('echo', 3)]))`,
    { host },
  );
  assert.deepEqual(asked, ['echo 1', 'echo 2', 'echo 3']);
});

test('a function may block where its caller waits', async () => {
  assert.equal(await sync('return client.isBlockAllowed()', { blockAllowed: true }), '#t\r\n');
  assert.equal(await sync('return client.isBlockAllowed()', { blockAllowed: false }), '#f\r\n');
  assert.equal(await async_('return client.block((c) => c.isBlockAllowed())'), '#t\r\n');
});

test('block gives what its function gives', async () => {
  assert.equal(await async_('return client.block(() => 1)'), ':1\r\n');
  assert.equal(await async_('return client.block(async () => 2)'), ':2\r\n');
  await assert.rejects(async_(`client.block(() => { throw 'thrown' })`), { message: 'thrown' });
});

test('block wants a function', () =>
  assert.rejects(async_('client.block(1)'), { message: "Argument to 'block' must be a function" }));

test('a block in a block is refused', () =>
  assert.rejects(async_('client.block(() => client.block(() => 1))'), {
    message: 'Main thread is already blocked',
  }));

test('a sync client is of no use when its block has ended', () =>
  assert.rejects(async_(`let kept; client.block((c) => { kept = c }); kept.call('ping')`), {
    message: 'Main thread is not locked',
  }));

test('a sync client is of no use when its function has returned', () =>
  assert.rejects(sync(`return Promise.resolve().then(() => client.call('ping'))`), {
    message: 'Main thread is not locked',
  }));

test('a client is of no use when its function has ended', async () => {
  const library = await load(
    pool,
    `let kept;
     redis.registerFunction('keep', (client) => { kept = client });
     redis.registerFunction('keepBlock', (client) => client.executeAsync(async (c) => { kept = c }));
     redis.registerFunction('call', () => kept.call('ping'));
     redis.registerFunction('block', () => kept.block(() => 1));`,
  );
  const one = startPool({ after }, { threads: 1 });
  await call(one, library, 'keep');
  await assert.rejects(call(one, library, 'call'), { message: 'Used on invalid client' });
  await call(one, library, 'keepBlock');
  await assert.rejects(call(one, library, 'block'), { message: 'Used on invalid client' });
});

test('executeAsync runs a function in the background and gives its promise', async () => {
  const body = `return client.executeAsync(async (c) => c.block((c) => c.call('echo', 'from behind')))`;
  assert.equal(await sync(body), '$11\r\nfrom behind\r\n');
});

test('what runs in the background goes on when its function has ended', async () => {
  const { host, asked } = scripted();
  const body = `client.executeAsync(async (c) => {
    await c.block((c) => c.callAsync('echo', 'first'));
    c.block((c) => c.call('echo', 'second'));
  }); return 'started'`;
  assert.equal(await sync(body, { host, blockAllowed: false }), '$7\r\nstarted\r\n');
  await until('the background', () => asked.length === 2);
  assert.deepEqual(asked, ['echo first', 'echo second']);
});

test('runOnKey sends JSON and buffers, and resolves with what comes back', async () => {
  const sent: unknown[] = [];
  const host: Host = {
    ...scripted().host,
    runOnKey(key, name, args) {
      sent.push(Buffer.from(key).toString(), name, args);
      return Promise.resolve(name === 'raw' ? { raw: Buffer.from('\xff', 'latin1') } : { json: '{"a":[1]}' });
    },
  };
  assert.equal(
    await async_(`return client.runOnKey('k', 'f', { a: 1 }, 'text', null, new ArrayBuffer(1))`, { host }),
    '%1\r\n$1\r\na\r\n*1\r\n:1\r\n',
  );
  const args = [{ json: '{"a":1}' }, { json: '"text"' }, { json: 'null' }, { raw: new Uint8Array(1) }];
  assert.deepEqual(sent, ['k', 'f', args]);
  assert.equal(await async_(`return client.runOnKey('k', 'raw')`, { host }), '$1\r\n\xff\r\n');
});

test('runOnKey rejects with a string', async () => {
  const host: Host = { ...scripted().host, runOnKey: () => Promise.reject(new Error('Remote task timeout')) };
  const body = `return client.runOnKey('k', 'f').catch((e) => typeof e + ' ' + e)`;
  assert.equal(await async_(body, { host }), '$26\r\nstring Remote task timeout\r\n');
  await assert.rejects(async_(`return client.runOnKey('k', 'f')`, { host }), {
    message: 'Remote task timeout',
  });
});

const unsent: readonly (readonly [string, RegExp])[] = [
  ['undefined', /^Failed deserializing remote function argument$/],
  ['() => 1', /^Failed deserializing remote function argument$/],
  ['1n', /^Failed serializing arguments, .+\.$/],
  ['(() => { const a = []; a.push(a); return a })()', /^Failed serializing arguments, .+\.$/],
];
for (const [value, message] of unsent) {
  test(`${value} is no argument of a remote function`, async () => {
    await assert.rejects(async_(`return client.runOnKey('k', 'f', ${value})`), { message });
    await assert.rejects(async_(`return client.runOnShards('f', ${value})`), { message });
  });
}

test('runOnShards resolves with results and errors', async () => {
  const host: Host = {
    ...scripted().host,
    runOnShards: () =>
      Promise.resolve({ results: [{ json: '"1"' }, { raw: Buffer.from('x') }], errors: ['Timeout'] }),
  };
  assert.equal(
    await async_(`return client.runOnShards('f')`, { host }),
    '*2\r\n*2\r\n$1\r\n1\r\n$1\r\nx\r\n*1\r\n$7\r\nTimeout\r\n',
  );
});

test('map and fanout send commands, a reducer and options', async () => {
  const sent: unknown[] = [];
  const take = (what: string) => (commands: unknown, reducer: string, options: unknown) => {
    sent.push(what, JSON.stringify(commands), reducer, options);
    return Promise.resolve(Buffer.from(':3\r\n'));
  };
  const host: Host = { ...scripted().host, map: take('map'), fanout: take('fanout') };
  assert.equal(await async_(`return client.fanout(['dbsize'], 'sum', { timeout: 5 })`, { host }), ':3\r\n');
  await async_(`return client.map([['get', 'k']], 'sum')`, { host });
  const words = (list: string[]) => list.map((word) => ({ ...Buffer.from(word) }));
  assert.deepEqual(sent, [
    ...['fanout', JSON.stringify(words(['dbsize'])), 'sum', { timeout: 5 }],
    ...['map', JSON.stringify([words(['get', 'k'])]), 'sum', {}],
  ]);
  await assert.rejects(async_(`return client.fanout(['dbsize'], 'sum', { foo: 1 })`, { host }), {
    message: 'Unknown properties given: foo',
  });
});

test('a cluster function has its arguments and gives its result through JSON', async () => {
  const library = await load(
    pool,
    `redis.registerFunction('f', () => 1);
     redis.registerClusterFunction('remote', async (client, value, bytes) => {
       if (value === 'throw') throw new Error('Remote function failure');
       if (value === 'undefined') return undefined;
       if (value === 'bigint') return 1n;
       return bytes === undefined ? { value } : bytes;
     });`,
  );
  const { host } = scripted();
  assert.deepEqual(await pool.run(clusterJob(library, [{ json: '[1]' }]), host), {
    result: { json: '{"value":[1]}' },
  });
  const raw = new Uint8Array([255, 0]);
  assert.deepEqual(await pool.run(clusterJob(library, [{ json: '1' }, { raw }]), host), { result: { raw } });
  const fails = (text: string, message: RegExp | string) =>
    assert.rejects(pool.run(clusterJob(library, [{ json: `"${text}"` }]), host), { message });
  await fails('throw', 'Remote function failure');
  await fails('undefined', 'Failed deserializing remote function result');
  await fails('bigint', /^Failed serializing result, .+\.$/);
  await assert.rejects(pool.run({ ...clusterJob(library, []), name: 'other' } as Job, host), {
    message: 'Remote function other does not exists on library lib',
  });
});

test('a registered command has an async client and its arguments', async () => {
  const library = await load(
    pool,
    `redis.registerCommand('my.echo', (client, ...args) => client.block((c) => c.call('echo', ...args)))`,
  );
  const args = [Buffer.from('a'), Buffer.from('b')];
  const job: Job = { kind: 'command', library, name: 'my.echo', args, resp: 2, maxRunTime: 5000 };
  assert.deepEqual(await pool.run(job, scripted().host), {
    reply: new Uint8Array(Buffer.from('$3\r\na b\r\n')),
  });
});

test('a reducer has replies, errors and arguments', async () => {
  const library = await load(
    pool,
    `redis.registerReducer('all', (replies, errors, args) => [replies, errors, args])`,
  );
  const replies = [Buffer.from(':1\r\n'), Buffer.from('$1\r\nx\r\n')];
  const job: Job = {
    ...{ kind: 'reducer', library, name: 'all', replies, errors: ['late'], args: ['5'] },
    ...{ resp: 3, maxRunTime: 5000 },
  };
  const outcome = await pool.run(job, scripted().host);
  assert.equal(
    'reply' in outcome && Buffer.from(outcome.reply).toString(),
    '*3\r\n*2\r\n:1\r\n$1\r\nx\r\n*1\r\n$4\r\nlate\r\n*1\r\n$1\r\n5\r\n',
  );
});

test('what a function logs is told to the host', async () => {
  const { host, logged } = scripted();
  await sync(`redis.log('a'); redis.log_warning({ toString: () => 'b' }); redis.log_debug(1)`, { host });
  assert.deepEqual(logged, ['info a', 'warn b', 'debug 1']);
});

test('too many questions at once are refused', async () => {
  const patient = startPool({ after }, { lockTimeout: () => 5000 });
  const library = await load(
    patient,
    `redis.registerAsyncFunction('f', async (client) => {
       const all = [];
       for (let i = 0; i < 10001; i++) all.push(client.runOnKey('k', 'f'));
       return Promise.any(all).catch((e) => e.errors[10000].message);
     })`,
  );
  assert.equal(await call(patient, library, 'f'), '$28\r\nToo many calls are under way\r\n');
});
