import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOTAL } from '../../src/telemetry/counters.ts';
import { laneKey } from '../cluster/rig.ts';
import { held } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { room } from './rig.ts';

const text = (replies: Buffer[]) => replies.map(String);

test("replies come in the order of commands, the proxy's own and those of several nodes mixed", async (t) => {
  const { fake, connect } = await room(t);
  const slow = held();
  fake.nodes[0]!.script = ({ name }) => (name === 'GET' ? slow.answer : undefined);
  const client = await connect();
  // `b` lies at the first node, `a` at the second.
  const replies = client.pipeline([
    ['GET', 'b'],
    ['PING'],
    ['SET', 'a', '1'],
    ['NONSENSE'],
    ['GET', 'a'],
    ['ECHO', 'x'],
  ]);
  await until('what goes to the other node to be done', () => fake.received.length === 3);
  slow.release('$4\r\nslow\r\n');
  assert.deepEqual(text(await replies), [
    '$4\r\nslow\r\n',
    '+PONG\r\n',
    '+OK\r\n',
    "-ERR unknown command 'NONSENSE', with args beginning with: \r\n",
    '$1\r\n1\r\n',
    '$1\r\nx\r\n',
  ]);
});

test('a command is counted with its outcome', async (t) => {
  const { context, connect } = await room(t);
  const client = await connect();
  await client.pipeline([['SET', 'a', '1'], ['GET', 'a'], ['GET', 'a'], ['GET'], ['PING']]);
  const { counters, table } = context;
  const of = (name: string) => {
    const { id } = table.commands.find((one) => one.name === name)!;
    return [counters.calls[id], counters.errors[id]];
  };
  assert.deepEqual(
    [of('set'), of('get'), of('ping')],
    [
      [1, 0],
      [3, 1],
      [1, 0],
    ],
  );
  assert.equal(counters.totals[TOTAL.rejected], 1);
  const latencies = counters.latencies(table.commands.find(({ name }) => name === 'get')!.id);
  assert.equal(
    latencies.reduce((sum, count) => sum + count, 0),
    3,
  );
});

test('no more commands of a client are under way than the limit, and all are answered', async (t) => {
  const { fake, connect } = await room(t, { 'limits.clientPending': 5 });
  const slow = held();
  fake.script = ({ words }) => (words[2] === '0' ? slow.answer : undefined);
  const client = await connect();
  const replies = client.pipeline(Array.from({ length: 50 }, (_, i) => ['SET', 'a', String(i)]));
  await until('five to arrive', () => fake.received.length >= 5);
  assert.equal(String(await (await connect()).call('PING')), '+PONG\r\n');
  assert.equal(fake.received.length, 5);
  slow.release('+OK\r\n');
  assert.equal((await replies).length, 50);
});

test('a client whose node has enough to do waits, others do not', async (t) => {
  const { fake, connect } = await room(t, {}, {}, { maxPending: 4 });
  const slow = held();
  fake.nodes[0]!.script = ({ words }) => (words[2] === '0' ? slow.answer : undefined);
  const [one, other] = [await connect(), await connect()];
  const replies = one.pipeline(Array.from({ length: 20 }, (_, i) => ['SET', 'b', String(i)]));
  await until('the node to be full', () => fake.received.length === 4);
  assert.equal(String(await other.call('SET', 'a', 'x')), '+OK\r\n');
  assert.equal(fake.received.length, 5);
  slow.release('+OK\r\n');
  assert.equal((await replies).length, 20);
  assert.deepEqual(
    fake.executed.filter((one) => one.startsWith('SET b')),
    Array.from({ length: 19 }, (_, i) => `SET b ${i + 1}`),
  );
});

test('what is under way when a client goes is taken to its end, and its lane is kept until then', async (t) => {
  const { fake, cluster, context, connect } = await room(t);
  const slow = held();
  fake.script = ({ name }) => (name === 'SET' ? slow.answer : undefined);
  const client = await connect();
  client.call('SET', 'a', '1').catch(() => {});
  await until('it to arrive', () => fake.received.length === 1);
  const { lane } = [...context.clients.values()][0]!.session;
  client.socket.resetAndDestroy();
  await until('the client to be gone', () => context.clients.size === 0);
  assert.equal(lane.users, 1);
  slow.release('+OK\r\n');
  await until('its lane to be left', () => lane.users === 0);
  assert.equal(cluster.gates.slots.size, 0);
});

test("a client that goes while it logs in leaves no lane behind and takes nobody else's", async (t) => {
  const { fake, cluster, context, connect } = await room(t);
  const slow = held();
  let asked = false;
  fake.script = ({ name, words }) => {
    if (name !== 'AUTH' || words[1] !== 'someone') return undefined;
    asked = true;
    return slow.answer;
  };
  const stays = await connect();
  await stays.call('PING');
  const { lane } = [...context.clients.values()][0]!.session;
  const goes = await connect();
  goes.call('AUTH', 'someone', 'secret').catch(() => {});
  await until('the login to be under way', () => asked);
  goes.socket.resetAndDestroy();
  await until('it to be gone', () => context.clients.size === 1);
  assert.equal(lane.users, 1);
  slow.release('+OK\r\n');
  await until(
    'the login to be over',
    () =>
      context.counters.totals[TOTAL.dedicatedLinks] === 0 &&
      cluster.counters.totals[TOTAL.dedicatedLinks] === 0,
  );
  assert.equal(lane.users, 1);
  // A lane for that user would be a new one, without users: nobody has entered it.
  const probe = cluster.enterLane(laneKey({ username: 'someone', password: 'secret' }));
  assert.equal(probe.users, 1);
});

test('a client that does not read is dropped at its limit, with a line in the log', async (t) => {
  const { fake, context, log, connect } = await room(t, { clientOutputLimit: '1mb' });
  fake.store.set('a', 'x'.repeat(100_000));
  const client = await connect();
  client.socket.pause();
  for (let i = 0; i < 300; i++) client.send(['GET', 'a']).catch(() => {});
  await until('it to be dropped', () => context.clients.size === 0);
  assert.equal(context.counters.totals[TOTAL.slowClientsDropped], 1);
  assert.match(log.join(''), /clientOutputLimit/);
});

test('after QUIT and after a violation a client is answered and closed', async (t) => {
  const { fake, context, connect } = await room(t);
  for (const [last, reply] of [
    ['QUIT\r\n', '+OK\r\n'],
    ['*1\r\n!\r\n', "-ERR Protocol error: expected '$', got '!'\r\n"],
  ] as const) {
    const slow = held();
    fake.script = ({ name }) => (name === 'GET' ? slow.answer : undefined);
    fake.received.length = 0;
    const client = await connect();
    const replies = client.read(2);
    await client.send(`GET b\r\n${last}SET b smuggled\r\n`);
    await until('the read to arrive', () => fake.received.length === 1);
    slow.release('$-1\r\n');
    assert.deepEqual(text(await replies), ['$-1\r\n', reply]);
    await client.closed;
    assert.equal(fake.received.length, 1);
  }
  assert.equal(context.counters.totals[TOTAL.protocolErrors], 1);
});
