/**
 * `node test/cluster/stress.ts [--minutes 5] [--flavour redis|valkey] [--workers 1] [--links 1] [--failovers yes]`
 *
 * What moving.test.ts checks in seconds, for minutes: random schedules of moves (and of planned failovers) while
 * clients write, until the time is over or a client is told something wrong. The exit code says which.
 */

import { parseArgs } from 'node:util';
import { startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { type Flavour, findServer } from '../support/servers.ts';
import { IN_FLIGHT } from './model.ts';
import { play, playFor, schedules } from './scenario.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    flavour: { type: 'string', default: 'redis' },
    workers: { type: 'string', default: '1' },
    links: { type: 'string', default: '1' },
    failovers: { type: 'string', default: 'yes' },
  },
});

const server = await findServer(values.flavour as Flavour);
const cluster = await startCluster({ server });
const proxy = await startProxy({
  cluster,
  settings: { workers: values.workers, 'node.links': values.links },
});
const until = performance.now() + Number(values.minutes) * 60_000;
const sum = { runs: 0, replies: 0, unknown: 0 };
let told = performance.now();

function tell(): void {
  console.log(`${sum.runs} schedules, ${sum.replies} replies checked, ${sum.unknown} outcomes unknown`);
  told = performance.now();
}

try {
  while (performance.now() < until) {
    const failover = values.failovers === 'yes' && sum.runs % 3 === 2;
    const options = failover ? { unknown: IN_FLIGHT } : {};
    await playFor(0, schedules(failover ? 4 : 8, failover), async (schedule) => {
      const { replies, unknown } = await play(cluster, proxy.port, schedule, options);
      sum.runs++;
      sum.replies += replies;
      sum.unknown += unknown;
    });
    if (performance.now() - told > 15_000) tell();
  }
  tell();
} catch (error) {
  tell();
  const { message, cause } = error as Error;
  console.log(message, cause instanceof Error ? cause.message : '', `\n${proxy.log.slice(-20).join('\n')}`);
  process.exitCode = 1;
} finally {
  await proxy.stop();
  await cluster.stop();
}
