/** `crossSlot: all`: scripts, functions, MSETNX and transactions over slots, beside a lone server. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Argument, RawClient, Value } from '../support/client.ts';
import { type Cluster, type Lone, startCluster, startLone } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import * as alike from './alike.ts';
import { KEYS, same, sameData } from './alike.ts';

const LIBRARY = `#!lua name=lib

local function both(keys, args)
  redis.call('SET', keys[1], keys[2], 'PX', 100000)
  return {keys, args, redis.call('TTL', keys[1])}
end
redis.register_function('both', both)
redis.register_function{function_name='fails', callback=function(keys, args)
  redis.call('DEL', keys[1])
  local length = redis.call('LPUSH', keys[2], 1)
  return length
end}
redis.register_function{function_name='reads', flags={'no-writes'}, callback=function(keys)
  return redis.call('GET', keys[1])
end}`;

for (const server of await availableServers()) {
  describe(`relaxed, ${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let lone: Lone;
    let proxy: RunningProxy;
    /** As by default, but for EXEC. */
    let strict: RunningProxy;

    before(async () => {
      [cluster, lone] = await Promise.all([startCluster({ server, replicas: 0 }), startLone({ server })]);
      const all = { 'crossSlot.level': 'all', 'crossSlot.maxBytes': 1_000_000 };
      [proxy, strict] = await Promise.all([
        startProxy({ cluster, settings: all }),
        startProxy({ cluster, settings: { 'crossSlot.commands': 'exec=all' } }),
      ]);
    });
    after(async () => {
      await Promise.all([proxy?.stop(), strict?.stop()]);
      await Promise.all([cluster?.stop(), lone?.stop()]);
    });

    const open = (t: TestContext, of = proxy) => alike.open(t, of);
    const pair = (t: TestContext) => alike.pair(t, lone, proxy);

    test('is refused by default, with an error that names the setting', async (t) => {
      const client = await open(t, strict);
      const sha = await client.ask('SCRIPT', 'LOAD', 'return KEYS');
      for (const call of [
        ['MSETNX', 'a', 1, 'b', 1],
        ['EVAL', 'return KEYS', 2, 'a', 'b'],
        ['EVAL_RO', 'return KEYS', 2, 'a', 'b'],
        ['EVALSHA', String(sha), 2, 'a', 'b'],
        ['FCALL', 'both', 2, 'a', 'b'],
      ])
        assert.match(
          String(await client.call(...call)),
          /^-CROSSSLOT Keys in request don't hash to the same slot; .*'crossSlot: all'/,
        );
    });

    for (const resp of [2, 3]) {
      test(`scripts are answered as one server does, and leave the same behind, in RESP${resp}`, async (t) => {
        const clients = await pair(t);
        for (const client of clients) await client.call('HELLO', resp);
        const run = (script: string, ...args: Argument[]) =>
          same(clients, 'EVAL', script, KEYS.length, ...KEYS, ...args);
        await run(`redis.call('SET', KEYS[1], KEYS[2]) redis.call('RPUSH', KEYS[3], KEYS[1], ARGV[1])`, 'x');
        await run('return {KEYS, ARGV, #KEYS, #ARGV}', 'x', 'y');
        await run(`return {redis.call('GET', KEYS[1]), redis.call('LRANGE', KEYS[3], 0, -1)}`);
        await run(`return redis.call('RENAME', KEYS[3], KEYS[2])`);
        await run(`return redis.call('SET', KEYS[4], KEYS[4])`);
        await run(`redis.call('PEXPIRE', KEYS[2], 100000) return redis.call('PTTL', KEYS[1])`);
        await sameData(clients);
        await run(`return redis.call('PERSIST', KEYS[2])`);
        await run(`return redis.call('COPY', KEYS[2], KEYS[3])`);
        await run(`redis.setresp(3) return redis.call('LMPOP', 2, KEYS[3], KEYS[2], 'LEFT')`);
        await run(`redis.call('DEL', KEYS[1], KEYS[2]) return redis.call('EXISTS', unpack(KEYS))`);
        await sameData(clients);
        await run(`redis.call('HSET', KEYS[1], 'f', KEYS[1]) redis.call('ZADD', KEYS[2], 1, KEYS[3])`);
        await run(`redis.call('SADD', KEYS[3], 1, 2, 3) redis.call('XADD', KEYS[4], '1-1', 'k', KEYS[4])`);
        await run(`redis.setresp(3) return redis.call('XREAD', 'STREAMS', KEYS[4], 0)`);
        await run(`redis.setresp(3) return redis.call('HGETALL', KEYS[1])`);
        await run(`return redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')`);
        await sameData(clients);
      });
    }

    test('a script that fails midway has changed what it has, and says where and why', async (t) => {
      const clients = await pair(t);
      const run = (script: string) => same(clients, 'EVAL', script, 2, 'a', 'b');
      const error = await run(`redis.call('SET', KEYS[1], 'x')\nlocal n = redis.call('LPUSH', KEYS[1], 1)`);
      assert.match(error, /^-WRONGTYPE .* on @user_script:2\./);
      await sameData(clients);
      await run(`redis.call('DEL', KEYS[1])\n\nlocal n = nil + 1`);
      await run(`redis.call('SET', KEYS[2], 1)\nerror('no')`);
      await run(`local said = redis.pcall('INCR', KEYS[1], 1)\nreturn said`);
      await run(`local said = redis.pcall('INCR', KEYS[1]) return {said, redis.error_reply('MY own')}`);
      await run(`return redis.error_reply('MY own')`);
      await run(`return redis.call()`);
      await run(`return redis.call('SET', KEYS[1], {})`);
      await run(`return redis.call('NOSUCH', KEYS[1])`);
      await run('this is no script');
      await run('#!lua flags=no-writes\n\nlocal x = redis.call("SET", KEYS[1], 1)');
      await run('#!lua\n\nreturn nosuch');
      await same(clients, 'EVAL_RO', `local n = redis.call('SET', KEYS[1], 1)`, 2, 'a', 'b');
      await same(clients, 'EVALSHA', 'f'.repeat(40), 2, 'a', 'b');
      await same(clients, 'EVAL', 'return 1', 'x', 'a', 'b');
      await sameData(clients);
    });

    test('a key that was not declared is refused, wherever it lies', async (t) => {
      const client = await open(t);
      for (const key of ['c', '{a}1', '{b}1'])
        assert.match(
          String(await client.call('EVAL', `return redis.call('SET', '${key}', 1)`, 2, 'a', 'b')),
          /^-ERR Script attempted to access a non local key in a cluster node script: /,
        );
      assert.equal(await client.ask('EXISTS', 'c', '{a}1', '{b}1'), 0);
    });

    test('a script is known by its SHA1 once it was loaded or evaluated', async (t) => {
      const clients = await pair(t);
      const script = `return {redis.call('INCR', KEYS[1]), KEYS[2]}`;
      await same(clients, 'EVAL', script, 2, 'a', 'b');
      const sha = createHash('sha1').update(script).digest('hex');
      await same(clients, 'EVALSHA', sha.toUpperCase(), 2, 'c', 'b');
      await same(clients, 'EVALSHA', sha, 2, 'c', '{c}');
      await sameData(clients);
    });

    test('functions are answered as one server does', async (t) => {
      const clients = await pair(t);
      await same(clients, 'FUNCTION', 'LOAD', 'REPLACE', LIBRARY);
      await same(clients, 'FCALL', 'both', 2, 'a', 'b', 'x');
      await sameData(clients);
      assert.match(
        await same(clients, 'FCALL', 'fails', 2, 'b', 'a'),
        /^-WRONGTYPE .* script: fails, on @user_function:10\./,
      );
      await same(clients, 'FCALL', 'reads', 2, 'a', 'b');
      await same(clients, 'FCALL_RO', 'reads', 2, 'a', 'b');
      await same(clients, 'FCALL_RO', 'both', 2, 'a', 'b');
      await same(clients, 'FCALL', 'nosuch', 2, 'a', 'b');
      await sameData(clients);
    });

    test('random scripts are answered and leave behind what they do on one server', async (t) => {
      const clients = await pair(t);
      await fc.assert(
        fc.asyncProperty(fc.array(OPERATION, { minLength: 1, maxLength: 6 }), async (operations) => {
          const script = operations.map((each, i) => `local r${i} = ${each}`).join('\n');
          const replies = operations.map((_, i) => `r${i}`).join(', ');
          await same(clients, 'EVAL', `${script}\nreturn {${replies}}`, KEYS.length, ...KEYS);
          await sameData(clients);
        }),
        { numRuns: 120 },
      );
    });

    test('MSETNX sets all or nothing', async (t) => {
      const clients = await pair(t);
      await same(clients, 'MSETNX', 'a', 1, 'b', 2, 'c', 3);
      await same(clients, 'MSETNX', 'd', 1, 'c', 2);
      await same(clients, 'MSETNX', 'd', 1, 'c');
      await sameData(clients);
    });

    test('keys keep their encodings and times, and those that were only read are not written', async (t) => {
      const client = await open(t);
      await client.call('DEL', ...KEYS);
      const many = Array.from({ length: 600 }, (_, i) => `member:${i}`);
      await client.call('SADD', 'a', ...many);
      await client.call('RPUSH', 'b', 1, 2, 3);
      await client.call('PEXPIREAT', 'b', 4_000_000_000_000);
      await client.call('SET', 'c', 1);
      const before = await encodings(client);
      // Somebody who watches what is only read is not disturbed.
      const watcher = await open(t);
      await watcher.call('WATCH', 'a');
      await client.call(
        'EVAL',
        `return redis.call('SCARD', KEYS[1]) + redis.call('RPUSH', KEYS[2], 4)`,
        3,
        'a',
        'b',
        'c',
      );
      assert.deepEqual(await encodings(client), before);
      assert.equal(await client.ask('PEXPIRETIME', 'b'), 4_000_000_000_000);
      assert.deepEqual(
        (await watcher.pipeline([['MULTI'], ['GET', '{a}'], ['EXEC']])).map(String).at(-1),
        '*1\r\n$-1\r\n',
      );
    });

    test('keys that are too large are not copied, and nothing is done', async (t) => {
      const client = await open(t);
      await client.call('DEL', ...KEYS);
      await client.call('SET', 'a', Buffer.alloc(3_000_000, 'x'));
      const script = `redis.call('SET', KEYS[2], 1) return 1`;
      assert.match(
        String(await client.call('EVAL', script, 2, 'a', 'b')),
        /^-ERR slotless: .*'crossSlot.maxBytes'/,
      );
      const grows = `local t = {} for i = 1, 50000 do t[i] = redis.sha1hex(i) end
        redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], table.concat(t))`;
      assert.match(
        String(await client.call('EVAL', grows, 2, 'c', 'd')),
        /^-ERR slotless: .*'crossSlot.maxBytes'/,
      );
      assert.equal(await client.ask('EXISTS', 'b', 'c', 'd'), 0);
      await client.call('DEL', 'a');
    });

    test('EXEC is one transaction for each slot, and a command in it that crosses slots is refused', async (t) => {
      const client = await open(t);
      await client.call('DEL', ...KEYS);
      const replies = await client.pipeline([
        ['MULTI'],
        ['SET', 'a', 1],
        ['MSETNX', 'a', 1, 'b', 1],
        ['INCR', 'b'],
        ['MGET', 'a', 'b'],
        ['EXEC'],
      ]);
      assert.equal(
        String(replies.at(-1)).replaceAll('\r\n', '|'),
        "*4|+OK|-CROSSSLOT Keys in request don't hash to the same slot|:1|*2|$1|1|$1|1|",
      );
    });

    test('EXEC alone can be permitted by name', async (t) => {
      const client = await open(t, strict);
      const replies = await client.pipeline([['MULTI'], ['SET', 'a', 1], ['SET', 'b', 1], ['EXEC']]);
      assert.equal(String(replies.at(-1)), '*2\r\n+OK\r\n+OK\r\n');
      assert.match(String(await client.call('MSETNX', 'a', 1, 'b', 1)), /^-CROSSSLOT .*'crossSlot: all'/);
    });

    test('a user who may not do everything calls no script over slots, and MSETNX with his own keys only', async (t) => {
      for (const { port } of cluster.primaries)
        await cluster.cli(port, 'ACL', 'SETUSER', 'some', 'on', '>pw', '~a', '~b', '+@all');
      const client = await open(t);
      await client.call('DEL', ...KEYS);
      await client.call('AUTH', 'some', 'pw');
      assert.match(String(await client.call('EVAL', 'return 1', 2, 'a', 'b')), /^-NOPERM slotless: a script/);
      assert.match(String(await client.call('MSETNX', 'a', 1, 'c', 1)), /^-NOPERM /);
      assert.equal(await client.ask('MSETNX', 'a', 1, 'b', 1), 1);
      for (const { port } of cluster.primaries) {
        await cluster.cli(port, 'ACL', 'SETUSER', 'whole', 'on', '>pw', '~*', '&*', '+@all');
      }
      await client.call('AUTH', 'whole', 'pw');
      assert.equal(await client.ask('EVAL', 'return 1', 2, 'a', 'b'), 1);
    });

    test('nothing of the proxy is left in the keyspace', async () => {
      for (const { port } of cluster.primaries) {
        assert.deepEqual(await cluster.cli(port, 'KEYS', '*slotless*'), []);
        const keys = (await cluster.cli(port, 'KEYS', '*')) as string[];
        assert.deepEqual(
          keys.filter((key) => !KEYS.includes(key)),
          [],
        );
      }
    });

    /** The keys a, b and c in the order in which their slots are written. */
  });
}

