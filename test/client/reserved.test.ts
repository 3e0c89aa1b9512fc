/** Keys of the proxy's own are shown to nobody. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { lockKey, temporaryKey } from '../../src/command/reserved.ts';
import { connect, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let client: RawClient;

    before(async () => {
      cluster = await startCluster({ server, primaries: 3, replicas: 0 });
      proxy = await startProxy({ cluster });
      client = await proxy.connect();
      await Promise.all(
        [temporaryKey(100, 'id', 0), temporaryKey(16000, 'id', 0), lockKey(100, Buffer.from('k'))].map(leave),
      );
    });

    after(async () => {
      client?.destroy();
      await proxy?.stop();
      await cluster?.stop();
    });

    /** As a proxy would that has died, but for good. */
    async function leave(key: Buffer): Promise<void> {
      for (const { port } of cluster.primaries) {
        const node = await connect(port);
        await node.ask('SET', key, 'x');
        node.destroy();
      }
    }

    async function walk(...options: string[]): Promise<string[]> {
      const found: string[] = [];
      for (let cursor = '0'; ; ) {
        const [next, keys] = (await client.ask('SCAN', cursor, ...options)) as [string, string[]];
        found.push(...keys);
        if (next === '0') return [...new Set(found)].sort();
        cursor = next;
      }
    }

    test('not by KEYS, SCAN and RANDOMKEY where there is nothing else', async () => {
      assert.equal(await client.ask('DBSIZE'), 3);
      assert.deepEqual(await client.ask('KEYS', '*'), []);
      assert.deepEqual(await walk(), []);
      assert.equal(await client.ask('RANDOMKEY'), null);
    });

    test('nor where there is more, by whatever pattern', async () => {
      await client.ask('MSET', 'slotless:mine', 1, 'k', 2);
      assert.deepEqual(((await client.ask('KEYS', '*')) as string[]).sort(), ['k', 'slotless:mine']);
      assert.deepEqual(await client.ask('KEYS', 'slotless:*'), ['slotless:mine']);
      assert.deepEqual(await walk(), ['k', 'slotless:mine']);
      assert.deepEqual(await walk('MATCH', 'slotless:*', 'COUNT', '1000'), ['slotless:mine']);
      for (let i = 0; i < 50; i++) assert.match(String(await client.ask('RANDOMKEY')), /^(k|slotless:mine)$/);
    });
  });
}
