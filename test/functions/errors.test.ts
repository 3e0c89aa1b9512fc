/** What is told where a library or a call is wrong, by the names of the cases with which RedisGears tests it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, onAServer } from './stand.ts';

/** What TFUNCTION LOAD says to a library of this code, which is named `wrong`. */
const WRONG: readonly [name: string, code: string, told: RegExp][] = [
  [
    'testRegisterRemoteFunctionWorngNumberOfArgs',
    'redis.registerClusterFunction("test");',
    /Wrong number of arguments given/,
  ],
  [
    'testRegisterRemoteFunctionWorngfArgsType',
    'redis.registerClusterFunction(1, async () => {});',
    /Value is not string/,
  ],
  [
    'testRegisterRemoteFunctionWorngfArgsType2',
    'redis.registerClusterFunction("test", "test");',
    /Second argument to 'registerClusterFunction' must be a function/,
  ],
  [
    'testRegisterRemoteFunctionWorngfArgsType3',
    'redis.registerClusterFunction("test", () => {});',
    /Remote function must be async/,
  ],
  [
    'testRegisterSameRemoteTaskTwice',
    'redis.registerClusterFunction("test", async () => {}); redis.registerClusterFunction("test", async () => {});',
    /Remote function test already exists/,
  ],
  [
    'testUnallowedClusterFunctionName',
    'redis.registerClusterFunction("test-me!", async () => {});',
    /Unallowed cluster function name 'test-me!'/,
  ],
  [
    'a library of cluster functions alone',
    'redis.registerClusterFunction("test", async () => {});',
    /Neither function nor other registrations were found\./,
  ],
  ['code that is none', 'this is no code', /Failed to compile library/],
  ['code that throws', 'throw new Error("not today")', /Failed loading library.*not today/],
  [
    'an async function registered as another',
    'redis.registerFunction("test", async () => {});',
    /'registerFunction' can not be used with async function, use 'registerAsyncFunction' instead\./,
  ],
];

const HEADERS: readonly [name: string, header: string, told: RegExp][] = [
  ['testMalformedLibraryMetaData', 'no header', /Invalid or missing prologue/],
  ['testMalformedLibraryMetaData2', '#!js name', /./],
  ['testMalformedLibraryMetaData3', '#!js name=foo', /The api version is missing from the prologue\./],
  [
    'testMalformedLibraryMetaData4',
    '#!js api_version=1.0',
    /The library name is missing from the prologue\./,
  ],
  [
    'testMalformedLibraryMetaData5',
    '#!js api_version=1.0 name=a name=b',
    /Duplicated prologue properties found: name\./,
  ],
  [
    'testMalformedLibraryMetaData6',
    '#!js api_version=1.0 name=a foo=b',
    /Unknown prologue properties provided: "foo"\./,
  ],
  [
    'testMalformedLibraryMetaData7',
    '#!js api_version=9.9 name=a',
    /An unsupported API version was requested/,
  ],
  ['an engine that is not known', '#!foo api_version=1.0 name=a', /Unknown backend/],
  ['a name that is none', '#!js api_version=1.0 name=a-b', /Unallowed library name 'a-b'/],
];