/** One operation of a random script: on few keys and small values, so that they meet. */
const KEY = fc.constantFrom('KEYS[1]', 'KEYS[2]', 'KEYS[3]', 'KEYS[4]', `'a'`, `'b'`);
const WORD = fc.constantFrom(`'x'`, `'1'`, '7', 'KEYS[1]', 'KEYS[4]');
const named = (...names: string[]) => fc.constantFrom(...names.map((name) => `'${name}'`));
const VERB = fc.constantFrom('redis.call', 'redis.pcall', 'redis.pcall', 'redis.pcall');
const CALL = fc
  .oneof(
    fc.tuple(named('GET', 'DEL', 'INCR', 'LPOP', 'TYPE', 'PERSIST', 'STRLEN', 'HGETALL'), KEY),
    fc.tuple(named('SET', 'APPEND', 'LPUSH', 'RPUSH', 'SADD', 'SREM', 'SETNX', 'HGET'), KEY, WORD),
    fc.tuple(named('HSET', 'ZADD'), KEY, fc.constant('5'), WORD),
    fc.tuple(named('RENAME', 'COPY', 'SUNIONSTORE', 'PFMERGE', 'LCS', 'RENAMENX', 'MGET'), KEY, KEY),
    fc.tuple(named('SMOVE'), KEY, KEY, WORD),
    fc.tuple(named('EXPIRE'), KEY, fc.constant('1000')),
    fc.tuple(named('XADD'), KEY, fc.constantFrom(`'1-1'`, `'2-1'`), fc.constant(`'f'`), WORD),
  )
  .map((words) => words.join(', '));
const OPERATION = fc.tuple(VERB, CALL).map(([verb, words]) => `${verb}(${words})`);

async function encodings(client: RawClient): Promise<Value[]> {
  return Promise.all(KEYS.map((key) => client.ask('OBJECT', 'ENCODING', key)));
}
