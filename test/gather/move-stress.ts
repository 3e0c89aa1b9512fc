/**
 * `node test/gather/move-stress.ts [--minutes 5] [--proxies 2] [--clients 50] [--workers 1] [--flavour redis|valkey]
 *     [--replicas 0] [--slots no] [--failovers no] [--kills no]`
 *
 * What move.test.ts checks in seconds, for minutes: clients of several proxies move values between the same keys, and
 * none is lost or doubled. `--slots yes` moves the keys' slots about meanwhile, `--failovers yes` fails nodes over
 * by plan, and `--kills yes` kills them: then values may be doubled, and errors are told, but nothing is lost.
 */

import { parseArgs } from 'node:util';
import { startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { type Flavour, findServer } from '../support/servers.ts';
import { play } from './movers.ts';
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
    kills: { type: 'string', default: 'no' },
  },
});

const failovers = options.failovers === 'yes';
const kills = options.kills === 'yes';
const replicas = failovers || kills ? Math.max(1, Number(options.replicas)) : Number(options.replicas);
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
  const trouble = { slots: options.slots === 'yes', failovers, kills };
  const tally = await play(cluster, proxies, Number(options.clients), wanted, trouble);
  const { asked, moved, doubled, disturbed, errors, times } = tally;
  times.sort((one, other) => one - other);
  const at = (part: number) => times[Math.floor(times.length * part)]?.toFixed(1);
  console.log(`${asked} commands, ${moved} moves; no value is lost, ${doubled} are doubled`);
  console.log(`ms: p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${times.at(-1)?.toFixed(0)}`);
  console.log(`disturbed ${disturbed} times; errors:`, Object.fromEntries(errors));
  if (errors.size > 0 && !kills) process.exitCode = 1;
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
