/** Libraries that mean harm: each ends with a clear error within its limits, and its neighbours answer as before. */

import assert from 'node:assert';
import { after, before, test } from 'node:test';
import type { Library } from '../../src/functions/library.ts';
import { TERMINATED } from '../../src/functions/protocol.ts';
import { type Call, call, load, scripted, startPool } from './support.ts';

const pool = startPool({ after });
let neighbour: Library;

before(async () => {
  neighbour = await load(pool, `redis.registerFunction('f', () => 'fine')`, 'neighbour');
});

/** How the function `f` of a library ends, and that its neighbour still answers. */
async function ends(code: string, options: Call = {}): Promise<string> {
  const library = await load(pool, code);
  const ending = await call(pool, library, 'f', options).catch((error: Error) => error.message);
  assert.equal(await call(pool, neighbour, 'f'), '$4\r\nfine\r\n');
  return ending;
}

const sync = (body: string) => `redis.registerFunction('f', (client) => { ${body} })`;
const async_ = (body: string) => `redis.registerAsyncFunction('f', async (client) => { ${body} })`;

const tooLong = 'The reply is longer than functions.maxReplyBytes allows';
const nonsense = 'The library has changed the language so that its value can not be read';

const hostile: readonly (readonly [string, string, string | RegExp])[] = [
  ['an endless loop', sync('for (;;);'), TERMINATED],
  ['an endless chain of promises', async_('for (;;) await null;'), TERMINATED],
  [
    'a chain that goes on behind its end',
    async_('const f = async () => { try { for (;;) await null } finally { return f() } }; return f()'),
    TERMINATED,
  ],
  [
    'a loop that begins anew when it is ended',
    async_('const f = async () => { for (;;); }; const g = () => f().then(g, g); return g()'),
    TERMINATED,
  ],
  ['a memory bomb', sync('const all = []; for (;;) all.push(new Array(1000).fill(1.5))'), TERMINATED],
  ['a memory bomb behind an await', async_('await null; const all = []; for (;;) all.push({})'), TERMINATED],
  ['a huge string', sync(`return 'x'.repeat(2 ** 26)`), TERMINATED],
  ['a huger string', sync(`return 'x'.repeat(2 ** 30)`), 'invalid string length'],
  ['deep recursion', sync('const f = () => f(); f()'), 'stack overflow'],
  ['deep recursion of the parser', sync(`eval('('.repeat(1e6))`), 'stack overflow'],
  [
    'a getter that throws',
    sync(`return [{ get a() { throw new Error('from a getter') } }]`),
    'from a getter',
  ],
  ['a getter that loops', sync('return { get a() { for (;;); } }'), TERMINATED],
  ['a proxy without an end', sync('return new Proxy([], { get: () => 1e15 })'), TERMINATED],
  [
    'an error that does not tell',
    sync('throw { get message() { for (;;); }, toJSON() { for (;;); } }'),
    TERMINATED,
  ],
  ['a reply of 100 MB', sync(`return Array(100).fill('x'.repeat(1e6))`), tooLong],
  ['a value in a circle', sync('const a = []; a.push(a); return a'), 'nesting level reached'],
  [
    'a value too deep',
    sync('let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a'),
    'nesting level reached',
  ],
  [
    'a value that shares its parts',
    sync('let a = []; for (let i = 0; i < 90; i++) a = [a, a]; return a'),
    /./,
  ],
  [
    'setters under arrays',
    sync('Object.defineProperty(Array.prototype, 1, { set() {}, get() { return {} } }); return [1, [2]]'),
    nonsense,
  ],
  [
    'a toJSON under everything',
    sync(`Object.prototype.toJSON = () => ({ evil: 1 }); return { a: 1 }`),
    nonsense,
  ],
  [
    'JSON and Promise replaced',
    sync(
      `JSON.stringify = Promise.prototype.then = Reflect.apply = () => 'evil'; return client.call('echo', 'a')`,
    ),
    '$1\r\na\r\n',
  ],
  ['a module', async_(`return import('node:fs')`), /could not load module/],
];

for (const [name, code, ending] of hostile) {
  test(`${name} ends clearly`, async () => {
    const said = await ends(code);
    if (typeof ending === 'string') assert.equal(said, ending);
    else assert.match(said, ending);
  });
}

