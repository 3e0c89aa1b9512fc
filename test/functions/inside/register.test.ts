/** What a library may register, and what it is told when it may not. */

import assert from 'node:assert';
import { after, test } from 'node:test';
import { load, startPool } from '../support.ts';

const pool = startPool({ after });
const fine = `redis.registerFunction('fine', () => 1);`;

const refused: readonly (readonly [string, string])[] = [
  [
    `redis.registerFunction('f', async () => 1)`,
    "'registerFunction' can not be used with async function, use 'registerAsyncFunction' instead.",
  ],
  [`redis.registerFunction('f')`, 'Wrong number of arguments given'],
  [`redis.registerFunction('f', () => 1, {}, 1)`, 'Wrong number of arguments given'],
  [`redis.registerFunction(1, () => 1)`, 'Value is not string'],
  [`redis.registerFunction('f', 1)`, "Second argument to 'registerFunction' must be a function"],
  [
    `redis.registerFunction('f.1', () => 1)`,
    "Unallowed function name 'f.1', only letters, digits and '_' are allowed.",
  ],
  [`redis.registerFunction('fine', () => 1)`, 'Function fine already exists'],
  [`redis.registerAsyncFunction('fine', () => 1)`, 'Function fine already exists'],
  [`redis.registerFunction('f', () => 1, 1)`, "Third argument to 'registerFunction' must be an object"],
  [`redis.registerFunction('f', () => 1, { a: 1, b: 2 })`, 'Unknown properties given: a, b'],
  [`redis.registerFunction('f', () => 1, { description: 1 })`, "'description' must be a string"],
  [`redis.registerFunction('f', () => 1, { flags: 'no-writes' })`, "'flags' must be an array"],
  [`redis.registerFunction('f', () => 1, { flags: ['foo'] })`, 'Unknow flag foo was given'],
  [`redis.registerFunction('f', () => 1, { flags: [1] })`, 'Unknow flag 1 was given'],
  [`redis.registerClusterFunction('f')`, 'Wrong number of arguments given'],
  [`redis.registerClusterFunction(1, async () => 1)`, 'Value is not string'],
  [
    `redis.registerClusterFunction('f', 'f')`,
    "Second argument to 'registerClusterFunction' must be a function",
  ],
  [`redis.registerClusterFunction('f', () => 1)`, 'Remote function must be async'],
  [
    `redis.registerClusterFunction('f', async () => 1); redis.registerClusterFunction('f', async () => 1)`,
    'Remote function f already exists',
  ],
  [
    `redis.registerClusterFunction('f 1', async () => 1)`,
    "Unallowed cluster function name 'f 1', only letters, digits and '_' are allowed.",
  ],
  [`redis.registerReducer('r')`, 'Wrong number of arguments given'],
  [`redis.registerReducer('r', () => 1); redis.registerReducer('r', () => 1)`, 'Reducer r already exists'],
  [`redis.registerCommand('c', () => 1, { arity: 0 })`, "'arity' does not fit a command"],
  [`redis.registerCommand('c', () => 1, { firstKey: 2, lastKey: 1 })`, "'lastKey' does not fit a command"],
  [`redis.registerCommand('c', () => 1, { firstKey: 1, keyStep: 0 })`, "'keyStep' does not fit a command"],
  [`redis.registerCommand('c', () => 1, { firstKey: 1.5 })`, "'firstKey' does not fit a command"],
  [`redis.registerCommand('c', () => 1, { flags: ['NO'] })`, 'Unknow flag NO was given'],
  [
    `redis.registerKeySpaceTrigger('t', 'k', () => 1)`,
    "'registerKeySpaceTrigger' is not served by the proxy: the servers' keys and streams trigger nothing in it",
  ],
  [
    `redis.registerStreamTrigger('t', 'k', () => 1)`,
    "'registerStreamTrigger' is not served by the proxy: the servers' keys and streams trigger nothing in it",
  ],
];

for (const [code, message] of refused) {
  test(`refused: ${code}`, () =>
    assert.rejects(load(pool, `${fine}\n${code}`), { message: `Failed loading library: ${message}` }));
}

test('a library that can not be read is told where', async () => {
  await assert.rejects(load(pool, 'const a = 1;\nconst b = ;'), {
    message: "Failed to compile library: unexpected token in expression: ';' at lib:3:11",
  });
});

test('a SyntaxError that the library throws is no error of its code', async () => {
  await assert.rejects(load(pool, `JSON.parse('{')`), { message: /^Failed loading library: / });
  await assert.rejects(load(pool, `throw new SyntaxError('mine')`), {
    message: 'Failed loading library: mine',
  });
});

test('cluster functions alone make no library, reducers and commands do', async () => {
  const message = 'Neither function nor other registrations were found.';
  await assert.rejects(load(pool, ''), { message });
  await assert.rejects(load(pool, `redis.registerClusterFunction('f', async () => 1)`), { message });
  await load(pool, `redis.registerReducer('r', () => 1)`);
  await load(pool, `redis.registerCommand('c', () => 1)`);
});

test('a command that says nothing of itself takes any arguments and has no keys', async () => {
  const { registrations } = await load(pool, `redis.registerCommand('My.Command', () => 1)`);
  assert.deepEqual(registrations.commands, [
    { name: 'My.Command', arity: -1, firstKey: 0, lastKey: 0, keyStep: 0, flags: [] },
  ]);
});

test('a library knows its configuration and the version of the API', async () => {
  const { registrations } = await load(
    pool,
    `redis.registerFunction('f', () => 1, {
       description: [redis.apiVersion(), typeof redis.v8Version(), redis.config.a[0]].join(),
       flags: [redis.functionFlags.ALLOW_OOM, redis.functionFlags.RAW_ARGUMENTS],
     })`,
    'lib',
    '{"a":["b"]}',
  );
  assert.deepEqual(registrations.functions, [
    { name: 'f', isAsync: false, flags: ['allow-oom', 'raw-arguments'], description: '1.1,string,b' },
  ]);
});

test('a library without a configuration has an empty one', async () => {
  await load(pool, `if (Object.keys(redis.config).length !== 0) throw 'not empty'; ${fine}`);
});

test('names and descriptions have a common limit', async () => {
  await assert.rejects(
    load(pool, `redis.registerFunction('f', () => 1, { description: 'x'.repeat(2 ** 21) })`),
    { message: 'Failed loading library: Names and descriptions of a library are too long' },
  );
});
