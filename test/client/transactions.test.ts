/** Transactions before a real cluster: one slot, several, slots that move, watched keys, users without rights. */

import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { Mover, tagOf } from '../cluster/moves.ts';
import type { Argument, RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { commandReply, held, startFake } from '../support/fake-node.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const CROSS_SLOT = /^-CROSSSLOT .*'transactions: per-slot', or 'crossSlot: all'/;
const CROSS_WATCH = /^-CROSSSLOT .*all that is watched must lie in one slot/;

/** The replies as text, CRLF as `|`. */
async function all(client: RawClient, ...calls: Argument[][]): Promise<string[]> {
  return (await client.pipeline(calls)).map(text);
}

function text(reply: Buffer): string {
  return reply.toString('latin1').replaceAll('\r\n', '|');
}

for (const server of await availableServers()) {
  describe(`transactions, ${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let perSlot: RunningProxy;

    before(async () => {
      cluster = await startCluster({ server, replicas: 0 });
      [proxy, perSlot] = await Promise.all([
        startProxy({ cluster, settings: { workers: 2, 'node.dedicated': 8 } }),
        startProxy({ cluster, settings: { transactions: 'per-slot' } }),
      ]);
    });
    after(async () => {
      await proxy?.stop();
      await perSlot?.stop();
      await cluster?.stop();
    });

    async function open(t: TestContext, of = proxy): Promise<RawClient> {
      const client = await of.connect();
      t.after(() => client.destroy());
      return client;
    }

    /** Connections with a name of ours that the nodes have, besides the shared links. */
    async function links(): Promise<number> {
      const lists = await Promise.all(
        cluster.primaries.map(async ({ port }) => String(await cluster.cli(port, 'CLIENT', 'LIST'))),
      );
      return lists.join('\n').match(/name=slotless/g)?.length ?? 0;
    }

    test('two clients never come between the commands of each other', async (t) => {
      const clients = [await open(t), await open(t), await open(t)];
      const rounds = clients.map(async (client) => {
        for (let i = 0; i < 60; i++) {
          const replies = await all(client, ['MULTI'], ['INCR', 'n'], ['INCR', 'n'], ['INCR', 'n'], ['EXEC']);
          const [a = 0, b, c] = replies
            .at(-1)!
            .match(/(?<=:)\d+/g)!
            .map(Number);
          assert.deepEqual([b, c], [a + 1, a + 2]);
        }
      });
      await Promise.all(rounds);
      assert.equal(await clients[0]!.ask('GET', 'n'), '540');
    });

    test('a transaction needs no link of its own', async (t) => {
      const client = await open(t);
      await all(client, ['GET', 'a'], ['GET', 'b'], ['GET', 'c'], ['GET', 'd']);
      const before = await links();
      for (let i = 0; i < 20; i++) await all(client, ['MULTI'], ['SET', `k${i}`, 'v'], ['EXEC']);
      assert.ok((await links()) <= before + cluster.primaries.length);
    });

    test('keys in several slots are refused at EXEC, and nothing is executed', async (t) => {
      const client = await open(t);
      await client.call('DEL', 'a', 'b');
      for (const calls of [
        [
          ['SET', 'a', 1],
          ['SET', 'b', 1],
        ],
        [['MSET', 'a', 1, 'b', 1]],
        [['RENAME', 'a', 'b']],
        [
          ['SET', 'a', 1],
          ['CLIENT', 'ID'],
          ['DEL', 'a', 'b'],
        ],
      ] as Argument[][][]) {
        const replies = await all(client, ['MULTI'], ...calls, ['EXEC']);
        assert.match(replies.at(-1)!, CROSS_SLOT);
      }
      assert.deepEqual(await all(client, ['EXISTS', 'a', 'b'], ['EXEC']), [
        ':0|',
        '-ERR EXEC without MULTI|',
      ]);
    });

    test('per slot, there is one transaction for each slot and the replies are in the order of the commands', async (t) => {
      const client = await open(t, perSlot);
      const replies = await all(
        client,
        ['MULTI'],
        ['MSET', 'a', 1, 'b', 2, '{a}x', 3],
        ['MGET', 'b', '{a}x', 'none', 'a'],
        ['INCR', 'b'],
        ['PING'],
        ['RENAME', 'a', 'b'],
        ['CLIENT', 'SETNAME', 'me'],
        ['LPUSH', 'a', 'x'],
        ['CLIENT', 'GETNAME'],
        ['DEL', 'a', 'b', 'none'],
        ['EXEC'],
        ['EXISTS', 'a', 'b', '{a}x'],
      );
      assert.deepEqual(replies.slice(-2), [
        "*9|+OK|*4|$1|2|$1|3|$-1|$1|1|:3|+PONG|-CROSSSLOT Keys in request don't hash to the same slot|+OK|" +
          '-WRONGTYPE Operation against a key holding the wrong kind of value|$2|me|:2|',
        ':1|',
      ]);
    });

    test('per slot, a slot whose transaction is discarded has that error for each of its commands', async (t) => {
      const client = await open(t, perSlot);
      await cluster.cli(cluster.primaries[0]!.port, 'PING');
      const admin = await open(t, perSlot);
      await admin.call('ACL', 'SETUSER', 'half', 'reset', 'on', '>p', '~a*', '+@all');
      await client.call('AUTH', 'half', 'p');
      const replies = await all(client, ['MULTI'], ['SET', 'a', 1], ['SET', 'b', 1], ['GET', 'a'], ['EXEC']);
      assert.match(
        replies.at(-1)!,
        /^\*3\|\+OK\|-EXECABORT Transaction discarded because of: NOPERM .*\|\$1\|1\|$/,
      );
    });

    test('what all shards are asked goes before the run or behind it, and not into it', async (t) => {
      const client = await open(t);
      await client.call('FLUSHALL');
      const around = await all(
        client,
        ['MULTI'],
        ['DBSIZE'],
        ['SET', 'a', 1],
        ['SET', '{a}b', 1],
        ['DBSIZE'],
        ['EXEC'],
      );
      assert.equal(around.at(-1), '*4|:0|+OK|+OK|:2|');
      const between = await all(
        client,
        ['MULTI'],
        ['SET', 'a', 2],
        ['FLUSHALL'],
        ['SET', 'a', 3],
        ['EXEC'],
        ['GET', 'a'],
      );
      assert.match(between.at(-2)!, /^-ERR slotless: 'flushall' is not supported: it goes to all shards/);
      assert.equal(between.at(-1), '$1|1|');
    });

    test('a transaction is followed whole to where its slot has gone', async (t) => {
      const tag = tagOf(77);
      const client = await open(t);
      const mover = new Mover(cluster);
      const k = `{${tag}}k`;
      await client.call('SET', k, 0);
      let last = 0;
      let moving = true;
      const moves = (async () => {
        for (let i = 0; i < 4; i++) await mover.make({ what: 'slot', slot: 77, few: 1, pause: 5 });
        moving = false;
      })();
      while (moving) {
        const [, , , reply] = await all(client, ['MULTI'], ['INCR', k], ['INCR', k], ['EXEC']);
        assert.equal(reply, `*2|:${last + 1}|:${last + 2}|`);
        last += 2;
      }
      await moves;
      assert.ok(last > 0);
    });

    test('of a slot that is half moved, keys of both halves wait for the rest, others are served at once', async (t) => {
      const tag = tagOf(78);
      const [here, there, none] = [`{${tag}}1`, `{${tag}}2`, `{${tag}}3`];
      const client = await open(t);
      await client.call('MSET', here, 1, there, 2);
      const mover = new Mover(cluster);
      const { source, target } = await mover.open(78);
      await cluster.cli(source.port, 'MIGRATE', target.host, target.port, there, 0, 5000);
      const other = await open(t);
      assert.equal(
        (await all(other, ['MULTI'], ['INCR', here], ['GET', here], ['EXEC'])).at(-1),
        '*2|:2|$1|2|',
      );
      assert.equal(
        (await all(other, ['MULTI'], ['INCR', there], ['GET', there], ['EXEC'])).at(-1),
        '*2|:3|$1|3|',
      );
      assert.equal((await all(other, ['MULTI'], ['INCR', none], ['EXEC'])).at(-1), '*1|:1|');
      const both = all(client, ['MULTI'], ['INCR', here], ['INCR', there], ['EXEC'], ['GET', here]);
      assert.equal(text(await other.call('GET', none)), '$1|1|');
      await mover.finish(78, source, target, 10, 0);
      assert.deepEqual((await both).slice(-2), ['*2|:3|:4|', '$1|3|']);
    });

    test('a watched slot that moves aborts the transaction', async (t) => {
      const tag = tagOf(79);
      const client = await open(t);
      for (const key of [`{${tag}}there`, `{${tag}}none`]) {
        await client.call('SET', `{${tag}}there`, 1);
        await client.call('WATCH', key);
        await new Mover(cluster).make({ what: 'slot', slot: 79, few: 10, pause: 0 });
        const replies = await all(client, ['MULTI'], ['SET', key, 'x'], ['EXEC'], ['EXISTS', `{${tag}}none`]);
        assert.deepEqual(replies.slice(-2), ['*-1|', ':0|']);
      }
    });

    test('keys of a slot that is on its way are watched on both sides', async (t) => {
      const tag = tagOf(80);
      const key = `{${tag}}new`;
      const [client, other] = [await open(t), await open(t)];
      const mover = new Mover(cluster);
      const { source, target } = await mover.open(80);
      assert.equal(text(await client.call('WATCH', key)), '+OK|');
      assert.equal((await all(client, ['MULTI'], ['SET', key, 1], ['EXEC'])).at(-1), '*1|+OK|');
      await client.call('WATCH', key);
      await other.call('INCR', key);
      assert.equal((await all(client, ['MULTI'], ['SET', key, 9], ['EXEC'])).at(-1), '*-1|');
      await mover.finish(80, source, target, 10, 0);
      assert.equal(await client.ask('GET', key), '2');
    });

    test('a watch whose connection is lost aborts the transaction', async (t) => {
      const client = await open(t);
      await client.call('WATCH', 'w');
      for (const { port } of cluster.primaries) await cluster.cli(port, 'CLIENT', 'KILL', 'TYPE', 'normal');
      assert.equal((await all(client, ['MULTI'], ['SET', 'w', 1], ['EXEC'])).at(-1), '*-1|');
      assert.equal(
        (await all(client, ['WATCH', 'w'], ['MULTI'], ['SET', 'w', 1], ['EXEC'])).at(-1),
        '*1|+OK|',
      );
    });

    test('watched keys of several slots are refused', async (t) => {
      const client = await open(t, perSlot);
      assert.match((await all(client, ['WATCH', 'a', 'b']))[0]!, CROSS_WATCH);
      assert.deepEqual(await all(client, ['WATCH', 'a'], ['WATCH', '{a}x']), ['+OK|', '+OK|']);
      assert.match((await all(client, ['WATCH', 'b']))[0]!, CROSS_WATCH);
      assert.equal(
        (await all(client, ['WATCH', 'a'], ['MULTI'], ['SET', '{a}x', 1], ['PING'], ['EXEC'])).at(-1),
        '*2|+OK|+PONG|',
      );
    });

    test('what is written in other slots than the watched one is refused, or depends on the watch all the same', async (t) => {
      const strict = await open(t);
      const lax = await open(t, perSlot);
      const other = await open(t);
      await other.call('DEL', 'a', 'b', 'c');
      const begin = [['WATCH', 'a'], ['MULTI'], ['INCR', 'b'], ['INCR', 'c']];
      assert.match((await all(strict, ...begin, ['EXEC'])).at(-1)!, CROSS_SLOT);
      assert.equal((await all(lax, ...begin, ['INCR', 'a'], ['EXEC'])).at(-1), '*3|:1|:1|:1|');
      assert.equal((await all(lax, ...begin, ['EXEC'])).at(-1), '*2|:2|:2|');
      await all(lax, ...begin);
      await other.call('SET', 'a', 'changed');
      assert.equal((await all(lax, ['EXEC'])).at(-1), '*-1|');
      assert.equal((await all(other, ['MGET', 'a', 'b', 'c']))[0], '*3|$7|changed|$1|2|$1|2|');
      assert.equal(
        (await all(lax, ...begin, ['LPUSH', 'b', 1], ['EXEC'])).at(-1)!.slice(0, 22),
        '*3|:3|:3|-WRONGTYPE Op',
      );
    });

    test('more clients may not watch at a time than node.dedicated says, and who leaves makes room', async (t) => {
      const clients = await Promise.all(Array.from({ length: 40 }, () => open(t)));
      const replies = await Promise.all(clients.map(async (client) => text(await client.call('WATCH', 'w'))));
      const refused = replies.filter((reply) => reply.includes("'node.dedicated'")).length;
      // Two workers, eight links each.
      assert.equal(refused, 24);
      for (const client of clients.slice(20)) client.destroy();
      await Promise.all(clients.slice(0, 20).map((client) => client.call('UNWATCH')));
      const late = await open(t);
      await until('room for one more', async () => text(await late.call('WATCH', 'w')) === '+OK|');
    });

    test('a user who may not use MULTI is told so at MULTI, and one who may not use EXEC at EXEC', async (t) => {
      const admin = await open(t);
      const limited = async (lacking: string) => {
        await admin.call('ACL', 'SETUSER', 'limited', 'reset', 'on', '>p', '~*', '+@all', lacking);
        const client = await open(t);
        await client.call('AUTH', 'limited', 'p');
        return all(client, ['MULTI'], ['SET', 'k', lacking], ['EXEC'], ['GET', 'k']);
      };
      const withoutMulti = await limited('-multi');
      assert.match(withoutMulti[0]!, /^-NOPERM .*'multi'/);
      assert.deepEqual(withoutMulti.slice(1), ['+OK|', '-ERR EXEC without MULTI|', '$6|-multi|']);
      const withoutExec = await limited('-exec');
      assert.deepEqual(withoutExec.slice(0, 2), ['+OK|', '+QUEUED|']);
      assert.match(withoutExec[2]!, /^-EXECABORT Transaction discarded because of: NOPERM .*'exec'/);
      assert.equal(withoutExec[3], '$6|-multi|');
      await admin.call('ACL', 'DELUSER', 'limited');
    });

    test('a command that the node refuses when it is queued discards the transaction, and EXEC says why', async (t) => {
      const admin = await open(t);
      await admin.call('ACL', 'SETUSER', 'part', 'reset', 'on', '>p', '~*', '+@all', '-incr');
      const client = await open(t);
      await client.call('AUTH', 'part', 'p');
      const replies = await all(client, ['MULTI'], ['SET', 'p', 1], ['INCR', 'p'], ['EXEC'], ['EXISTS', 'p']);
      assert.match(replies[3]!, /^-EXECABORT Transaction discarded because of: NOPERM .*incr/);
      assert.equal(replies[4], ':0|');
    });

    test('a user who logs in between WATCH and EXEC has nothing watched', async (t) => {
      const client = await open(t);
      await (await open(t)).call('ACL', 'SETUSER', 'next', 'reset', 'on', '>p', '~*', '+@all');
      await client.call('WATCH', 'w');
      await client.call('AUTH', 'next', 'p');
      assert.equal((await all(client, ['MULTI'], ['SET', 'w', 1], ['EXEC'])).at(-1), '*-1|');
    });
  });
}

describe('transactions before scripted nodes', () => {
  let commands: Buffer;
  before(async () => {
    commands = await commandReply();
  });

  async function stage(t: TestContext, settings: Record<string, string | number> = {}) {
    const fake = await startFake({ commands });
    const proxy = await startProxy({ cluster: fake, settings: { 'refresh.every': 600_000, ...settings } });
    const client = await proxy.connect();
    t.after(async () => {
      client.destroy();
      await proxy.stop();
      await fake.stop();
    });
    return { fake, proxy, client };
  }

  /** Answers as a node that queues. `exec` is the reply to EXEC of a transaction that is not empty. */
  function queueing(exec: () => string | { fate: 'cut' }, words: string[] = []) {
    let queued = -1;
    return ({ name }: { name: string }) => {
      words.push(name);
      if (name === 'MULTI') {
        queued = 0;
        return '+OK\r\n';
      }
      if (name === 'EXEC') {
        const empty = queued <= 0;
        queued = -1;
        return empty ? '*0\r\n' : exec();
      }
      return queued >= 0 && queued++ >= 0 ? '+QUEUED\r\n' : undefined;
    };
  }

  test('a link that is lost after EXEC was sent leaves the outcome unknown, and the transaction is not sent again', async (t) => {
    const { fake, client } = await stage(t);
    const words: string[] = [];
    fake.script = queueing(() => ({ fate: 'cut' }), words);
    const replies = await all(client, ['MULTI'], ['SET', 'a', 1], ['EXEC']);
    assert.match(replies.at(-1)!, /^-ERR slotless: .*the outcome of this write is unknown/);
    assert.equal(words.filter((name) => name === 'SET').length, 1);
  });

  test('one that only reads is asked again', async (t) => {
    const { fake, client } = await stage(t);
    let asked = 0;
    fake.script = queueing(() => (asked++ === 0 ? { fate: 'cut' } : '*1\r\n$1\r\nv\r\n'));
    assert.equal((await all(client, ['MULTI'], ['GET', 'a'], ['EXEC'])).at(-1), '*1|$1|v|');
    assert.equal(asked, 2);
  });

  test('what is discarded has not been sent', async (t) => {
    const { fake, client } = await stage(t);
    const words: string[] = [];
    fake.script = queueing(() => '*1\r\n+OK\r\n', words);
    await all(client, ['MULTI'], ['DISCARD']);
    words.length = 0;
    await all(client, ['MULTI'], ['SET', 'a', 1], ['DISCARD'], ['MULTI'], ['SET', 'a'], ['EXEC']);
    assert.deepEqual(words, []);
  });

  test('it is bounded in commands and in bytes', async (t) => {
    const { client } = await stage(t, { 'limits.transactionCommands': 3, 'limits.transactionBytes': '1kb' });
    const many = await all(client, ['MULTI'], ...Array.from({ length: 5 }, () => ['GET', 'a']), ['EXEC']);
    assert.match(many[4]!, /^-ERR slotless: the limit of the setting 'limits.transactionCommands' is passed/);
    assert.deepEqual(many.slice(-2), [
      '+QUEUED|',
      '-EXECABORT Transaction discarded because of previous errors.|',
    ]);
    const large = await all(client, ['MULTI'], ['SET', 'a', 'x'.repeat(2000)], ['EXEC']);
    assert.match(large[1]!, /'limits.transactionBytes' is passed/);
    assert.match(large[2]!, /^-EXECABORT/);
  });

  test('the commands behind a transaction wait while it is redirected', async (t) => {
    const { fake, client } = await stage(t);
    const hold = held();
    let execs = 0;
    fake.script = (received) => {
      const { name } = received;
      if (name === 'EXEC' && execs++ === 1) return hold.answer;
      return queueing(() => '*1\r\n+OK\r\n')(received);
    };
    await all(client, ['MULTI'], ['EXEC']);
    const replies = all(client, ['MULTI'], ['SET', 'a', 1], ['SET', '{a}b', 1], ['EXEC'], ['GET', 'a']);
    await until('EXEC to arrive', () => execs === 2);
    hold.release('-TRYAGAIN Multiple keys request during rehashing of slot\r\n');
    assert.deepEqual(
      (await replies).slice(-2).map((reply) => reply[0]),
      ['*', '$'],
    );
    assert.ok(execs >= 3);
  });

  test('EXEC that is refused while MULTI was not ends the link, on which all else would be queued', async (t) => {
    const { fake, client } = await stage(t);
    let execs = 0;
    fake.script = ({ name }) => {
      if (name === 'MULTI') return '+OK\r\n';
      if (name !== 'EXEC') return undefined;
      return execs++ === 0 ? '*0\r\n' : '-NOPERM this user has no permissions to run the exec command\r\n';
    };
    await all(client, ['MULTI'], ['EXEC']);
    const connections = new Set<unknown>();
    const old = fake.script;
    fake.script = (received) => {
      if (received.name === 'EXEC' || received.name === 'GET') connections.add(received.connection);
      return old(received);
    };
    assert.match((await all(client, ['MULTI'], ['SET', 'a', 1], ['EXEC'])).at(-1)!, /^-NOPERM/);
    await client.call('GET', 'a');
    assert.equal(connections.size, 2);
  });
});
