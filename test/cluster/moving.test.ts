/**
 * Slots move and replicas take over while clients pipeline writes and reads to them: no client sees an error,
 * a reply out of its place, or anything but its own last write. `stress.ts` is the same for longer.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { decode } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { IN_FLIGHT } from './model.ts';
import { Mover, reshard, tagOf } from './moves.ts';
import { play, playFor, type Schedule, schedules } from './scenario.ts';

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
      const { replies } = await play(cluster, proxy.port, busy, { meanwhile, pause: 5 });
      assert.ok(replies > 100, `${replies} replies`);
    });

    test('clients see nothing of slots that move back and forth, whatever the schedule', async () => {
      await playFor(WHILE_MS, schedules(5, false), async (schedule) => {
        const { unknown } = await play(cluster, proxy.port, schedule);
        assert.equal(unknown, 0);
      });
    });

    test('while a slot is half moved its keys are read, counted and removed at once, and set when they are together', async () => {
      const tag = tagOf(3);
      const key = (name: string) => `{${tag}}${name}`;
      const [one, two, none] = [key('one'), key('two'), key('none')];
      const [client, other] = [await proxy.connect(), await proxy.connect()];
      await client.call('HELLO', 3);
      await client.pipeline([['MSET', one, '1', two, '2', key('three'), '3', key('four'), '4', 'x', '5']]);
      const mover = new Mover(cluster);
      const { source, target } = await mover.open(3);
      const gone = [one, key('three')];
      await cluster.cli(source.port, 'MIGRATE', target.host, target.port, '', 0, 5000, 'KEYS', ...gone);
      const texts = (replies: Buffer[]) => replies.map((reply) => String(reply).replaceAll('\r\n', '|'));
      const now = await client.pipeline([
        ['MGET', one, none, two, one],
        ['EXISTS', one, two, none, two],
        ['TOUCH', none, two],
        ['MGET', 'x', two, one],
        ['DEL', key('three'), key('four'), none, key('four')],
        ['UNLINK', key('three'), key('four'), 'x'],
      ]);
      assert.deepEqual(texts(now), [
        '*4|$1|1|_|$1|2|$1|1|',
        ':3|',
        ':1|',
        '*3|$1|5|$1|2|$1|1|',
        ':2|',
        ':1|',
      ]);
      assert.equal(String(await other.call('MGET', none, two)), '*2\r\n$-1\r\n$1\r\n2\r\n');
      const later = client.pipeline([
        ['MSET', one, '3', two, '4'],
        ['SUNIONSTORE', key('u'), key('a'), key('b')],
        ['MULTI'],
        ['MGET', one, two],
        ['EXEC'],
        ['DEL', one, two],
        ['GET', two],
      ]);
      // Another client's keys are served meanwhile, on both sides; what it waits for is not there yet.
      const several = ['MGET', one, two] as const;
      assert.deepEqual(texts(await other.pipeline([[...several], ['GET', two]])), ['*2|$1|1|$1|2|', '$1|2|']);
      await mover.finish(3, source, target, 100, 0);
      const rest = ['+OK|', ':0|', '+OK|', '+QUEUED|', '*1|*2|$1|3|$1|4|', ':2|', '_|'];
      assert.deepEqual(texts(await later), rest);
      client.destroy();
      other.destroy();
    });

    test('thousands of keys of a half moved slot are one call', async () => {
      const tag = tagOf(2);
      const keys = Array.from({ length: 5000 }, (_, i) => `{${tag}}${i}`);
      const client = await proxy.connect();
      await client.call('MSET', ...keys.flatMap((key) => [key, key]));
      const mover = new Mover(cluster);
      const { source, target } = await mover.open(2);
      await cluster.moveKeys(2, source.port, target.port, 2000);
      const [values, count, rest] = await client.pipeline([
        ['MGET', ...keys],
        ['DEL', ...keys, 'none', ...keys],
        ['EXISTS', ...keys],
      ]);
      assert.deepEqual(decode(values!), keys);
      assert.deepEqual([String(count), String(rest)], [':5000\r\n', ':0\r\n']);
      await mover.finish(2, source, target, 100, 0);
      client.destroy();
    });

    test('a planned failover loses nothing and does nothing twice', async () => {
      await playFor(FAILOVERS_MS, schedules(2, true), (schedule) => {
        return play(cluster, proxy.port, schedule, { unknown: IN_FLIGHT });
      });
    });

    test('the proxy has nothing to complain of', () => {
      const complaints = proxy.log.filter((line) => /"level":"(error|fatal)"/.test(line));
      assert.deepEqual(complaints, []);
    });
  });
}
