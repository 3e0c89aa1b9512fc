/** Scripts on stand-ins, on one server: they see the names they were called with, and touch what stands in. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { type Shadowed, shadowFunction, shadowScript } from '../../src/gather/shadow.ts';
import { type Argument, connect, decode, type RawClient } from '../support/client.ts';
import { type Lone, startLone } from '../support/cluster.ts';
import { availableServers } from '../support/servers.ts';

const REFUSED =
  /^-ERR Script attempted to access a non local key in a cluster node script: [0-9a-f]{40}, on @user_script:1\./;

for (const server of await availableServers()) {
  describe(`shadows, ${server.flavour} ${server.version}`, () => {
    let lone: Lone;
    let client: RawClient;

    before(async () => {
      lone = await startLone({ server });
      client = await connect(lone.port);
    });
    after(async () => {
      client?.destroy();
      await lone?.stop();
    });

    async function call(shadowed: Shadowed, keys: string[], ...args: Argument[]): Promise<Buffer> {
      const standins = keys.map((_, i) => `tmp:${i}`);
      const words = ['EVAL', shadowed.text, keys.length, ...standins, ...args, ...keys];
      return shadowed.restore(await client.call(...words));
    }

    function run(script: string, keys: string[], ...args: Argument[]): Promise<Buffer> {
      return call(shadowScript(Buffer.from(script)), keys, ...args);
    }

    test('a script is told the names and arguments of its caller', async () => {
      const reply = decode(await run('return {KEYS, ARGV, #KEYS, #ARGV, _G.KEYS[2]}', ['a', 'b'], 'x', 'y'));
      assert.deepEqual(reply, [['a', 'b'], ['x', 'y'], 2, 2, 'b']);
      assert.deepEqual(decode(await run('return {#KEYS, #ARGV}', ['a'])), [1, 0]);
    });

    test('a name is translated where it is a key, and stays what it is where it is a value', async () => {
      await client.call('FLUSHALL');
      await run(`redis.call('SET', 'a', 'a') redis.call('ZADD', KEYS[2], 1, KEYS[2])`, ['a', 'b']);
      assert.equal(await client.ask('GET', 'tmp:0'), 'a');
      assert.deepEqual(await client.ask('ZRANGE', 'tmp:1', 0, -1), ['b']);
      await client.call('FLUSHALL');
      // Keys that are called as a score and as a field are.
      await run(`redis.call('ZADD', 1, 1, 1) redis.call('HSET', 'STORE', 'STORE', 'a')`, ['1', 'STORE']);
      assert.deepEqual(await client.ask('ZRANGE', 'tmp:0', 0, -1, 'WITHSCORES'), ['1', '1']);
      assert.deepEqual(await client.ask('HGETALL', 'tmp:1'), ['STORE', 'a']);
    });

    test('keys named as numbers and options are told from these by the server', async () => {
      await client.call('FLUSHALL');
      await run(`redis.call('SADD', KEYS[1], 'x') redis.call('SADD', KEYS[2], 'y')`, ['2', 'LIMIT']);
      const reply = await run(`return redis.call('SINTERCARD', 2, '2', 'LIMIT', 'LIMIT', 2)`, ['2', 'LIMIT']);
      assert.equal(String(reply), ':0\r\n');
      const twice = await run(`return redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[1])`, ['2', 'LIMIT']);
      assert.equal(String(twice), ':3\r\n');
    });

    test('a name among thousands of values costs no more than another', async () => {
      await client.call('FLUSHALL');
      const values = Array.from({ length: 7000 }, () => 'a');
      assert.equal(
        String(await run(`return redis.call('RPUSH', KEYS[1], unpack(ARGV))`, ['a', 'b'], ...values)),
        ':7000\r\n',
      );
      assert.deepEqual(await client.ask('LRANGE', 'tmp:0', -2, -1), ['a', 'a']);
      // An option and a key of one name: marks in both places hide the key.
      await client.call('DEL', 'tmp:0');
      await run(`redis.call('GEOADD', KEYS[1], 1, 1, 'm')`, ['geo', 'STORE']);
      const store = `return redis.call('GEORADIUS', KEYS[1], 1, 1, 1, 'km', KEYS[2], KEYS[2])`;
      assert.equal(String(await run(store, ['geo', 'STORE'])), ':1\r\n');
      assert.deepEqual(await client.ask('ZRANGE', 'tmp:1', 0, -1), ['m']);
    });

    test('names in replies are those of the caller, in RESP3 as well', async () => {
      await client.call('FLUSHALL');
      await run(`redis.call('RPUSH', KEYS[1], 1, 2) redis.call('XADD', KEYS[2], '1-1', 'f', 'v')`, [
        'a',
        'b',
      ]);
      assert.deepEqual(decode(await run(`return redis.call('LMPOP', 1, KEYS[1], 'LEFT')`, ['a', 'b'])), [
        'a',
        ['1'],
      ]);
      const name = `local r = redis.call('XREAD', 'STREAMS', KEYS[2], 0)`;
      assert.equal(String(await run(`${name} return r[1][1]`, ['a', 'b'])), '$1\r\nb\r\n');
      const three = await run(`redis.setresp(3) ${name} for k in pairs(r.map) do return k end`, ['a', 'b']);
      assert.equal(String(three), '$1\r\nb\r\n');
    });

    test('a key that was not declared is refused, and a script may go on', async () => {
      await client.call('FLUSHALL');
      assert.match(String(await run(`return redis.call('SET', 'c', 1)`, ['a', 'b'])), REFUSED);
      assert.match(String(await run(`return redis.call('SET', 'tmp:1', 1)`, ['a', 'b'])), REFUSED);
      assert.match(
        String(await run(`return redis.call('RENAME', KEYS[1], KEYS[1]..'x')`, ['a', 'b'])),
        REFUSED,
      );
      const reply = await run(`local r = redis.pcall('GET', 'c') return r.err`, ['a', 'b']);
      assert.match(String(reply), /Script attempted to access a non local key/);
      assert.equal(await client.ask('DBSIZE'), 0);
    });

    test('where the server does not say which the keys are, nothing is called', async () => {
      await client.call('ACL', 'SETUSER', 'some', 'on', '>pw', '~*', '+@all', '-command|getkeys');
      const some = await connect(lone.port);
      await some.call('AUTH', 'some', 'pw');
      const { text } = shadowScript(Buffer.from(`return redis.call('SET', KEYS[1], 1)`));
      assert.match(
        String(await some.call('EVAL', text, 1, 'tmp:0', 'a')),
        /^-ERR .*(has no permissions|can't run this command)/,
      );
      assert.equal(await client.ask('EXISTS', 'a', 'tmp:0'), 0);
      some.destroy();
    });

    test('errors name the script and the line that the caller knows', async () => {
      await client.call('SET', 'tmp:0', 'x');
      const script = `local a = 1\nlocal n = redis.call('LPUSH', KEYS[1], 1)\nreturn n`;
      const sha = createHash('sha1').update(script).digest('hex');
      assert.equal(
        String(await run(script, ['a'])),
        `-WRONGTYPE Operation against a key holding the wrong kind of value script: ${sha}, on @user_script:2.\r\n`,
      );
      assert.match(
        String(await run('\n\nreturn nosuch', ['a'])),
        /^-ERR user_script:3: .* on @user_script:3\./,
      );
      assert.match(
        String(await run('\nthis is none', ['a'])),
        /^-ERR Error compiling script .* user_script:2: /,
      );
      assert.match(
        String(await run('#!lua\nlocal n = nosuch', ['a'])),
        /user_script:2: .* on @user_script:2\./,
      );
      // What was caught may be raised again, and a reply that is an error stays one.
      const caught = `local ok, why = pcall(redis.call, 'LPUSH', KEYS[1], 1)\nreturn {tostring(ok), why}`;
      assert.deepEqual(decode(await run(caught, ['a'])), await client.ask('EVAL', caught, 1, 'tmp:0'));
      assert.equal(String(await run(`return redis.error_reply('MY own')`, ['a'])), '-MY own\r\n');
    });

    test('a call that makes no sense is said to by the server', async () => {
      for (const script of [
        `return redis.call()`,
        `return redis.call('SET', KEYS[1])`,
        `return redis.call('SET', KEYS[1], {})`,
        `return redis.call('NOSUCH', KEYS[1])`,
        `return redis.call('ZUNION', 'x', KEYS[1])`,
        `return redis.call('PING', 'a', 'b')`,
      ]) {
        const expected = String(await client.call('EVAL', script, 1, 'a'));
        assert.equal(String(await run(script, ['a'])), expected, script);
        assert.match(expected, /^-/);
      }
      assert.equal(String(await run(`return redis.call('PING')`, ['a'])), '+PONG\r\n');
    });

    test('a function runs with its whole library, and its errors are its own', async () => {
      const library = Buffer.from(`#!lua name=lib
local function length(keys) return redis.call('STRLEN', keys[1]) end
redis.register_function('one', function(keys, args)
  redis.call('SET', keys[1], keys[1]..args[1])
  return {length(keys), keys, args}
end)
redis.register_function{function_name='two', flags={'no-writes'}, callback=function(keys)
  local r = redis.call('SET', keys[1], 1)
  return r
end}`);
      const one = await call(shadowFunction(library, 'one', []), ['a'], 'xy');
      assert.deepEqual(decode(one), [3, ['a'], ['xy']]);
      assert.match(
        String(await call(shadowFunction(library, 'two', ['no-writes']), ['a'])),
        /^-ERR Write commands are not allowed from read-only scripts\. script: two, on @user_function:8\./,
      );
    });
  });
}
