/** Debian's Django Channels with its layer for Redis's pub/sub, as it is: two processes' layers at two proxies. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { run } from './programs.ts';
import { findPython, noPython } from './python.ts';

const LAYER = fileURLToPath(new URL('channels-layer.py', import.meta.url));

describe('channels_redis', { skip: noPython }, () => {
  let cluster: Cluster;
  let proxies: RunningProxy[] = [];

  before(async () => {
    cluster = await startCluster({ replicas: 0 });
    proxies = await Promise.all([startProxy({ cluster, settings: { workers: 2 } }), startProxy({ cluster })]);
  });

  after(async () => {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await cluster?.stop();
  });

  test('RedisPubSubChannelLayer sends to channels and groups of the other side, each message once, in order', async () => {
    const { python, env } = await findPython('python3-channels-redis', 'python3-redis');
    const ports = proxies.map(({ port }) => String(port));
    const { code, out, err } = await run(python, [LAYER, ...ports], { env });
    assert.equal(code, 0, err);
    assert.equal(out, 'all done\n');
  });
});
