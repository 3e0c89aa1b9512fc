/** What clients have to mind of each other, over two workers and with the servers' rules: PAUSE, MONITOR, NO-TOUCH. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

/** So many that the kernel gives some to each worker. */
const CLIENTS = 48;

describe('with two workers', () => {
  let cluster: Cluster;
  let proxy: RunningProxy;
  let clients: RawClient[];

  before(async () => {
    cluster = await startCluster({ primaries: 3, replicas: 0 });
    proxy = await startProxy({ cluster, settings: { workers: 2 } });
    clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(proxy.port)));
    await Promise.all(clients.map((client) => client.call('PING')));
  });

  after(async () => {
    for (const client of clients ?? []) client.destroy();
    await proxy?.stop();
    await cluster?.stop();
  });

  const flagged = async (client: RawClient, flag: string) =>
    (String(await client.ask('CLIENT', 'LIST')).match(new RegExp(`flags=${flag} `, 'g')) ?? []).length;

  test('a pause holds every client, and its end lets every one go on', async () => {
    const [chief, ...rest] = clients as [RawClient, ...RawClient[]];
    assert.equal(await chief.ask('CLIENT', 'PAUSE', '600000', 'WRITE'), 'OK');
    const writes = rest.map((client, i) => client.ask('SET', `p:${i}`, i));
    const reads = await Promise.all(Array.from({ length: 5 }, () => chief.ask('GET', 'p:1')));
    assert.deepEqual(reads, [null, null, null, null, null]);
    await until('all to wait', async () => (await flagged(chief, 'b')) === rest.length);
    assert.equal(await chief.ask('DBSIZE'), 0);
    assert.equal(await chief.ask('CLIENT', 'UNPAUSE'), 'OK');
    assert.deepEqual(new Set(await Promise.all(writes)), new Set(['OK']));
    assert.equal(await chief.ask('DBSIZE'), rest.length);
  });

  test('monitors of every worker see what the clients of every worker do', async () => {
    const monitors = await Promise.all(Array.from({ length: 12 }, () => connect(proxy.port)));
    const seen = monitors.map(() => '');
    for (const monitor of monitors) assert.equal(await monitor.ask('MONITOR'), 'OK');
    for (const [i, monitor] of monitors.entries())
      monitor.socket.on('data', (chunk: Buffer) => {
        seen[i] += String(chunk);
      });
    assert.equal(await flagged(clients[0]!, 'O'), monitors.length);
    await Promise.all(clients.map((client, i) => client.call('ECHO', `by ${i}`)));
    const all = clients.map((_, i) => `"by ${i}"`);
    await until('all to be seen', () => seen.every((text) => all.every((word) => text.includes(word))));
    const lines = seen.map((text) => text.split('\r\n').filter((line) => line.includes('"ECHO"')).length);
    assert.deepEqual(new Set(lines), new Set([clients.length]));
    const addresses = new Set(seen[0]!.match(/\[0 [\d.:]+\]/g));
    assert.equal(addresses.size, clients.length);
    for (const monitor of monitors) await monitor.close();
    await until('no monitor to be left', async () => (await flagged(clients[0]!, 'O')) === 0);
  });

  test('tracking clients of every worker are told, and clients of other workers in their place', async () => {
    const open = async () => {
      const pushes: string[] = [];
      const client = await connect(proxy.port, { onPush: (push) => pushes.push(String(push)) });
      await client.call('HELLO', 3);
      return { client, pushes };
    };
    const told = '>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nt\r\n';
    const readers = await Promise.all(Array.from({ length: 12 }, open));
    const target = await open();
    const id = String(await target.client.ask('CLIENT', 'ID'));
    for (const [i, { client }] of readers.entries()) {
      const mode = i % 2 === 0 ? [] : ['REDIRECT', id];
      assert.equal(await client.ask('CLIENT', 'TRACKING', 'ON', ...mode), 'OK');
      await client.call('GET', 't');
    }
    await clients[0]!.call('SET', 't', '1');
    await until(
      'all to be told',
      () =>
        target.pushes.length === 6 && readers.every(({ pushes }, i) => i % 2 === 1 || pushes.length === 1),
    );
    const all = [target, ...readers].flatMap(({ pushes }) => pushes);
    assert.deepEqual(new Set(all), new Set([told]));
    await target.client.close();
    await readers[1]!.client.call('GET', 't');
    await clients[0]!.call('SET', 't', '2');
    await until('it to be told', () =>
      readers[1]!.pushes.some((push) => push.includes('tracking-redir-broken')),
    );
    await Promise.all(readers.map(({ client }) => client.close()));
  });

  test('CLIENT KILL by type, address and age reaches every worker', async () => {
    const victims = await Promise.all(Array.from({ length: 16 }, () => connect(proxy.port)));
    const local = `127.0.0.1:${proxy.port}`;
    const addressOf = async (client: RawClient) =>
      / addr=(\S+) /.exec(String(await client.ask('CLIENT', 'INFO')))?.[1] ?? '';
    for (const victim of victims.slice(0, 8)) {
      const killed = await clients[0]!.ask('CLIENT', 'KILL', 'ADDR', await addressOf(victim), 'LADDR', local);
      assert.equal(killed, 1);
      await victim.closed;
    }
    assert.equal(await clients[0]!.ask('CLIENT', 'KILL', 'TYPE', 'pubsub'), 0);
    assert.equal(await clients[0]!.ask('CLIENT', 'KILL', 'USER', 'default', 'LADDR', '1.2.3.4:5'), 0);
    const all = await clients[0]!.ask('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    assert.equal(all, CLIENTS - 1 + 8);
    await Promise.all([...victims, ...clients.slice(1)].map((client) => client.closed));
    assert.equal(await clients[0]!.ask('PING'), 'PONG');
  });
});

