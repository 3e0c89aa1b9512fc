/**
 * `node test/cluster/blocked-stress.ts [--minutes 1] [--clients 1000] [--flavour redis|valkey] [--workers 1]`
 *
 * What blocked.test.ts checks in seconds, with a thousand clients blocked on as many lists and for longer. At
 * least one round is played. The exit code says whether every element was popped exactly once.
 */

import { parseArgs } from 'node:util';
import { startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { type Flavour, findServer } from '../support/servers.ts';
import { Crowd } from './blocked.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    clients: { type: 'string', default: '1000' },
    flavour: { type: 'string', default: 'redis' },
    workers: { type: 'string', default: '1' },
  },
});

const cluster = await startCluster({ server: await findServer(values.flavour as Flavour) });
const proxy = await startProxy({
  cluster,
  settings: { workers: values.workers, 'failover.holdFor': '60s' },
});
const until = performance.now() + Number(values.minutes) * 60_000;
try {
  const crowd = await Crowd.gather(cluster, proxy, Number(values.clients));
  do {
    await crowd.round();
    const { pushed, unknown } = crowd.tally;
    console.log(`${pushed} elements popped exactly once, ${unknown} outcomes unknown`);
  } while (performance.now() < until);
  crowd.close();
} catch (error) {
  console.log((error as Error).message, `\n${proxy.log.slice(-20).join('\n')}`);
  process.exitCode = 1;
} finally {
  await proxy.stop();
  await cluster.stop();
}
