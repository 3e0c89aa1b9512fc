/** Commands across slots while their slots move and primaries change, and with replicas. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import type { Argument, RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

const CLIENTS = 6;
/** Keys of whose slots clients read or write. */
const MOVED = ['a', 'd0', 'e1', 'b', 'w1', 'd2', 'e3', 'd4'];
const slot = (key: string) => slotOf(Buffer.from(key), 0, key.length);

describe('a cluster with replicas', () => {
  let cluster: Cluster;
  let proxy: RunningProxy;
  let client: RawClient;

  before(async () => {
    cluster = await startCluster({ config: ['--cluster-node-timeout', '15000'] });
    proxy = await startProxy({ cluster, settings: { workers: 2, 'crossSlot.level': 'all' } });
    client = await proxy.connect();
    await client.call('SADD', 'a', 1, 2, 3);
    await client.call('SADD', 'b', 3, 4);
  });

  after(async () => {
    client?.destroy();
    await proxy?.stop();
    await cluster?.stop();
  });

  /** Clients that go on while something happens; every reply is what it would be if nothing did. */
  async function goOnDuring(event: (rounds: () => number) => Promise<void>): Promise<void> {
    let over = false;
    let rounds = 0;
    const workers = Array.from({ length: CLIENTS }, async (_, i) => {
      const one = await proxy.connect();
      const [d, e] = [`d${i}`, `e${i}`];
      await one.call('DEL', d, e);
      const round: readonly (readonly [expected: string, ...words: Argument[]])[] = [
        [':4', 'SUNIONSTORE', d, 'a', 'b'],
        ['*1,$1,3', 'SINTER', 'a', 'b'],
        ['+OK', 'RENAME', d, e],
        [':0', 'EXISTS', d],
        [':1', 'SMOVE', e, d, 4],
        [':3', 'SCARD', e],
        [':3', 'SORT', e, 'BY', 'w*', 'STORE', d],
        [':1', 'COPY', d, e, 'REPLACE'],
        ['$1,1', 'LMOVE', d, e, 'LEFT', 'RIGHT'],
        [':4', 'LLEN', e],
        [':2', 'EVAL', "return redis.call('DEL',KEYS[1],KEYS[2])", 2, d, e],
      ];
      while (!over) {
        for (const [expected, ...words] of round) {
          const reply = String(await one.call(...words)).trimEnd();
          assert.equal(reply.replaceAll('\r\n', ','), expected, words.join(' '));
        }
        rounds++;
      }
      one.destroy();
    });
    await Promise.race([Promise.all(workers), event(() => rounds)]).finally(async () => {
      over = true;
      await Promise.allSettled(workers);
    });
    await Promise.all(workers);
  }

  test('no command fails or is wrong while the slots of its keys move', { timeout: 60_000 }, async () => {
    await goOnDuring(async (rounds) => {
      for (const key of MOVED) {
        const owner = await cluster.ownerOf(slot(key));
        const [other] = cluster.primaries.filter(({ port }) => port !== owner.port);
        await cluster.moveSlot(slot(key), other!.port);
        const before = rounds();
        await until('clients to go on', () => rounds() >= before + CLIENTS);
      }
    });
  });

  test('what reads and what overwrites does not wait for the end of a move', {
    timeout: 60_000,
  }, async () => {
    for (const key of ['{o}a', '{o}b']) await client.call('SADD', key, 1, 2);
    await client.call('SADD', 'p', 2, 3);
    const source = await cluster.ownerOf(slot('{o}'));
    const [target] = cluster.primaries.filter(({ port }) => port !== source.port);
    await cluster.beginMove(slot('{o}'), target!.port);
    const calls: readonly (readonly [expected: string, line: string])[] = [
      [':1', 'SINTERCARD 2 {o}a p'],
      ['*1,$1,2', 'SINTER {o}a p {o}b'],
      [':3', 'SUNIONSTORE {o}b {o}a p'],
      [':3', 'SUNIONSTORE {o}b {o}b p'],
      [':2', 'SUNIONSTORE {o}b {o}a none p2'],
      [':0', 'SINTERSTORE {o}b {o}a none p2'],
      [':2', 'SUNIONSTORE {o}b {o}a none p2'],
      [':2', 'SORT p BY w* STORE {o}b'],
      [':2', 'SUNIONSTORE {o}b {o}a none p2'],
    ];
    // All is at the source; then some is here and some there; then all is at the target.
    for (const moved of [0, 1, 10]) {
      await cluster.moveKeys(slot('{o}'), source.port, target!.port, moved);
      for (const [expected, line] of calls) {
        const reply = String(await client.call(...line.split(' '))).trimEnd();
        assert.equal(reply.replaceAll('\r\n', ','), expected, `${line} (${moved} moved)`);
      }
    }
    await cluster.moveSlot(slot('{o}'), target!.port);
    assert.equal(await client.ask('SUNIONSTORE', '{o}b', '{o}a', 'p'), 3);
  });

  test("no command fails or is wrong while a replica takes its primary's place by plan", {
    timeout: 60_000,
  }, async () => {
    await goOnDuring(async () => {
      for (const key of ['a', 'b']) {
        await cluster.failover((await cluster.ownerOf(slot(key))).port);
        await cluster.settled();
      }
    });
  });

  test('WAIT counts the replicas that have what was written', async () => {
    for (const words of [
      ['SUNIONSTORE', 'waited', 'a', 'b'],
      ['RENAME', 'waited', 'for'],
      ['MSETNX', 'x', 1, 'y', 2],
    ]) {
      assert.ok(Number(await client.ask(...words)) > 0 || words[0] === 'RENAME');
      assert.equal(await client.ask('WAIT', 1, 10_000), 1, words.join(' '));
    }
    const node = await cluster.ownerOf(slot('for'));
    const info = String(await cluster.cli(node.port, 'INFO', 'replication'));
    assert.match(info, /connected_slaves:1/);
  });

  test('replicas are not asked for copies: a client finds what it has written', async () => {
    const other = await startProxy({ cluster, settings: { 'reads.from': 'replica' } });
    const one = await other.connect();
    for (let i = 1; i <= 20; i++) {
      const all = one.pipeline([
        ['SADD', 'mine', `${i}`],
        ['SUNIONSTORE', 'both', 'mine', 'none'],
      ]);
      assert.deepEqual((await all).map(String), [':1\r\n', `:${i}\r\n`]);
      assert.equal(await one.ask('SINTERCARD', 2, 'mine', 'both'), i);
    }
    one.destroy();
    await other.stop();
  });
});
