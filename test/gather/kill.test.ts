/** The proxy is killed between any two steps of the commands across slots. Nodes: see kill.ts, which takes minutes. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { STEPS } from '../../src/gather/steps.ts';
import type { RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { killProxy, playThrough } from './play.ts';
import { SCENES, titleOf } from './scenes.ts';

describe('a proxy that is killed', () => {
  let cluster: Cluster;
  let other: RunningProxy;
  let helper: RawClient;

  before(async () => {
    cluster = await startCluster({ primaries: 3, replicas: 0 });
    other = await startProxy({ cluster, settings: { 'crossSlot.level': 'all' } });
    helper = await other.connect();
  });

  after(async () => {
    helper?.destroy();
    await other?.stop();
    await cluster?.stop();
  });

  test('at each step of the commands across slots leaves each key as it was, or as it was to be', {
    timeout: 240_000,
  }, async (t) => {
    const played = await playThrough(cluster, helper, SCENES);
    const visited = new Set<string>();
    for (const [scene, undisturbed] of played) {
      for (const place of undisturbed.places) {
        if (visited.has(place.step)) continue;
        visited.add(place.step);
        t.diagnostic(`${place.step}: ${titleOf(scene)}`);
        await killProxy(cluster, helper, scene, undisturbed, place, place.step === 'move: remove');
      }
    }
    assert.deepEqual([...visited].sort(), [...STEPS].sort(), 'a step that nobody passes');
  });
});
