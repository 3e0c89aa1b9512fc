/** Commands across slots while their slots move and primaries change, and with replicas. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import type { Argument, RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';

const CLIENTS = 6;
const slot = (key: string) => slotOf(Buffer.from(key), 0, key.length);

describe('a cluster with replicas', () => {
  let cluster: Cluster;
  let proxy: RunningProxy;
  let client: RawClient;

  before(async () => {
    cluster = await startCluster({ primaries: 3, replicas: 1 });
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
  async function goOnDuring(event: () => Promise<void>): Promise<void> {
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
    await Promise.race([Promise.all(workers), event()]).finally(() => {
      over = true;
    });
    await Promise.all(workers);
    assert.ok(rounds >= CLIENTS);
  }

  test('no command fails or is wrong while the slots of its keys move', { timeout: 60_000 }, async () => {
    await goOnDuring(async () => {
      for (const key of ['a', 'd0', 'e1', 'b', 'w1', 'd2']) {
        const owner = await cluster.ownerOf(slot(key));
        const [other] = cluster.primaries.filter(({ port }) => port !== owner.port);
        await cluster.moveSlot(slot(key), other!.port);
      }
    });
  });

  test("nor while a replica takes its primary's place by plan", { timeout: 60_000 }, async () => {
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
