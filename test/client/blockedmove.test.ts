/** BLMOVE and BRPOPLPUSH from slot to slot: who waits, who is served, and what becomes of who leaves. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

/** Keys of three shards. */
const [A, B, C] = ['a', 'b', 'foo'];

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let other: RawClient;

    before(async () => {
      cluster = await startCluster({ server, replicas: 0 });
      proxy = await startProxy({ cluster });
      other = await proxy.connect();
    });

    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });

    const blocked = (count: number) =>
      until(`${count} blocked`, async () => {
        const infos = await Promise.all(
          cluster.primaries.map(async ({ port }) => String(await cluster.cli(port, 'INFO', 'clients'))),
        );
        return (
          infos.reduce((sum, info) => sum + Number(/blocked_clients:(\d+)/.exec(info)?.[1]), 0) === count
        );
      });
    const list = (key: string) => other.ask('LRANGE', key, 0, -1);
    const nilArray = (resp: 2 | 3) => (resp === 3 ? '_\r\n' : '*-1\r\n');

    test('an empty source is waited for, and what is pushed there is moved', async () => {
      const client = await proxy.connect();
      await other.call('FLUSHALL');
      const replies = client.pipeline([
        ['BLMOVE', A, B, 'RIGHT', 'LEFT', '0'],
        ['LLEN', B],
      ]);
      await blocked(1);
      assert.match(String(await other.ask('CLIENT', 'LIST')), / flags=b .* cmd=blmove /);
      assert.equal(await other.ask('RPUSH', A, '1', '2', '3'), 3);
      assert.deepEqual((await replies).map(String), ['$1\r\n3\r\n', ':1\r\n']);
      assert.deepEqual(await list(A), ['1', '2']);
      await blocked(0);
      client.destroy();
    });

    test('each of those who wait gets one, and nobody waits in vain', async () => {
      await other.call('FLUSHALL');
      const clients = await Promise.all(Array.from({ length: 5 }, () => proxy.connect()));
      const replies = clients.map((client) => client.ask('BRPOPLPUSH', A, B, 0));
      await blocked(5);
      await other.call('RPUSH', A, '1', '2', '3');
      await blocked(2);
      await other.call('RPUSH', A, '4', '5');
      assert.deepEqual((await Promise.all(replies)).sort(), ['1', '2', '3', '4', '5']);
      assert.deepEqual(((await list(B)) as string[]).sort(), ['1', '2', '3', '4', '5']);
      await blocked(0);
      for (const client of clients) client.destroy();
    });

    test('the time it may wait ends, also after somebody else was served first', async () => {
      for (const resp of [2, 3] as const) {
        await other.call('FLUSHALL');
        const client = await proxy.connect();
        await client.call('HELLO', resp);
        assert.equal(String(await client.call('BLMOVE', A, B, 'LEFT', 'LEFT', '0.01')), nilArray(resp));
        const start = performance.now();
        const waits = client.call('BLMOVE', A, B, 'LEFT', 'LEFT', '0.4');
        await blocked(1);
        // It wakes, and mostly there is nothing left.
        await other.pipeline(
          [
            ['RPUSH', A, '1'],
            ['LPOP', A],
          ].map((words) => [...words]),
        );
        const reply = String(await waits);
        if (reply === nilArray(resp)) assert.ok(performance.now() - start >= 390);
        else assert.equal(reply, '$1\r\n1\r\n');
        client.destroy();
      }
    });

    test('CLIENT UNBLOCK ends it, in either way', async () => {
      await other.call('FLUSHALL');
      const client = await proxy.connect();
      const id = Number(await client.ask('CLIENT', 'ID'));
      for (const [how, reply] of [
        ['TIMEOUT', '*-1\r\n'],
        ['ERROR', '-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n'],
      ] as const) {
        const waits = client.call('BLMOVE', A, B, 'LEFT', 'LEFT', '0');
        await blocked(1);
        assert.equal(await other.ask('CLIENT', 'UNBLOCK', id, how), 1);
        assert.equal(String(await waits), reply);
      }
      assert.equal(await client.ask('PING'), 'PONG');
      client.destroy();
    });

    test('a client that leaves waits no longer, and takes nothing', async () => {
      await other.call('FLUSHALL');
      for (const leave of [
        (client: RawClient) => client.destroy(),
        (client: RawClient) => client.socket.end(),
      ]) {
        const client = await proxy.connect();
        client.call('BLMOVE', A, B, 'LEFT', 'LEFT', '0').catch(() => {});
        await blocked(1);
        leave(client);
        await blocked(0);
      }
      await other.call('RPUSH', A, '1');
      assert.deepEqual(await list(A), ['1']);
      // What is there is given to one that has said all it will.
      const last = await proxy.connect();
      const reply = last.ask('BLMOVE', A, B, 'LEFT', 'LEFT', '0');
      last.socket.end();
      assert.equal(await reply, '1');
    });

    test('wrong types are told of when there is something to be moved', async () => {
      await other.call('FLUSHALL');
      await other.call('SET', B, 'text');
      const client = await proxy.connect();
      assert.match(String(await client.call('BLMOVE', B, A, 'LEFT', 'LEFT', 0)), /^-WRONGTYPE /);
      const waits = client.call('BLMOVE', A, B, 'LEFT', 'LEFT', 0);
      await blocked(1);
      await other.call('RPUSH', A, '1');
      assert.match(String(await waits), /^-WRONGTYPE /);
      assert.deepEqual(await list(A), ['1']);
      client.destroy();
    });

    test('a slot that moves takes those who wait along', async () => {
      await other.call('FLUSHALL');
      const client = await proxy.connect();
      const waits = client.ask('BLMOVE', A, C, 'LEFT', 'LEFT', 0);
      await blocked(1);
      const slot = Number(await cluster.cli(cluster.primaries[0]!.port, 'CLUSTER', 'KEYSLOT', A));
      const { port } = await cluster.ownerOf(slot);
      const target = cluster.primaries.find((node) => node.port !== port)!;
      await cluster.moveSlot(slot, target.port);
      await other.call('RPUSH', A, '1');
      assert.equal(await waits, '1');
      await cluster.moveSlot(slot, port);
      client.destroy();
    });

    test('inside MULTI, and where the setting does not permit it, it is refused', async () => {
      const client = await proxy.connect();
      await client.call('MULTI');
      await client.call('BLMOVE', A, B, 'LEFT', 'LEFT', 0);
      assert.match(String(await client.call('EXEC')), /CROSSSLOT/);
      client.destroy();
      const strict = await startProxy({ cluster, settings: { 'crossSlot.level': 'reads' } });
      const refused = await strict.connect();
      assert.match(
        String(await refused.call('BRPOPLPUSH', A, B, 0)),
        /^-CROSSSLOT .*'brpoplpush' is refused .*'crossSlot: writes'/,
      );
      refused.destroy();
      await strict.stop();
    });
  });
}
