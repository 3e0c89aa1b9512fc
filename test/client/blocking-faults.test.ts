/** Blocking commands while slots move, primaries die and nodes fall silent. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Mover, tagOf } from '../cluster/moves.ts';
import type { RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const SLOT = 3;
const KEY = `{${tagOf(SLOT)}}q`;
const KEY2 = `{${tagOf(SLOT)}}q2`;
const KEY3 = `{${tagOf(SLOT)}}q3`;
/** In the slots of another shard. */
const FAR = `{${tagOf(12000)}}q`;

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let other: RawClient;

    before(async () => {
      cluster = await startCluster({ server });
      proxy = await startProxy({
        cluster,
        settings: { 'failover.holdFor': '30s', 'link.connectTimeout': '500ms', requestTimeout: '3s' },
      });
      other = await proxy.connect();
    });

    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });

    /** So many are, or more: the other keys of a call may lie there as well. */
    const blockedAt = async (port: number, count: number) =>
      until(
        `${count} blocked at ${port}`,
        async () =>
          Number(/blocked_clients:(\d+)/.exec(String(await cluster.cli(port, 'INFO', 'clients')))?.[1]) >=
          count,
        10_000,
      );

    test('a slot that moves takes those who wait for it along', async () => {
      const clients = await Promise.all([1, 2, 3].map(() => proxy.connect()));
      const replies = [
        clients[0]!.ask('BLPOP', KEY3, 0),
        clients[1]!.ask('BLPOP', KEY2, FAR, 0),
        clients[2]!.ask('BLMOVE', KEY, KEY2, 'LEFT', 'LEFT', 0),
      ];
      const from = await cluster.ownerOf(SLOT);
      await blockedAt(from.port, 3);
      await new Mover(cluster).make({ what: 'slot', slot: SLOT, few: 10, pause: 0 });
      const to = await cluster.ownerOf(SLOT);
      assert.notEqual(to.port, from.port);
      await blockedAt(to.port, 3);
      assert.equal(await other.ask('RPUSH', KEY3, 'x'), 1);
      assert.deepEqual(await replies[0], [KEY3, 'x']);
      assert.equal(await other.ask('RPUSH', KEY, 'y'), 1);
      assert.equal(await replies[2], 'y');
      assert.deepEqual(await replies[1], [KEY2, 'y']);
      for (const client of clients) client.destroy();
    });

    test('a slot between two nodes is waited for as well', async () => {
      const mover = new Mover(cluster);
      await mover.agreed();
      const { source, target } = await mover.open(SLOT);
      const [one, several] = [await proxy.connect(), await proxy.connect()];
      const first = one.ask('BRPOP', KEY, 0);
      await blockedAt(target.port, 1);
      const second = several.ask('BRPOP', KEY2, KEY, 0);
      await other.ask('RPUSH', KEY, 'x');
      assert.deepEqual(await first, [KEY, 'x']);
      await mover.finish(SLOT, source, target, 10, 0);
      await blockedAt(target.port, 1);
      await other.ask('RPUSH', KEY, 'y');
      assert.deepEqual(await second, [KEY, 'y']);
      one.destroy();
      several.destroy();
    });

    test('a planned failover', async () => {
      const mover = new Mover(cluster);
      await mover.agreed();
      const client = await proxy.connect();
      const owner = await cluster.ownerOf(SLOT);
      const reply = client.ask('XREAD', 'BLOCK', 0, 'STREAMS', KEY, '$');
      await blockedAt(owner.port, 1);
      await mover.make({ what: 'failover', slot: SLOT });
      await other.ask('XADD', KEY, '1-1', 'f', 'v');
      assert.deepEqual(await reply, [[KEY, [['1-1', ['f', 'v']]]]]);
      await other.ask('DEL', KEY);
      client.destroy();
    });

    test('a primary that is halted is not waited for: its heir is', async () => {
      const mover = new Mover(cluster);
      await mover.agreed();
      const client = await proxy.connect();
      const owner = await cluster.ownerOf(SLOT);
      await mover.heirOf(owner);
      const reply = client.ask('BLPOP', KEY, 0);
      await blockedAt(owner.port, 1);
      cluster.pause(owner.port);
      try {
        const push = await other.ask('RPUSH', KEY, 'x');
        assert.ok(push === 1 || /outcome of this write is unknown/.test(String(push)), String(push));
        // The nodes may need several elections.
        if (push !== 1)
          await until('a second one', async () => (await other.ask('RPUSH', KEY, 'x')) === 1, 90_000);
        assert.deepEqual(await reply, [KEY, 'x']);
      } finally {
        cluster.resume(owner.port);
      }
      await cluster.settled();
      await other.ask('DEL', KEY);
      client.destroy();
    });

    test('a primary that dies, with the time that is left', async () => {
      const mover = new Mover(cluster);
      await mover.agreed();
      const [client, patient] = [await proxy.connect(), await proxy.connect()];
      const owner = await cluster.ownerOf(SLOT);
      await mover.heirOf(owner);
      const late = client.call('BLPOP', KEY2, FAR, '5');
      const reply = patient.ask('BZPOPMIN', KEY, 0);
      await blockedAt(owner.port, 2);
      await cluster.kill(owner.port);
      try {
        assert.equal(await other.ask('ZADD', KEY, 1, 'm'), 1);
        assert.deepEqual(await reply, [KEY, 'm', '1']);
        assert.equal(String(await late), '*-1\r\n');
      } finally {
        await cluster.restart(owner.port);
        await cluster.settled();
      }
      client.destroy();
      patient.destroy();
    });

    test('WAIT counts the replicas that have what this client has written', async () => {
      const [writer, idle] = [await proxy.connect(), await proxy.connect()];
      const mover = new Mover(cluster);
      await mover.agreed();
      const owner = await cluster.ownerOf(SLOT);
      const lines = String(await cluster.cli(owner.port, 'CLUSTER', 'NODES')).split('\n');
      const replica = Number(
        /:(\d+)@/.exec(lines.find((line) => line.includes(`slave ${owner.id}`)) ?? '')?.[1],
      );
      await writer.ask('SET', KEY, 1);
      assert.equal(await writer.ask('WAIT', 1, 5000), 1);
      cluster.pause(replica);
      try {
        assert.equal(await writer.ask('SET', KEY, 2), 'OK');
        assert.equal(await writer.ask('WAIT', 1, 100), 0);
        const far = (await cluster.ownerOf(8000)).port === owner.port ? 12000 : 8000;
        await idle.ask('SET', `{${tagOf(far)}}w`, 1);
        assert.equal(await idle.ask('WAIT', 1, 5000), 1);
        const waits = writer.ask('WAIT', 1, 0);
        await blockedAt(owner.port, 1);
        cluster.resume(replica);
        assert.equal(await waits, 1);
        if (server.flavour === 'valkey') {
          assert.deepEqual(await writer.ask('WAITAOF', 0, 0, 100), [0, 0]);
          assert.match(String(await writer.ask('WAITAOF', 1, 0, 100)), /^Error: ERR WAITAOF cannot be used/);
        }
        await writer.ask('DEL', KEY, `{${tagOf(far)}}w`);
      } finally {
        cluster.resume(replica);
      }
      writer.destroy();
      idle.destroy();
    });
  });
}
