/** Workers that die: others take their places, and the clients of the rest notice nothing. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect, type RawClient } from './support/client.ts';
import { type Cluster, startCluster } from './support/cluster.ts';
import { freePort } from './support/ports.ts';
import { type RunningProxy, startProxy } from './support/proxy.ts';
import { remove, temporary } from './support/reaper.ts';
import { until } from './support/wait.ts';

/** A worker whose thread's number stands in the file dies as if by a mistake. */
const crash = (file: string) => `
  import { readFileSync, writeFileSync } from 'node:fs';
  import { isMainThread, threadId } from 'node:worker_threads';
  if (!isMainThread) setInterval(() => {
    if (readFileSync(${JSON.stringify(file)}, 'utf8') !== String(threadId)) return;
    writeFileSync(${JSON.stringify(file)}, '');
    throw new Error('as if by a mistake');
  }, 10);`;

describe('workers that die', () => {
  let cluster: Cluster;
  let proxy: RunningProxy;
  const folder = temporary('slotless-crash');
  const file = join(folder, 'crash');
  const socket = join(folder, 'proxy.sock');

  before(async () => {
    writeFileSync(file, '');
    cluster = await startCluster({ replicas: 0 });
    const nodeFlags = ['--import', `data:text/javascript,${encodeURIComponent(crash(file))}`];
    const port = await freePort();
    const listen = `127.0.0.1:${port},${socket}`;
    const settings = { workers: 2, 'limits.clients': 100, listen };
    proxy = await startProxy({ cluster, nodeFlags, port, settings });
  });

  after(async () => {
    await proxy?.stop();
    await cluster?.stop();
    remove(folder);
  });

  /** Kills a thread; the clients that it had and those that are left. */
  async function kill(thread: number, clients: readonly RawClient[]) {
    const gone = new Set<RawClient>();
    for (const client of clients) void client.closed.then(() => gone.add(client));
    const died = proxy.log.length;
    writeFileSync(file, String(thread));
    await until('a new worker', () => proxy.log.slice(died).some((line) => /has taken the place/.test(line)));
    await until('some clients to be gone', () => gone.size > 0);
    return { gone: [...gone], left: clients.filter((client) => !gone.has(client)) };
  }

  const several = (count: number) => Promise.all(Array.from({ length: count }, () => proxy.connect()));

  test("one's clients are disconnected, the others' go on, and new ones are taken", async () => {
    const clients = await several(40);
    const waiting = clients.map((client) => client.ask('BLPOP', 'list', 0).catch(() => 'gone'));
    const [pusher] = await several(1);
    await until('all to be blocked', async () =>
      /blocked_clients:40/.test(String(await pusher!.ask('INFO', 'clients'))),
    );
    const { gone, left } = await kill(1, [...clients, pusher!]);
    assert.ok(gone.length <= 40 && left.length > 0, `${gone.length} gone`);
    assert.match(await proxy.logged(/a worker has died/), /as if by a mistake/);
    const blocked = left.filter((client) => client !== pusher);
    const [other] = await several(1);
    for (const _ of blocked) await other!.ask('RPUSH', 'list', 'x');
    const replies = await Promise.all(waiting);
    assert.equal(replies.filter((reply) => reply !== 'gone').length, blocked.length);
    assert.equal(await other!.ask('LLEN', 'list'), 0);
    const fresh = await several(30);
    for (const client of fresh) assert.equal(await client.ask('PING'), 'PONG');
    // Forty of the hundred that may connect are not lost for ever.
    const more = await several(99 - left.length - fresh.length);
    for (const client of more) assert.equal(await client.ask('PING'), 'PONG');
    const lines = String(await other!.ask('CLIENT', 'LIST'))
      .trim()
      .split('\n');
    assert.equal(lines.length, 100);
    for (const client of [...left, ...fresh, ...more, other!]) client.destroy();
  });

  test('the new one knows of subscriptions, and those of the old one are counted no more', async () => {
    const subscribers = await several(30);
    for (const client of subscribers) await client.ask('SUBSCRIBE', 'c');
    const { left } = await kill(2, subscribers);
    await until('the dead to be counted no more', async () => {
      const [one] = await several(1);
      const count = await one!.ask('PUBLISH', 'c', 'x');
      one!.destroy();
      return count === left.length;
    });
    // Whichever worker these come to, all say the same.
    const publishers = await several(20);
    for (const client of publishers) assert.equal(await client.ask('PUBLISH', 'c', 'y'), left.length);
    for (const client of [...left, ...publishers]) client.destroy();
  });

  test('a unix socket is opened anew by the one that takes the place', async () => {
    const before = await connect(0, { path: socket });
    assert.equal(await before.ask('PING'), 'PONG');
    // The first place, whose worker has died once, has the third thread now.
    await kill(3, [before]);
    const client = await connect(0, { path: socket });
    assert.equal(await client.ask('PING'), 'PONG');
    client.destroy();
  });

  test('a pause holds at a worker that comes during it', async () => {
    const clients = await several(30);
    const [pauser] = await several(1);
    await pauser!.ask('CLIENT', 'PAUSE', 60_000, 'WRITE').catch(() => {});
    await kill(4, [...clients, pauser!]);
    const fresh = await several(20);
    let written = 0;
    const writes = fresh.map((client) =>
      client.ask('SET', 'k', 1).then(
        () => written++,
        () => {},
      ),
    );
    for (const client of await several(20)) {
      assert.equal(await client.ask('GET', 'none'), null);
      client.destroy();
    }
    assert.equal(written, 0);
    const [last] = await several(1);
    assert.equal(await last!.ask('CLIENT', 'UNPAUSE'), 'OK');
    await Promise.all(writes);
    assert.equal(written, fresh.length);
    for (const client of [...fresh, ...clients, last!]) client.destroy();
  });

  test('libraries of remote functions are there at one that comes later', async () => {
    const [loader] = await several(1);
    const code = "#!js api_version=1.0 name=lib\nredis.registerFunction('f', () => 1);";
    assert.equal(await loader!.ask('TFUNCTION', 'LOAD', code), 'OK');
    const before = await several(20);
    await kill(6, before);
    const fresh = await several(20);
    for (const client of fresh)
      assert.equal(((await client.ask('TFUNCTION', 'LIST')) as unknown[]).length, 1);
    for (const client of [...before, ...fresh, loader!]) client.destroy();
  });
});
