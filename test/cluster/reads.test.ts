/** Reads from replicas on real clusters: who is asked, that nobody is told anything wrong, and what is done when a node fails. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect, type RawClient } from '../support/client.ts';
import { type Cluster, type Node, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const KEY = 'hello';
const SLOT = 866;

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let client: RawClient;
    before(async () => {
      cluster = await startCluster({ server, replicas: 2 });
      proxy = await startProxy({ cluster, settings: { 'reads.from': 'prefer-replica' } });
      client = await connect(proxy.port);
    });
    after(async () => {
      await client?.close();
      await proxy?.stop();
      await cluster?.stop();
    });

    test('reads are answered by replicas, all of them', async () => {
      await client.ask('SET', KEY, 'value');
      const replicas = await replicasOf(cluster, SLOT);
      await until('both replicas are read from', async () => {
        assert.equal(String(await client.ask('GET', KEY)), 'value');
        return (await calls(cluster, replicas, 'get')).every((count) => count > 0);
      });
    });
  });
}

async function replicasOf(cluster: Cluster, slot: number): Promise<Node[]> {
  const owner = await cluster.ownerOf(slot);
  const lines = String(await cluster.cli(owner.port, 'CLUSTER', 'NODES')).split('\n');
  const ports = lines
    .filter((line) => line.includes(` slave ${owner.id}`))
    .map((line) => Number(/:(\d+)@/.exec(line)?.[1]));
  return cluster.nodes.filter(({ port }) => ports.includes(port));
}

/** How often each node has executed a command. */
function calls(cluster: Cluster, nodes: readonly Node[], command: string): Promise<number[]> {
  return Promise.all(
    nodes.map(async ({ port }) => {
      const info = String(await cluster.cli(port, 'INFO', 'commandstats'));
      return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0);
    }),
  );
}
