/** Nodes that are not where, or what, they were: at another address, without their data, or none of them the one that was asked first. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { connect } from '../support/client.ts';
import { type Cluster, type ClusterOptions, startCluster } from '../support/cluster.ts';
import { freePort } from '../support/ports.ts';
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts';
import { remove, temporary } from '../support/reaper.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { IN_FLIGHT } from './model.ts';
import { Mover, tagOf } from './moves.ts';
import { play, type Schedule } from './scenario.ts';

/** Every write is on disk before it is acknowledged, and no replica takes over meanwhile. */
const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always', '--cluster-node-timeout', '15000'];

const busy: Schedule = {
  clients: [
    { seed: 1, resp: 2, depth: 1, slots: 5, keys: 3, padding: 0 },
    { seed: 2, resp: 3, depth: 16, slots: 5, keys: 4, padding: 20 },
  ],
  moves: [],
};

interface Stage {
  cluster: Cluster;
  mover: Mover;
  start(settings?: Record<string, string | number>, more?: Partial<ProxyOptions>): Promise<RunningProxy>;
}

async function stage(t: TestContext, options: ClusterOptions): Promise<Stage> {
  const cluster = await startCluster(options);
  const proxies: RunningProxy[] = [];
  t.after(async () => {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await cluster.stop();
  });
  return {
    cluster,
    mover: new Mover(cluster),
    start: async (settings = {}, more = {}) => {
      const proxy = await startProxy({ cluster, settings, ...more });
      proxies.push(proxy);
      return proxy;
    },
  };
}

/** The primaries of the proxy's newest map. */
function primariesOf({ log }: RunningProxy): string[] {
  const line = log.findLast((one) => one.includes('the map has changed')) ?? '{"shards":[]}';
  return (JSON.parse(line) as { shards: string[] }).shards.toSorted();
}

