/** A short form of blocked-stress.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { Crowd } from './blocked.ts';

test('what is pushed while slots move and a primary is killed is popped exactly once', async () => {
  const cluster = await startCluster();
  const proxy = await startProxy({ cluster, settings: { workers: 2, 'failover.holdFor': '60s' } });
  try {
    const crowd = await Crowd.gather(cluster, proxy, 100);
    await crowd.round();
    crowd.close();
    assert.equal(crowd.tally.pushed, 500);
    assert.equal(crowd.tally.unknown, 0);
  } finally {
    await proxy.stop();
    await cluster.stop();
  }
});
