/** Libraries of two proxies on one cluster: both have the same, whatever becomes of its nodes. */

import assert from 'node:assert/strict';
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Argument, RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { remove, temporary } from '../support/reaper.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

/** A second, and what a busy machine adds. */
const SOON = 2000;
const code = (name: string, func = 'f') =>
  `#!js api_version=1.0 name=${name}\nredis.registerFunction('${func}', () => 1);`;

/** Library -> its first function, as one client is told. */
async function seen(client: RawClient): Promise<Record<string, string>> {
  const list = (await client.ask('TFUNCTION', 'LIST')) as unknown[][];
  return Object.fromEntries(list.map((each) => [each[5], (each[13] as string[])[0]]));
}

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxies: RunningProxy[];
    let one: RawClient;
    let other: RawClient;
    /** Clients of all workers of the second proxy. */
    let many: RawClient[];

    before(async () => {
      const config = ['--appendonly', 'yes', '--cluster-node-timeout', '2000'];
      cluster = await startCluster({ server, primaries: 3, replicas: 1, config });
      proxies = await Promise.all([
        startProxy({ cluster }),
        startProxy({ cluster, settings: { workers: 3 } }),
      ]);
      one = await proxies[0]!.connect();
      many = await Promise.all(Array.from({ length: 12 }, () => proxies[1]!.connect()));
      other = many[0]!;
    });

    after(async () => {
      for (const client of [one, ...(many ?? [])]) client?.destroy();
      await Promise.all((proxies ?? []).map((proxy) => proxy.stop()));
      await cluster?.stop();
    });

    const load = (client: RawClient, ...words: Argument[]) => client.ask('TFUNCTION', 'LOAD', ...words);
    /** Soon all clients of all proxies are told the same. */
    const all = (what: Record<string, string>) =>
      until(
        `all to have ${JSON.stringify(what)}`,
        async () => {
          const said = await Promise.all([one, ...many].map(seen));
          return said.every((each) => JSON.stringify(each) === JSON.stringify(what));
        },
        SOON,
      );
    const clean = async () => {
      for (const name of Object.keys(await seen(one))) await one.ask('TFUNCTION', 'DELETE', name);
      await all({});
    };

    test('what one has loaded, replaced or deleted is so for all within a second', async () => {
      assert.equal(await load(one, code('a')), 'OK');
      await all({ a: 'f' });
      assert.equal(await load(other, 'REPLACE', code('a', 'g')), 'OK');
      // All workers of the proxy that has told OK have it by then.
      for (const client of many) assert.deepEqual(await seen(client), { a: 'g' });
      await all({ a: 'g' });
      assert.equal(await one.ask('TFUNCTION', 'DELETE', 'a'), 'OK');
      await all({});
    });

    test('what another has loaded a moment ago is there already', async () => {
      for (let i = 0; i < 5; i++) {
        assert.equal(await load(one, code('a')), 'OK');
        assert.match(String(await load(other, code('a', 'g'))), /ERR Library a already exists\.$/);
        assert.equal(await other.ask('TFUNCTION', 'DELETE', 'a'), 'OK');
        assert.match(String(await one.ask('TFUNCTION', 'DELETE', 'a')), /ERR library does not exists$/);
      }
    });

    test('of two loads at once one wins, and all have that one', async () => {
      for (let i = 0; i < 5; i++) {
        const said = await Promise.all([load(one, code('a', 'x')), load(other, code('a', 'y'))]);
        assert.deepEqual(said.map(String).sort(), ['Error: ERR Library a already exists.', 'OK']);
        await all({ a: said[0] === 'OK' ? 'x' : 'y' });
        const replaced = [load(one, 'REPLACE', code('a', 'v')), load(other, 'REPLACE', code('a', 'w'))];
        assert.deepEqual(await Promise.all(replaced), ['OK', 'OK']);
        await until('both to have the same', async () => {
          const [mine, theirs] = await Promise.all([seen(one), seen(other)]);
          return mine['a'] !== 'x' && mine['a'] !== 'y' && mine['a'] === theirs['a'];
        });
        await clean();
      }
    });

    test('a new proxy has them when it is ready', async () => {
      assert.equal(await load(one, code('a')), 'OK');
      const fresh = await startProxy({ cluster });
      const client = await fresh.connect();
      assert.deepEqual(await seen(client), { a: 'f' });
      client.destroy();
      await fresh.stop();
      await clean();
    });

    test('they outlive a restart of all nodes, with no proxy there', async () => {
      assert.equal(await load(one, code('a')), 'OK');
      for (const client of [one, ...many]) client.destroy();
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await Promise.all(cluster.nodes.map(({ port }) => cluster.kill(port)));
      await Promise.all(cluster.nodes.map(({ port }) => cluster.restart(port)));
      await cluster.settled();
      proxies = await Promise.all([
        startProxy({ cluster }),
        startProxy({ cluster, settings: { workers: 3 } }),
      ]);
      one = await proxies[0]!.connect();
      many = await Promise.all(Array.from({ length: 12 }, () => proxies[1]!.connect()));
      other = many[0]!;
      await all({ a: 'f' });
      await clean();
    });

    test('they outlive a failover', async () => {
      assert.equal(await load(one, code('a')), 'OK');
      const heir = await cluster.failover((await cluster.ownerOf(0)).port);
      await until('both to know the heir', async () => {
        const lists = await Promise.all(
          [one, other].map((client) => load(client, 'REPLACE', code('a', 'g'))),
        );
        return lists.every((each) => each === 'OK');
      });
      const there = await cluster.cli(heir.port, 'FUNCTION', 'LIST', 'LIBRARYNAME', '__slotless_lib_a');
      assert.equal((there as unknown[]).length, 1);
      await all({ a: 'g' });
      await clean();
    });

    test('a shard that has joined is given them', async () => {
      assert.equal(await load(one, code('a')), 'OK');
      const node = await cluster.join();
      await cluster.moveSlot(16383, node.port);
      await one.ask('SET', '{6ZJ}', 1);
      await until('the new one to have it', async () => {
        const list = await cluster.cli(node.port, 'FUNCTION', 'LIST', 'LIBRARYNAME', '__slotless_lib_a');
        return (list as unknown[]).length === 1;
      });
      await clean();
    });

    test('a library of the folder stands before one in the cluster, and changes with its file alone', async () => {
      const folder = temporary('slotless-functions');
      const write = (data: string, files: Record<string, string>) => {
        mkdirSync(join(folder, data));
        for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, data, name), text);
        // As a ConfigMap changes: a link to all of it is put in the place of another.
        symlinkSync(data, join(folder, 'new'));
        renameSync(join(folder, 'new'), join(folder, '..data'));
      };
      write('first', { 'a.js': code('a', 'mine'), 'bad.js': 'no library', 'notes.txt': 'x' });
      for (const name of ['a.js', 'bad.js', 'late.js']) symlinkSync(join('..data', name), join(folder, name));
      assert.equal(await load(one, code('a', 'theirs')), 'OK');
      const settings = { workers: 3, functions: folder };
      const third = await startProxy({ cluster, settings });
      const client = await third.connect();
      assert.deepEqual(await seen(client), { a: 'mine' });
      assert.match(await third.logged(/bad\.js/), /not used as it is.*|Invalid or missing prologue/);
      const refused = /ERR slotless: library a is in functions\.dir of the proxy/;
      assert.match(String(await load(client, 'REPLACE', code('a'))), refused);
      assert.match(String(await client.ask('TFUNCTION', 'DELETE', 'a')), refused);
      assert.equal(await load(client, code('b')), 'OK');
      await all({ a: 'theirs', b: 'f' });
      write('second', { 'a.js': code('a', 'newer'), 'bad.js': 'still none', 'late.js': code('late') });
      await until('the files to be read', async () => (await seen(client))['late'] === 'f', 5000);
      assert.deepEqual(await seen(client), { a: 'newer', b: 'f', late: 'f' });
      write('third', { 'a.js': 'broken', 'bad.js': '', 'late.js': code('late', 'later') });
      await until('the files to be read again', async () => (await seen(client))['late'] === 'later', 5000);
      assert.deepEqual(await seen(client), { a: 'newer', b: 'f', late: 'later' });
      client.destroy();
      await third.stop();
      remove(folder);
      await clean();
    });
  });
}
