/**
 * Huge arguments before scripted nodes: what the node gets, what the client is told, and that both stay in step.
 * Before a real cluster they are in uploads.test.ts.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { TOTAL } from '../../src/telemetry/counters.ts';
import { randomCuts } from '../resp/cuts.ts';
import { encode } from '../support/client.ts';

import { until } from '../support/wait.ts';
import { BIG, halves, readBy, reply, room, STREAM_ABOVE } from './rig.ts';

/** Where `b` lies, at the first node. */
const SLOT = 3300;
const OK = '+OK\r\n';

function stage(t: TestContext, settings = {}, more = {}, cluster = {}) {
  return room(t, { streamAbove: STREAM_ABOVE, ...settings }, more, cluster);
}

test('a huge argument is passed on while it comes, and others are served meanwhile', async (t) => {
  const { fake, context, connect } = await stage(t);
  const [client, other] = [await connect(), await connect()];
  const [begin, end] = halves('SET', 'b', BIG);
  await client.send(begin);
  await until('most of it to be at the node', () => readBy(fake.nodes[0]!) > 150_000);
  assert.equal(String(await other.call('SET', 'b', 'between')), OK);
  assert.deepEqual(fake.executed, ['EXISTS b', 'SET b between']);
  assert.equal(context.cluster.counters.totals[TOTAL.dedicatedLinks], 1);
  await client.send(end);
  assert.equal(await reply(client), OK);
  assert.ok(fake.store.get('b') === BIG);
  assert.equal(context.cluster.counters.totals[TOTAL.dedicatedLinks], 0);
});

test("it keeps its place among the client's other commands", async (t) => {
  const { fake, connect } = await stage(t);
  const client = await connect();
  const replies = await client.pipeline([
    ['SET', 'b', 'before'],
    ['APPEND', 'b', BIG],
    ['GET', 'b'],
    ['APPEND', 'b', BIG],
    ['SET', 'a', 'after'],
    ['APPEND', 'b', 'end'],
  ]);
  assert.deepEqual(
    replies.map((one) => String(one.subarray(0, 9))),
    ['+OK\r\n', ':300006\r\n', '$300006\r\n', ':600006\r\n', '+OK\r\n', ':600009\r\n'],
  );
  assert.ok(fake.store.get('b') === `before${BIG}${BIG}end`);
});

test('the node gets the command whatever the cuts, however many of its arguments are huge, and however irregular', async (t) => {
  const { fake, connect } = await stage(t);
  const client = await connect();
  const length = fc.oneof(
    fc.nat({ max: 30 }),
    fc.integer({ min: STREAM_ABOVE - 3, max: STREAM_ABOVE + 3 }),
    fc.nat({ max: 160_000 }),
  );
  const argument = fc.record({ length, ends: fc.constantFrom('\r\n', '\r\n', '\rx', '!?') });
  const counted = fc.constantFrom('\r\n', '\r\n', '\r.');
  await fc.assert(
    fc.asyncProperty(
      fc.array(argument, { minLength: 1, maxLength: 5 }),
      randomCuts,
      counted,
      fc.boolean(),
      async (values, cuts, counts, behind) => {
        const words = values.map(({ length }, i) => String.fromCharCode(97 + i).repeat(length));
        const list = [
          `$5${counts}RPUSH\r\n`,
          '$1\r\nb\r\n',
          ...values.map(({ ends, length }, i) => `$${length}${counts}${words[i]}${ends}`),
        ];
        // Behind a command that is worked out, so that it does not begin where the input begins.
        const before = behind ? 'SET b 1\r\nHELLO 2\r\n' : '';
        const bytes = Buffer.from(`${before}*${words.length + 2}\r\n${list.join('')}PING\r\n`, 'latin1');
        fake.received.length = 0;
        let at = 0;
        for (const end of cuts(bytes.length)) {
          await client.send(bytes.subarray(at, end));
          at = end;
        }
        const replies = (await client.read(behind ? 4 : 2)).map(String);
        assert.deepEqual(replies.slice(-2), [OK, '+PONG\r\n']);
        const got = fake.received.find(({ name }) => name === 'RPUSH')!.words;
        assert.ok(got.length === words.length + 2 && got.slice(2).every((word, i) => word === words[i]));
      },
    ),
    { numRuns: 60 },
  );
});

test('what is irregular is put right, also where the command lies whole in the input but not at its beginning', async (t) => {
  const { fake, connect } = await stage(t);
  const client = await connect();
  const huge = 'x'.repeat(STREAM_ABOVE + 1);
  // HELLO waits for the SET, and the rest is kept behind it.
  await client.send(
    `SET b 1\r\nHELLO 2\r\n*4\r\n$5\r\nRPUSH\r\n$1\r\nb\r\n$${huge.length}\r\n${huge.slice(9)}`,
  );
  await client.send(`${huge.slice(0, 9)}!?$4\r\ntail\r\n`);
  assert.equal(String((await client.read(3))[2]), OK);
  assert.ok(fake.executed.at(-1) === `RPUSH b ${huge} tail`);
});

test("its slot's owner is found before it is sent", async (t) => {
  for (const kind of ['moved', 'ask'] as const) {
    const { fake, connect } = await stage(t);
    const [x, y] = fake.nodes;
    x!.script = ({ name }) => (name === 'EXISTS' ? y![kind](SLOT) : undefined);
    const client = await connect();
    assert.equal(String(await client.call('SET', 'b', BIG)), OK);
    const set = fake.received.find(({ name }) => name === 'SET')!;
    assert.ok(set.node === y);
    assert.equal(set.asking, kind === 'ask');
    assert.ok(fake.store.get('b') === BIG);
  }
});

