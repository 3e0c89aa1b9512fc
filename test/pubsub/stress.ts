/**
 * 5,000 subscribers on 500 channels of a proxy with three workers, while slots move, a replica is killed, a
 * primary is killed and one is replaced by plan:
 *
 *   node test/pubsub/stress.ts [--subscribers 5000] [--channels 500] [--workers 3] [--shard]
 *
 * It says what came of each phase. Everything but the killed primary must be perfect: each message once and in order
 * to each subscriber. With the primary killed it says how many messages were missed, and for how long.
 */

import { parseArgs } from 'node:util';
import { slotOf } from '../../src/command/slot.ts';
import { Mover } from '../cluster/moves.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { type Account, Crowd, channelName, heardAt } from './crowd.ts';

const { values } = parseArgs({
  options: {
    subscribers: { type: 'string', default: '5000' },
    channels: { type: 'string', default: '500' },
    publishers: { type: 'string', default: '3' },
    workers: { type: 'string', default: '3' },
    shard: { type: 'boolean', default: false },
  },
});
const size = {
  subscribers: Number(values.subscribers),
  channels: Number(values.channels),
  publishers: Number(values.publishers),
  shard: values.shard,
};

function slot(channel: number): number {
  const name = Buffer.from(channelName(channel));
  return slotOf(name, 0, name.length);
}

/** What happens, and whether every message must be heard through it. */
function phases(cluster: Cluster): [name: string, perfect: boolean, what: () => Promise<void>][] {
  const mover = new Mover(cluster);
  return [
    ['nothing', true, async () => {}],
    [
      'ten slots move',
      true,
      async () => {
        for (let channel = 0; channel < 10; channel++)
          await mover.make({ what: 'slot', slot: slot(channel), few: 10, pause: 0 });
      },
    ],
    [
      'a replica is killed',
      true,
      async () => {
        const replica = await mover.heirOf(await cluster.ownerOf(slot(0)));
        await cluster.kill(replica.port);
        await cluster.restart(replica.port);
        await mover.agreed();
      },
    ],
    [
      'a primary is killed',
      false,
      async () => {
        const primary = await heardAt(cluster, 1, size.shard);
        await mover.heirOf(primary);
        await cluster.kill(primary.port);
        await until('an heir', async () => (await cluster.ownerOf(slot(1))).port !== primary.port);
        await cluster.restart(primary.port);
        await mover.agreed();
      },
    ],
    ['a planned failover', !size.shard, () => mover.make({ what: 'failover', slot: slot(0) })],
  ];
}

let failed = false;
for (const server of await availableServers()) {
  const cluster = await startCluster({ server });
  const proxy = await startProxy({
    cluster,
    settings: { workers: Number(values.workers), 'failover.holdFor': '30s' },
  });
  for (const [name, perfect, what] of phases(cluster)) {
    const crowd = await Crowd.open(proxy.port, size);
    const logged = proxy.log.length;
    crowd.start();
    await until('some messages', () => crowd.published > size.channels * 4);
    await what();
    const then = crowd.published;
    await until('some more', () => crowd.published > then + size.channels * 4);
    await crowd.stop();
    const account = await crowd.account(60_000);
    crowd.close();
    const bad = !isPerfect(account, perfect);
    failed ||= bad;
    console.log(
      `${server.flavour} ${server.version}, ${name}: ${bad ? 'BAD ' : ''}${JSON.stringify(account)}`,
    );
    for (const line of proxy.log.slice(logged)) if (line.includes('heard again')) console.log(`  ${line}`);
  }
  await proxy.stop();
  await cluster.stop();
}
process.exitCode = failed ? 1 : 0;

function isPerfect(account: Account, all: boolean): boolean {
  const { missing, twice, late, unknown, refused, unheard } = account;
  if (twice + late + refused > 0) return false;
  return !all || missing + unknown + unheard === 0;
}
