/** A thousand clients and a node that is gone for good: what it, and the rest of the cluster, is asked. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server as Listener } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../support/client.ts';
import { startCluster } from '../support/cluster.ts';
import { freePort } from '../support/ports.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

const CLIENTS = 1000;
const PAUSE_MS = 200;
const WATCHED_MS = 5000;
const WORKERS = 2;

/** Accepts connections, counts them, and resets them. */
async function resetting(t: TestContext, port: number): Promise<{ count: number }> {
  const counted = { count: 0 };
  const server: Listener = createServer((socket) => {
    counted.count++;
    socket.on('error', () => {});
    socket.resetAndDestroy();
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return counted;
}

async function metric(port: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1] ?? Number.NaN);
}

test('a dead node is tried a few times a second, the map is asked for in moderation, and others are served', async (t) => {
  const cluster = await startCluster({ replicas: 0, config: ['--cluster-require-full-coverage', 'no'] });
  t.after(() => cluster.stop());
  const admin = await freePort();
  const settings = { workers: WORKERS, admin: `127.0.0.1:${admin}`, 'failover.holdFor': '500ms' };
  const proxy = await startProxy({ cluster, settings });
  t.after(() => proxy.stop());

  let stopped = false;
  let served = 0;
  let refused = 0;
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(proxy.port)));
  const running = clients.map(async (client, i) => {
    for (let n = 0; !stopped; n++) {
      const reply = await client.ask('SET', `${i}:${n}`, 'v');
      if (reply === 'OK') served++;
      else refused++;
      await delay(PAUSE_MS);
    }
    client.destroy();
  });
  try {
    await until('all to be served', () => served > CLIENTS);
    const dead = await cluster.ownerOf(3);
    await cluster.kill(dead.port);
    const attempts = await resetting(t, dead.port);
    await until('the first to be told', () => refused > CLIENTS / 10);

    // What is seldom needs time to be counted in.
    const [before, asked] = [attempts.count, await metric(admin, 'slotless_refreshes_total')];
    const [servedBefore, refusedBefore] = [served, refused];
    const began = performance.now();
    await delay(WATCHED_MS);
    const seconds = (performance.now() - began) / 1000;
    const each = (attempts.count - before) / seconds;
    assert.ok(each <= 2.5 * WORKERS, `${each} attempts a second`);
    const questions = ((await metric(admin, 'slotless_refreshes_total')) - asked) / seconds;
    assert.ok(questions <= 11, `${questions} questions a second`);
    assert.ok(served - servedBefore > CLIENTS, `${served - servedBefore} commands were served`);
    assert.ok(refused - refusedBefore > CLIENTS / 10, `${refused - refusedBefore} were refused`);
    assert.equal(await metric(admin, 'slotless_nodes_shut'), WORKERS);
  } finally {
    stopped = true;
    await Promise.all(running);
  }
});
