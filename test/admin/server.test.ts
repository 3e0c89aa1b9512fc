import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type Admin, openAdmin } from '../../src/admin/server.ts';

let admin: Admin;
let reason: string | undefined;
let metrics: () => Promise<string>;
let errors: string[];

beforeEach(async () => {
  reason = undefined;
  metrics = async () => 'a 1\n';
  errors = [];
  admin = await open({ host: '127.0.0.1', port: 0 });
});

afterEach(() => admin.close());

test('livez is live and readyz is ready', async () => {
  assert.deepEqual(await get('/livez'), [200, 'live\n']);
  assert.deepEqual(await get('/readyz'), [200, 'ready\n']);
});

test('readyz gives the reason when commands are not served, and livez stays live', async () => {
  reason = 'no node of 127.0.0.1:7000 answers';
  assert.deepEqual(await get('/readyz'), [503, 'no node of 127.0.0.1:7000 answers\n']);
  assert.deepEqual(await get('/livez'), [200, 'live\n']);
});

test('metrics are in the text format of Prometheus', async () => {
  const response = await fetch(`http://${admin.address}/metrics?x=1`);
  assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  assert.equal(await response.text(), 'a 1\n');
});

test('another path is not found, another method not allowed', async () => {
  assert.equal((await get('/'))[0], 404);
  assert.equal((await get('/metrics/x'))[0], 404);
  const response = await fetch(`http://${admin.address}/readyz`, { method: 'POST', body: 'x' });
  assert.equal(response.status, 405);
  assert.equal(response.headers.get('allow'), 'GET, HEAD');
  assert.equal((await fetch(`http://${admin.address}/livez`, { method: 'HEAD' })).status, 200);
});

test('metrics that fail are a 500 and a line in the log, and the next scrape works', async () => {
  metrics = async () => {
    throw new Error('broken');
  };
  assert.equal((await get('/metrics'))[0], 500);
  assert.deepEqual(errors, ['admin request failed']);
  metrics = async () => 'b 2\n';
  assert.deepEqual(await get('/metrics'), [200, 'b 2\n']);
});

test('scrapes that come together share one collection', async () => {
  const collected = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<void>();
  let collections = 0;
  metrics = () => {
    collections += 1;
    begun.resolve();
    return collected.promise;
  };
  // Pipelined in one write, all three are read before the first is answered.
  const socket = await dial();
  socket.write('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3));
  await begun.promise;
  await setImmediate();
  collected.resolve('c 3\n');
  let text = '';
  for await (const chunk of socket) {
    text += chunk;
    if (text.match(/\r\n\r\nc 3\n/g)?.length === 3) break;
  }
  assert.equal(collections, 1);
});

test('headers beyond the limit are refused', async () => {
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const [host, port] = admin.address.split(':');
    request({ host, port, path: '/livez', headers: { x: 'y'.repeat(20000) } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  assert.equal(status, 431);
});

test('a port that is taken rejects with the reason', async () => {
  const port = Number(admin.address.split(':')[1]);
  await assert.rejects(open({ host: '127.0.0.1', port }), { code: 'EADDRINUSE' });
});

test('it may listen on a unix socket, which is gone after it was closed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'slotless-admin-'));
  const path = join(folder, 'admin.sock');
  try {
    const local = await open({ path });
    assert.equal(local.address, path);
    await local.close();
    assert.equal(existsSync(path), false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('closing ends open connections', async () => {
  const socket = await dial();
  socket.write('GET /livez HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(socket, 'data');
  const ended = once(socket, 'close');
  await admin.close();
  await ended;
});

function open(address: { host: string; port: number } | { path: string }): Promise<Admin> {
  return openAdmin(address, {
    ready: () => reason,
    metrics: () => metrics(),
    log: { error: (_fields, message) => void errors.push(message) },
  });
}

async function dial(): Promise<Socket> {
  const [host, port] = admin.address.split(':');
  const socket = connect(Number(port), host);
  await once(socket, 'connect');
  return socket;
}

async function get(path: string): Promise<[number, string]> {
  const response = await fetch(`http://${admin.address}${path}`);
  return [response.status, await response.text()];
}