test('a million registrations are refused', () =>
  assert.rejects(ends('for (let i = 0; i < 1e6; i++) redis.registerFunction("f" + i, () => 1)'), {
    message: 'Failed loading library: A library can not register more than 10000 functions',
  }));

test('a library that never ends its loading is refused', () =>
  assert.rejects(ends('for (;;);'), { message: `Failed loading library: ${TERMINATED}` }));

test('commands after the end of a run are refused', async () => {
  const { host, asked } = scripted();
  const library = await load(
    pool,
    `redis.registerAsyncFunction('f', async (client) => {
       client.runOnKey('a', 'b').catch(() => client.block((c) => c.call('set', 'k', 'v')));
       return 'done';
     })`,
  );
  assert.equal(await call(pool, library, 'f', { host }), '$4\r\ndone\r\n');
  assert.equal(await call(pool, neighbour, 'f'), '$4\r\nfine\r\n');
  assert.deepEqual(asked, []);
});

test('there is nothing but the language and redis', async () => {
  const names = 'console fetch process require module setTimeout WebAssembly performance std os print Buffer';
  const body = `return '${names}'.split(' ').filter((name) => name in globalThis)`;
  assert.equal(await ends(sync(body)), '*0\r\n');
  assert.equal(
    await ends(sync(`return redis.log.constructor('return typeof process')()`)),
    '$9\r\nundefined\r\n',
  );
});

test('one native step that takes for ever is ended with its thread, and another takes its place', async () => {
  const body = `return 'a'.repeat(1e6).indexOf('a'.repeat(5e5) + 'b')`;
  assert.equal(await ends(sync(body)), TERMINATED);
});

test('an endless loop leaves other runs of its library alone', async () => {
  const one = startPool({ after }, { threads: 1 });
  const library = await load(
    one,
    `redis.registerAsyncFunction('wait', async (client) => client.runOnKey('k', 'f'));
     redis.registerFunction('loop', () => { for (;;); });`,
  );
  const answer = Promise.withResolvers<{ json: string }>();
  const asked = Promise.withResolvers<void>();
  const runOnKey = () => {
    asked.resolve();
    return answer.promise;
  };
  const { host } = scripted({}, { runOnKey });
  const waiting = call(one, library, 'wait', { host });
  await asked.promise;
  await assert.rejects(call(one, library, 'loop'), { message: TERMINATED });
  answer.resolve({ json: '"answer"' });
  assert.equal(await waiting, '$6\r\nanswer\r\n');
});

test('memory that is used up ends all runs of the library on the thread', async () => {
  const one = startPool({ after }, { threads: 1, lockTimeout: () => 5000 });
  const library = await load(
    one,
    `redis.registerAsyncFunction('wait', async (client) => client.runOnKey('k', 'f'));
     redis.registerFunction('bomb', () => { const all = []; for (;;) all.push({}); });`,
  );
  const asked = Promise.withResolvers<void>();
  const runOnKey = () => {
    asked.resolve();
    return new Promise<never>(() => {});
  };
  const { host } = scripted({}, { runOnKey });
  const waiting = assert.rejects(call(one, library, 'wait', { host }), { message: TERMINATED });
  await asked.promise;
  await assert.rejects(call(one, library, 'bomb'), { message: TERMINATED });
  await waiting;
});

const thrown: readonly (readonly [string, string])[] = [
  [`new Error('text')`, 'text'],
  [`'text'`, 'text'],
  ['{ a: 1 }', '{"a":1}'],
  ['undefined', 'undefined'],
  ['5n', '5'],
];
for (const [value, message] of thrown) {
  test(`what is thrown is told: ${value}`, async () => {
    assert.equal(await ends(sync(`throw ${value}`)), message);
    assert.equal(await ends(async_(`await null; throw ${value}`)), message);
  });
}

test('an Error that is returned is as one that is thrown', async () => {
  assert.equal(await ends(sync(`return new Error('returned')`)), 'returned');
});

test('an async function is not for a caller that can not wait', async () => {
  assert.equal(
    await ends(async_('return 1'), { blockAllowed: false }),
    'The function is declared as async and was called while blocking was not allowed; it can not be waited for, you must use TFCALLASYNC instead.',
  );
  assert.match(
    await ends(sync('return Promise.resolve(1)'), { blockAllowed: false }),
    /^Can not block client for background execution, /,
  );
});
