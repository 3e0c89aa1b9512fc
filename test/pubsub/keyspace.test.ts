/** What the nodes say of their keys: heard from all of them, each thing once, whoever is the primary. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Mover, tagOf } from '../cluster/moves.ts';
import type { RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

/** A slot of each shard, and one in the first that can be moved. */
const SLOTS = [100, 6000, 12000];
const TAGS = SLOTS.map(tagOf);

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let writer: RawClient;
    let mover: Mover;

    before(async () => {
      cluster = await startCluster({ server, config: ['--notify-keyspace-events', 'KEA'] });
      proxy = await startProxy({ cluster, settings: { workers: 2, 'failover.holdFor': '30s' } });
      writer = await proxy.connect();
      mover = new Mover(cluster);
    });

    after(async () => {
      writer?.destroy();
      await proxy?.stop();
      await cluster?.stop();
    });

    /** A client that has subscribed to one name: what it hears, channel and text, as they come. */
    async function subscriber(verb: 'SUBSCRIBE' | 'PSUBSCRIBE', name: string) {
      const client = await proxy.connect();
      const heard: string[] = [];
      await client.ask(verb, name);
      const listen = async () => {
        for (;;) {
          const text = String((await client.read())[0]);
          const words = text.split('\r\n').filter((_, i) => i % 2 === 0);
          heard.push(words.slice(-2).join(' '));
        }
      };
      listen().catch(() => {});
      return { heard, close: () => client.destroy() };
    }

    const expired = (tag: string, n: number) => `__keyevent@0__:expired {${tag}}${n}`;

    test('a key that is named is heard of wherever it is, each event once', async () => {
      const subscribers = await Promise.all(
        TAGS.map((tag) => subscriber('SUBSCRIBE', `__keyspace@0__:{${tag}}a`)),
      );
      for (const tag of TAGS)
        await writer.pipeline([
          ['SET', `{${tag}}a`, 1],
          ['SET', `{${tag}}b`, 1],
          ['DEL', `{${tag}}a`],
        ]);
      for (const [i, { heard, close }] of subscribers.entries()) {
        const channel = `__keyspace@0__:{${TAGS[i]}}a`;
        await until('both events', () => heard.length >= 2);
        assert.deepEqual(heard, [`${channel} set`, `${channel} del`]);
        close();
      }
    });

    for (const [verb, name] of [
      ['SUBSCRIBE', '__keyevent@0__:expired'],
      ['PSUBSCRIBE', '__keyevent@0__:ex*red'],
      ['PSUBSCRIBE', '__key*__:expired'],
    ] as const) {
      test(`keys that expire on all shards are heard of by ${verb} ${name}, each once`, async () => {
        const { heard, close } = await subscriber(verb, name);
        const wanted = TAGS.flatMap((tag) => [1, 2, 3].map((n) => expired(tag, n))).sort();
        for (const tag of TAGS)
          for (const n of [1, 2, 3]) await writer.ask('SET', `{${tag}}${n}`, 1, 'PX', 50);
        await until('all to have expired', () => heard.length >= wanted.length);
        // Whatever else was said would have come before this.
        await writer.ask('SET', `{${TAGS[0]}}last`, 1, 'PX', 1);
        await until('the last', () => heard.at(-1)?.endsWith('last') === true);
        assert.deepEqual(heard.slice(0, -1).sort(), wanted);
        close();
      });
    }

    test('a pattern for everything brings what is published once, and what every primary says of its keys', async () => {
      const { heard, close } = await subscriber('PSUBSCRIBE', '*');
      for (const [i, tag] of TAGS.entries()) {
        await writer.ask('PUBLISH', `{${tag}}news`, i);
        await writer.ask('SET', `{${tag}}k`, i);
      }
      const wanted = TAGS.flatMap((tag, i) => [
        `{${tag}}news ${i}`,
        `__keyspace@0__:{${tag}}k set`,
        `__keyevent@0__:set {${tag}}k`,
      ]);
      await until('all of it', () => wanted.every((line) => heard.includes(line)));
      await writer.ask('PUBLISH', 'end', 1);
      await until('the end', () => heard.at(-1) === 'end 1');
      // Expirations of earlier tests aside.
      assert.deepEqual(
        heard
          .slice(0, -1)
          .filter((line) => !line.includes('expire'))
          .sort(),
        wanted.sort(),
      );
      close();
    });

    test('a key that has moved while its slot is on the way is heard of at its new node', async () => {
      const key = `{${TAGS[0]}}moving`;
      await mover.agreed();
      const { heard, close } = await subscriber('SUBSCRIBE', `__keyspace@0__:${key}`);
      const { source, target } = await mover.open(SLOTS[0]!);
      await writer.ask('SET', key, 1);
      await mover.finish(SLOTS[0]!, source, target, 10, 0);
      await writer.ask('APPEND', key, 1);
      await until('both events', () => heard.length >= 2);
      assert.deepEqual(
        heard.map((line) => line.split(' ')[1]).filter((event) => event !== 'restore'),
        ['set', 'append'],
      );
      close();
      await mover.agreed();
    });

    test('each key that expires is heard of once, before, while and after a primary is replaced', async () => {
      const { heard, close } = await subscriber('SUBSCRIBE', '__keyevent@0__:expired');
      let n = 100;
      const wanted: string[] = [];
      const some = async () => {
        for (const tag of TAGS) {
          await writer.ask('SET', `{${tag}}${++n}`, 1, 'PX', 1 + (n % 40));
          wanted.push(expired(tag, n));
        }
      };
      for (let i = 0; i < 10; i++) await some();
      const moved = mover.make({ what: 'failover', slot: SLOTS[1]! });
      let over = false;
      void moved.then(() => {
        over = true;
      });
      while (!over) await some();
      await moved;
      for (let i = 0; i < 10; i++) await some();
      await until('all to have expired', () => new Set(heard).size >= wanted.length);
      assert.deepEqual([...heard].sort(), wanted.sort());
      close();
    });

    test('a primary that dies is replaced by its heir, and keys are heard of there, each once', async () => {
      await mover.agreed();
      const { heard, close } = await subscriber('PSUBSCRIBE', '__keyevent@0__:expired');
      const owner = await cluster.ownerOf(SLOTS[2]!);
      await mover.heirOf(owner);
      await cluster.kill(owner.port);
      const wanted = TAGS.map((tag) => expired(tag, 1));
      for (const tag of TAGS) assert.equal(await writer.ask('SET', `{${tag}}1`, 1, 'PX', 100), 'OK');
      await until('all to have expired', () => heard.length >= wanted.length);
      assert.deepEqual([...heard].sort(), wanted.sort());
      await cluster.restart(owner.port);
      await mover.agreed();
      for (const tag of TAGS) assert.equal(await writer.ask('SET', `{${tag}}2`, 1, 'PX', 100), 'OK');
      await until('three more', () => heard.length >= 6);
      assert.deepEqual(heard.slice(3).sort(), TAGS.map((tag) => expired(tag, 2)).sort());
      close();
    });
  });
}