describe('by the rules of the servers', () => {
  let cluster: Cluster;
  let proxy: RunningProxy;

  before(async () => {
    cluster = await startCluster({ primaries: 3, replicas: 0 });
    proxy = await startProxy({ cluster });
  });

  after(async () => {
    await proxy?.stop();
    await cluster?.stop();
  });

  test('who may not look on, pause or unpause is told so', async () => {
    const client = await connect(proxy.port);
    await client.call('ACL', 'SETUSER', 'ann', 'reset', 'on', '>pass', '~*', '+@all', '-@admin');
    await client.call('AUTH', 'ann', 'pass');
    for (const call of [['MONITOR'], ['CLIENT', 'PAUSE', '1000'], ['CLIENT', 'UNPAUSE']])
      assert.match(String(await client.call(...call)), /^-NOPERM .*no permissions/, call.join(' '));
    assert.equal(await client.ask('SET', 'k', 'v'), 'OK');
    await client.close();
  });
});

for (const server of await availableServers()) {
  if (server.flavour === 'redis') continue;
  describe(`NO-TOUCH on ${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;

    before(async () => {
      const config = ['--maxmemory-policy', 'allkeys-lfu', '--lfu-log-factor', '0'];
      cluster = await startCluster({ server, primaries: 3, replicas: 0, config });
      proxy = await startProxy({ cluster });
    });

    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });

    test('reads of the client leave the keys untouched, those of others do not', async () => {
      const [one, two] = [await connect(proxy.port), await connect(proxy.port)];
      const frequency = async () => Number(await two.ask('OBJECT', 'FREQ', 'k'));
      await one.call('SET', 'k', 'v');
      const first = await frequency();
      await one.call('GET', 'k');
      const touched = await frequency();
      assert.ok(touched > first);
      assert.equal(await one.ask('CLIENT', 'NO-TOUCH', 'ON'), 'OK');
      for (let i = 0; i < 10; i++) await one.call('GET', 'k');
      await one.call('MGET', 'k', 'a', 'b');
      assert.equal(await frequency(), touched);
      await two.call('GET', 'k');
      assert.ok((await frequency()) > touched);
      for (const end of [['CLIENT', 'NO-TOUCH', 'OFF'], ['RESET']]) {
        await one.call('CLIENT', 'NO-TOUCH', 'ON');
        await one.call(...end);
        const before = await frequency();
        await one.call('GET', 'k');
        assert.ok((await frequency()) > before, end.join(' '));
      }
      await Promise.all([one.close(), two.close()]);
    });
  });
}
