/** A primary that is halted (SIGSTOP): its connections stay open and say nothing. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { Mover, tagOf } from './moves.ts';

const KEY = `{${tagOf(3)}}k`;
const UNKNOWN = /outcome of this write is unknown \(it is silent, and the cluster has replaced it\)/;

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let mover: Mover;

    before(async () => {
      cluster = await startCluster({ server });
      // A reply may take ten minutes here, and the map is asked for once an hour: neither is what helps.
      const settings = { requestTimeout: '10m', 'refresh.every': '1h', 'failover.holdFor': '60s' };
      proxy = await startProxy({ cluster, settings });
      mover = new Mover(cluster);
    });

    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });

    test('is left when the cluster has replaced it, while it is still silent', async () => {
      await mover.agreed();
      const owner = await cluster.ownerOf(3);
      const heir = await mover.heirOf(owner);
      const [writer, reader, fresh] = await Promise.all([1, 2, 3].map(() => proxy.connect()));
      assert.equal(await writer!.ask('SET', KEY, 'v'), 'OK');
      await until('the replica to have it', async () =>
        String(await cluster.cli(heir.port, 'INFO', 'replication')).includes('master_link_status:up'),
      );
      cluster.pause(owner.port);
      try {
        const [write, read] = [writer!.ask('APPEND', KEY, 'w'), reader!.ask('STRLEN', KEY)];
        assert.match(String(await write), UNKNOWN);
        assert.equal(await read, 1);
        assert.equal(await fresh!.ask('APPEND', KEY, 'x'), 2);
        assert.equal(await writer!.ask('GET', KEY), 'vx');
      } finally {
        cluster.resume(owner.port);
      }
      await mover.agreed();
      for (const client of [writer!, reader!, fresh!]) client.destroy();
    });

    test('is waited for when nobody has replaced it', async () => {
      await mover.agreed();
      const [client, other] = await Promise.all([1, 2].map(() => proxy.connect()));
      const owner = await cluster.ownerOf(3);
      // For longer than link.timeout, and not for so long that the cluster would do anything.
      const sleep = cluster.cli(owner.port, 'DEBUG', 'SLEEP', 1.4);
      assert.equal(await client!.ask('SET', KEY, 'late'), 'OK');
      assert.equal(await other!.ask('GET', KEY), 'late');
      await sleep;
      for (const each of [client!, other!]) each.destroy();
    });
  });
}
