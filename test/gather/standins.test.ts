/** Stand-ins on a real server: what is noticed of a command's changes, and that nothing stays. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Copy } from '../../src/gather/copies.ts';
import { type Reach, Refusal, type Words } from '../../src/gather/reach.ts';
import { Standins } from '../../src/gather/standins.ts';
import { type Argument, connect, type RawClient } from '../support/client.ts';
import { type Lone, startLone } from '../support/cluster.ts';
import { availableServers } from '../support/servers.ts';

/** Where the command runs, and where it does not. */
const [HERE, THERE] = [7, 8];

for (const server of await availableServers()) {
  describe(`stand-ins, ${server.flavour} ${server.version}`, () => {
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

    /** Transactions go to the one server, each command's reply by itself. */
    const reach = {
      atomically: async (_slot: number, commands: readonly Words[]) =>
        client.pipeline(commands.map((words) => words.map((word) => word as Argument))),
    } as unknown as Reach;

    async function copyOf(name: string, slot: number): Promise<Copy> {
      const reply = await client.call('DUMP', name);
      const from = reply.indexOf('\r\n') + 2;
      const payload = reply[1] === 45 ? undefined : reply.subarray(from, -2);
      const expires = Number(await client.ask('PEXPIRETIME', name));
      return { name: Buffer.from(name), slot, payload, poured: false, expires: Math.max(expires, -1) };
    }

    /** Runs a command on stand-ins of these keys; what it was answered, and which of them it has changed and how. */
    async function run(slots: Record<string, number>, words: string[], written = Object.keys(slots)) {
      const copies = await Promise.all(Object.entries(slots).map(([name, slot]) => copyOf(name, slot)));
      const targets = copies.map(({ name, slot }) => ({
        name,
        slot,
        written: written.includes(String(name)),
      }));
      const standins = new Standins(HERE, 'id', copies, targets);
      const native = words.map((word) => (word in slots ? standins.nameOf(Buffer.from(word)) : word));
      const { reply, changes } = await standins.run(reach, native);
      assert.deepEqual(await client.ask('KEYS', 'slotless:*'), []);
      const told = changes.map(({ before, after, value }) => {
        const what = after.payload === undefined ? 'gone' : value ? 'value' : 'time';
        return `${before.name} ${what}`;
      });
      return { reply: String(standins.rename(reply)), told };
    }

    test('values of every kind and encoding that a command only looks at have not changed', async () => {
      await client.call('FLUSHALL');
      const many = Array.from({ length: 700 }, (_, i) => `member:${i}`);
      await client.call('MSET', 'int', 1, 'text', 'x'.repeat(100));
      await client.call('RPUSH', 'list', ...many);
      await client.call('SADD', 'small', 1, 2, 3);
      await client.call('SADD', 'large', ...many);
      await client.call('HSET', 'hash', ...many);
      await client.call('ZADD', 'zset', ...many.flatMap((member, i) => [i % 9, member]));
      await client.call('XADD', 'stream', '1-1', 'f', 'v');
      await client.call('PEXPIREAT', 'large', 4_000_000_000_000);
      const keys = ['int', 'text', 'list', 'small', 'large', 'hash', 'zset', 'stream', 'none'];
      for (const slot of [HERE, THERE]) {
        const slots = Object.fromEntries(keys.map((key) => [key, slot]));
        const { reply, told } = await run(slots, ['EXISTS', ...keys]);
        assert.equal(reply, ':8\r\n');
        assert.deepEqual(told, []);
      }
    });

    test('what a command has changed is told, and of keys that it may change alone', async () => {
      await client.call('FLUSHALL');
      await client.call('MSET', 'a', 1, 'b', 2);
      const slots = { a: HERE, b: THERE, c: THERE };
      assert.deepEqual((await run(slots, ['MSET', 'a', '1', 'b', '3', 'c', '4'])).told, [
        'b value',
        'c value',
      ]);
      assert.deepEqual((await run(slots, ['RENAME', 'b', 'c'])).told, ['b gone', 'c value']);
      assert.deepEqual((await run(slots, ['PEXPIRE', 'b', '100000'])).told, ['b time']);
      assert.deepEqual((await run(slots, ['SET', 'b', '3'], ['a', 'c'])).told, []);
      assert.deepEqual(await client.ask('MGET', 'a', 'b', 'c'), ['1', '2', null]);
      assert.deepEqual(await client.ask('DBSIZE'), 2);
    });

    test('a command that fails is answered with its error, in which keys have their names', async () => {
      await client.call('FLUSHALL');
      const { reply } = await run({ a: HERE }, ['XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'a', '>']);
      assert.match(reply, /^-NOGROUP No such key 'a' or/);
      await client.call('RPUSH', 'l', 1, 2);
      const popped = await run({ l: THERE, m: HERE }, ['LMPOP', '2', 'm', 'l', 'LEFT']);
      assert.equal(popped.reply, '*2\r\n$1\r\nl\r\n*1\r\n$1\r\n1\r\n');
    });

    test('a copy that the server does not take is an error', async () => {
      const name = Buffer.from('a');
      const copy = { name, slot: THERE, payload: Buffer.alloc(20, 1), poured: false, expires: -1 };
      const standins = new Standins(HERE, 'id', [copy], [{ name, slot: THERE, written: true }]);
      await assert.rejects(standins.run(reach, ['EXISTS', 'a']), (error) => {
        return error instanceof Refusal && /DUMP payload version or checksum/.test(error.message);
      });
    });
  });
}
