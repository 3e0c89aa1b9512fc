/** Many subscribers and publishers while the cluster changes: a short form of stress.ts. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import { Mover } from '../cluster/moves.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { type Account, Crowd, channelName, heardAt } from './crowd.ts';

const SIZE = { subscribers: 300, channels: 30, publishers: 3 };

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let mover: Mover;

    before(async () => {
      cluster = await startCluster({ server });
      proxy = await startProxy({ cluster, settings: { workers: 3 } });
      mover = new Mover(cluster);
    });

    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });

    const slot = (channel: number) => {
      const name = Buffer.from(channelName(channel));
      return slotOf(name, 0, name.length);
    };

    /** Messages go on before, while and after something happens. */
    async function during(shard: boolean, what: () => Promise<void>): Promise<Account> {
      const crowd = await Crowd.open(proxy.port, { ...SIZE, shard });
      try {
        crowd.start();
        await until('some messages', () => crowd.published > 1000);
        await what();
        const then = crowd.published;
        await until('some messages more', () => crowd.published > then + 1000);
        await crowd.stop();
        return await crowd.account();
      } finally {
        await crowd.stop();
        crowd.close();
      }
    }

    function perfect(account: Account): void {
      const { missing, twice, late, unknown, refused, unheard } = account;
      const wrong = { missing, twice, late, unknown, refused, unheard };
      assert.deepEqual(wrong, { missing: 0, twice: 0, late: 0, unknown: 0, refused: 0, unheard: 0 });
      assert.ok(account.heard === account.expected && account.heard > 0, JSON.stringify(account));
    }

    for (const shard of [false, true]) {
      const kind = shard ? 'shard channels' : 'channels';

      test(`${kind}: every message once and in order while slots move`, async () => {
        perfect(
          await during(shard, async () => {
            for (let channel = 0; channel < 6; channel++)
              await mover.make({ what: 'slot', slot: slot(channel), few: 10, pause: 0 });
          }),
        );
      });

      test(`${kind}: every message once and in order while a replica dies and comes back`, async () => {
        const replica = await mover.heirOf(await cluster.ownerOf(slot(0)));
        perfect(
          await during(shard, async () => {
            await cluster.kill(replica.port);
            await cluster.restart(replica.port);
          }),
        );
        await mover.agreed();
      });

      test(`${kind}: every message once and in order through a planned failover, or its publisher is told`, async () => {
        const account = await during(shard, () => mover.make({ what: 'failover', slot: slot(0) }));
        // A primary that has just become a replica takes what waited for it to be published, and tells nobody.
        perfect(shard ? { ...account, unheard: 0 } : account);
        if (account.unheard > 0) await proxy.logged(/subscriptions are heard again/);
      });

      test(`${kind}: when a primary dies its subscribers stay, and miss what is said to be unknown at most`, async () => {
        await mover.agreed();
        let victim = 0;
        const account = await during(shard, async () => {
          const primary = await heardAt(cluster, 1, shard);
          victim = primary.port;
          await cluster.kill(victim);
          await until('an heir', async () => (await cluster.ownerOf(slot(1))).port !== victim);
        });
        const { twice, late } = account;
        assert.deepEqual({ twice, late }, { twice: 0, late: 0 });
        assert.ok(account.heard > 0);
        await cluster.restart(victim);
        await mover.agreed();
      });
    }
  });
}
