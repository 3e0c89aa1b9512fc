/** `crossSlot: all`: scripts, functions, MSETNX and transactions over slots, beside a lone server and beside others. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { slotOf } from '../../src/command/slot.ts';
import type { Step } from '../../src/gather/steps.ts';
import { type Argument, connect, decode, type RawClient, type Value } from '../support/client.ts';
import { type Cluster, type Lone, startCluster, startLone } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { Meddler, type Plan } from './meddler.ts';

/** In the slots of three nodes; d and a are on one. */
const KEYS = ['a', 'b', 'c', 'd'];

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
    const meddler = new Meddler(server);

    before(async () => {
      [cluster, lone] = await Promise.all([startCluster({ server, replicas: 0 }), startLone({ server })]);
      [proxy, strict] = await Promise.all([
        startProxy({
          cluster,
          settings: { 'crossSlot.level': 'all', 'crossSlot.maxBytes': 1_000_000 },
          nodeFlags: meddler.flags,
        }),
        startProxy({ cluster, settings: { 'crossSlot.commands': 'exec=all' } }),
      ]);
    });
    after(async () => {
      await Promise.all([proxy?.stop(), strict?.stop()]);
      await Promise.all([cluster?.stop(), lone?.stop()]);
      meddler.end();
    });

    async function open(t: TestContext, of = proxy): Promise<RawClient> {
      const client = await of.connect();
      t.after(() => client.destroy());
      return client;
    }

    /** A client of the lone server, and one of the proxy. */
    async function pair(t: TestContext): Promise<[RawClient, RawClient]> {
      const oracle = await connect(lone.port);
      t.after(() => oracle.destroy());
      const clients: [RawClient, RawClient] = [oracle, await open(t)];
      for (const client of clients) await client.call('DEL', ...KEYS);
      return clients;
    }

    async function same(clients: readonly RawClient[], ...call: Argument[]): Promise<string> {
      const [expected, got] = await Promise.all(clients.map((client) => client.call(...call)));
      assert.equal(String(got), String(expected), call.join(' '));
      return String(got);
    }

    /** Both have the same under all keys. */
    async function sameData(clients: readonly RawClient[]): Promise<void> {
      const [expected, got] = await Promise.all(clients.map(contents));
      assert.deepEqual(got, expected);
    }

    function portOf(key: string): Promise<number> {
      const bytes = Buffer.from(key);
      return cluster.ownerOf(slotOf(bytes, 0, bytes.length)).then(({ port }) => port);
    }

    /** Others give a command about its key, at a step. */
    async function others(
      step: Step,
      call: [name: string, key: string, ...string[]],
      { from = 0, times = 1 } = {},
    ): Promise<Plan> {
      return { step, from, times, calls: [[await portOf(call[1]), ...call]] };
    }

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

    test('scripts of two proxies on the same keys lose no update, and none is refused', async (t) => {
      const other = await startProxy({ cluster, settings: { 'crossSlot.level': 'all' } });
      t.after(() => other.stop());
      const clients = await Promise.all(Array.from({ length: 8 }, (_, i) => open(t, i % 2 ? other : proxy)));
      await clients[0]!.call('DEL', ...KEYS);
      const script = `for _, key in ipairs(KEYS) do redis.call('INCR', key) end return redis.call('GET', KEYS[1])`;
      const sets = [
        ['a', 'b'],
        ['b', 'c', 'd'],
        ['c', 'a'],
      ];
      const replies = await Promise.all(
        clients.map(async (client, i) => {
          const keys = sets[i % sets.length]!;
          const said: Value[] = [];
          for (let n = 0; n < 12; n++) said.push(await client.ask('EVAL', script, keys.length, ...keys));
          return said;
        }),
      );
      assert.deepEqual(
        replies.flat().filter((reply) => reply instanceof Error),
        [],
      );
      const times = (key: string) => clients.filter((_, i) => sets[i % 3]!.includes(key)).length * 12;
      assert.deepEqual(
        await clients[0]!.ask('MGET', ...KEYS),
        KEYS.map((key) => `${times(key)}`),
      );
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
        { numRuns: 60 },
      );
    });

    test('MSETNX sets all or nothing, whoever else writes', async (t) => {
      const clients = await pair(t);
      await same(clients, 'MSETNX', 'a', 1, 'b', 2, 'c', 3);
      await same(clients, 'MSETNX', 'd', 1, 'c', 2);
      await same(clients, 'MSETNX', 'd', 1, 'c');
      await sameData(clients);
      const writers = [await open(t), await open(t), await open(t)];
      for (let i = 0; i < 25; i++) {
        await clients[1].call('DEL', ...KEYS);
        const won = await Promise.all([
          ...writers.map((client, w) => client.ask('MSETNX', 'a', w, 'b', w, 'c', w)),
          clients[1].ask('SETNX', 'b', 'plain'),
        ]);
        const values = await clients[1].ask('MGET', 'a', 'b', 'c');
        const winner = won.indexOf(1);
        assert.equal(won.filter((each) => each === 1).length, 1, `${won}`);
        assert.deepEqual(values, winner === 3 ? [null, 'plain', null] : Array(3).fill(`${winner}`));
      }
    });

    for (const step of ['relaxed: run', 'relaxed: verify', 'relaxed: write'] as const) {
      test(`a key that others change at the step '${step}' is read anew`, async (t) => {
        const client = await open(t);
        for (const key of ['a', 'b', 'c']) {
          await client.call('MSET', 'a', 1, 'b', 10, 'c', 100);
          meddler.plan(await others(step, ['INCRBY', key, '1000']));
          const script = `redis.call('SET', KEYS[1], KEYS[1]..redis.call('GET', KEYS[2])..redis.call('GET', KEYS[3]))`;
          await client.call('EVAL', script, 3, 'a', 'b', 'c');
          meddler.plan();
          // The last one is verified before the write, so what comes then comes after the script.
          const late = step === 'relaxed: write' && key !== 'a';
          const [b, c] = [key === 'b' && !late ? 1010 : 10, key === 'c' && !late ? 1100 : 100];
          assert.equal(await client.ask('GET', 'a'), `a${b}${c}`, key);
          if (key !== 'a') assert.equal(await client.ask('GET', key), key === 'b' ? '1010' : '1100');
        }
      });
    }

    test('what was written is put back when a later slot was changed by others, and all is done again', async (t) => {
      const client = await open(t);
      const script = `for _, key in ipairs(KEYS) do redis.call('APPEND', key, 'x') end redis.call('EXPIRE', KEYS[1], 100)`;
      await client.call('MSET', 'a', 1, 'b', 10, 'c', 100);
      // The second slot that is written is another's by then, and with it the keys.
      const plans = ['a', 'b', 'c'].map((key) => others('relaxed: write', ['APPEND', key, 'o'], { from: 1 }));
      const [, second] = await order(client, script);
      await client.call('MSET', 'a', 1, 'b', 10, 'c', 100);
      meddler.plan((await Promise.all(plans))[['a', 'b', 'c'].indexOf(second!)]!);
      assert.equal(await client.ask('EVAL', script, 3, 'a', 'b', 'c'), null);
      meddler.plan();
      const expected = ['1x', '10x', '100x'].map((value, i) =>
        'abc'[i] === second ? value.replace('x', 'ox') : value,
      );
      assert.deepEqual(await client.ask('MGET', 'a', 'b', 'c'), expected);
    });

    test('where it can not be put back the error says which keys are written', async (t) => {
      const client = await open(t);
      const script = `for _, key in ipairs(KEYS) do redis.call('APPEND', key, 'x') end`;
      const [first, second] = await order(client, script);
      await client.call('MSET', 'a', 1, 'b', 1, 'c', 1);
      meddler.plan(
        await others('relaxed: write', ['APPEND', second!, 'o'], { from: 1 }),
        await others('relaxed: undo', ['APPEND', first!, 'o']),
      );
      const reply = await client.ask('EVAL', script, 3, 'a', 'b', 'c');
      meddler.plan();
      assert.ok(reply instanceof Error);
      const [, written, unwritten] = /executed in part; written: (.*); not written: (.*) \(/.exec(
        reply.message,
      )!;
      assert.equal(written, first);
      assert.deepEqual(
        unwritten!.split(' ').sort(),
        ['a', 'b', 'c'].filter((key) => key !== first),
      );
      const values = { [first!]: '1xo', [second!]: '1o' };
      assert.deepEqual(
        await client.ask('MGET', 'a', 'b', 'c'),
        ['a', 'b', 'c'].map((key) => values[key] ?? '1'),
      );
    });

    test('slots that move from node to node meanwhile cost no update, and no error', async (t) => {
      const clients = await Promise.all([open(t), open(t)]);
      await clients[0]!.call('DEL', ...KEYS);
      const slots = ['a', 'b'].map((key) => slotOf(Buffer.from(key), 0, 1));
      let moving = true;
      const script = `redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[2])`;
      const counting = clients.map(async (client) => {
        let done = 0;
        for (; moving || done < 10; done++) {
          const reply = await client.ask('EVAL', script, 2, 'a', 'b');
          assert.equal(typeof reply, 'number', String(reply));
        }
        return done;
      });
      const homes = await Promise.all(slots.map((slot) => cluster.ownerOf(slot)));
      for (const { port } of [homes[1]!, cluster.primaries[1]!, homes[0]!])
        for (const slot of slots) await cluster.moveSlot(slot, port);
      await cluster.moveSlot(slots[1]!, homes[1]!.port);
      moving = false;
      const total = (await Promise.all(counting)).reduce((sum, each) => sum + each, 0);
      assert.deepEqual(await clients[0]!.ask('MGET', 'a', 'b'), [`${total}`, `${total}`]);
    });

    test('is done over again a bounded number of times', async (t) => {
      const client = await open(t);
      await client.call('MSET', 'a', 1, 'b', 1);
      meddler.plan(await others('relaxed: run', ['INCR', 'b'], { times: 1000 }));
      const reply = await client.ask('MSETNX', 'b', 1, 'c', 1);
      meddler.plan();
      assert.match(String(reply), /TRYAGAIN slotless: 'msetnx' was not executed: .* 16 times/);
      assert.equal(await client.ask('GET', 'b'), '17');
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
    async function order(client: RawClient, script: string): Promise<string[]> {
      await client.call('MSET', 'a', 1, 'b', 1, 'c', 1);
      const seen: string[] = [];
      for (const [i] of KEYS.slice(0, 3).entries()) {
        for (const key of ['a', 'b', 'c']) {
          if (seen.includes(key)) continue;
          // Whose change is noticed at the i-th write has not been written before.
          await client.call('MSET', 'a', 1, 'b', 1, 'c', 1);
          meddler.plan(await others('relaxed: write', ['APPEND', key, 'o'], { from: i }));
          await client.call('EVAL', script, 3, 'a', 'b', 'c');
          meddler.plan();
          if ((await client.ask('GET', key)) === '1xo') seen.splice(i - 1, 0, key);
        }
      }
      return seen;
    }
  });
}

