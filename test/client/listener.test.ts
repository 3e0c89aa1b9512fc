import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as dial } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { listen } from '../../src/client/listener.ts';
import { TOTAL } from '../../src/telemetry/counters.ts';
import { connect } from '../support/client.ts';
import { remove, temporary } from '../support/reaper.ts';
import { until } from '../support/wait.ts';
import { room } from './rig.ts';

test('who connects is a client, is served, and is counted until it goes', async (t) => {
  const { context, connect } = await room(t);
  const { totals } = context.counters;
  const [a, b] = [await connect(), await connect()];
  assert.equal(String(await a.call('SET', 'a', '1')), '+OK\r\n');
  assert.equal(String(await b.call('GET', 'a')), '$1\r\n1\r\n');
  assert.deepEqual([context.clients.size, totals[TOTAL.clients], totals[TOTAL.clientsTotal]], [2, 2, 2]);
  await a.close();
  b.socket.resetAndDestroy();
  await until('both to be gone', () => context.clients.size === 0);
  assert.deepEqual([totals[TOTAL.clients], totals[TOTAL.clientsTotal]], [0, 2]);
});

test("clients share the buffer they are read into and do not see each other's bytes", async (t) => {
  const { connect } = await room(t);
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect()));
  const value = (i: number) => `${i}-`.repeat(3000);
  const send = async (i: number) => {
    const client = clients[i]!;
    const text = `*3\r\n$3\r\nSET\r\n$2\r\nk${String.fromCharCode(97 + i)}\r\n$${value(i).length}\r\n${value(i)}\r\n`;
    // In pieces, so that half a command of one lies there while the others are read.
    for (let at = 0; at < text.length; at += 700) {
      await client.send(text.slice(at, at + 700));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(String(...(await client.read())), '+OK\r\n');
    const reply = await client.call('GET', `k${String.fromCharCode(97 + i)}`);
    assert.ok(String(reply) === `$${value(i).length}\r\n${value(i)}\r\n`);
  };
  await Promise.all(clients.map((_, i) => send(i)));
});

test('one client too many is told so and closed, and leaves room for others when it has gone', async (t) => {
  const { context, connect } = await room(t, { 'limits.clients': 2 });
  const first = await connect();
  await connect();
  await until('both to be in', () => context.clients.size === 2);
  const third = await connect();
  assert.equal(String(...(await third.read())), '-ERR max number of clients reached\r\n');
  await third.closed;
  assert.deepEqual([context.clients.size, context.counters.totals[TOTAL.clientsRejected]], [2, 1]);
  await first.close();
  await until('room', () => context.clients.size === 1);
  assert.equal(String(await (await connect()).call('PING')), '+PONG\r\n');
});

test('a client that has said all it will is answered before it is closed', async (t) => {
  const { port } = await room(t);
  const socket = dial({ port, host: '127.0.0.1', allowHalfOpen: true });
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.end('SET a 1\r\nGET a\r\nPING\r\n');
  await once(socket, 'end');
  assert.equal(text, '+OK\r\n$1\r\n1\r\n+PONG\r\n');
  socket.destroy();
});

test('a unix socket is a door as well', async (t) => {
  const { open, context } = await room(t);
  const folder = temporary('slotless-door');
  t.after(() => remove(folder));
  const path = join(folder, 'door');
  await open({ path });
  const client = await connect(0, { path });
  assert.equal(String(await client.call('PING')), '+PONG\r\n');
  assert.equal([...context.clients.values()][0]!.session.address, `${path}:0`);
  client.destroy();
});

test('a door that can not be opened says why', async (t) => {
  const { context, port } = await room(t);
  await assert.rejects(listen({ host: '127.0.0.1', port }, context, false), /EADDRINUSE/);
  await assert.rejects(listen({ path: '/nowhere/at/all' }, context, false), /ENOENT|EACCES/);
});
