/** node-redis's client-side cache, as it is. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createClient } from 'redis';
import { connect } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

let cluster: Cluster;
let proxy: RunningProxy;

before(async () => {
  cluster = await startCluster({ replicas: 0 });
  proxy = await startProxy({ cluster });
});

after(async () => {
  await proxy?.stop();
  await cluster?.stop();
});

test("node-redis's cache answers by itself until the proxy tells it of a change", async () => {
  const client = createClient({
    url: `redis://127.0.0.1:${proxy.port}`,
    RESP: 3,
    clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: 'LRU' },
  });
  client.on('error', () => {});
  await client.connect();
  const writer = await connect(proxy.port);
  const asked = async () =>
    Number(/^cmdstat_get:calls=(\d+)/m.exec(String(await writer.ask('INFO', 'commandstats')))?.[1] ?? 0);
  const keys = Array.from({ length: 30 }, (_, i) => `key:${i}`);
  for (const key of keys) await writer.call('SET', key, 'old');
  for (const key of keys) assert.equal(await client.get(key), 'old');
  const before = await asked();
  for (let i = 0; i < 10; i++) for (const key of keys) assert.equal(await client.get(key), 'old');
  assert.equal(await asked(), before);
  for (const key of keys) await writer.call('SET', key, 'new');
  await until('every change to be seen', async () => {
    const values = await Promise.all(keys.map((key) => client.get(key)));
    return values.every((value) => value === 'new');
  });
  await writer.call('FLUSHALL');
  await until('the flush to be seen', async () => (await client.get('key:1')) === null);
  client.destroy();
  writer.destroy();
});
