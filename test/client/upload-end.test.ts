/** How an upload ends other than well: a link that is lost, a client that leaves, a proxy that drains. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { TOTAL } from '../../src/telemetry/counters.ts';
import { encode } from '../support/client.ts';
import { held } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { BIG, halves, readBy, reply, room, STREAM_ABOVE } from './rig.ts';

const OK = '+OK\r\n';

function stage(t: TestContext, settings = {}, more = {}, cluster = {}) {
  return room(t, { streamAbove: STREAM_ABOVE, ...settings }, more, cluster);
}

test('a link that is lost in the middle: nothing was done, the rest is thrown away, and the client goes on', async (t) => {
  const { fake, connect } = await stage(t);
  const client = await connect();
  const [begin, end] = halves('SET', 'b', BIG);
  await client.send(begin);
  await until('most of it to be at the node', () => readBy(fake.nodes[0]!) > 150_000);
  fake.nodes[0]!.drop();
  await client.send(end);
  assert.match(await reply(client), /^-CLUSTERDOWN slotless: the command was not served/);
  assert.deepEqual((await client.pipeline([['SET', 'b', BIG], ['PING']])).map(String), [OK, '+PONG\r\n']);
});

test('a link that is lost when all of it was sent: its outcome is unknown', async (t) => {
  const { fake, connect } = await stage(t);
  const client = await connect();
  fake.script = ({ name }) => (name === 'SET' ? { fate: 'cut' } : undefined);
  assert.match(
    String(await client.call('SET', 'b', BIG)),
    /^-ERR slotless: .*outcome of this write is unknown/,
  );
  assert.equal(String(await client.call('PING')), '+PONG\r\n');
});

test('a client that leaves in the middle leaves nothing at the node and no link behind', async (t) => {
  for (const leave of ['reset', 'end'] as const) {
    const { fake, context, connect } = await stage(t);
    const client = await connect();
    const [begin] = halves('SET', 'b', BIG);
    await client.send(begin);
    await until('most of it to be at the node', () => readBy(fake.nodes[0]!) > 150_000);
    if (leave === 'reset') client.socket.resetAndDestroy();
    else client.socket.end();
    await until('the client to be gone', () => context.clients.size === 0);
    assert.equal(context.cluster.counters.totals[TOTAL.dedicatedLinks], 0);
    assert.equal(String(await (await connect()).call('GET', 'b')), '$-1\r\n');
  }
});

test('a client that has sent all of it and then no more is answered', async (t) => {
  const { fake, context, connect } = await stage(t);
  const slow = held();
  fake.script = ({ name }) => (name === 'SET' ? slow.answer : undefined);
  const client = await connect();
  await client.send(encode(['SET', 'b', BIG]));
  client.socket.end();
  await until('it to arrive', () => fake.received.some(({ name }) => name === 'SET'));
  slow.release(OK);
  assert.equal(await reply(client), OK);
  await until('the client to be gone', () => context.clients.size === 0);
});

test('a violation in the middle is told, and the client is closed', async (t) => {
  const { fake, context, connect } = await stage(t);
  const client = await connect();
  await client.send(
    Buffer.concat([
      Buffer.from(`*4\r\n$5\r\nRPUSH\r\n$1\r\nb\r\n$${BIG.length}\r\n${BIG}\r\n`),
      Buffer.from('!nonsense\r\n'),
    ]),
  );
  assert.equal(await reply(client), "-ERR Protocol error: expected '$', got '!'\r\n");
  await client.closed;
  assert.deepEqual([context.clients.size, context.cluster.counters.totals[TOTAL.dedicatedLinks]], [0, 0]);
  assert.ok(!fake.received.some(({ name }) => name === 'RPUSH'));
});

test('when the proxy drains, one that is whole is answered, and half of one ends at once', async (t) => {
  const { fake, context, connect } = await stage(t);
  const slow = held();
  fake.script = ({ name }) => (name === 'SET' ? slow.answer : undefined);
  const whole = await connect();
  const answer = whole.call('SET', 'b', BIG);
  await until('it to arrive', () => fake.received.some(({ name }) => name === 'SET'));
  const half = await connect();
  const before = readBy(fake.nodes[0]!);
  await half.send(halves('APPEND', 'b', BIG)[0]);
  await until('half of the other to be there', () => readBy(fake.nodes[0]!) > before + 150_000);
  for (const client of [...context.clients.values()]) client.end();
  await half.closed;
  slow.release(OK);
  assert.equal(String(await answer), OK);
  await whole.closed;
});
