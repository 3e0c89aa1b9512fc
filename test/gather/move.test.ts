/** RENAME, SMOVE, LMOVE and their kin from slot to slot, before real clusters, beside one server. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { closeStand, connectBoth, empty, openStand, type Stand, show } from '../oracle/stand.ts';
import type { RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers, findServer } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { lay, locks, move, newTally, play, values } from './movers.ts';
import { COUNTED, stepsIn } from './steps.ts';

/** Keys of three shards. */
const [A, B, C] = ['a', 'b', 'foo'];
const LATER = '4000000000000';
const SMALL = Array.from({ length: 200 }, (_, i) => `${i}`);

const CALLS: readonly (readonly string[])[] = [
  ['LMOVE', A, B, 'LEFT', 'RIGHT'],
  ['RPUSH', A, '1', '2', '3'],
  ['EXPIRE', B, '1000'],
  ['LMOVE', A, B, 'LEFT', 'RIGHT'],
  ['PEXPIREAT', B, LATER],
  ['lmove', A, B, 'right', 'left'],
  ['PEXPIRETIME', B],
  ['LMOVE', A, B, 'LEFT', 'DOWN'],
  ['LMOVE', A, B, '', 'LEFT'],
  ['LMOVE', C, B, 'UP', 'LEFT'],
  ['LMOVE', A, B, 'LEFT'],
  ['RPOPLPUSH', A, B],
  ['EXISTS', A],
  ['RPOPLPUSH', A, B],
  ['LRANGE', B, '0', '-1'],
  ['RPOPLPUSH', B, C, 'more'],
  ['SET', C, 'text'],
  ['LMOVE', B, C, 'LEFT', 'LEFT'],
  ['LMOVE', C, B, 'LEFT', 'LEFT'],
  ['LMOVE', C, B, 'UP', 'LEFT'],
  ['LMOVE', A, C, 'LEFT', 'LEFT'],
  ['BLMOVE', B, C, 'LEFT', 'LEFT', '0'],
  ['BLMOVE', B, A, 'LEFT', 'LEFT', '0'],
  ['BLMOVE', B, A, 'LEFT', 'LEFT', '1e2'],
  ['BLMOVE', B, A, 'LEFT', 'LEFT', '-1'],
  ['BLMOVE', B, A, 'LEFT', 'LEFT', 'x'],
  ['BLMOVE', B, A, 'UP', 'LEFT', 'x'],
  ['BLMOVE', B, A, 'LEFT', 'UP', '0'],
  ['BLMOVE', C, A, 'LEFT', 'LEFT', 'x'],
  ['BLMOVE', 'none', A, 'LEFT', 'LEFT', '0.01'],
  ['BRPOPLPUSH', A, B, '0'],
  ['BRPOPLPUSH', A, B, 'inf'],
  ['BRPOPLPUSH', 'none', B, '0.01'],
  ['BRPOPLPUSH', C, B, '0.01'],
  ['LRANGE', A, '0', '-1'],
  ['LRANGE', B, '0', '-1'],
  ['SMOVE', B, C, 'm'],
  ['DEL', A, B],
  ['SMOVE', A, C, 'm'],
  ['SADD', A, 'm', 'n'],
  ['SMOVE', A, C, 'm'],
  ['SMOVE', A, C, 'x'],
  ['SMOVE', C, A, 'm'],
  ['SMOVE', A, B, 'x'],
  ['SMOVE', A, B, 'm'],
  ['SADD', B, 'n'],
  ['SMOVE', A, B, 'n'],
  ['EXISTS', A],
  ['SMOVE', A, B, 'n'],
  ['SCARD', B],
  ['RENAME', A, C],
  ['RENAMENX', A, C],
  ['RENAMENX', B, C],
  ['RENAME', B, C],
  ['TYPE', C],
  ['PEXPIREAT', C, LATER],
  ['RENAMENX', C, A],
  ['PEXPIRETIME', A],
  ['SCARD', A],
  ['RENAME', A, A],
  ['HSET', B, 'f', 'v'],
  ['RENAME', B, A],
  ['PEXPIRETIME', A],
  ['HGETALL', A],
  ['OBJECT', 'ENCODING', A],
  ['RENAME', A],
  ['XADD', B, '1-1', 'f', 'v'],
  ['XGROUP', 'CREATE', B, 'g', '0'],
  ['XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', B, '>'],
  ['RENAME', B, C],
  ['XPENDING', C, 'g'],
  ['ZADD', B, '1.25', 'm'],
  ['RENAMENX', B, 'bar'],
  ['ZRANGE', 'bar', '0', '-1', 'WITHSCORES'],
  ['SADD', A + 1, ...SMALL],
  ['RENAME', A + 1, B],
  ['OBJECT', 'ENCODING', B],
  ['SET', A + 1, 'x', 'PX', '1'],
];

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let stand: Stand;

    before(async () => {
      stand = await openStand({ server, replicas: 0 });
    });

    after(() => closeStand(stand));

    test('replies, and their order of checks, are those of one server', async () => {
      for (const resp of [2, 3] as const) {
        const both = await connectBoth(stand, resp);
        await empty(both);
        for (const call of CALLS) {
          const [lone, proxy] = await Promise.all([both.lone.call(...call), both.proxy.call(...call)]);
          assert.equal(show(proxy), show(lone), `${call.join(' ').slice(0, 80)} (RESP${resp})`);
        }
        const size = both.lone.ask('DBSIZE');
        assert.equal(await both.proxy.ask('DBSIZE'), await size);
        both.lone.destroy();
        both.proxy.destroy();
      }
    });

    test('what has expired is not there', async () => {
      const { proxy } = await connectBoth(stand);
      await proxy.call('FLUSHALL');
      await proxy.call('SET', A, 'x', 'PX', 1);
      await until('the end', async () => (await proxy.ask('EXISTS', A)) === 0);
      assert.equal(String(await proxy.call('RENAME', A, B)), '-ERR no such key\r\n');
      proxy.destroy();
    });

    test('a user needs rights to the keys alone, and those', async () => {
      const rights = ['on', 'nopass', 'resetkeys', `~${A}`, `~${B}`, '+@all'];
      for (const { port } of stand.cluster.primaries)
        await stand.cluster.cli(port, 'ACL', 'SETUSER', 'mover', ...rights);
      const { proxy } = await connectBoth(stand);
      await proxy.call('FLUSHALL');
      assert.equal(await proxy.ask('AUTH', 'mover', ''), 'OK');
      await proxy.call('RPUSH', A, '1', '2');
      assert.equal(await proxy.ask('LMOVE', A, B, 'LEFT', 'LEFT'), '1');
      assert.equal(await proxy.ask('BLMOVE', A, B, 'LEFT', 'LEFT', 0), '2');
      assert.equal(await proxy.ask('RENAME', B, A), 'OK');
      for (const call of [
        ['RENAME', A, C],
        ['SMOVE', C, A, 'm'],
        ['BLMOVE', A, C, 'LEFT', 'LEFT', '0'],
      ])
        assert.match(String(await proxy.call(...call)), /^-NOPERM /);
      proxy.destroy();
    });
  });
}

