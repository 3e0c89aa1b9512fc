/** Reads from replicas on real clusters: who is asked, that nobody reads what is too old, and what is done when a node fails. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import type { RawClient } from '../support/client.ts';
import { type Cluster, type Node, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { Mover, tagOf } from './moves.ts';
import { calls, hold, replicasOf, resume, sum } from './replicas.ts';

const KEY = 'hello';
const SLOT = 866;
const TAG = '{hello}';

const servers = await availableServers();

for (const server of servers) {
  describe(`${server.flavour} ${server.version}`, () => {
    /** For what is the proxy's affair alone. */
    const skip = server !== servers[0] && 'tried on the first server';
    let cluster: Cluster;
    let proxy: RunningProxy;
    let mover: Mover;
    let owner: Node;
    let replicas: Node[];
    const others: RunningProxy[] = [];

    before(async () => {
      cluster = await startCluster({ server, replicas: 2 });
      mover = new Mover(cluster);
      proxy = await startProxy({ cluster, settings: { 'reads.from': 'prefer-replica' } });
      owner = await cluster.ownerOf(SLOT);
      replicas = await replicasOf(cluster, SLOT);
    });
    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });
    // Each looks at nine nodes all the time.
    afterEach(async () => {
      for (const each of others.splice(0)) await each.stop();
    });

    const start = async (settings: Record<string, string | number>) => {
      const other = await startProxy({ cluster, settings });
      others.push(other);
      return other;
    };

    /** Asks until the replicas alone have answered ten times in a row. */
    const fromReplicas = (client: RawClient, ...words: string[]) =>
      until('replicas to answer', async () => {
        const before = await calls(cluster, [owner, ...replicas], words[0]!.toLowerCase());
        for (let i = 0; i < 10; i++) await client.ask(...words);
        const now = await calls(cluster, [owner, ...replicas], words[0]!.toLowerCase());
        return now[0] === before[0] && sum(now) - sum(before) === 10;
      });

    test('reads are answered by replicas, by all of them', async () => {
      const client = await proxy.connect();
      await client.ask('SET', KEY, 'value');
      await fromReplicas(client, 'GET', KEY);
      await until('all of them to be asked', async () => {
        assert.equal(await client.ask('GET', KEY), 'value');
        return (await calls(cluster, replicas, 'get')).every((count) => count > 0);
      });
      assert.equal(await client.ask('GET', KEY), 'value');
      client.destroy();
    });

    test('a client reads what it has written, while the replicas do not have it', async () => {
      const [client, pipelining] = await Promise.all([proxy.connect(), proxy.connect()]);
      await client.ask('SET', KEY, 'old');
      await fromReplicas(client, 'GET', KEY);
      await hold(cluster, replicas);
      try {
        assert.equal(await client.ask('SET', KEY, 'new'), 'OK');
        for (let i = 0; i < 20; i++) assert.equal(await client.ask('GET', KEY), 'new');
        const commands = [0, 1, 2, 3].flatMap((i) => [
          ['APPEND', `${TAG}p`, String(i)],
          ['GET', `${TAG}p`],
        ]);
        const replies = await pipelining.pipeline(commands);
        assert.equal(String(replies[7]), '$4\r\n0123\r\n');
        assert.equal(await pipelining.ask('STRLEN', `${TAG}p`), 4);
        // In a transaction, in a script and as part of a command over several slots as well.
        await client.ask('MULTI');
        await client.ask('SET', `${TAG}m`, '1');
        await client.ask('EXEC');
        assert.equal(await client.ask('GET', `${TAG}m`), '1');
        await client.ask('EVAL', "return redis.call('SET', KEYS[1], '2')", '1', `${TAG}s`);
        assert.equal(await client.ask('GET', `${TAG}s`), '2');
        await client.ask('MSET', `${TAG}a`, '1', 'elsewhere', '2');
        assert.deepEqual(await client.ask('MGET', `${TAG}a`, 'elsewhere'), ['1', '2']);
      } finally {
        await resume(cluster, replicas);
      }
      await fromReplicas(client, 'GET', KEY);
      assert.equal(await client.ask('GET', KEY), 'new');
      for (const each of [client, pipelining]) each.destroy();
    });

    test('a client reads what it has sent in a huge argument, while the replicas do not have it', async () => {
      const client = await proxy.connect();
      // A slot that the client writes to in no other way.
      const key = `{${tagOf(SLOT + 1)}}huge`;
      await client.ask('SET', key, 'old');
      await fromReplicas(client, 'STRLEN', key);
      await hold(cluster, replicas);
      try {
        assert.equal(await client.ask('SET', key, 'x'.repeat(2_000_000)), 'OK');
        for (let i = 0; i < 20; i++) assert.equal(await client.ask('STRLEN', key), 2_000_000);
      } finally {
        await resume(cluster, replicas);
      }
      await fromReplicas(client, 'STRLEN', key);
      client.destroy();
    });

    test('without ownWrites it may read what was there before', async () => {
      const other = await start({
        'reads.from': 'prefer-replica',
        'reads.ownWrites': 'off',
        'reads.maxLag': '1m',
      });
      const client = await other.connect();
      await client.ask('SET', KEY, 'old');
      await fromReplicas(client, 'GET', KEY);
      await hold(cluster, replicas);
      try {
        await client.ask('SET', KEY, 'new');
        assert.equal(await client.ask('GET', KEY), 'old');
      } finally {
        await resume(cluster, replicas);
      }
      client.destroy();
    });

    test('a replica that is further behind than maxLag is not asked, and is again when it has caught up', async () => {
      const settings = { 'reads.from': 'prefer-replica', 'reads.ownWrites': 'off' };
      for (const limit of ['500ms', '1kb']) {
        const other = await start({ ...settings, 'reads.maxLag': limit });
        const [client, writer] = await Promise.all([other.connect(), other.connect()]);
        await client.ask('SET', KEY, 'old');
        await fromReplicas(client, 'GET', KEY);
        await hold(cluster, replicas);
        try {
          await writer.ask('SET', KEY, 'n'.repeat(2000));
          await until('the primary to answer', async () => (await client.ask('STRLEN', KEY)) === 2000);
          for (let i = 0; i < 20; i++) assert.equal(await client.ask('STRLEN', KEY), 2000);
        } finally {
          await resume(cluster, replicas);
        }
        await fromReplicas(client, 'STRLEN', KEY);
        for (const each of [client, writer]) each.destroy();
      }
    });

    test('READONLY lets a client read from replicas, READWRITE and RESET end that', { skip }, async () => {
      const plain = await start({});
      const client = await plain.connect();
      const asked = async () => {
        const before = await calls(cluster, replicas, 'get');
        for (let i = 0; i < 10; i++) await client.ask('GET', KEY);
        return sum(await calls(cluster, replicas, 'get')) - sum(before);
      };
      assert.equal(await asked(), 0);
      assert.equal(await client.ask('READONLY'), 'OK');
      await fromReplicas(client, 'GET', KEY);
      assert.equal(await client.ask('READWRITE'), 'OK');
      assert.equal(await asked(), 0);
      await client.ask('READONLY');
      await fromReplicas(client, 'GET', KEY);
      await client.ask('RESET');
      assert.equal(await asked(), 0);
      client.destroy();
    });

    test('some commands may be read from elsewhere than others', { skip }, async () => {
      const other = await start({
        'reads.from': 'primary',
        'reads.groups': '@hash=replica,get=prefer-replica,hlen=primary',
      });
      const client = await other.connect();
      await client.ask('SET', KEY, 'value');
      await client.ask('HSET', `${TAG}h`, 'f', 'v');
      await fromReplicas(client, 'GET', KEY);
      await fromReplicas(client, 'HGET', `${TAG}h`, 'f');
      const before = await calls(cluster, [owner], 'hlen');
      const strlen = await calls(cluster, [owner], 'strlen');
      for (let i = 0; i < 10; i++) {
        await client.ask('HLEN', `${TAG}h`);
        await client.ask('STRLEN', KEY);
      }
      assert.deepEqual(await calls(cluster, [owner], 'hlen'), [before[0]! + 10]);
      assert.deepEqual(await calls(cluster, [owner], 'strlen'), [strlen[0]! + 10]);
      client.destroy();
    });

    test('what is read under WATCH, with tracking or in a transaction comes from the primary', async () => {
      const client = await proxy.connect();
      await fromReplicas(client, 'GET', KEY);
      const before = await calls(cluster, replicas, 'get');
      await client.ask('WATCH', KEY);
      for (let i = 0; i < 10; i++) await client.ask('GET', KEY);
      await client.ask('MULTI');
      await client.ask('GET', KEY);
      await client.ask('EXEC');
      await client.ask('HELLO', '3');
      await client.ask('CLIENT', 'TRACKING', 'ON');
      for (let i = 0; i < 10; i++) await client.ask('GET', KEY);
      assert.deepEqual(await calls(cluster, replicas, 'get'), before);
      await client.ask('CLIENT', 'TRACKING', 'OFF');
      await fromReplicas(client, 'GET', KEY);
      client.destroy();
    });

    test('a key of a slot that is being moved is never missed', async () => {
      await mover.agreed();
      const [writer, client] = await Promise.all([proxy.connect(), proxy.connect()]);
      for (const key of ['1', '2', '3']) await writer.ask('SET', `${TAG}${key}`, key);
      await fromReplicas(client, 'GET', `${TAG}1`);
      const target = cluster.primaries.find(({ port }) => port !== owner.port)!;
      await cluster.beginMove(SLOT, target.port);
      while ((await cluster.moveKeys(SLOT, owner.port, target.port)) > 0);
      // The replicas have heard that the keys are gone.
      await until('the replicas to be in step', async () => {
        const at = async (port: number) =>
          /(?:slave|master)_repl_offset:(\d+)/.exec(
            String(await cluster.cli(port, 'INFO', 'replication')),
          )?.[1];
        const offsets = await Promise.all([owner, ...replicas].map(({ port }) => at(port)));
        return new Set(offsets).size === 1;
      });
      for (let i = 0; i < 10; i++) {
        for (const key of ['1', '2', '3']) assert.equal(await client.ask('GET', `${TAG}${key}`), key);
        assert.deepEqual(await client.ask('MGET', `${TAG}1`, `${TAG}2`, 'elsewhere'), ['1', '2', '2']);
        assert.equal(await client.ask('EXISTS', `${TAG}1`, `${TAG}2`, `${TAG}3`), 3);
        assert.equal(await client.ask('GET', `${TAG}none`), null);
      }
      await cluster.moveSlot(SLOT, target.port);
      for (let i = 0; i < 10; i++)
        for (const key of ['1', '2', '3']) assert.equal(await client.ask('GET', `${TAG}${key}`), key);
      await cluster.moveSlot(SLOT, owner.port);
      for (let i = 0; i < 10; i++)
        for (const key of ['1', '2', '3']) assert.equal(await client.ask('GET', `${TAG}${key}`), key);
      await mover.agreed();
      for (const each of [writer, client]) each.destroy();
    });

    test('a replica that is halted is left for others: all reads are answered meanwhile', async () => {
      const client = await proxy.connect();
      await client.ask('SET', KEY, 'value');
      await fromReplicas(client, 'GET', KEY);
      cluster.pause(replicas[0]!.port);
      try {
        const replies = await Promise.all(
          Array.from({ length: 500 }, async () => {
            const reader = await proxy.connect();
            const reply = await reader.ask('GET', KEY);
            reader.destroy();
            return reply;
          }),
        );
        assert.deepEqual(new Set(replies), new Set(['value']));
        for (let i = 0; i < 50; i++) assert.equal(await client.ask('GET', KEY), 'value');
      } finally {
        cluster.resume(replicas[0]!.port);
      }
      await until('it is read from again', async () => {
        const [before] = await calls(cluster, replicas, 'get');
        for (let i = 0; i < 20; i++) await client.ask('GET', KEY);
        return (await calls(cluster, replicas, 'get'))[0]! > before!;
      });
      client.destroy();
    });

    test('a replica that is killed is left for others, and found again', async () => {
      const client = await proxy.connect();
      await fromReplicas(client, 'GET', KEY);
      const readers = await Promise.all(Array.from({ length: 20 }, () => proxy.connect()));
      const asked = readers.map(async (reader) => {
        for (let i = 0; i < 200; i++) assert.equal(await reader.ask('GET', KEY), 'value');
      });
      await cluster.kill(replicas[0]!.port);
      await Promise.all(asked);
      for (let i = 0; i < 50; i++) assert.equal(await client.ask('GET', KEY), 'value');
      await cluster.restart(replicas[0]!.port);
      await cluster.settled();
      await until('it is read from again', async () => {
        for (let i = 0; i < 20; i++) assert.equal(await client.ask('GET', KEY), 'value');
        return (await calls(cluster, replicas, 'get'))[0]! > 0;
      });
      for (const each of [client, ...readers]) each.destroy();
    });

    test('reads.from: any asks the primary as well, nearest asks one of its zone, replica never the primary', {
      skip,
    }, async () => {
      const all = [owner, ...replicas];
      const counted = async (settings: Record<string, string>, enough: (counts: number[]) => boolean) => {
        const other = await start(settings);
        const client = await other.connect();
        await until(`${settings['reads.from']}`, async () => {
          const before = await calls(cluster, all, 'get');
          for (let i = 0; i < 60; i++) assert.equal(await client.ask('GET', KEY), 'value');
          const now = await calls(cluster, all, 'get');
          return enough(now.map((count, i) => count - before[i]!));
        });
        client.destroy();
      };
      await counted({ 'reads.from': 'any' }, (counts) => counts.every((count) => count > 0));
      await counted({ 'reads.from': 'replica' }, ([primary]) => primary === 0);
      const zones = `127.0.0.1:${replicas[1]!.port}=here,127.0.0.1=there`;
      await counted({ 'reads.from': 'nearest', zone: 'here', zones }, (counts) => counts[2] === 60);
      await counted({ 'reads.from': 'prefer-replica', zone: 'here', zones }, (counts) => counts[2] === 60);
    });

    test('reads.from: replica gives an error when no replica may be asked, and waits before', {
      skip,
    }, async () => {
      const other = await start({ 'reads.from': 'replica', 'failover.holdFor': '1s' });
      const client = await other.connect();
      await fromReplicas(client, 'GET', KEY);
      for (const { port } of replicas) cluster.pause(port);
      try {
        const refused = /CLUSTERDOWN slotless: .*no replica of slot 866 may be read from/;
        await until('the error', async () => refused.test(String(await client.ask('GET', KEY))));
        assert.equal(await client.ask('SET', KEY, 'value'), 'OK');
      } finally {
        for (const { port } of replicas) cluster.resume(port);
      }
      await fromReplicas(client, 'GET', KEY);
      client.destroy();
    });

    test('a user that a replica does not know reads from the primary', async () => {
      const rules = ['on', '>secret', '~*', '+@all'];
      for (const { port } of cluster.primaries) await cluster.cli(port, 'ACL', 'SETUSER', 'reader', ...rules);
      const client = await proxy.connect();
      assert.equal(await client.ask('AUTH', 'reader', 'secret'), 'OK');
      for (let i = 0; i < 50; i++) assert.equal(await client.ask('GET', KEY), 'value');
      for (const { port } of replicas) await cluster.cli(port, 'ACL', 'SETUSER', 'reader', ...rules, '-get');
      for (let i = 0; i < 50; i++) assert.equal(await client.ask('GET', KEY), 'value');
      client.destroy();
    });

    test('a slow replica is hedged: another answers', { skip }, async () => {
      const settings = { 'reads.from': 'replica', 'reads.hedgeBudget': 1, 'reads.silence': '1m' };
      for (const after of ['10ms', 'p99']) {
        const other = await start({ ...settings, 'reads.hedgeAfter': after });
        const client = await other.connect();
        await fromReplicas(client, 'GET', KEY);
        // So many that the slowest of a hundred is known.
        for (let i = 0; i < 300; i++) await client.ask('GET', KEY);
        let over = false;
        const sleeping = cluster.cli(replicas[0]!.port, 'DEBUG', 'SLEEP', 2).then(() => {
          over = true;
        });
        for (let i = 0; i < 40; i++) assert.equal(await client.ask('GET', KEY), 'value');
        assert.equal(over, false);
        await sleeping;
        client.destroy();
      }
    });

    test('scripts and functions that only read run at replicas', {
      skip: server.flavour === 'redis' && 'whether a key was missing can not be told from what they say',
    }, async () => {
      const client = await proxy.connect();
      const source = "return redis.call('GET', KEYS[1])";
      const code = `#!lua name=reading\nredis.register_function{function_name='read', callback=function(keys) return redis.call('GET', keys[1]) end, flags={'no-writes'}}`;
      await client.ask('FUNCTION', 'LOAD', 'REPLACE', code);
      const sha = String(await client.ask('SCRIPT', 'LOAD', source));
      // A replica may lack it, as one that was away.
      await cluster.cli(replicas[0]!.port, 'SCRIPT', 'FLUSH');
      await fromReplicas(client, 'EVAL_RO', source, '1', KEY);
      await fromReplicas(client, 'EVALSHA_RO', sha, '1', KEY);
      await fromReplicas(client, 'FCALL_RO', 'read', '1', KEY);
      for (let i = 0; i < 20; i++) {
        assert.equal(await client.ask('EVALSHA_RO', sha, '1', KEY), 'value');
        assert.equal(await client.ask('FCALL_RO', 'read', '1', KEY), 'value');
      }
      // What was only ever run at a replica is known, as it is to one server.
      const fresh = "return {redis.call('GET', KEYS[1])}";
      assert.deepEqual(await client.ask('EVAL_RO', fresh, '1', KEY), ['value']);
      const known = createHash('sha1').update(fresh).digest('hex');
      for (let i = 0; i < 10; i++) assert.deepEqual(await client.ask('EVALSHA', known, '1', KEY), ['value']);
      assert.match(String(await client.ask('EVALSHA_RO', 'f'.repeat(40), '1', KEY)), /NOSCRIPT/);
      client.destroy();
    });

    test('a node is in the zone that it says', {
      skip: server.flavour === 'redis' && 'servers of Redis know no zones',
    }, async () => {
      await cluster.cli(replicas[1]!.port, 'CONFIG', 'SET', 'availability-zone', 'here');
      const other = await start({ 'reads.from': 'any', zone: 'here' });
      const client = await other.connect();
      await until('it to answer alone', async () => {
        const before = await calls(cluster, [owner, ...replicas], 'get');
        for (let i = 0; i < 20; i++) assert.equal(await client.ask('GET', KEY), 'value');
        const now = await calls(cluster, [owner, ...replicas], 'get');
        return now[2]! - before[2]! === 20;
      });
      client.destroy();
    });
  });
}