/** What a Service or a load balancer is: connections to its port go to a node, and later to another. */
async function startService(t: TestContext, to: number): Promise<{ readonly port: number; to: number }> {
  const open = new Set<Socket>();
  const service = { port: await freePort(), to };
  const door = createServer((socket) => {
    const there = createConnection(service.to, '127.0.0.1');
    for (const [one, other] of [
      [socket, there],
      [there, socket],
    ] as const) {
      open.add(one);
      one.on('error', () => other.destroy());
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => door.listen(service.port, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of open) socket.destroy();
    door.close();
  });
  return service;
}

/** Has names resolved to the address that stands in a file. */
function namesFrom(file: string): string {
  return `
    import dns from 'node:dns';
    import { readFileSync } from 'node:fs';
    const { lookup } = dns;
    dns.lookup = (name, options, done) => {
      if (!name.endsWith('.test')) return lookup(name, options, done);
      const address = readFileSync(${JSON.stringify(file)}, 'utf8');
      if (options.all) done(null, [{ address, family: 4 }]);
      else done(null, address, 4);
    };`;
}

/** Counts who tries to connect to ports where nobody is any more. */
async function listenAt(t: TestContext, ports: readonly number[]): Promise<() => number> {
  let count = 0;
  for (const port of ports) {
    const server = createServer((socket) => {
      count++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    t.after(() => server.close());
  }
  return () => count;
}

for (const server of await availableServers()) {
  // Each has a cluster of its own, and most of the time is spent waiting for that.
  describe(`${server.flavour} ${server.version}`, { concurrency: 3 }, () => {
    test('a replica and a primary that come back at other addresses are followed, and nobody looks for them at the old', async (t) => {
      const { cluster, mover, start } = await stage(t, { server, config: DURABLE });
      const admin = `127.0.0.1:${await freePort()}`;
      const settings = { 'failover.holdFor': '30s', 'refresh.every': '500ms', admin };
      const proxy = await start(settings);
      const primary = await cluster.ownerOf(1);
      const old = [await mover.heirOf(primary), primary];
      const meanwhile = async () => {
        for (const { port } of old) {
          await cluster.kill(port);
          await cluster.relocate(port);
          await mover.agreed();
        }
      };
      const { replies } = await play(cluster, proxy.port, busy, { meanwhile, unknown: IN_FLIGHT, pause: 5 });
      assert.ok(replies > 100, `${replies} replies`);
      const now = cluster.primaries.map(({ host, port }) => `${host}:${port}`).toSorted();
      await until('the map', () => primariesOf(proxy).join() === now.join());
      const strangers = await listenAt(
        t,
        old.map(({ port }) => port),
      );
      const asked = async () =>
        Number(
          /^slotless_refreshes_total (\d+)/m.exec(await (await fetch(`http://${admin}/metrics`)).text())?.[1],
        );
      const goal = (await asked()) + 6;
      await until('the map to be asked for', async () => (await asked()) >= goal);
      assert.equal(strangers(), 0);
    });

    test('when the nodes that it was told of are gone it goes on with those that it knows', async (t) => {
      const { cluster, mover, start } = await stage(t, { server });
      const told = cluster.nodes.filter(({ role }) => role === 'replica').slice(0, 2);
      const proxy = await start({ cluster: told.map(({ host, port }) => `${host}:${port}`).join() });
      for (const { port } of told) {
        await cluster.kill(port);
        await cluster.relocate(port);
      }
      await mover.agreed();
      const moves: Schedule['moves'] = [
        { what: 'failover', slot: 1 },
        { what: 'slot', slot: 1, few: 10, pause: 0 },
      ];
      const { replies } = await play(
        cluster,
        proxy.port,
        { ...busy, moves },
        { unknown: IN_FLIGHT, pause: 5 },
      );
      assert.ok(replies > 100, `${replies} replies`);
    });

    test('when every node is at another address the one that it was told of leads to them', async (t) => {
      const { cluster, mover, start } = await stage(t, { server, config: DURABLE, replicas: 0 });
      const service = await startService(t, cluster.nodes[0]!.port);
      const proxy = await start({ cluster: `127.0.0.1:${service.port}`, 'failover.holdFor': '60s' });
      const client = await proxy.connect();
      t.after(() => client.destroy());
      const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
      await client.pipeline(keys.map((key, i) => ['SET', key, i]));
      const before = [...cluster.nodes];
      for (const { port } of before) await cluster.kill(port);
      const added = client.pipeline(keys.map((key) => ['INCR', key]));
      for (const { port } of before) await cluster.relocate(port);
      service.to = cluster.nodes[1]!.port;
      const [first, ...others] = cluster.nodes;
      for (const { host, port } of others) await cluster.cli(first!.port, 'CLUSTER', 'MEET', host, port);
      await mover.agreed();
      const texts = (await added).map(String);
      assert.deepEqual(
        texts,
        keys.map((_, i) => `:${i + 1}\r\n`),
      );
    });

    test('a name that it was told is asked for anew each time', async (t) => {
      const { cluster, start } = await stage(t, { server, replicas: 0 });
      const folder = temporary('slotless-name');
      t.after(() => remove(folder));
      const file = join(folder, 'address');
      // Nobody is there.
      writeFileSync(file, '127.0.0.77');
      const proxy = await start(
        { cluster: `redis.test:${cluster.nodes[0]!.port}` },
        {
          nodeFlags: ['--import', `data:text/javascript,${encodeURIComponent(namesFrom(file))}`],
          unready: true,
        },
      );
      await proxy.logged(/no node answers: redis.test:/);
      writeFileSync(file, '127.0.0.1');
      await proxy.logged(/ready on/);
      const client = await proxy.connect();
      assert.equal(String(await client.call('SET', 'a', '1')), '+OK\r\n');
      client.destroy();
    });

    test('a primary that comes back at once without its data is served: scripts, functions, who blocks and who listens', async (t) => {
      const { cluster, start } = await stage(t, { server, replicas: 0 });
      const proxy = await start({ 'failover.holdFor': '30s' });
      const owner = await cluster.ownerOf(3);
      const key = (name: string) => `{${tagOf(3)}}${name}`;
      const there = `{${tagOf(8000)}}x`;
      const [client, blocked, watcher] = await Promise.all([1, 2, 3].map(() => proxy.connect()));
      const heard: string[] = [];
      const listener = await connect(proxy.port, { onPush: (push) => heard.push(String(push)) });
      t.after(() => {
        for (const each of [client!, blocked!, watcher!, listener]) each.destroy();
      });
      const script = "return redis.call('INCR', KEYS[1])";
      const sha = await client!.ask('SCRIPT', 'LOAD', script);
      const library =
        "#!lua name=lib\nredis.register_function('add', function(k) return redis.call('INCR', k[1]) end)";
      await client!.call('FUNCTION', 'LOAD', library);
      await client!.pipeline([
        ['SET', key('lost'), '1'],
        ['SET', there, '1'],
      ]);
      await watcher!.pipeline([['WATCH', key('w')], ['MULTI'], ['SET', key('w'), '1']]);
      await listener.call('HELLO', 3);
      await listener.send(['SSUBSCRIBE', key('news')]);
      await until('it to listen', () => heard.length === 1);
      const popped = blocked!.ask('BLPOP', key('list'), 0);
      await until('it to block', async () =>
        / cmd=blpop /.test(String(await cluster.cli(owner.port, 'CLIENT', 'LIST'))),
      );
      await cluster.kill(owner.port);
      const waiting = client!.pipeline([
        ['GET', key('lost')],
        ['GET', there],
        ['EVALSHA', String(sha), 1, key('n')],
        ['FCALL', 'add', 1, key('n')],
        ['SET', key('new'), '1'],
        ['GET', key('new')],
      ]);
      await cluster.restart(owner.port);
      const replies = (await waiting).map(String);
      assert.deepEqual(replies, ['$-1\r\n', '$1\r\n1\r\n', ':1\r\n', ':2\r\n', '+OK\r\n', '$1\r\n1\r\n']);
      // Its watched key may have changed while nobody looked.
      assert.match(String(await watcher!.call('EXEC')), /^(\*-1|-EXECABORT)/);
      await client!.call('RPUSH', key('list'), 'element');
      assert.deepEqual(await popped, [key('list'), 'element']);
      await until('a message', async () => {
        await client!.call('SPUBLISH', key('news'), 'again');
        return heard.some((push) => push.includes('again'));
      });
    });
  });
}
