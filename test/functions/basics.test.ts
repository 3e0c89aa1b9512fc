/** What a function can do, by the names of the cases with which RedisGears tests it, and beyond them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RawClient } from '../support/client.ts';
import { asked, load, onEveryServer } from './stand.ts';

onEveryServer('functions', (stand) => {
  test('testCallTypeParsing: replies are JavaScript values of their kind', async () => {
    const { client, client3 } = stand();
    await load(
      client3,
      'types',
      `const kind = (value) => value === null ? "null" : typeof value === "object" ? value.constructor.name : typeof value;
      redis.registerFunction("kinds", (c) => {
        c.call("del", "t:s", "t:h", "t:z", "t:l", "t:set");
        c.call("set", "t:s", "text"); c.call("hset", "t:h", "f", "v"); c.call("zadd", "t:z", "1.5", "m");
        c.call("rpush", "t:l", "a", "b"); c.call("sadd", "t:set", "x");
        const status = c.call("ping");
        return [
          kind(status), status.__reply_type, kind(c.call("get", "t:s")), kind(c.call("strlen", "t:s")),
          kind(c.call("zscore", "t:z", "m")), kind(c.call("lrange", "t:l", "0", "-1")), kind(c.call("hgetall", "t:h")),
          kind(c.call("smembers", "t:set")), kind(c.call("get", "t:nothing")), kind(c.callRaw("get", "t:s")),
        ];
      });`,
    );
    const kinds = [
      'String',
      'status',
      'string',
      'bigint',
      'number',
      'Array',
      'Object',
      'Set',
      'null',
      'ArrayBuffer',
    ];
    assert.deepEqual(await client3.ask('TFCALL', 'types.kinds', 0), kinds);
    assert.deepEqual(await asked(client, 'TFCALL', 'types.kinds', 0), kinds);
  });

  test('testResp3Types: values are replies of their kind, in both protocol versions', async () => {
    const { client, client3 } = stand();
    await load(
      client3,
      'back',
      `const all = {
        whole: () => 7, broken: () => 1.5, big: () => 1n << 62n, yes: () => true, text: () => "text", none: () => null,
        nothing: () => undefined, list: () => [1, "a", [2.5]], map: () => ({ a: 1 }), set: () => new Set(["x"]),
        status: () => { const s = new String("fine"); s.__reply_type = "status"; return s; },
        verbatim: () => { const s = new String("words"); s.__reply_type = "verbatim"; s.__format = "txt"; return s; },
        bytes: () => new Uint8Array([255, 0]).buffer, limit: () => 2 ** 53, fail: () => { throw new Error("went wrong"); },
      };
      for (const name of Object.keys(all)) redis.registerFunction(name, all[name]);`,
    );
    const replies: Record<string, [resp2: string, resp3: string]> = {
      whole: [':7\r\n', ':7\r\n'],
      broken: ['$3\r\n1.5\r\n', ',1.5\r\n'],
      big: [':4611686018427387904\r\n', ':4611686018427387904\r\n'],
      yes: [':1\r\n', '#t\r\n'],
      text: ['$4\r\ntext\r\n', '$4\r\ntext\r\n'],
      none: ['$-1\r\n', '_\r\n'],
      nothing: ['$-1\r\n', '_\r\n'],
      list: ['*3\r\n:1\r\n$1\r\na\r\n*1\r\n$3\r\n2.5\r\n', '*3\r\n:1\r\n$1\r\na\r\n*1\r\n,2.5\r\n'],
      map: ['*2\r\n$1\r\na\r\n:1\r\n', '%1\r\n$1\r\na\r\n:1\r\n'],
      set: ['*1\r\n$1\r\nx\r\n', '~1\r\n$1\r\nx\r\n'],
      status: ['+fine\r\n', '+fine\r\n'],
      verbatim: ['$5\r\nwords\r\n', '=9\r\ntxt:words\r\n'],
      bytes: ['$2\r\n\xff\0\r\n', '$2\r\n\xff\0\r\n'],
      limit: ['$16\r\n9007199254740992\r\n', ',9007199254740992\r\n'],
    };
    await asked(client, 'TFCALL', 'back.whole', 0);
    for (const [name, [resp2, resp3]] of Object.entries(replies)) {
      assert.equal((await client.call('TFCALL', `back.${name}`, 0)).toString('latin1'), resp2, name);
      assert.equal((await client3.call('TFCALL', `back.${name}`, 0)).toString('latin1'), resp3, name);
    }
    assert.match(String(await client.ask('TFCALL', 'back.fail', 0)), /went wrong/);
  });

  test('testFunctionListResp3: what is loaded is a map in RESP3, and flat in RESP2', async () => {
    const { client, client3 } = stand();
    await load(
      client3,
      'listed',
      'redis.registerFunction("f", () => 1); redis.registerClusterFunction("g", async () => 1);',
    );
    await asked(client, 'TFCALL', 'listed.f', 0);
    const [map] = (await client3.ask('TFUNCTION', 'LIST', 'LIBRARY', 'listed')) as [Map<string, unknown>];
    assert.equal(map.get('engine'), 'js');
    assert.deepEqual(map.get('functions'), ['f']);
    assert.deepEqual(map.get('cluster_functions'), ['g']);
    const [flat] = (await client.ask('TFUNCTION', 'LIST', 'LIBRARY', 'listed')) as [unknown[]];
    assert.deepEqual(
      flat.filter((_, i) => i % 2 === 0),
      [...map.keys()],
    );
  });

  test('testAllowBlockAPI: a function knows whether it may wait', async () => {
    const { client } = stand();
    await load(client, 'allow', 'redis.registerFunction("f", (c) => c.isBlockAllowed());');
    assert.equal(await client.ask('TFCALL', 'allow.f', 0), 0);
    assert.equal(await client.ask('TFCALLASYNC', 'allow.f', 0), 1);
    await client.ask('MULTI');
    await client.ask('TFCALLASYNC', 'allow.f', 0);
    assert.deepEqual(await client.ask('EXEC'), [0]);
  });

  test('testNoAsyncFunctionOnMultiExec, testSyncFunctionWithPromiseOnMultiExec: nothing waits in a transaction', async () => {
    const { client } = stand();
    await load(
      client,
      'multi',
      `redis.registerAsyncFunction("async", async () => 1);
      redis.registerFunction("promise", (c) => c.executeAsync(async () => 1));
      redis.registerFunction("plain", () => 5);`,
    );
    const replies = await client.pipeline([
      ['MULTI'],
      ['TFCALLASYNC', 'multi.async', 0],
      ['TFCALLASYNC', 'multi.promise', 0],
      ['TFCALL', 'multi.plain', 0],
      ['EXEC'],
    ]);
    assert.match(
      replies[4]!.toString(),
      /^\*3\r\n-.*Blocking is not allow inside multi\/exec, Lua, or within another module \(RM_Call\).*\r\n-.*\r\n:5\r\n$/,
    );
  });

  test("in a transaction functions stand behind the servers' commands, or nothing of it is executed", async () => {
    const { client } = stand();
    await load(client, 'behind', 'redis.registerFunction("get", (c, key) => c.call("get", key));');
    await client.ask('SET', 'behind', 'before');
    const good = await client.pipeline([
      ['MULTI'],
      ['SET', 'behind', 'set'],
      ['TFCALL', 'behind.get', 1, 'behind'],
      ['EXEC'],
    ]);
    assert.equal(good[3]!.toString(), '*2\r\n+OK\r\n$3\r\nset\r\n');
    const wrong = await client.pipeline([
      ['MULTI'],
      ['TFCALL', 'behind.get', 1, 'behind'],
      ['SET', 'behind', 'later'],
      ['EXEC'],
    ]);
    assert.match(wrong[3]!.toString(), /^-.*stands behind the commands of the servers/);
    assert.equal(await client.ask('GET', 'behind'), 'set');
  });

  test('testRawArguments: keys and arguments are bytes where that is asked for', async () => {
    const { client } = stand();
    await load(
      client,
      'raw',
      `redis.registerFunction("raw", (c, ...args) => args.map((one) => one instanceof ArrayBuffer), {
        flags: [redis.functionFlags.RAW_ARGUMENTS],
      });
      redis.registerFunction("same", (c, one) => one, { flags: [redis.functionFlags.RAW_ARGUMENTS] });
      redis.registerFunction("text", (c, one) => one);`,
    );
    const bytes = Buffer.from([0xff, 0xfe, 0x00]);
    assert.deepEqual(await client.ask('TFCALL', 'raw.raw', 1, bytes, bytes), [1, 1]);
    assert.deepEqual(
      await client.call('TFCALL', 'raw.same', 0, bytes),
      Buffer.concat([Buffer.from('$3\r\n'), bytes, Buffer.from('\r\n')]),
    );
    assert.match(
      String(await client.ask('TFCALL', 'raw.text', 0, bytes)),
      /Can not convert argument to string/,
    );
  });

  test('a function uses keys of any slot, each where it lies, and keyless commands as any client', async () => {
    const { client } = stand();
    await load(
      client,
      'keys',
      `redis.registerFunction("sum", (c, ...keys) => keys.reduce((sum, key) => sum + BigInt(c.call("get", key)), 0n));
      redis.registerFunction("mget", (c, ...keys) => c.call("mget", ...keys));
      redis.registerFunction("size", (c) => c.call("dbsize"));`,
    );
    await client.ask('MSET', 'k:1', 1, 'k:2', 2, 'k:3', 3, 'k:4', 4);
    assert.equal(await client.ask('TFCALL', 'keys.sum', 4, 'k:1', 'k:2', 'k:3', 'k:4'), 10);
    assert.deepEqual(await client.ask('TFCALL', 'keys.mget', 2, 'k:4', 'k:1'), ['4', '1']);
    assert.equal(await client.ask('TFCALL', 'keys.size', 0), await client.ask('DBSIZE'));
  });

  test('what a function has written is read by the next command, and the other way round', async () => {
    const { client } = stand();
    await load(client, 'order', 'redis.registerFunction("incr", (c, key) => c.call("incr", key));');
    const commands = Array.from({ length: 50 }, (_, i) =>
      i % 2 === 0 ? ['INCR', 'order'] : ['TFCALL', 'order.incr', 1, 'order'],
    );
    await client.ask('DEL', 'order');
    const replies = await client.pipeline(commands);
    assert.deepEqual(
      replies.map(String),
      commands.map((_, i) => `:${i + 1}\r\n`),
    );
  });

  test('a cluster function writes nothing, and reads the keys of its own shard alone', async () => {
    const { client } = stand();
    await load(
      client,
      'own',
      `redis.registerClusterFunction("call", async (c, ...words) => {
        return c.block((c) => { try { return String(c.call(...words)); } catch (error) { return "failed: " + error; } });
      });
      redis.registerAsyncFunction("at", async (c, key, ...words) => await c.runOnKey(key, "call", ...words));`,
    );
    await client.ask('SET', 'x', 1);
    const at = (...words: (string | number)[]) => client.ask('TFCALLASYNC', 'own.at', 1, ...words);
    assert.equal(await at('x', 'get', 'x'), '1');
    assert.match(
      String(await at('x', 'set', 'x', 2)),
      /^failed: .*Write command 'set' was called while write is not allowed/,
    );
    assert.match(
      String(await at('x', 'publish', 'c', 'm')),
      /^failed: .*was called while write is not allowed/,
    );
    assert.match(String(await at('x', 'get', 'b')), /^failed: .*its own shard/);
    assert.match(
      String(await at('x', 'eval', 'return 1', 0)),
      /^failed: .*command 'eval' is not allowed on script mode/,
    );
    assert.match(String(await at('x', 'readonly')), /^failed: /);
    assert.match(String(await at('x', 'nonsense')), /^failed: .*unknown command/);
    assert.equal(await client.ask('GET', 'x'), '1');
  });

  test('calls that are known up front are one transaction where their keys lie in one slot', async () => {
    const { client } = stand();
    await load(
      client,
      'once',
      `redis.registerAsyncFunction("both", async (c, a, b) => {
        return await c.block((c) => Promise.all([c.callAsync("incr", a), c.callAsync("incr", b)]));
      });`,
    );
    await client.ask('DEL', '{t}a', '{t}b', 'x', 'y');
    // Whether it may have transactions is asked once.
    await client.ask('TFCALLASYNC', 'once.both', 2, '{t}a', '{t}b');
    await client.ask('DEL', '{t}a', '{t}b');
    const before = await calls(client, 'exec');
    assert.deepEqual(await client.ask('TFCALLASYNC', 'once.both', 2, '{t}a', '{t}b'), [1, 1]);
    assert.equal(await calls(client, 'exec'), before + 1);
    assert.deepEqual(await client.ask('TFCALLASYNC', 'once.both', 2, 'x', 'y'), [1, 1]);
    assert.equal(await calls(client, 'exec'), before + 1);
  });

  test('a function that is flagged so writes by no road', async () => {
    const { client } = stand();
    await load(
      client,
      'reads',
      `const flags = [redis.functionFlags.NO_WRITES];
      redis.registerFunction("call", (c) => c.call("set", "never", "1"), { flags });
      redis.registerAsyncFunction("both", async (c) => await c.block((c) => Promise.all([
        c.callAsync("set", "{never}a", "1"), c.callAsync("set", "{never}b", "1"),
      ])), { flags });
      redis.registerAsyncFunction("map", async (c) => await c.map([["set", "never", "1"]], "none"), { flags });
      redis.registerAsyncFunction("fanout", async (c) => await c.fanout(["flushall"], "none"), { flags });
      redis.registerAsyncFunction("fine", async (c) => await c.map([["get", "never"]], "count"), { flags });`,
    );
    for (const name of ['call', 'both', 'map', 'fanout']) {
      const reply = await client.ask('TFCALLASYNC', `reads.${name}`, 0);
      assert.match(String(reply), /was called while write is not allowed/, name);
    }
    assert.equal(await client.ask('TFCALLASYNC', 'reads.fine', 0), 0);
    assert.equal(await client.ask('EXISTS', 'never', '{never}a', '{never}b'), 0);
  });

  test('a Redis Function can be a remote function', async () => {
    const { client } = stand();
    const lua = `#!lua name=beside
redis.register_function{function_name='len', callback=function(keys) return redis.call('STRLEN', keys[1]) end, flags={'no-writes'}}
redis.register_function{function_name='size', callback=function(keys, args) return {redis.call('DBSIZE'), args[1]} end, flags={'no-writes'}}
redis.register_function('write', function(keys) return redis.call('SET', keys[1], 'x') end)`;
    await client.ask('FUNCTION', 'LOAD', 'REPLACE', lua);
    await load(
      client,
      'beside_js',
      `redis.registerAsyncFunction("len", async (c, key) => await c.runOnKey(key, "fcall:len"));
      redis.registerAsyncFunction("write", async (c, key) => await c.runOnKey(key, "fcall:write"));
      redis.registerAsyncFunction("size", async (c) => {
        const [results, errors] = await c.runOnShards("fcall:size", "word");
        return [results.reduce((sum, [n]) => sum + n, 0), results.every(([, word]) => word === "word"), errors];
      });`,
    );
    await client.ask('SET', 'long', '12345');
    assert.equal(await client.ask('TFCALLASYNC', 'beside_js.len', 1, 'long'), 5);
    assert.deepEqual(await client.ask('TFCALLASYNC', 'beside_js.size', 0), [
      await client.ask('DBSIZE'),
      1,
      [],
    ]);
    assert.match(
      String(await client.ask('TFCALLASYNC', 'beside_js.write', 1, 'long')),
      /Can not execute a script with write flag|Write commands are not allowed|write/i,
    );
    assert.equal(await client.ask('GET', 'long'), '12345');
  });

  test('a library reduces for RMR, and its functions map, and go on from what came of that', async () => {
    const { client, client3 } = stand();
    await load(
      client3,
      'reduce',
      `redis.registerReducer("joined", (replies, errors, [by]) => replies.map(String).sort().join(by) + "|" + errors.length);
      redis.registerAsyncFunction("steps", async (c, ...keys) => {
        const next = await c.map(keys.map((key) => ["GET", key]), "concat");
        return await c.map(next.map((key) => ["GET", key]), "sum");
      });
      redis.registerAsyncFunction("size", async (c) => await c.fanout(["DBSIZE"], "sum", { on: "primaries", timeout: 5000 }));`,
    );
    await client.ask('MSET', 'step:1', 'step:a', 'step:2', 'step:b', 'step:a', '3', 'step:b', '4');
    assert.equal(await asked(client, 'TFCALLASYNC', 'reduce.steps', 2, 'step:1', 'step:2'), 7);
    const gets = [2, 'GET', 'step:1', 2, 'GET', 'step:2'];
    for (const one of [client, client3])
      assert.equal(await one.ask('RMR.MAP', 'js:reduce.joined:-', 2, ...gets), 'step:a-step:b|0');
    const part = await client.ask(
      'RMR.MAP',
      'PARTIAL',
      'yes',
      'js:reduce.joined:-',
      2,
      ...gets.slice(0, 3),
      2,
      'INCR',
      'step:2',
    );
    assert.equal(part, 'step:a|1');
    assert.equal(await client.ask('TFCALLASYNC', 'reduce.size', 0), await client.ask('DBSIZE'));
  });

  test('a function has the rights of who calls it', async () => {
    const { client, one } = stand();
    await client.ask('ACL', 'SETUSER', 'reader', 'on', '>pw', '+@read', '~open:*');
    await load(
      client,
      'rights',
      'redis.registerFunction("get", (c, key) => c.call("get", key)); redis.registerFunction("set", (c, key) => c.call("set", key, "x"));',
    );
    await client.ask('SET', 'open:a', 'seen');
    const reader = await one.connect();
    await reader.ask('AUTH', 'reader', 'pw');
    assert.equal(await reader.ask('TFCALL', 'rights.get', 1, 'open:a'), 'seen');
    assert.match(String(await reader.ask('TFCALL', 'rights.get', 1, 'shut')), /NOPERM/);
    assert.match(String(await reader.ask('TFCALL', 'rights.set', 1, 'open:a')), /NOPERM/);
    reader.destroy();
  });

  test('a library registers a command, which COMMAND lists and no server command is shadowed by', async () => {
    const { client } = stand();
    await load(
      client,
      'commands',
      `redis.registerCommand("My.Join", async (c, ...words) => words.join("-"), { arity: -2, firstKey: 1, lastKey: -1, keyStep: 1, flags: ["readonly"] });`,
    );
    assert.equal(await client.ask('my.join', 'a', 'b'), 'a-b');
    assert.match(String(await client.ask('my.join')), /wrong number of arguments for 'my.join' command/);
    const [row] = (await client.ask('COMMAND', 'INFO', 'my.join')) as [unknown[]];
    assert.deepEqual(row.slice(0, 6), ['my.join', -2, ['readonly'], 1, -1, 1]);
    const names = (await client.ask('COMMAND', 'LIST')) as string[];
    for (const name of ['my.join', 'tfcall', 'rmr.fanout', 'get']) assert.ok(names.includes(name), name);
    assert.equal(await client.ask('COMMAND', 'COUNT'), ((await client.ask('COMMAND')) as unknown[]).length);
    const shadow =
      '#!js api_version=1.0 name=shadow\nredis.registerCommand("GET", async () => 1, { arity: 2 });';
    assert.ok((await client.ask('TFUNCTION', 'LOAD', shadow)) instanceof Error);
    await client.ask('MULTI');
    assert.match(String(await client.ask('my.join', 'a')), /not in a transaction/);
    assert.match(String(await client.ask('EXEC')), /EXECABORT/);
  });

  test("RedisGears' settings are seen and changed for all workers of the proxy", async () => {
    const { client3, three } = stand();
    const name = 'redisgears_2.remote-task-default-timeout';
    assert.deepEqual(
      [...((await client3.ask('CONFIG', 'GET', name)) as Map<string, string>)],
      [[name, '10000']],
    );
    assert.equal(await client3.ask('CONFIG', 'SET', name, 700), 'OK');
    const others = await Promise.all(Array.from({ length: 9 }, () => three.connect()));
    for (const other of others) assert.deepEqual(await other.ask('CONFIG', 'GET', name), [name, '700']);
    assert.equal(await client3.ask('CONFIG', 'SET', name, 10000), 'OK');
    assert.match(String(await client3.ask('CONFIG', 'SET', name, 'soon')), /CONFIG SET failed/);
    assert.match(String(await client3.ask('CONFIG', 'SET', 'redisgears_2.nothing', 1)), /CONFIG SET failed/);
    const both = (await client3.ask('CONFIG', 'GET', 'maxmemory', 'redisgears_2.*')) as Map<string, string>;
    assert.ok(both.has('maxmemory') && both.has('redisgears_2.lock-redis-timeout'));
    for (const other of others) other.destroy();
  });

  test("RedisGears' cluster commands answer as those who wait for them expect", async () => {
    const { client } = stand();
    assert.equal(await client.ask('REDISGEARS_2.REFRESHCLUSTER'), 'OK');
    const [my, , run, , nodes] = (await client.ask('REDISGEARS_2.INFOCLUSTER')) as [
      string,
      string,
      string,
      string,
      unknown[][],
    ];
    assert.deepEqual([my, run], ['MyId', 'MyRunId']);
    assert.equal(nodes.length, 3);
    for (const node of nodes) assert.equal(node[17], 'connected');
  });
});

/** How often a command was called at all nodes. */
async function calls(client: RawClient, name: string): Promise<number> {
  const stats = String(await client.ask('INFO', 'commandstats'));
  return Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}