test('a node that imports the slot gets the last bytes when the owner still sends its keys there', async (t) => {
  for (const [meanwhile, outcome] of [
    ['ask', OK],
    ['moved', OK],
    ['stays', /^-TRYAGAIN slotless: .*not executed/],
    ['gone', /^-CLUSTERDOWN/],
  ] as const) {
    const { fake, connect } = await stage(t, { 'failover.holdFor': 100 });
    const [x, y] = fake.nodes;
    let now: string = 'ask';
    x!.script = ({ name }) => {
      if (name !== 'EXISTS' || now === 'stays') return undefined;
      return now === 'gone'
        ? '-CLUSTERDOWN Hash slot not served\r\n'
        : now === 'ask'
          ? y!.ask(SLOT)
          : y!.moved(SLOT);
    };
    const client = await connect();
    const [begin, end] = halves('SET', 'b', BIG);
    await client.send(begin);
    await until('most of it to be at the node', () => readBy(y!) > 150_000);
    now = meanwhile;
    await client.send(end);
    const said = await reply(client);
    if (typeof outcome === 'string') assert.equal(said, outcome);
    else assert.match(said, outcome);
    assert.equal(fake.store.has('b'), said === OK);
    // In step, whatever it was.
    now = 'stays';
    assert.equal(String(await client.call('SET', 'b', BIG)), OK);
  }
});

test('when its slot has moved meanwhile the client is told to try again, and nothing was done', async (t) => {
  const { fake, connect } = await stage(t);
  const [x, y] = fake.nodes;
  const client = await connect();
  for (const line of [y!.moved(SLOT), y!.ask(SLOT), '-CLUSTERDOWN The cluster is down\r\n']) {
    x!.script = ({ name }) => (name === 'SET' ? line : undefined);
    assert.match(String(await client.call('SET', 'b', BIG)), /^-TRYAGAIN slotless: .*not executed/);
  }
  x!.script = undefined;
  assert.deepEqual(
    fake.executed.filter((one) => one.startsWith('SET')),
    [],
  );
  assert.equal(String(await client.call('SET', 'b', BIG)), OK);
});

test("an error of the server is the client's, and both stay in step", async (t) => {
  const { fake, connect } = await stage(t);
  const client = await connect();
  fake.script = ({ name }) =>
    name === 'SET' ? "-OOM command not allowed when used memory > 'maxmemory'.\r\n" : undefined;
  assert.match(String(await client.call('SET', 'b', BIG)), /^-OOM command/);
  assert.equal(String(await client.call('PING')), '+PONG\r\n');
});

test('who is lent no link is told the limit, and stays in step', async (t) => {
  const { fake, connect } = await stage(t, {}, {}, { dedicated: 1 });
  const [one, other] = [await connect(), await connect()];
  const [begin, end] = halves('SET', 'b', BIG);
  await one.send(begin);
  await until('most of it to be at the node', () => readBy(fake.nodes[0]!) > 150_000);
  const replies = (await other.pipeline([['SET', 'b', BIG], ['PING']])).map(String);
  assert.match(replies[0]!, /node\.dedicated/);
  assert.equal(replies[1], '+PONG\r\n');
  await one.send(end);
  assert.equal(await reply(one), OK);
  assert.equal(String(await other.call('SET', 'b', BIG)), OK);
});

test('while its slot has no owner it waits, and then gives up', async (t) => {
  const { cluster, fake, connect } = await stage(t, { 'failover.holdFor': 300 });
  const client = await connect();
  await fake.nodes[0]!.close();
  assert.match(String(await client.call('SET', 'b', BIG)), /^-CLUSTERDOWN slotless: /);
  const begun = client.call('SET', 'b', BIG);
  await until('it to be tried', () => cluster.counters.totals[TOTAL.linkFailures]! > 1);
  await fake.nodes[0]!.listen();
  assert.equal(String(await begun), OK);
});

test('a client that has not logged in can not upload, one that has uploads as its user', async (t) => {
  const { fake, connect } = await stage(t, {}, { openToAll: false });
  const users: string[] = [];
  fake.script = ({ name, words, connection }) => {
    if (name === 'AUTH') users.push(words.slice(1).join(' '));
    if (name === 'SET') assert.ok(connection.socket.bytesRead > BIG.length);
    return undefined;
  };
  const client = await connect();
  assert.equal(String(await client.call('SET', 'b', 'small')), '-NOAUTH Authentication required.\r\n');
  client.send(encode(['SET', 'b', BIG])).catch(() => {});
  assert.equal(await reply(client), '-ERR Protocol error: unauthenticated bulk length\r\n');
  await client.closed;
  const known = await connect();
  assert.equal(String(await known.call('AUTH', 'me', 'secret')), OK);
  users.length = 0;
  assert.equal(String(await known.call('SET', 'b', BIG)), OK);
  assert.deepEqual(users, ['me secret']);
});

test('a node that does not read makes the client wait, and bytes do not pile up', async (t) => {
  const { fake, context, connect } = await stage(t);
  const client = await connect();
  const size = 60_000_000;
  await client.send(`*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$${size}\r\n`);
  await client.send(Buffer.alloc(100_000, 'y'));
  const { totals } = context.counters;
  await until('it to begin', () => readBy(fake.nodes[0]!) > 90_000);
  for (const { socket } of fake.nodes[0]!.connections) socket.pause();
  client.send(Buffer.alloc(size - 100_000, 'y')).catch(() => {});
  // Until nothing moves any more: what the kernel keeps for two connections, and little more.
  let last = -1;
  await until(
    'it to stand still',
    () => {
      const now = totals[TOTAL.bytesFromClients]!;
      const still = now === last;
      last = now;
      return still;
    },
    10_000,
    100,
  );
  assert.ok(last < 20_000_000, `${last} bytes were taken from the client`);
});
