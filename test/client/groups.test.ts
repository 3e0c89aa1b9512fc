/** XREADGROUP of streams in several slots, beside a lone server. */

import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { type Argument, connect, type RawClient, type Value } from '../support/client.ts';
import { type Cluster, type Lone, startCluster, startLone } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

/** On three nodes. */
const [A, B, C] = ['a', 'b', 'c'] as const;
const STREAMS = [A, B, C];
const GROUP = ['GROUP', 'g', 'me'];

for (const server of await availableServers()) {
  describe(`XREADGROUP, ${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let lone: Lone;
    let proxy: RunningProxy;

    before(async () => {
      [cluster, lone] = await Promise.all([startCluster({ server, replicas: 0 }), startLone({ server })]);
      proxy = await startProxy({ cluster });
    });
    after(async () => {
      await proxy?.stop();
      await Promise.all([cluster?.stop(), lone?.stop()]);
    });

    async function open(t: TestContext, of = proxy): Promise<RawClient> {
      const client = await of.connect();
      t.after(() => client.destroy());
      return client;
    }

    /** A client of the lone server and one of the proxy, before empty streams with a group each. */
    async function pair(t: TestContext): Promise<[RawClient, RawClient]> {
      const oracle = await connect(lone.port);
      t.after(() => oracle.destroy());
      const clients: [RawClient, RawClient] = [oracle, await open(t)];
      for (const client of clients) {
        await client.call('DEL', ...STREAMS, 'none', 'text');
        for (const key of STREAMS) await client.call('XGROUP', 'CREATE', key, 'g', '0', 'MKSTREAM');
        await client.call('SET', 'text', 'x');
      }
      return clients;
    }

    async function same(clients: readonly RawClient[], ...call: Argument[]): Promise<string> {
      const [expected, got] = await Promise.all(clients.map((client) => client.call(...call)));
      assert.equal(String(got), String(expected), call.join(' '));
      return String(got);
    }

    /** What each group has delivered, and to whom. */
    async function samePending(clients: readonly RawClient[]): Promise<void> {
      for (const key of STREAMS) await same(clients, 'XPENDING', key, 'g');
    }

    async function blocked(count: number): Promise<void> {
      await until(`${count} blocked calls`, async () => {
        const infos = await Promise.all(
          cluster.primaries.map(({ port }) => cluster.cli(port, 'INFO', 'clients')),
        );
        const found = infos.map((info) => Number(/blocked_clients:(\d+)/.exec(String(info))![1]));
        return found.reduce((sum, each) => sum + each, 0) === count;
      });
    }

    for (const resp of [2, 3]) {
      test(`delivers what one server does, in the order asked for, in RESP${resp}`, async (t) => {
        const clients = await pair(t);
        for (const client of clients) await client.call('HELLO', resp);
        const read = (...args: Argument[]) => same(clients, 'XREADGROUP', ...GROUP, ...args);
        await read('STREAMS', ...STREAMS, '>', '>', '>');
        for (const [i, key] of [A, B, C, A, A].entries())
          await same(clients, 'XADD', key, `${i + 1}-1`, 'f', key);
        await read('COUNT', 1, 'STREAMS', C, A, B, '>', '>', '>');
        await samePending(clients);
        await read('NOACK', 'STREAMS', B, A, C, '>', '>', '>');
        await samePending(clients);
        await read('STREAMS', A, B, '0', '1');
        await same(clients, 'XADD', B, '9-1', 'f', 'v');
        await read('BLOCK', 0, 'STREAMS', A, B, C, '>', '>', '>');
        await read('BLOCK', 10, 'STREAMS', A, B, C, '>', '>', '>');
        await read('BLOCK', 0, 'STREAMS', A, B, C, '0', '>', '99');
        await samePending(clients);
      });
    }

    test('says what one server says, and delivers nothing then', async (t) => {
      const clients = await pair(t);
      for (const key of STREAMS) await same(clients, 'XADD', key, '1-1', 'f', 'v');
      await same(clients, 'XGROUP', 'DESTROY', C, 'g');
      for (const block of [[], ['BLOCK', '0']]) {
        for (const args of [
          ['STREAMS', A, B, C, '>', '>', '>'],
          ['STREAMS', A, 'none', B, '>', '>', '>'],
          ['STREAMS', A, 'text', 'none', '>', '>', '>'],
          ['STREAMS', 'none', 'text', '>', '>'],
          ['STREAMS', A, B, '>', '$'],
          ['STREAMS', A, B, '>', 'x'],
          ['STREAMS', A, B, C, '>', '-', '>'],
          ['COUNT', 'x', 'STREAMS', A, 'none', '>', '>'],
          ['BLOCK', 'x', 'STREAMS', A, 'none', '>', '>'],
          ['BLOCK', '-1', 'STREAMS', A, B, '>', '>'],
          ['NOSUCH', 'STREAMS', A, B, '>', '>'],
          ['STREAMS', A, B, '>'],
        ] as string[][])
          assert.match(await same(clients, 'XREADGROUP', ...GROUP, ...block, ...args), /^-/);
        assert.match(
          await same(clients, 'XREADGROUP', 'COUNT', 1, ...block, 'STREAMS', A, B, '>', '>'),
          /^-ERR Missing GROUP/,
        );
      }
      for (const key of [A, B]) await same(clients, 'XPENDING', key, 'g');
    });

    test('blocks until one of the slots has something, its time is over, or it is unblocked', async (t) => {
      const [, client] = await pair(t);
      const other = await open(t);
      const read = () => client.ask('XREADGROUP', ...GROUP, 'BLOCK', 0, 'STREAMS', A, B, C, '>', '>', '>');
      for (const key of STREAMS) {
        const waits = read();
        await blocked(3);
        await other.call('XADD', key, '1-1', 'f', 'v');
        assert.deepEqual(await waits, [[key, [['1-1', ['f', 'v']]]]]);
        await blocked(0);
      }
      const id = Number(await client.ask('CLIENT', 'ID'));
      for (const [how, expected] of [
        ['TIMEOUT', 'null'],
        ['ERROR', 'Error: UNBLOCKED client unblocked via CLIENT UNBLOCK'],
      ] as const) {
        const waits = read();
        await blocked(3);
        assert.equal(await other.ask('CLIENT', 'UNBLOCK', id, how), 1);
        assert.equal(String(await waits), expected);
      }
      const waits = read();
      await blocked(3);
      await other.call('XGROUP', 'DESTROY', B, 'g');
      assert.match(String(await waits), /NOGROUP/);
      await blocked(0);
    });

    test('everything that was delivered has been told, however many slots get something at once', async (t) => {
      await pair(t);
      const readers = await Promise.all(
        ['one', 'two', 'three'].map(async (name) => ({ name, client: await open(t) })),
      );
      const writer = await open(t);
      const total = 150;
      const told: string[] = [];
      let over = false;
      const reading = readers.map(async ({ name, client }) => {
        while (!over) {
          const reply = await client.ask(
            'XREADGROUP',
            'GROUP',
            'g',
            name,
            'BLOCK',
            50,
            'STREAMS',
            ...STREAMS,
            '>',
            '>',
            '>',
          );
          for (const [key, entries] of (reply ?? []) as [string, [string, Value][]][])
            for (const [id] of entries) told.push(`${key} ${id}`);
          over ||= told.length >= total;
        }
      });
      for (let i = 1; i <= total / 3; i++)
        await writer.pipeline(STREAMS.map((key) => ['XADD', key, `${i}-1`, 'f', 'v']));
      await Promise.all(reading);
      assert.equal(new Set(told).size, total);
      assert.equal(told.length, total);
    });

    test('what others have delivered is told when one slot fails', async (t) => {
      const [, client] = await pair(t);
      for (const key of STREAMS) await client.call('XADD', key, '1-1', 'f', 'v');
      const { port } = await cluster.ownerOf(3300);
      for (const block of [[], ['BLOCK', '0']]) {
        await cluster.cli(port, 'ACL', 'SETUSER', 'default', '-xreadgroup');
        t.after(() => cluster.cli(port, 'ACL', 'SETUSER', 'default', '+@all'));
        await client.call('XADD', A, '*', 'f', 'v');
        const reply = await client.ask('XREADGROUP', ...GROUP, ...block, 'STREAMS', A, B, '>', '>');
        assert.equal((reply as [string, Value][]).map(([key]) => key).join(), A);
        await proxy.logged(/"error":"NOPERM .*"msg":"XREADGROUP: a slot failed that others did not"/);
        assert.match(
          String(await client.call('XREADGROUP', ...GROUP, ...block, 'STREAMS', A, B, '>', '>')),
          /^-NOPERM /,
        );
        await cluster.cli(port, 'ACL', 'SETUSER', 'default', '+@all');
      }
      const reply = await client.ask('XREADGROUP', ...GROUP, 'STREAMS', A, B, '>', '>');
      assert.equal((reply as [string, Value][]).map(([key]) => key).join(), B);
    });

    test('needs the rights to all streams, and the level that permits it', async (t) => {
      const strict = await startProxy({ cluster, settings: { 'crossSlot.level': 'reads' } });
      t.after(() => strict.stop());
      const [, client] = await pair(t);
      for (const key of STREAMS) await client.call('XADD', key, '1-1', 'f', 'v');
      const refused = await open(t, strict);
      for (const block of [[], ['BLOCK', '0']])
        assert.match(
          String(await refused.call('XREADGROUP', ...GROUP, ...block, 'STREAMS', A, B, '>', '>')),
          /^-CROSSSLOT .*'crossSlot: writes' permits it/,
        );
      for (const { port } of cluster.primaries)
        await cluster.cli(port, 'ACL', 'SETUSER', 'some', 'on', '>pw', `~${A}`, '+@all');
      await client.call('AUTH', 'some', 'pw');
      for (const block of [[], ['BLOCK', '0']])
        assert.match(
          String(await client.call('XREADGROUP', ...GROUP, ...block, 'STREAMS', A, B, '>', '>')),
          /^-NOPERM /,
        );
      assert.match(String(await refused.ask('XPENDING', A, 'g')), /^0/);
    });
  });
}
