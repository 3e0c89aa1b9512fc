/** A link's life: connecting, the handshake, losing the connection, and the end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOSED, IDLE, READY } from '../../src/cluster/connection.ts';
import { Link } from '../../src/cluster/link.ts';
import { Turn } from '../../src/cluster/turn.ts';
import { TOTAL } from '../../src/telemetry/counters.ts';
import { encode } from '../support/client.ts';
import { until } from '../support/wait.ts';
import {
  counters,
  ended,
  GREETING,
  linkOptions,
  linkStage,
  Owner,
  send,
  sendAll,
  turns,
  Waiter,
} from './rig.ts';

test('a link connects when something is sent, and not before', async (t) => {
  const s = await linkStage(t);
  await turns();
  assert.deepEqual([s.link.state, s.peer.sockets.length], [IDLE, 0]);
  await sendAll(s, 'a');
  assert.deepEqual([s.link.state, s.peer.sockets.length, s.owner.log[0]], [READY, 1, 'ready']);
  assert.equal(s.totals[TOTAL.links], 1);
});

test('when the connection is lost everybody is told once whether the command may have been executed', async (t) => {
  const s = await linkStage(t, { backoffMin: 1000, backoffMax: 1000 });
  const [begun, sent] = await sendAll(s, 'a', 'b');
  s.peer.say(`$50000\r\n${'x'.repeat(30_000)}`);
  await until('a piece', () => begun!.events.includes('piece'), 5000, 1);
  const unsent = new Waiter();
  s.peer.sockets[0]!.destroy();
  await ended([begun!, sent!]);
  send(s.link, unsent, 'c');
  s.link.close();
  assert.equal(begun!.end, 'lost sent begun');
  assert.deepEqual(sent!.events, ['lost sent']);
  assert.deepEqual(unsent.events, ['lost']);
  assert.equal(s.totals[TOTAL.links], 0);
  assert.match(s.owner.log[1]!, /^lost 1: /);
});

test('what could not be written is told that it was not sent', async (t) => {
  const s = await linkStage(t);
  const waiter = new Waiter();
  await sendAll(s, 'a');
  s.peer.sockets[0]!.destroy();
  send(s.link, waiter, 'b');
  s.link.close();
  assert.deepEqual(waiter.events, ['lost']);
});

test('a link that was lost connects anew for what is sent then', async (t) => {
  const s = await linkStage(t);
  const [first] = await sendAll(s, 'a');
  s.peer.say('+1\r\n+2');
  await ended([first!]);
  s.peer.sockets[0]!.destroy();
  await until('the loss', () => s.owner.log.length === 2, 5000, 1);
  // What had come of the old connection's reply does not belong to the new one.
  const [second] = await sendAll(s, 'b');
  s.peer.say('+3\r\n');
  await ended([second!]);
  assert.equal(second!.text, '+3\r\n');
  assert.deepEqual(s.peer.received(1), encode(['b']).toString());
});

test('a node that is not there is tried again by itself, and what is sent meanwhile comes back', async (t) => {
  const owner = new Owner();
  const nobody = new Link(linkOptions(1), owner, new Turn(), counters());
  t.after(() => nobody.close());
  const waiters: Waiter[] = [];
  while (owner.log.length < 6) {
    const waiter = new Waiter();
    waiters.push(waiter);
    send(nobody, waiter, 'a');
    assert.deepEqual(waiter.events, []);
    await ended([waiter]);
    assert.deepEqual(waiter.events, ['lost']);
  }
  owner.log.forEach((line, i) => {
    assert.match(line, new RegExp(`^lost ${i + 1}: .*ECONNREFUSED`));
  });
  for (const { events } of waiters) assert.deepEqual(events, ['lost']);
});

test('an address that can not be connected to is a loss like any other, and not at once', async (t) => {
  const owner = new Owner();
  const link = new Link({ ...linkOptions(7000), host: 'a\0b' }, owner, new Turn(), counters());
  t.after(() => link.close());
  const waiter = new Waiter();
  send(link, waiter, 'a');
  assert.deepEqual(waiter.events, []);
  await ended([waiter]);
  assert.deepEqual(waiter.events, ['lost']);
});

test('commands wait until the handshake is over', async (t) => {
  const handshake = [
    { bytes: encode(['AUTH', 'x']), onError: 'must' as const },
    { bytes: encode(['CLIENT', 'SETNAME', 'x']), onError: 'may' as const },
    GREETING,
  ];
  const s = await linkStage(t, { handshake });
  const waiter = new Waiter();
  send(s.link, waiter, 'a');
  await s.peer.gets(Buffer.concat(handshake.map(({ bytes }) => bytes)));
  await turns();
  assert.ok(!s.peer.received().includes(encode(['a']).toString()));
  // An error to what may fail is passed over; one to the last question is an answer all the same.
  s.peer.say('+OK\r\n-ERR unknown subcommand\r\n-NOPERM this user has no permissions\r\n');
  await s.peer.gets(encode(['a']));
  s.peer.say('+done\r\n');
  await ended([waiter]);
  assert.equal(waiter.text, '+done\r\n');
});

test('a node that refuses the handshake or is loading gets no commands', async (t) => {
  const handshake = [{ bytes: encode(['AUTH', 'x']), onError: 'must' as const }, GREETING];
  for (const [reply, reason] of [
    ['-WRONGPASS no\r\n+PONG\r\n', 'WRONGPASS no'],
    ['+OK\r\n-LOADING Redis is loading\r\n', 'LOADING Redis is loading'],
    ['+OK\r\n-MASTERDOWN Link with MASTER is down\r\n', 'MASTERDOWN Link with MASTER is down'],
  ] as const) {
    const s = await linkStage(t, { handshake, backoffMin: 1000, backoffMax: 1000 });
    const waiter = new Waiter();
    send(s.link, waiter, 'a');
    await s.peer.gets(GREETING.bytes);
    s.peer.say(reply);
    await ended([waiter]);
    assert.deepEqual(waiter.events, ['lost']);
    assert.deepEqual(s.owner.log, [`lost 1: ${reason}`]);
    assert.ok(!s.peer.received(0).includes(encode(['a']).toString()));
    s.link.close();
  }
});

test('a node that does not finish the handshake in time is given up', async (t) => {
  const s = await linkStage(t, { handshake: [GREETING], connectTimeout: 30 });
  const waiter = new Waiter();
  send(s.link, waiter, 'a');
  await ended([waiter]);
  assert.match(s.owner.log[0]!, /no connection within 30 ms/);
});

test('a reply that nobody asked for, and what is no reply, end the connection', async (t) => {
  for (const bytes of [
    '+extra\r\n',
    '!\r\n',
    'HTTP/1.1 400 Bad Request\r\n',
    `$30000\r\n${'x'.repeat(20_000)}`,
  ]) {
    const s = await linkStage(t);
    const [first] = await sendAll(s, 'a');
    s.peer.say('+1\r\n');
    await ended([first!]);
    s.peer.say(bytes);
    await until('the loss', () => s.owner.log.length === 2, 5000, 1);
    assert.match(s.owner.log[1]!, /nobody asked for|no reply/);
    s.link.close();
  }
});

test('a node that is silent for too long with something pending is given up, an idle one is not', async (t) => {
  const s = await linkStage(t, { requestTimeout: 1000 });
  const [first] = await sendAll(s, 'a');
  s.peer.say('+1\r\n');
  await ended([first!]);
  s.link.check(s.turn.tick() + 5000);
  assert.equal(s.link.state, READY);
  const [second] = await sendAll(s, 'b');
  s.link.check(s.turn.tick() + 900);
  assert.equal(s.link.state, READY);
  s.link.check(s.turn.tick() + 1100);
  assert.deepEqual(second!.events, ['lost sent']);
  assert.match(s.owner.log.at(-1)!, /no reply for \d+ ms/);
  assert.equal(s.totals[TOTAL.timeouts], 1);
});

test('who waits for room is told when the link is lost', async (t) => {
  const s = await linkStage(t, { maxPending: 1 });
  await sendAll(s, 'a');
  let told = 0;
  s.link.whenRoom(() => told++);
  s.peer.sockets[0]!.destroy();
  await until('the loss', () => told === 1, 5000, 1);
});

test('a closed link tells what is pending and what comes later, and opens no more', async (t) => {
  const s = await linkStage(t);
  const [first] = await sendAll(s, 'a');
  s.link.close();
  assert.deepEqual(first!.events, ['lost sent']);
  const late = new Waiter();
  send(s.link, late, 'b');
  await ended([late]);
  assert.deepEqual([late.events[0], s.link.state, s.peer.sockets.length], ['lost', CLOSED, 1]);
});
