// SCAN over real clusters: what is there throughout a walk is given at least once, whatever moves meanwhile.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import { type Argument, decode, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const KEYS = 4000;
/** Keys that share a slot, so that a walk stays in it for a while. */
const SHARED = 1500;

interface Walk {
  readonly seen: Map<string, number>;
  readonly cursors: string[];
}

/** Walks from cursor 0 to the end; `between` is called before each further step. */
async function walk(
  client: RawClient,
  options: Argument[] = [],
  between?: (step: number) => unknown,
): Promise<Walk> {
  const seen = new Map<string, number>();
  const cursors: string[] = [];
  for (let cursor = '0', step = 0; ; step++) {
    assert.ok(step < 100_000, 'the walk has no end');
    const reply = decode(await client.call('SCAN', cursor, ...options));
    assert.ok(Array.isArray(reply), `SCAN ${cursor}: ${reply}`);
    const [next, keys] = reply as [string, string[]];
    assert.match(next, /^(0|[1-9]\d*)$/);
    assert.ok(Number(next) < 2 ** 53, `cursor ${next}`);
    for (const key of keys) seen.set(key, (seen.get(key) ?? 0) + 1);
    if (next === '0') return { seen, cursors };
    cursors.push(next);
    cursor = next;
    await between?.(step);
  }
}

function slot(key: string): number {
  const bytes = Buffer.from(key);
  return slotOf(bytes, 0, bytes.length);
}

const servers = await availableServers();

