/** What proxies and primaries know of each other's libraries: stores on a real cluster, without the proxies. */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { reconcile, type Topology } from '../../src/cluster/topology.ts';
import { encodeRecord, versionAfter } from '../../src/functions/record.ts';
import { Store } from '../../src/functions/store.ts';
import { createLog } from '../../src/log.ts';
import type { Value } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { findServer } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const DAY = 86_400_000;
const registrations = { functions: [], clusterFunctions: [], reducers: [], commands: [] };
const code = (name: string, body = '') => `#!js api_version=1.0 name=${name}\n${body}`;
const library = (name: string, body = '') => ({
  name,
  apiVersion: '1.0',
  code: code(name, body),
  config: undefined,
  user: 'default',
  registrations,
});
const fine = () => {};

for (const server of [await findServer()]) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let topology: Topology;
    let ids = 0;
    const stores: Store[] = [];

    before(async () => {
      cluster = await startCluster({ server, primaries: 3, replicas: 0 });
      topology = await mapOf(cluster);
    });

    afterEach(async () => {
      for (const store of stores.splice(0)) store.close();
      for (const { port } of cluster.primaries) await cluster.cli(port, 'FUNCTION', 'FLUSH');
    });

    after(async () => {
      await cluster?.stop();
    });

    async function open(changed: () => Promise<unknown> = async () => {}, timeout = 1000): Promise<Store> {
      const id = `p${ids++}x`;
      const log = createLog('silent');
      const options = { username: '', password: '', timeout, patience: 8000, id, log, changed };
      const store = new Store(topology, { ...options, stale: () => {} });
      stores.push(store);
      await store.open();
      return store;
    }

    const bodies = (store: Store) =>
      Object.fromEntries(store.libraries().map((one) => [one.name, one.code.split('\n')[1]]));
    const sorted = (store: Store) => Object.entries(bodies(store)).sort();
    const carriersAt = async (port: number) => {
      const list = (await cluster.cli(port, 'FUNCTION', 'LIST')) as Value[][];
      return list.map((each) => String((each[5] as Value[][])[0]![1])).sort();
    };
    /** All primaries carry the same, so much of it. */
    const settled = (count: number) =>
      until(`all to have ${count}`, async () => {
        const all = await Promise.all(cluster.primaries.map(({ port }) => carriersAt(port)));
        return all.every((one) => one.length === count && String(one) === String(all[0]));
      });

    test('what one has loaded the others have soon, and a new one at once', async () => {
      let told = 0;
      const [one, other] = [await open(), await open(async () => told++)];
      await one.load(library('a', 'first'), fine);
      assert.deepEqual(bodies(one), { a: 'first' });
      await until('the other to have it', () => bodies(other)['a'] === 'first', 1500);
      assert.equal(told, 1);
      assert.deepEqual(bodies(await open()), { a: 'first' });
      await settled(1);
    });

    test('what has replaced another, or was deleted, is so for all', async () => {
      const [one, other] = [await open(), await open()];
      await one.load(library('a', 'first'), fine);
      await other.load(library('a', 'second'), fine);
      assert.deepEqual(bodies(other), { a: 'second' });
      await until('the first to have it', () => bodies(one)['a'] === 'second', 1500);
      await one.delete('a');
      await until('the other not to have it', () => bodies(other)['a'] === undefined, 1500);
      assert.deepEqual(bodies(await open()), {});
      await assert.rejects(other.delete('a'), { message: 'library does not exists' });
      await other.load(library('a', 'third'), fine);
      assert.deepEqual(bodies(await open()), { a: 'third' });
    });

    test('each change knows all that was before, whoever has made it', async () => {
      const all = await Promise.all([open(), open(), open()]);
      const outcomes = await Promise.allSettled(
        all.map((store, i) =>
          store.load(library('a', String(i)), () => {
            if (store.libraries().length > 0) throw new Error('Library a already exists.');
          }),
        ),
      );
      assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
      const winner = String(outcomes.findIndex(({ status }) => status === 'fulfilled'));
      for (const store of all) await until('all to have the same', () => bodies(store)['a'] === winner);
      await settled(1);
    });

    test('many changes at once end the same everywhere, also where nodes are emptied meanwhile', async () => {
      const all = await Promise.all([open(), open(), open()]);
      const work = all.map(async (store, who) => {
        for (let i = 0; i < 12; i++) {
          const name = `lib${(i + who) % 3}`;
          if (i % 4 === 3) await store.delete(name).catch(() => {});
          else await store.load(library(name, `${who} ${i}`), fine);
          if (i % 5 === who)
            await cluster.cli(cluster.primaries[who]!.port, 'FUNCTION', 'FLUSH', i % 2 ? 'SYNC' : 'ASYNC');
        }
      });
      await Promise.all(work);
      await settled(3);
      await until('all stores to have the same', () =>
        all.every((store) => JSON.stringify(sorted(store)) === JSON.stringify(sorted(all[0]!))),
      );
      assert.deepEqual(sorted(await open()), sorted(all[0]!));
    });

    test('a primary that was emptied is given again what it lacks', async () => {
      const store = await open();
      await store.load(library('a', 'x'.repeat(100_000)), fine);
      await store.load(library('b'), fine);
      await store.delete('b');
      await cluster.cli(cluster.primaries[1]!.port, 'FUNCTION', 'FLUSH');
      await settled(2);
      for (const { port } of cluster.primaries) await cluster.cli(port, 'FUNCTION', 'FLUSH');
      await store.restore();
      await settled(2);
    });

    test('what a primary has slept through does not come back', async () => {
      const store = await open();
      await store.load(library('a', 'old'), fine);
      const { port } = cluster.primaries[2]!;
      const dump = (await cluster.cli(port, 'FUNCTION', 'LIST', 'WITHCODE')) as Value[][];
      const [old] = dump.map((each) => String(each[7]));
      await store.load(library('a', 'new'), fine);
      await cluster.cli(port, 'FUNCTION', 'LOAD', 'REPLACE', old!);
      await until(
        'the new one to be there',
        async () => !(await carriersAt(port)).some((one) => old!.includes(one)),
      );
      await store.delete('a');
      await cluster.cli(port, 'FUNCTION', 'LOAD', 'REPLACE', old!);
      await settled(1);
      assert.deepEqual(bodies(store), {});
    });

    test('what was deleted long ago is forgotten', async () => {
      const version = versionAfter('', Date.now() - 2 * DAY, 'old');
      const gone = encodeRecord({ name: 'gone', version, library: undefined });
      await cluster.cli(cluster.primaries[0]!.port, 'FUNCTION', 'LOAD', gone);
      const store = await open();
      await settled(0);
      assert.equal(store.carriers, 0);
    });

    test('a change that a node does not take is undone, and the error names the node', async () => {
      const store = await open(undefined, 300);
      await store.load(library('a', 'first'), fine);
      const { port } = cluster.primaries[2]!;
      await cluster.cli(port, 'CONFIG', 'SET', 'maxmemory', '1');
      const reason = new RegExp(`^slotless: nothing was changed: node 127\\.0\\.0\\.1:${port}: OOM `);
      await assert.rejects(store.load(library('a', 'second'), fine), { message: reason });
      await assert.rejects(store.load(library('b'), fine), { message: reason });
      assert.deepEqual(bodies(store), { a: 'first' });
      assert.deepEqual(bodies(await open()), { a: 'first' });
      await cluster.cli(port, 'CONFIG', 'SET', 'maxmemory', '0');
      await settled(1);
      cluster.pause(port);
      await assert.rejects(store.delete('a'), {
        message: new RegExp(`node 127\\.0\\.0\\.1:${port}: no reply`),
      });
      cluster.resume(port);
      assert.deepEqual(bodies(store), { a: 'first' });
    });

    test('a proxy that dies during a change does not keep others from theirs', async () => {
      const arbiter = (await cluster.ownerOf(0)).port;
      const lock =
        "#!lua name=__slotless_lock\nredis.register_function('__slotless_lock_dead', function() end)";
      await cluster.cli(arbiter, 'FUNCTION', 'LOAD', lock);
      const [one, other] = [await open(undefined, 200), await open(undefined, 200)];
      await Promise.all([one.load(library('a'), fine), other.load(library('b'), fine)]);
      await settled(2);
      await until('both to have both', () => one.libraries().length + other.libraries().length === 4);
    });

    test('what is not a record is left as it is', async () => {
      const { port } = cluster.primaries[0]!;
      const strange = "#!lua name=__slotless_lib_x\nredis.register_function('__slotless_0', function() end)";
      await cluster.cli(port, 'FUNCTION', 'LOAD', strange);
      const store = await open();
      await store.load(library('a'), fine);
      assert.deepEqual(bodies(store), { a: '' });
      await store.load(library('x', 'mine'), fine);
      await settled(2);
    });
  });
}

async function mapOf(cluster: Cluster): Promise<Topology> {
  const node = cluster.primaries[0]!;
  const slots = (await cluster.cli(node.port, 'CLUSTER', 'SLOTS')) as [
    number,
    number,
    [string, number, string],
  ][];
  const ranges = slots.map(([from, to, [host, port, id]]) => ({
    from,
    to,
    nodes: [{ id, host, port, hostname: '' }],
  }));
  return reconcile([{ epoch: 1, ranges }], 1);
}
