/**
 * Kills a proxy, or the owner of a key, at the steps of the commands across slots, and tells what is there then.
 *
 *     node test/gather/kill.ts               each step once
 *     node test/gather/kill.ts --all         each time that each scene passes a step, and each key's owner
 *     node test/gather/kill.ts --nodes       nodes only; --proxies: proxies only
 *     node test/gather/kill.ts --only LMOVE  scenes whose title has this
 *
 * A node is replaced within seconds, so all of it takes a quarter of an hour. Ends with 1 when anything was lost.
 */

import { parseArgs } from 'node:util';
import { STEPS } from '../../src/gather/steps.ts';
import { startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { killNode, killProxy, type Place, playThrough, type Undisturbed } from './play.ts';
import { SCENES, type Scene, titleOf } from './scenes.ts';

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    nodes: { type: 'boolean', default: false },
    proxies: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
  },
});

const cluster = await startCluster({ replicas: 1, config: ['--cluster-node-timeout', '1000'] });
const other = await startProxy({ cluster, settings: { 'crossSlot.level': 'all' } });
const helper = await other.connect();
let [killed, lost] = [0, 0];
try {
  const scenes = SCENES.filter((scene) => titleOf(scene).includes(values.only));
  const played = await playThrough(cluster, helper, scenes);
  const visited = new Set<string>();
  for (const [scene, undisturbed] of played) {
    for (const place of undisturbed.places) {
      if (!values.all && visited.has(place.step)) continue;
      visited.add(place.step);
      if (!values.nodes)
        await tell(
          scene,
          place,
          'the proxy',
          killProxy(cluster, helper, scene, undisturbed, place, values.all),
        );
      if (!values.proxies) await killOwners(scene, undisturbed, place);
    }
  }
  const missed = STEPS.filter((step) => !visited.has(step));
  console.log(
    `${killed} killed, ${lost} times with a loss; steps that nobody passed: ${missed.join(', ') || 'none'}`,
  );
  process.exitCode = lost > 0 || (missed.length > 0 && values.only === '') ? 1 : 0;
} finally {
  helper.destroy();
  await other.stop();
  await cluster.stop();
}

async function killOwners(scene: Scene, undisturbed: Undisturbed, place: Place): Promise<void> {
  for (const key of scene.keys.slice(0, 2)) {
    await tell(
      scene,
      place,
      `the owner of ${key}`,
      killNode(cluster, helper, scene, undisturbed, place, key),
    );
  }
}

async function tell(
  scene: Scene,
  { step, nth }: Place,
  whom: string,
  outcome: Promise<string>,
): Promise<void> {
  killed++;
  const what = await outcome.catch((error: Error) => {
    lost++;
    return `FAILED: ${error.message}`;
  });
  console.log(`${titleOf(scene)} | ${step} ${nth} | ${whom} | ${what}`);
}
