import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { RawClient } from '../support/client.ts';
import { held } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { BIG, type Room, room, STREAM_ABOVE } from './rig.ts';

const LONG = 600_000;

async function paused(t: TestContext, mode: 'ALL' | 'WRITE', settings = {}) {
  const stage = await room(t, settings);
  const chief = await stage.connect();
  await chief.call('PING');
  assert.equal(await chief.ask('CLIENT', 'PAUSE', LONG, mode), 'OK');
  const end = async () => assert.equal(await chief.ask('CLIENT', 'UNPAUSE'), 'OK');
  return { stage, chief, end };
}

/** The flags of all clients that CLIENT LIST shows, without asking as a client. */
const postponed = ({ context }: Room) =>
  [...context.clients.values()].filter(({ session }) => session.postponed).length;

const written = ({ fake }: Room) => fake.executed.filter((line) => /^(SET|INCR|APPEND|GET) /.test(line));

const text = async (client: RawClient, count: number) => (await client.read(count)).map(String).join('');

test('commands of a paused client wait in their order, and are executed when it ends', async (t) => {
  const stage = await room(t);
  const [one, two, chief] = [await stage.connect(), await stage.connect(), await stage.connect()];
  const calls = [
    ['SET', 'a', '1'],
    ['CLIENT', 'PAUSE', `${LONG}`],
    ['SET', 'a', '2'],
    ['APPEND', 'a', '3'],
    ['PING'],
  ];
  const replies = one.pipeline(calls);
  await until('the pause', () => stage.context.attention.on);
  const late = two.call('INCR', 'n');
  await until('both to wait', () => postponed(stage) === 2);
  assert.deepEqual(written(stage), ['SET a 1']);
  // What is no command is told at once.
  assert.match(String(await chief.call('NOPE')), /^-ERR unknown command/);
  assert.equal(String(await chief.call('CLIENT', 'UNPAUSE')), '+OK\r\n');
  assert.equal((await replies).map(String).join(''), '+OK\r\n+OK\r\n+OK\r\n:2\r\n+PONG\r\n');
  assert.equal(String(await late), ':1\r\n');
  assert.deepEqual(
    written(stage).filter((line) => line.includes(' a ')),
    ['SET a 1', 'SET a 2', 'APPEND a 3'],
  );
  assert.equal(postponed(stage), 0);
});

test('a pause ends by itself', async (t) => {
  const stage = await room(t);
  const client = await stage.connect();
  await client.call('CLIENT', 'PAUSE', '30');
  assert.equal(await client.ask('SET', 'a', '1'), 'OK');
  assert.equal(stage.context.attention.on, false);
});

test('reads pass a pause of writes, but not what stands before them', async (t) => {
  const { stage, end } = await paused(t, 'WRITE');
  const [reader, writer] = [await stage.connect(), await stage.connect()];
  assert.equal(await reader.ask('GET', 'a'), null);
  const replies = writer.pipeline([
    ['GET', 'a'],
    ['SET', 'a', '1'],
    ['GET', 'a'],
  ]);
  await until('the write to wait', () => postponed(stage) === 1);
  assert.deepEqual(written(stage), ['GET a', 'GET a']);
  await end();
  assert.equal((await replies).map(String).join(''), '$-1\r\n+OK\r\n$1\r\n1\r\n');
});

test('what is under way goes on', async (t) => {
  const stage = await room(t);
  const [client, chief] = [await stage.connect(), await stage.connect()];
  const reply = held();
  stage.fake.script = ({ words }) => (words[1] === 'slow' ? reply.answer : undefined);
  const slow = client.call('GET', 'slow');
  await until('it to be sent', () => stage.fake.received.some(({ words }) => words[1] === 'slow'));
  await chief.call('CLIENT', 'PAUSE', LONG);
  const next = client.call('SET', 'a', '1');
  reply.release('+late\r\n');
  assert.equal(String(await slow), '+late\r\n');
  await until('the next to wait', () => postponed(stage) === 1);
  await chief.call('CLIENT', 'UNPAUSE');
  assert.equal(String(await next), '+OK\r\n');
});

test('a client that leaves while it is paused has its commands forgotten', async (t) => {
  const { stage, end } = await paused(t, 'ALL');
  const [leaves, goes, stays] = [await stage.connect(), await stage.connect(), await stage.connect()];
  leaves.send(['SET', 'left', '1']);
  goes.send(['SET', 'gone', '1']);
  const reply = stays.call('SET', 'here', '1');
  await until('all to wait', () => postponed(stage) === 3);
  leaves.socket.end();
  goes.destroy();
  await until('them to be gone', () => stage.context.clients.size === 2);
  await end();
  assert.equal(String(await reply), '+OK\r\n');
  assert.deepEqual(written(stage), ['SET here 1']);
});

test('who connects during a pause is paused as well', async (t) => {
  const { stage, end } = await paused(t, 'ALL');
  const reply = (await stage.connect()).call('PING');
  await until('it to wait', () => postponed(stage) === 1);
  await end();
  assert.equal(String(await reply), '+PONG\r\n');
});

test('a huge argument that comes during a pause is kept, and executed after it', async (t) => {
  const { stage, end } = await paused(t, 'WRITE', { streamAbove: STREAM_ABOVE });
  const client = await stage.connect();
  client.send(['SET', 'big', BIG]);
  client.send(['STRLEN', 'big']);
  await until('it to wait', () => postponed(stage) === 1);
  assert.deepEqual(written(stage), []);
  await end();
  assert.equal(await text(client, 1), '+OK\r\n');
  assert.equal(stage.fake.store.get('big')?.length, BIG.length);
});

test('UNPAUSE of a client that waits itself comes in its turn', async (t) => {
  const { stage, end } = await paused(t, 'ALL');
  const client = await stage.connect();
  const replies = client.pipeline([['PING'], ['CLIENT', 'UNPAUSE']]);
  await until('it to wait', () => postponed(stage) === 1);
  await end();
  assert.deepEqual((await replies).map(String), ['+PONG\r\n', '+OK\r\n']);
});
