/**
 * Slots move and replicas take over while clients pipeline writes and reads to them: no client sees an error,
 * a reply out of its place, or anything but its own last write. `stress.ts` is the same for longer.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { Mover, reshard, tagOf } from './moves.ts';
import { play, playFor, type Schedule, schedules } from './scenario.ts';

const UNKNOWN = /the outcome of this write is unknown/;
/** More is `stress.ts`'s. */
const WHILE_MS = 4000;
const FAILOVERS_MS = 2000;

const servers = await availableServers();

const busy: Schedule = {
  clients: [
    { seed: 1, resp: 2, depth: 1, slots: 5, keys: 3, padding: 0 },
    { seed: 2, resp: 3, depth: 16, slots: 3, keys: 6, padding: 20 },
    { seed: 3, resp: 2, depth: 200, slots: 1, keys: 2, padding: 0 },
    { seed: 4, resp: 3, depth: 64, slots: 5, keys: 5, padding: 2000 },
  ],
  moves: [],
};

for (const server of servers) {
  describe(`slots that move, ${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    before(async () => {
      cluster = await startCluster({ server });
      proxy = await startProxy({ cluster });
    });
    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });

    test('clients see nothing of redis-cli --cluster reshard', async () => {
      const [a, b] = cluster.primaries;
      const meanwhile = async () => {
        await reshard(cluster, a!.id, b!.id, 6);
        await reshard(cluster, b!.id, a!.id, 6);
      };
      const { replies } = await play(cluster, proxy.port, busy, { meanwhile });
      assert.ok(replies > 100, `${replies} replies`);
    });

    test('clients see nothing of slots that move back and forth, whatever the schedule', async () => {
      await playFor(WHILE_MS, schedules(5, false), async (schedule) => {
        const { unknown } = await play(cluster, proxy.port, schedule);
        assert.equal(unknown, 0);
      });
    });

    test('several keys of a slot that is half moved are waited for, and what follows waits behind them', async () => {
      const tag = tagOf(3);
      const client = await proxy.connect();
      const [one, two] = [`{${tag}}one`, `{${tag}}two`];
      await client.pipeline([['MSET', one, '1', two, '2']]);
      const mover = new Mover(cluster);
      const { source, target } = await mover.open(3);
      await cluster.cli(source.port, 'MIGRATE', target.host, target.port, one, 0, 5000);
      const replies = client.pipeline([
        ['MGET', one, two],
        ['MSET', one, '3', two, '4'],
        ['SUNIONSTORE', `{${tag}}u`, `{${tag}}a`, `{${tag}}b`],
        ['GET', one],
        ['DEL', one, two],
        ['GET', two],
      ]);
      // Another client's single keys are served meanwhile, on both sides.
      const other = await proxy.connect();
      assert.equal(String(await other.call('GET', one)), '$1\r\n1\r\n');
      assert.equal(String(await other.call('GET', two)), '$1\r\n2\r\n');
      await mover.finish(3, source, target, 100, 0);
      const texts = (await replies).map((reply) => String(reply).replaceAll('\r\n', '|'));
      assert.deepEqual(texts, ['*2|$1|1|$1|2|', '+OK|', ':0|', '$1|3|', ':2|', '$-1|']);
      client.destroy();
      other.destroy();
    });

    test('a planned failover loses nothing and does nothing twice', async () => {
      await playFor(FAILOVERS_MS, schedules(2, true), (schedule) => {
        return play(cluster, proxy.port, schedule, { unknown: UNKNOWN });
      });
    });

    test('the proxy has nothing to complain of', () => {
      const complaints = proxy.log.filter((line) => /"level":"(error|fatal)"/.test(line));
      assert.deepEqual(complaints, []);
    });
  });
}