onAServer('what is wrong', (stand) => {
  for (const [name, code, told] of WRONG)
    test(`${name}: it is not loaded, and why`, async () => {
      const { client } = stand();
      const reply = await client.ask('TFUNCTION', 'LOAD', `#!js api_version=1.0 name=wrong\n${code}`);
      assert.ok(reply instanceof Error);
      assert.match(reply.message, told);
      assert.deepEqual(await client.ask('TFUNCTION', 'LIST', 'LIBRARY', 'wrong'), []);
    });

  for (const [name, header, told] of HEADERS)
    test(`${name}: it is not loaded, and why`, async () => {
      const { client } = stand();
      const reply = await client.ask('TFUNCTION', 'LOAD', `${header}\nredis.registerFunction("f", () => 1);`);
      assert.ok(reply instanceof Error);
      assert.match(reply.message, told);
    });

  test('what was loaded before stays when the next is wrong', async () => {
    const { client } = stand();
    await load(client, 'keeps', 'redis.registerFunction("f", () => 1);');
    const wrong = '#!js api_version=1.0 name=keeps\nthrow new Error("no")';
    assert.ok((await client.ask('TFUNCTION', 'LOAD', 'REPLACE', wrong)) instanceof Error);
    assert.equal(await client.ask('TFCALL', 'keeps.f', 0), 1);
  });

  test('calls of what is not there say so', async () => {
    const { client } = stand();
    await load(client, 'there', 'redis.registerFunction("f", (c, ...args) => args.length);');
    const told = async (...words: (string | number)[]) => String(await client.ask('TFCALL', ...words));
    assert.match(await told('nothing', 0), /Failed extracting function name/);
    assert.match(await told('nowhere.f', 0), /Unknown library nowhere/);
    assert.match(await told('there.g', 0), /Unknown function g/);
    assert.match(
      await told('there.f', 3, 'a'),
      /Not enough arguments was given, expected at least 3 arguments, got 1 arguments\./,
    );
    assert.equal(await client.ask('TFCALL', 'there.f', 1, 'a', 'b'), 2);
    assert.match(String(await client.ask('TFCALL', 'there.f')), /wrong number of arguments/);
  });

  test('one that goes on and on is ended, with the words of RedisGears', async () => {
    const { client } = stand();
    await load(client, 'endless', 'redis.registerFunction("f", () => { while (true); });');
    const reply = (await client.call('TFCALL', 'endless.f', 0)).toString();
    assert.equal(reply, '-Err Execution was terminated due to OOM or timeout\r\n');
  });

  test('testNotExistsRemoteFunction: a cluster function that nobody has registered', async () => {
    const { client } = stand();
    await load(
      client,
      'missing',
      `redis.registerAsyncFunction("key", async (c) => await c.runOnKey("x", "nothing"));
      redis.registerAsyncFunction("shards", async (c) => await c.runOnShards("nothing"));`,
    );
    const text = 'Remote function nothing does not exists on library missing';
    assert.match(String(await client.ask('TFCALLASYNC', 'missing.key', 0)), new RegExp(text));
    assert.deepEqual(await client.ask('TFCALLASYNC', 'missing.shards', 0), [[], [text, text, text]]);
  });

  test('testRemoteFunctionNotSerializableInput, ...Output: what JSON can not carry', async () => {
    const { client } = stand();
    await load(
      client,
      'json',
      `redis.registerClusterFunction("same", async (c, x) => x);
      redis.registerClusterFunction("big", async () => 1n);
      redis.registerClusterFunction("fn", async () => (() => 1));
      redis.registerAsyncFunction("bigin", async (c) => await c.runOnKey("x", "same", 1n));
      redis.registerAsyncFunction("fnin", async (c) => await c.runOnKey("x", "same", () => 1));
      redis.registerAsyncFunction("bigout", async (c) => await c.runOnKey("x", "big"));
      redis.registerAsyncFunction("fnout", async (c) => await c.runOnKey("x", "fn"));
      redis.registerAsyncFunction("good", async (c) => await c.runOnKey("x", "same", {a: [1, "b", null, true]}));`,
    );
    const told = async (name: string) => String(await client.ask('TFCALLASYNC', `json.${name}`, 0));
    assert.match(await told('bigin'), /Failed serializing arguments/);
    assert.match(await told('fnin'), /Failed deserializing remote function argument/);
    assert.match(await told('bigout'), /Failed serializing result, /);
    assert.match(await told('fnout'), /Failed deserializing remote function result/);
    assert.deepEqual(await client.ask('TFCALLASYNC', 'json.good', 0), ['a', [1, 'b', null, 1]]);
  });

  test('testBlockRedisTwice, testCallRedisWhenNotBlocked: a client is used where it may be', async () => {
    const { client } = stand();
    await load(
      client,
      'misuse',
      `redis.registerAsyncFunction("twice", async (c) => c.block((inner) => c.block(() => 1)));
      redis.registerAsyncFunction("outside", async (c) => {
        const kept = c.block((inner) => inner);
        return kept.call("ping");
      });
      redis.registerAsyncFunction("nofunction", async (c) => c.block(1));`,
    );
    const told = async (name: string) => String(await client.ask('TFCALLASYNC', `misuse.${name}`, 0));
    assert.match(await told('twice'), /Main thread is already blocked/);
    assert.match(await told('outside'), /Main thread is not locked/);
    assert.match(await told('nofunction'), /Argument to 'block' must be a function/);
  });

  test('testCallAsyncFunctionWithTFCALL, testBlockOnTFCall: who may not wait is told', async () => {
    const { client } = stand();
    await load(
      client,
      'waits',
      `redis.registerAsyncFunction("async", async () => 1);
      redis.registerFunction("promise", (c) => c.executeAsync(async () => 1));`,
    );
    assert.match(
      String(await client.ask('TFCALL', 'waits.async', 0)),
      /The function is declared as async and was called while blocking was not allowed; .*TFCALLASYNC/,
    );
    assert.ok((await client.ask('TFCALL', 'waits.promise', 0)) instanceof Error);
    assert.equal(await client.ask('TFCALLASYNC', 'waits.promise', 0), 1);
    assert.equal(await client.ask('TFCALLASYNC', 'waits.async', 0), 1);
  });
});
