/** What operators do to a cluster while it is in use: nodes come and go with redis-cli, replicas are told to take over. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { Appender } from './appender.ts';
import { Mover, tagOf } from './moves.ts';
import { play, type Schedule } from './scenario.ts';

const busy: Schedule = {
  clients: [
    { seed: 1, resp: 2, depth: 1, slots: 5, keys: 3, padding: 0 },
    { seed: 2, resp: 3, depth: 16, slots: 5, keys: 6, padding: 20 },
    { seed: 3, resp: 2, depth: 100, slots: 3, keys: 2, padding: 0 },
  ],
  moves: [],
};

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let mover: Mover;

    before(async () => {
      cluster = await startCluster({ server });
      proxy = await startProxy({ cluster, settings: { workers: 2 } });
      mover = new Mover(cluster);
    });

    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });

    test('clients see nothing of a primary and its replica that are added, filled, emptied and removed', async () => {
      const { cli, env } = server;
      const redisCli = (...args: string[]) =>
        promisify(execFile)(cli, ['--cluster', ...args], { env, timeout: 60_000 });
      const seed = cluster.seeds[0]!;
      const known = async (id: string) => {
        for (const { port } of cluster.nodes)
          if (!String(await cluster.cli(port, 'CLUSTER', 'NODES')).includes(id)) return false;
        return true;
      };
      const meanwhile = async () => {
        await mover.agreed();
        const node = await cluster.start();
        await redisCli('add-node', `${node.host}:${node.port}`, seed);
        await until('all to know it', () => known(node.id));
        const replica = await cluster.start();
        const asReplica = ['--cluster-slave', '--cluster-master-id', node.id];
        await redisCli('add-node', `${replica.host}:${replica.port}`, seed, ...asReplica);
        replica.role = 'replica';
        await mover.agreed();
        await redisCli(
          'rebalance',
          seed,
          '--cluster-use-empty-masters',
          '--cluster-weight',
          `${node.id}=0.02`,
        );
        await mover.agreed();
        const [first] = cluster.primaries;
        const some = [
          '--cluster-from',
          node.id,
          '--cluster-to',
          first!.id,
          '--cluster-slots',
          '5',
          '--cluster-yes',
        ];
        await redisCli('reshard', seed, ...some);
        await mover.agreed();
        await redisCli('rebalance', seed, '--cluster-weight', `${node.id}=0`);
        await mover.agreed();
        for (const { id, port } of [replica, node]) {
          await redisCli('del-node', seed, id);
          await cluster.leave(port);
        }
        await mover.agreed();
      };
      const { replies, unknown } = await play(cluster, proxy.port, busy, { meanwhile, pause: 5 });
      assert.ok(replies > 100, `${replies} replies`);
      assert.equal(unknown, 0);
    });

    for (const how of [undefined, 'FORCE', 'TAKEOVER'] as const) {
      const words = `CLUSTER FAILOVER${how ? ` ${how}` : ''}`;
      const lossy = how === undefined ? 'loses nothing' : 'loses no more than the servers do';
      test(`${words} under load ${lossy}, and puts nothing out of order`, async () => {
        await mover.agreed();
        const clients = await Promise.all(Array.from({ length: 12 }, () => proxy.connect()));
        const keys = clients.map((_, i) => `{${tagOf([1, 8000, 16000][i % 3]!)}}${how}:${i}`);
        const appenders = clients.map((client, i) => new Appender(client, keys[i]!));
        const runs = appenders.map((one) => one.run());
        const enough = async () => {
          const goal = appenders.map(({ acknowledged }) => acknowledged.length + 50);
          await until('enough to be written', () =>
            appenders.every(({ acknowledged }, i) => acknowledged.length > goal[i]!),
          );
        };
        await enough();
        const heir = await mover.heirOf(await cluster.ownerOf(1));
        await (how === undefined ? cluster.failover(heir.port) : cluster.failover(heir.port, how));
        await mover.agreed();
        await enough();
        for (const one of appenders) one.stop();
        await Promise.all(runs);
        for (const [i, one] of appenders.entries()) {
          const { missing, runs } = await one.check();
          // Without asking the old primary, its heir lacks what was acknowledged in between.
          if (how === undefined) assert.equal(one.errors, 0);
          if (how === undefined || i % 3 !== 0) assert.equal(missing, 0, keys[i]!);
          assert.ok(runs <= 1, `${keys[i]}: ${missing} missing, in ${runs} places`);
        }
        for (const client of clients) client.destroy();
      });
    }

    test('the proxy has nothing to complain of', () => {
      const complaints = proxy.log.filter((line) => /"level":"(error|fatal)"/.test(line));
      assert.deepEqual(complaints, []);
    });
  });
}
