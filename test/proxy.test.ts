/** The main thread: it waits for the cluster, starts the workers, passes on what they ask, and ends with them. */

import assert from 'node:assert/strict';
import { before, describe, type TestContext, test } from 'node:test';
import { createLog } from '../src/log.ts';
import { Slotless } from '../src/proxy.ts';
import { withFiles } from './config/given.ts';
import { connect, type RawClient } from './support/client.ts';
import { commandReply, type FakeCluster, startFake } from './support/fake-node.ts';
import { freePort } from './support/ports.ts';
import { until } from './support/wait.ts';

let commands: Buffer;
before(async () => {
  commands = await commandReply();
});

interface Stage {
  fake: FakeCluster;
  proxy: Slotless;
  port: number;
  admin: number;
  lines: string[];
  client(): Promise<RawClient>;
  /** Status and text of a page of the admin door. */
  page(path: string): Promise<{ status: number; text: string }>;
}

/** A proxy in this process; its workers are threads. It is not opened yet. */
async function stage(t: TestContext, settings: Record<string, string | number> = {}): Promise<Stage> {
  const fake = await startFake({ commands });
  const [port, admin] = [await freePort(), await freePort()];
  const flags = {
    cluster: fake.seeds.join(','),
    listen: `127.0.0.1:${port}`,
    admin: `127.0.0.1:${admin}`,
    ...settings,
  };
  const config = withFiles([
    ...Object.entries(flags).flatMap(([path, value]) => [`--${path}`, String(value)]),
    // Workers write their own lines to this process's output.
    ...['--log.level', 'error'],
  ]);
  const lines: string[] = [];
  const proxy = new Slotless(config, createLog('info', {}, { write: (line) => lines.push(line) }));
  const clients: RawClient[] = [];
  t.after(async () => {
    for (const client of clients) client.destroy();
    await proxy.close();
    await fake.stop();
  });
  return {
    fake,
    proxy,
    port,
    admin,
    lines,
    client: async () => {
      const client = await connect(port);
      clients.push(client);
      return client;
    },
    page: async (path) => {
      const response = await fetch(`http://127.0.0.1:${admin}${path}`);
      return { status: response.status, text: await response.text() };
    },
  };
}

describe('proxy', () => {
  test('it is not ready before the cluster is there, says why once, and then opens', async (t) => {
    const { fake, proxy, lines, page, client, port } = await stage(t, { 'refresh.minGap': '20ms' });
    const all = [...fake.nodes];
    await Promise.all(all.map((node) => node.close()));
    const opened = proxy.open();
    await until('it to say so', () => lines.some((line) => line.includes('not ready')));
    const ready = await page('/readyz');
    assert.equal(ready.status, 503);
    assert.match(ready.text, /no node answers: .*ECONNREFUSED/);
    assert.equal((await page('/livez')).status, 200);
    await assert.rejects(connect(port));
    await Promise.all(all.map((node) => node.listen()));
    await opened;
    assert.deepEqual(await page('/readyz'), { status: 200, text: 'ready\n' });
    assert.equal(String(await (await client()).call('SET', 'a', '1')), '+OK\r\n');
    assert.equal(lines.filter((line) => line.includes('not ready')).length, 1);
  });

  test('when a part of the cluster is gone it is not ready, and says when it is again', async (t) => {
    const { fake, proxy, lines, page } = await stage(t, {
      'refresh.every': '100ms',
      'refresh.minGap': '20ms',
    });
    await proxy.open();
    fake.owners.fill(-1, 0, 100);
    fake.epoch++;
    await until('it to be not ready', async () => (await page('/readyz')).status === 503);
    assert.match((await page('/readyz')).text, /100 slots have no owner/);
    fake.owners.fill(0, 0, 100);
    fake.epoch++;
    await until('it to be ready', async () => (await page('/readyz')).status === 200);
    assert.ok(lines.some((line) => line.includes('served again')));
  });

  test('what one worker learns of the map all workers know', async (t) => {
    const { fake, proxy, lines, client } = await stage(t, { workers: 2, 'refresh.minGap': '20ms' });
    await proxy.open();
    const clients = await Promise.all(Array.from({ length: 8 }, () => client()));
    for (const one of clients) await one.call('GET', 'b');
    // `b` lies in slot 3300: all of it moves to the other node, and one client finds out.
    fake.owners.fill(1);
    fake.epoch++;
    let moved = 0;
    fake.nodes[0]!.script = ({ name }) => {
      if (name !== 'GET') return undefined;
      moved++;
      return fake.nodes[1]!.moved(3300);
    };
    await clients[0]!.call('GET', 'b');
    await until(
      'the new map',
      () => lines.filter((line) => line.includes('the map has changed')).length === 2,
    );
    const before = moved;
    assert.ok(before >= 1);
    for (const one of clients) assert.equal(String(await one.call('GET', 'b')), '$-1\r\n');
    // A worker that has the map already asks the old node no more; one may have been asked in between.
    assert.ok(moved - before <= 1, `${moved - before} went to the old node`);
  });

  test('metrics count over all workers', async (t) => {
    const { proxy, client, page } = await stage(t, { workers: 2 });
    await proxy.open();
    const clients = await Promise.all(Array.from({ length: 8 }, () => client()));
    for (const one of clients) await one.call('SET', 'a', '1');
    const { text } = await page('/metrics');
    const value = (pattern: RegExp) =>
      [...text.matchAll(pattern)].reduce((sum, [, number]) => sum + Number(number), 0);
    assert.equal(value(/^slotless_clients(?:\{[^}]*\})? (\d+)/gm), 8);
    assert.equal(value(/^slotless_commands_total\{[^}]*command="set"[^}]*\} (\d+)/gm), 8);
    assert.equal(value(/^slotless_nodes\{[^}]*role="primary"[^}]*\} (\d+)/gm), 2);
  });

  test('servers that refuse to say what they are end the start', async (t) => {
    const { fake, proxy } = await stage(t);
    fake.script = ({ name }) => (name === 'COMMAND' ? '-NOPERM no\r\n' : undefined);
    await assert.rejects(proxy.open(), /NOPERM no/);
  });

  test('closed twice it is closed once, and nobody is served any more', async (t) => {
    const { proxy, port, admin, lines } = await stage(t);
    await proxy.open();
    await Promise.all([proxy.close(), proxy.close()]);
    assert.equal(lines.filter((line) => line.includes('"closed"')).length, 1);
    for (const each of [port, admin]) await assert.rejects(connect(each));
  });
});
