/** Two workers behind one port: every client is served, seen and counted, whichever worker has it. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

/** So many that the kernel gives some to each worker: all to one has a chance of 1 in 2^47. */
const CLIENTS = 48;

let cluster: Cluster;

before(async () => {
  cluster = await startCluster({ replicas: 0 });
});

after(async () => {
  await cluster?.stop();
});

const lines = async (client: RawClient, ...filter: string[]) =>
  String(await client.ask('CLIENT', 'LIST', ...filter))
    .trimEnd()
    .split('\n');

describe('with two workers', () => {
  let proxy: RunningProxy;
  let clients: RawClient[];

  before(async () => {
    proxy = await startProxy({ cluster, settings: { workers: 2 } });
    clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(proxy.port)));
  });

  after(async () => {
    for (const client of clients ?? []) client.destroy();
    await proxy?.stop();
  });

  test('every client is served', async () => {
    const replies = await Promise.all(
      clients.map(async (client, i) => {
        await client.call('SET', `w:${i}`, i);
        const keys = clients.map((_, j) => `w:${(i + j) % CLIENTS}`);
        return [await client.ask('GET', `w:${i}`), Number(await client.ask('EXISTS', ...keys)) > 0];
      }),
    );
    assert.deepEqual(
      replies,
      clients.map((_, i) => [String(i), true]),
    );
  });

  test('CLIENT LIST shows all of them to each of them, under ids of their own', async () => {
    const ids = (await Promise.all(clients.map((client) => client.ask('CLIENT', 'ID')))).map(String);
    assert.equal(new Set(ids).size, CLIENTS);
    for (const client of clients) {
      const listed = (await lines(client)).map((line) => /^id=(\d+) /.exec(line)?.[1]);
      assert.deepEqual(new Set(listed), new Set(ids));
      assert.equal(listed.length, CLIENTS);
    }
    const [first, second] = [ids[CLIENTS - 1]!, ids[0]!];
    const named = await lines(clients[7]!, 'ID', first, second);
    assert.deepEqual(
      named.map((line) => /^id=(\d+) /.exec(line)?.[1]),
      [first, second],
    );
  });

  test('INFO counts all of them', async () => {
    for (const client of clients.slice(0, 8))
      assert.match(
        String(await client.ask('INFO', 'clients')),
        new RegExp(`^connected_clients:${CLIENTS}\\b`, 'm'),
      );
  });

  test('what one client has written the others read at once', async () => {
    for (let i = 0; i < 200; i++) {
      const [writer, reader] = [clients[i % CLIENTS]!, clients[(i * 7 + 1) % CLIENTS]!];
      await writer.call('SET', 'passed', i);
      assert.equal(await reader.ask('GET', 'passed'), String(i));
    }
  });

  test('CLIENT KILL reaches the clients of every worker', async () => {
    const [killer, ...rest] = await Promise.all(Array.from({ length: 17 }, () => connect(proxy.port)));
    for (const [i, victim] of rest.entries()) {
      const id = String(await victim.ask('CLIENT', 'ID'));
      assert.equal(await killer!.ask('CLIENT', 'KILL', 'ID', id), 1);
      await victim.closed;
      assert.equal((await lines(killer!)).length, CLIENTS + rest.length - i);
    }
    assert.equal(await killer!.ask('CLIENT', 'KILL', 'ID', '999999'), 0);
    killer!.destroy();
  });
});

describe('beyond limits.clients', () => {
  for (const workers of [1, 2]) {
    test(`a client is told so and let go, with ${workers === 1 ? 'one worker' : 'two workers'}`, async () => {
      const proxy = await startProxy({ cluster, settings: { workers, 'limits.clients': 10 } });
      try {
        const served: RawClient[] = [];
        for (let i = 0; i < 10; i++) {
          const client = await connect(proxy.port);
          assert.equal(await client.ask('PING'), 'PONG', `client ${i + 1} of 10`);
          served.push(client);
        }
        for (let i = 0; i < 5; i++) {
          const refused = await connect(proxy.port);
          assert.equal(String((await refused.read(1))[0]), '-ERR max number of clients reached\r\n');
          await refused.closed;
        }
        assert.equal(await served[0]!.ask('SET', 'served', '1'), 'OK');
        // When one has left, another may come.
        await served.pop()!.close();
        await until('a place to be free', async () => {
          const next = await connect(proxy.port);
          const reply = await next.ask('PING').catch(() => undefined);
          if (reply === 'PONG') served.push(next);
          return reply === 'PONG';
        });
        for (const client of served) client.destroy();
      } finally {
        await proxy.stop();
      }
    });
  }
});
