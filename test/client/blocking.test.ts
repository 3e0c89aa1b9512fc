/** Blocking commands before a real cluster: who waits, who is served, and what becomes of who leaves. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { encode, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

/** Keys of three shards. */
const [A, B, C] = ['a', 'b', 'foo'];

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let other: RawClient;

    before(async () => {
      cluster = await startCluster({ server, replicas: 0 });
      proxy = await startProxy({ cluster });
      other = await proxy.connect();
    });

    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });

    /** So many clients of the nodes are blocked. */
    const blockedAtNodes = async (count: number) => {
      const infos = await Promise.all(
        cluster.primaries.map(async ({ port }) => String(await cluster.cli(port, 'INFO', 'clients'))),
      );
      const all = infos.reduce((sum, info) => sum + Number(/blocked_clients:(\d+)/.exec(info)?.[1]), 0);
      return all === count;
    };
    const blocked = (count: number) => until(`${count} blocked`, () => blockedAtNodes(count));
    const isOpen = async (client: RawClient) => {
      assert.equal(await client.ask('PING'), 'PONG');
      client.destroy();
    };

    test('a blocked client waits for what another pushes, and its next command waits with it', async () => {
      const client = await proxy.connect();
      const replies = client.pipeline([
        ['SET', A, 'x'],
        ['DEL', A],
        ['BLPOP', A, '0'],
        ['LLEN', A],
        ['PING'],
      ]);
      await blocked(1);
      assert.match(String(await other.ask('CLIENT', 'LIST')), / flags=b .* cmd=blpop /);
      assert.match(String(await other.ask('INFO', 'clients')), /^blocked_clients:1\r$/m);
      assert.equal(await other.ask('RPUSH', A, '1', '2'), 2);
      assert.deepEqual((await replies).map(String), [
        '+OK\r\n',
        ':1\r\n',
        '*2\r\n$1\r\na\r\n$1\r\n1\r\n',
        ':1\r\n',
        '+PONG\r\n',
      ]);
      await other.ask('DEL', A);
      await isOpen(client);
    });

    test('of two clients the first to come is the first to be served', async () => {
      const [one, two] = [await proxy.connect(), await proxy.connect()];
      const first = one.ask('BRPOP', A, B, 0);
      await blocked(2);
      const second = two.ask('BRPOP', A, B, 0);
      await blocked(4);
      assert.equal(await other.ask('RPUSH', B, 'x'), 1);
      assert.deepEqual(await first, [B, 'x']);
      await blocked(2);
      await other.ask('RPUSH', A, 'y');
      assert.deepEqual(await second, [A, 'y']);
      await blocked(0);
      await isOpen(one);
      await isOpen(two);
    });

    test('keys in several slots are served in their order', async () => {
      for (const resp of [2, 3] as const) {
        const client = await proxy.connect();
        await client.call('HELLO', resp);
        for (const key of [A, B, C]) await client.call('RPUSH', key, `${key}1`, `${key}2`);
        assert.deepEqual(await client.ask('BLPOP', C, A, B, 0), [C, 'foo1']);
        assert.deepEqual(await client.ask('BRPOP', 'none', B, A, 0), [B, 'b2']);
        assert.deepEqual(await client.ask('BLMPOP', 0, 3, 'none', A, B, 'LEFT', 'COUNT', 5), [
          A,
          ['a1', 'a2'],
        ]);
        await client.call('DEL', A, B, C);
        await client.call('ZADD', B, 1, 'm', 2.5, 'n');
        assert.deepEqual(await client.ask('BZPOPMAX', A, B, C, 0), [B, 'n', resp === 3 ? 2.5 : '2.5']);
        assert.deepEqual(await client.ask('BZMPOP', 0, 2, A, B, 'MIN'), [B, [['m', resp === 3 ? 1 : '1']]]);
        const nil = resp === 3 ? '_\r\n' : '*-1\r\n';
        for (const call of [
          ['BLPOP', A, B, C, '0.01'],
          ['BZPOPMIN', A, B, '0.01'],
          ['BLMPOP', '0.01', '2', A, B, 'LEFT'],
          ['XREAD', 'BLOCK', '1', 'STREAMS', A, B, '0', '$'],
        ])
          assert.equal(String(await client.call(...call)), nil, call.join(' '));
        await client.call('SET', B, 'x');
        assert.match(String(await client.call('BLPOP', A, B, 0)), /^-WRONGTYPE/);
        assert.match(String(await client.call('BLPOP', A, B, 'x')), /^-ERR timeout is not a float/);
        assert.match(String(await client.call('BLPOP', A, B, -1)), /^-ERR timeout is negative/);
        await client.call('DEL', B);
        await isOpen(client);
      }
    });

    test('streams in several slots are read in the order asked for', async () => {
      for (const resp of [2, 3] as const) {
        const client = await proxy.connect();
        await client.call('HELLO', resp);
        for (const key of [A, B, C]) await client.call('XADD', key, '1-1', 'f', key);
        const entry = (key: string) =>
          `$${key.length}\r\n${key}\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$${key.length}\r\n${key}\r\n`;
        const whole = (...keys: string[]) =>
          resp === 3
            ? `%${keys.length}\r\n${keys.map(entry).join('')}`
            : `*${keys.length}\r\n${keys.map((key) => `*2\r\n${entry(key)}`).join('')}`;
        const read = async (...args: (string | number)[]) => String(await client.call('XREAD', ...args));
        assert.equal(await read('STREAMS', C, A, B, 0, 0, 0), whole(C, A, B));
        assert.equal(await read('COUNT', 1, 'BLOCK', 0, 'STREAMS', B, 'none', A, 0, 0, '1-1'), whole(B));
        assert.equal(await read('STREAMS', C, A, '1-1', '$'), resp === 3 ? '_\r\n' : '*-1\r\n');
        assert.match(await read('STREAMS', C, A, '1-1', 'x'), /^-ERR Invalid stream ID/);
        const waits = read('BLOCK', 0, 'STREAMS', C, A, B, '$', '$', '$');
        await blocked(3);
        await other.call('XADD', A, '2-1', 'f', 'v');
        const expected = `$1\r\n${A}\r\n*1\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n`;
        assert.equal(await waits, resp === 3 ? `%1\r\n${expected}` : `*1\r\n*2\r\n${expected}`);
        await client.call('DEL', A, B, C);
        await isOpen(client);
      }
    });

    test('a client that leaves leaves nothing behind on the servers', async () => {
      const ways: ((client: RawClient) => unknown)[] = [
        (client) => client.destroy(),
        (client) => client.socket.end(),
        (client) => client.socket.resetAndDestroy(),
      ];
      for (const calls of [
        [['BLPOP', A, '0']],
        [['BRPOP', A, B, C, '0'], ['PING']],
        [['XREAD', 'BLOCK', '0', 'STREAMS', A, B, '$', '0']],
        [
          ['BLMOVE', A, `{${A}}2`, 'LEFT', 'LEFT', '0'],
          ['SET', 'after', '1'],
        ],
        [['WAIT', '5', '0']],
      ]) {
        for (const leave of ways) {
          const client = await proxy.connect();
          client.pipeline(calls).catch(() => {});
          await until('it to be blocked', async () => !(await blockedAtNodes(0)));
          leave(client);
          await blocked(0);
          await client.closed;
          await other.call('RPUSH', A, 'x');
          assert.equal(await other.ask('LPOP', A), 'x');
        }
      }
      assert.equal(await other.ask('EXISTS', 'after'), 0);
      const client = await proxy.connect();
      const id = String(await client.ask('CLIENT', 'ID'));
      client.call('BLPOP', A, B, 0).catch(() => {});
      await blocked(2);
      assert.equal(await other.ask('CLIENT', 'KILL', 'ID', id), 1);
      await client.closed;
      await blocked(0);
    });

    test('what is there is given to a client that has ended its side', async () => {
      await other.call('RPUSH', A, 'x');
      const client = await proxy.connect();
      client.send(['BLPOP', A, '0']).catch(() => {});
      client.socket.end();
      assert.equal(String((await client.read())[0]), '*2\r\n$1\r\na\r\n$1\r\nx\r\n');
      await client.closed;
      for (const [first, second] of [
        [
          ['WAIT', '0', '0'],
          ['WAIT', '1', '0'],
        ],
        [
          ['BLPOP', A, '0.01'],
          ['BLPOP', A, B, '0'],
        ],
      ] as [string[], string[]][]) {
        const other = await proxy.connect();
        other.send(Buffer.concat([first, second, ['SET', 'after', '1']].map(encode))).catch(() => {});
        other.socket.end();
        await other.closed;
        await blocked(0);
      }
      assert.equal(await other.ask('EXISTS', 'after'), 0);
    });

    test('CLIENT UNBLOCK ends a call as its time would, or with an error', async () => {
      const client = await proxy.connect();
      const id = String(await client.ask('CLIENT', 'ID'));
      const error = '-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n';
      const calls: [string[], string][] = [
        [['BLPOP', A, '0'], '*-1\r\n'],
        [['BRPOP', A, B, C, '0'], '*-1\r\n'],
        [['XREAD', 'BLOCK', '0', 'STREAMS', A, '0'], '*-1\r\n'],
        [['WAIT', '3', '0'], ':0\r\n'],
      ];
      for (const [call, nil] of calls) {
        for (const how of [[], ['TIMEOUT'], ['ERROR']]) {
          const reply = client.call(...call);
          await until('it to be blocked', async () => !(await blockedAtNodes(0)));
          assert.equal(await other.ask('CLIENT', 'UNBLOCK', id, ...how), 1, call.join(' '));
          assert.equal(String(await reply), how[0] === 'ERROR' ? error : nil);
          assert.equal(await other.ask('CLIENT', 'UNBLOCK', id), 0);
          await blocked(0);
        }
      }
      await isOpen(client);
    });

    test('a user who may pop and nothing else is served, and what goes back is put back for him', async () => {
      await other.call(
        'ACL',
        'SETUSER',
        'ann',
        'on',
        '>pass',
        '~*',
        '+blpop',
        '+blmpop',
        '+xread',
        '+@connection',
      );
      const client = await proxy.connect();
      await client.call('AUTH', 'ann', 'pass');
      for (const key of [A, B, C]) await other.call('RPUSH', key, `${key}1`);
      assert.deepEqual(await client.ask('BLPOP', 'none', C, A, 0), [C, 'foo1']);
      assert.deepEqual(await client.ask('BLMPOP', 0, 2, C, B, 'LEFT'), [B, ['b1']]);
      await client.ask('BLPOP', A, B, 0);
      assert.match(String(await client.ask('BRPOP', A, B, 0)), /NOPERM/);
      for (let i = 0; i < 20; i++) {
        const reply = client.ask('BLPOP', A, B, C, 0);
        await blocked(3);
        // All three have something in the same instant: one is for the client, the others are there again.
        const pushers = await Promise.all([A, B, C].map(() => proxy.connect()));
        await Promise.all([A, B, C].map((key, k) => pushers[k]!.call('RPUSH', key, 'x')));
        const [key] = (await reply) as [string];
        for (const each of [A, B, C]) assert.equal(await other.ask('LLEN', each), each === key ? 0 : 1);
        await other.call('DEL', A, B, C);
        for (const pusher of pushers) pusher.destroy();
      }
      const waits = client.ask('XREAD', 'BLOCK', 0, 'STREAMS', A, '$');
      await blocked(1);
      await other.call('XADD', A, '1-1', 'f', 'v');
      assert.deepEqual(await waits, [[A, [['1-1', ['f', 'v']]]]]);
      await other.call('DEL', A);
      await isOpen(client);
    });

    test('over two workers, CLIENT UNBLOCK finds its client', async () => {
      const both = await startProxy({ cluster, settings: { workers: 2 } });
      const clients = await Promise.all(Array.from({ length: 16 }, () => both.connect()));
      const judge = await both.connect();
      const ids = await Promise.all(clients.map((client) => client.ask('CLIENT', 'ID')));
      const replies = clients.map((client, i) => client.call('BLPOP', A, i % 2 === 0 ? A : B, 0));
      await blocked(24);
      for (const id of ids) assert.equal(await judge.ask('CLIENT', 'UNBLOCK', String(id)), 1);
      for (const reply of replies) assert.equal(String(await reply), '*-1\r\n');
      // At its end the proxy lets those go who wait, at once.
      for (const client of clients) client.call('BRPOP', A, B, 0).catch(() => {});
      await blocked(32);
      await both.stop();
      await blocked(0);
      assert.equal(await other.ask('RPUSH', A, 'x'), 1);
      assert.equal(await other.ask('DEL', A), 1);
    });

    test('the bounded pool says so when it is empty', async () => {
      const small = await startProxy({ cluster, settings: { 'node.blocked': 1 } });
      try {
        const [one, two] = [await small.connect(), await small.connect()];
        const first = one.call('BLPOP', A, 0);
        await blocked(1);
        assert.match(String(await two.call('BLPOP', A, 0)), /^-ERR slotless: .*'node\.blocked'/);
        await other.call('RPUSH', A, 'x');
        await first;
      } finally {
        await small.stop();
      }
    });
  });
}