/** One operation of a random script: on few keys and small values, so that they meet. */
const KEY = fc.integer({ min: 1, max: KEYS.length }).map((i) => `KEYS[${i}]`);
const WORD = fc.constantFrom(`'x'`, `'1'`, '7', 'KEYS[1]', 'KEYS[4]');
const OPERATION = fc
  .oneof(
    fc.tuple(fc.constantFrom('GET', 'DEL', 'INCR', 'LPOP', 'TYPE', 'PERSIST', 'STRLEN', 'HGETALL'), KEY),
    fc.tuple(fc.constantFrom('SET', 'APPEND', 'LPUSH', 'RPUSH', 'SADD', 'SREM', 'SETNX', 'HGET'), KEY, WORD),
    fc.tuple(fc.constantFrom('HSET', 'ZADD'), KEY, fc.constant('5'), WORD),
    fc.tuple(
      fc.constantFrom('RENAME', 'COPY', 'SUNIONSTORE', 'PFMERGE', 'LCS', 'RENAMENX', 'MGET'),
      KEY,
      KEY,
    ),
    fc.tuple(fc.constant('SMOVE'), KEY, KEY, WORD),
    fc.tuple(fc.constant('EXPIRE'), KEY, fc.constant('1000')),
  )
  .map(([name, ...words]) => `redis.pcall('${name}', ${words.join(', ')})`);

/** What stands under the keys: type, value and whether it expires. */
async function contents(client: RawClient): Promise<Value[]> {
  const all: Value[] = [];
  for (const key of KEYS) {
    const type = String(await client.ask('TYPE', key));
    const ttl = Number(await client.ask('TTL', key));
    const read = READS[type];
    const value = read === undefined ? null : decode(await client.call(read[0], key, ...read.slice(1)));
    const members =
      type === 'set' || type === 'hash' ? JSON.stringify([...(value as Value[])].sort()) : value;
    all.push([key, type, members, ttl > 0 ? 'expires' : ttl]);
  }
  return all;
}

const READS: Readonly<Record<string, [string, ...string[]]>> = {
  string: ['GET'],
  list: ['LRANGE', '0', '-1'],
  set: ['SMEMBERS'],
  hash: ['HGETALL'],
  zset: ['ZRANGE', '0', '-1', 'WITHSCORES'],
  stream: ['XRANGE', '-', '+'],
};

async function encodings(client: RawClient): Promise<Value[]> {
  return Promise.all(KEYS.map((key) => client.ask('OBJECT', 'ENCODING', key)));
}