describe('SCAN', { concurrency: true }, () => {
  for (const server of servers) {
    describe(`${server.flavour} ${server.version}`, { concurrency: false }, () => {
      let cluster: Cluster;
      let proxy: RunningProxy;
      let client: RawClient;
      const keys: string[] = [];

      before(async () => {
        cluster = await startCluster({ server });
        proxy = await startProxy({ cluster });
        client = await proxy.connect();
        for (let i = 0; i < KEYS; i++) keys.push(i < SHARED ? `{shared}:${i}` : `key:${i}`);
        await client.pipeline(keys.map((key, i) => (i % 10 === 0 ? ['RPUSH', key, 'x'] : ['SET', key, 'x'])));
      });

      after(async () => {
        await client?.close();
        await proxy?.stop();
        await cluster?.stop();
      });

      function allSeen({ seen }: Walk, of: readonly string[] = keys): void {
        const missed = of.filter((key) => !seen.has(key));
        assert.equal(missed.length, 0, `missed ${missed.length} of ${of.length}: ${missed.slice(0, 5)}`);
      }

      async function otherThan(port: number): Promise<number> {
        return cluster.primaries.find((node) => node.port !== port)!.port;
      }

      test('a walk over a cluster at rest gives every key', async () => {
        const whole = await walk(client);
        allSeen(whole);
        assert.equal(whole.seen.size, keys.length);
        const large = await walk(client, ['COUNT', 100_000]);
        allSeen(large);
        assert.deepEqual(large.cursors, []);
      });

      test('MATCH and TYPE choose, COUNT sets the pace', async () => {
        const some = await walk(client, ['MATCH', 'key:3*', 'COUNT', 100]);
        assert.deepEqual([...some.seen.keys()].sort(), keys.filter((key) => key.startsWith('key:3')).sort());
        const lists = await walk(client, ['TYPE', 'list', 'COUNT', 200]);
        assert.deepEqual([...lists.seen.keys()].sort(), keys.filter((_, i) => i % 10 === 0).sort());
        const none = await walk(client, ['MATCH', 'nothing*', 'COUNT', 1000]);
        assert.equal(none.seen.size, 0);
      });

      test('a pattern with a hash tag walks one slot alone', async () => {
        const shared = keys.filter((key) => key.startsWith('{shared}'));
        const { seen, cursors } = await walk(client, ['MATCH', '{shared}*', 'COUNT', 50]);
        assert.deepEqual([...seen.keys()].sort(), [...shared].sort());
        if (server.flavour === 'valkey')
          for (const cursor of cursors) assert.equal(Number(cursor) % 16384, slot('{shared}'));
        const one = await walk(client, ['MATCH', 'key:3999', 'COUNT', 10_000]);
        assert.deepEqual([...one.seen.keys()], ['key:3999']);
      });

      test('keys that come during a walk hide none of the others', async () => {
        const other = await proxy.connect();
        let made = 0;
        const seen = await walk(client, ['COUNT', 20], () =>
          other.pipeline(Array.from({ length: 30 }, () => ['SET', `new:${made++}`, 'x', 'PX', 60_000])),
        );
        allSeen(seen);
        await other.pipeline(Array.from({ length: made }, (_, i) => ['DEL', `new:${i}`]));
        await other.close();
      });

      test('a slot that is moved while it is walked is walked to its end', async () => {
        const shared = slot('{shared}');
        const seen = await walk(client, ['COUNT', 50], async (step) => {
          if (step === 10 || step === 30)
            await cluster.moveSlot(shared, await otherThan((await cluster.ownerOf(shared)).port));
        });
        allSeen(seen);
        const matched = await walk(client, ['MATCH', '{shared}*', 'COUNT', 50], async (step) => {
          if (step === 5)
            await cluster.moveSlot(shared, await otherThan((await cluster.ownerOf(shared)).port));
        });
        allSeen(
          matched,
          keys.filter((key) => key.startsWith('{shared}')),
        );
      });

      test('keys of a slot that is being moved are given from both its nodes', async () => {
        const shared = slot('{shared}');
        const from = (await cluster.ownerOf(shared)).port;
        const to = await otherThan(from);
        await cluster.beginMove(shared, to);
        await cluster.moveKeys(shared, from, to, 400);
        allSeen(await walk(client, ['COUNT', 300]));
        allSeen(await walk(client));
        const strings = keys.filter((key, i) => key.startsWith('{shared}') && i % 10 !== 0);
        const typed = await walk(client, ['MATCH', '{shared}*', 'TYPE', 'string', 'COUNT', 30]);
        assert.deepEqual([...typed.seen.keys()].sort(), [...strings].sort());
        // Some more leave at every step, and the move ends before the walk does or soon after.
        const during = await walk(client, ['COUNT', 40], () => cluster.moveKeys(shared, from, to, 30));
        allSeen(during);
        await cluster.moveSlot(shared, to);
        allSeen(await walk(client, ['COUNT', 300]));
      });

      test('slots that are moved at random hide no key', async () => {
        let seed = 7;
        const random = (below: number) => {
          seed = (seed * 1103515245 + 12345) % 2 ** 31;
          return seed % below;
        };
        const slots = [...new Set(keys.map(slot))];
        let moves = 0;
        const seen = await walk(client, ['COUNT', 100], async (step) => {
          if (step % 3 !== 0 || moves === 12) return;
          moves++;
          const moving = slots[random(slots.length)]!;
          await cluster.moveSlot(moving, cluster.primaries[random(3)]!.port);
        });
        allSeen(seen);
      });

      test('a failover in the middle of a walk hides no key', async () => {
        await cluster.settled();
        const seen = await walk(client, ['COUNT', 50], async (step) => {
          if (step === 5) await cluster.failover((await cluster.ownerOf(0)).port, 'TAKEOVER');
          if (step === 15) await cluster.failover((await cluster.ownerOf(slot('{shared}'))).port, 'TAKEOVER');
        });
        allSeen(seen);
      });

      test('what is no cursor is refused, and options are judged by the server', async () => {
        for (const cursor of ['x', '-1', '1x', '99999999999999999999999']) {
          assert.equal(String(await client.call('SCAN', cursor)), '-ERR invalid cursor\r\n');
        }
        assert.equal(String(await client.call('SCAN', 0, 'COUNT', 0)), '-ERR syntax error\r\n');
        assert.equal(String(await client.call('SCAN', 0, 'COUNT')), '-ERR syntax error\r\n');
        assert.equal(String(await client.call('SCAN', 0, 'NOPE', 1)), '-ERR syntax error\r\n');
        assert.equal(
          String(await client.call('SCAN', 0, 'COUNT', 'x')),
          '-ERR value is not an integer or out of range\r\n',
        );
        assert.equal(
          String(await client.call('SCAN')),
          "-ERR wrong number of arguments for 'scan' command\r\n",
        );
      });

      test('the rules for a user hold for its walk', async () => {
        for (const { port } of cluster.nodes) {
          await cluster.cli(port, 'ACL', 'SETUSER', 'walker', 'on', '>secret', '~key:*', '+scan');
          await cluster.cli(port, 'ACL', 'SETUSER', 'sitter', 'on', '>secret', '~*', '+get');
        }
        const walker = await proxy.connect();
        assert.equal(String(await walker.call('AUTH', 'walker', 'secret')), '+OK\r\n');
        allSeen(await walk(walker, ['COUNT', 1000]));
        assert.equal(String(await walker.call('AUTH', 'sitter', 'secret')), '+OK\r\n');
        assert.match(String(await walker.call('SCAN', 0)), /^-NOPERM /);
        await walker.close();
      });

      test('a node that is down makes the walk wait, and go on with its replica', async () => {
        await cluster.settled();
        const owner = await cluster.ownerOf(8000);
        const seen = await walk(client, ['COUNT', 50], async (step) => {
          if (step !== 5) return;
          await cluster.kill(owner.port);
          await until(
            'the replica to take over',
            async () => (await cluster.ownerOf(8000)).port !== owner.port,
          );
        });
        allSeen(seen);
      });
    });
  }
});