describe('a crowd at two proxies', () => {
  let cluster: Cluster;
  let proxies: RunningProxy[];
  let client: RawClient;

  before(async () => {
    cluster = await startCluster({ server: await findServer('valkey'), replicas: 1 });
    proxies = await Promise.all([1, 2].map((workers) => startProxy({ cluster, settings: { workers } })));
    client = await proxies[0]!.connect();
  });

  after(async () => {
    for (const proxy of proxies ?? []) await proxy.stop();
    await cluster?.stop();
  });

  const times = (count: number) => () => count-- > 0;

  test('moves the same keys to and fro, and nothing is lost or doubled', async () => {
    const { errors, moved } = await play(cluster, proxies, 16, times(1500));
    assert.deepEqual([...errors], []);
    assert.ok(moved > 100);
  });

  for (const trouble of ['slots', 'failovers'] as const)
    test(`and neither is while ${trouble === 'slots' ? 'slots move' : 'nodes fail over by plan'}`, async () => {
      const { errors, disturbed } = await play(cluster, proxies, 8, times(800), { [trouble]: true });
      assert.ok(disturbed > 0);
      assert.deepEqual([...errors], []);
    });

  test('clients that leave amid a move leave nothing half done', async () => {
    await lay(client);
    const before = await values(client);
    for (let i = 0; i < 40; i++) {
      const leaver = await proxies[i % 2]!.connect();
      const moves = [...'01234'].map((to) => ['LMOVE', 'list:0', `list:${to}`, 'LEFT', 'LEFT']);
      moves.push(['RENAMENX', 'text:0', 'text:1'], ['RENAMENX', 'text:1', 'text:0']);
      const replies = moves.map((words) => leaver.call(...words));
      for (const reply of replies) reply.catch(() => {});
      await (i % 4 === 0 ? leaver.send('') : replies[i % 4]);
      leaver.destroy();
    }
    await until('all to be as it was', async () => {
      assert.deepEqual(await locks(cluster), []);
      assert.deepEqual(await values(client), before);
      return true;
    });
  });

  test('a proxy that is asked to end has done its moves before', async () => {
    const proxy = await startProxy({ cluster, nodeFlags: COUNTED });
    const crowd = await Promise.all(Array.from({ length: 8 }, () => proxy.connect()));
    await lay(client);
    const before = await values(client);
    const done = Promise.all(crowd.map((mover) => move(mover, newTally(), () => true).catch(() => {})));
    await until('moves', () => (stepsIn(proxy.log)['move: done'] ?? 0) > 0);
    await proxy.stop();
    await done;
    assert.deepEqual(await locks(cluster), []);
    assert.deepEqual(await values(client), before);
  });

  test('a pause holds them like any write', async () => {
    const mover = await proxies[0]!.connect();
    await mover.call('CLIENT', 'SETNAME', 'mover');
    await client.call('DEL', A, B);
    await client.call('RPUSH', A, '1');
    assert.equal(await client.ask('CLIENT', 'PAUSE', 600_000, 'WRITE'), 'OK');
    const moved = mover.ask('LMOVE', A, B, 'LEFT', 'LEFT');
    const isHeld = /name=mover .*flags=b/;
    await until('it to wait', async () => isHeld.test(String(await client.ask('CLIENT', 'LIST'))));
    assert.equal(await client.ask('LLEN', A), 1);
    assert.equal(await client.ask('CLIENT', 'UNPAUSE'), 'OK');
    assert.equal(await moved, '1');
    mover.destroy();
  });
});
