/**
 * `node test/gather/move-stress.ts [--minutes 5] [--proxies 2] [--clients 50] [--workers 1] [--flavour redis|valkey]
 *     [--replicas 0] [--slots no] [--failovers no]`
 *
 * What move.test.ts checks in seconds, for minutes: clients of several proxies move values between the same keys, and
 * none is lost or doubled. `--slots yes` moves the keys' slots about meanwhile, `--failovers yes` fails nodes over.
 */

import { parseArgs } from 'node:util';
import { startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { type Flavour, findServer } from '../support/servers.ts';
import { disturb, play } from './movers.ts';
import { COUNTED, stepsIn } from './steps.ts';

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    proxies: { type: 'string', default: '2' },
    clients: { type: 'string', default: '50' },
    workers: { type: 'string', default: '1' },
    flavour: { type: 'string', default: 'redis' },
    replicas: { type: 'string', default: '0' },
    slots: { type: 'string', default: 'no' },
    failovers: { type: 'string', default: 'no' },
  },
});

const failovers = options.failovers === 'yes';
const replicas = failovers ? Math.max(1, Number(options.replicas)) : Number(options.replicas);
const cluster = await startCluster({ server: await findServer(options.flavour as Flavour), replicas });
const settings = { workers: options.workers };
const proxies = await Promise.all(
  Array.from({ length: Number(options.proxies) }, () =>
    startProxy({ cluster, settings, nodeFlags: COUNTED }),
  ),
);
const end = performance.now() + Number(options.minutes) * 60_000;
const wanted = () => performance.now() < end;
try {
  const disturbed = disturb(cluster, wanted, { slots: options.slots === 'yes', failovers });
  const { asked, moved, errors, times } = await play(cluster, proxies, Number(options.clients), wanted);
  times.sort((one, other) => one - other);
  const at = (part: number) => times[Math.floor(times.length * part)]?.toFixed(1);
  console.log(`${asked} commands, ${moved} moves; the values are what they were`);
  console.log(`ms: p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${times.at(-1)?.toFixed(0)}`);
  console.log(`disturbed ${await disturbed} times; errors:`, Object.fromEntries(errors));
  if (errors.size > 0) process.exitCode = 1;
} catch (error) {
  console.log((error as Error).message);
  process.exitCode = 1;
} finally {
  for (const proxy of proxies) {
    await proxy.stop();
    console.log('steps', stepsIn(proxy.log));
  }
  await cluster.stop();
}
