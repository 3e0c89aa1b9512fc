// Before scripted nodes: what is late, what is too much, and what a library's reducer is given.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Functions } from '../../src/functions/functions.ts';
import type { Job, Runner } from '../../src/functions/job.ts';
import type { Library } from '../../src/functions/library.ts';
import type { RawClient, Value } from '../support/client.ts';
import { type Held, held } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { type Room, room } from './rig.ts';

/** A door before two nodes of which the second keeps its replies to what is no handshake. */
async function withSlow(t: TestContext, settings: Record<string, string | number> = {}) {
  const stage = await room(t, settings);
  const replies: Held[] = [];
  stage.fake.nodes[1]!.script = ({ name }) => {
    if (name === 'PING' || name === 'CLIENT' || name === 'HELLO' || name === 'READONLY') return undefined;
    const reply = held();
    replies.push(reply);
    return reply.answer;
  };
  stage.fake.script = ({ name }) => (name === 'DBSIZE' ? ':3\r\n' : undefined);
  return { stage, client: await stage.connect(), replies, slow: stage.fake.nodes[1]! };
}

const address = ({ host, port }: { host: string; port: number }) => `${host}:${port}`;

test('a node that is late makes the reply an error that names it', async (t) => {
  const { client, slow } = await withSlow(t);
  const reply = String(await client.ask('RMR.FANOUT', 'TIMEOUT', 500, 'sum', 'DBSIZE'));
  assert.equal(
    reply,
    `Error: ERR slotless: part node ${address(slow)} failed: ERR Timeout: no reply within 500 ms`,
  );
});

test('unless parts will do, or errors stand in their places', async (t) => {
  const { client, slow, stage } = await withSlow(t);
  assert.equal(await client.ask('RMR.FANOUT', 'PARTIAL', 'yes', 'TIMEOUT', 500, 'sum', 'DBSIZE'), 3);
  const shown = await client.ask('RMR.FANOUT', 'TIMEOUT', 500, 'none', 'DBSIZE');
  assert.deepEqual(shown, [
    [address(stage.fake.nodes[0]!), 3],
    [address(slow), new Error('ERR Timeout: no reply within 500 ms')],
  ]);
});

test('without TIMEOUT the setting counts, as it is then', async (t) => {
  const { client, stage } = await withSlow(t, { 'functions.remoteTaskTimeout': 25 });
  assert.match(String(await client.ask('RMR.FANOUT', 'sum', 'DBSIZE')), /Timeout: no reply within 25 ms/);
  stage.context.functions.settings.remoteTaskTimeout = 15;
  assert.match(String(await client.ask('RMR.FANOUT', 'sum', 'DBSIZE')), /Timeout: no reply within 15 ms/);
});

test('of what was late and changes something the outcome is unknown', async (t) => {
  const { client, stage } = await withSlow(t);
  assert.match(
    String(await client.ask('RMR.FANOUT', 'TIMEOUT', 500, 'and', 'FLUSHALL')),
    /no reply within 500 ms; its outcome is unknown/,
  );
  assert.deepEqual(stage.fake.executed, ['FLUSHALL']);
});

test('a client does not wait for what was late, and never sees its reply', async (t) => {
  const { client, replies } = await withSlow(t);
  for (let i = 0; i < 3; i++) {
    assert.equal(await client.ask('RMR.FANOUT', 'TIMEOUT', 500, 'PARTIAL', 'yes', 'sum', 'DBSIZE'), 3);
    assert.equal(await client.ask('PING'), 'PONG');
  }
  await until('the node to have all questions', () => replies.length === 3);
  for (const reply of replies) reply.release(':100\r\n');
  const sum = client.ask('RMR.FANOUT', 'sum', 'DBSIZE');
  await until('the node to be asked again', () => replies.length === 4);
  replies[3]!.release(':4\r\n');
  assert.equal(await sum, 7);
});

test('any answers at once', async (t) => {
  const { client } = await withSlow(t);
  assert.equal(await client.ask('RMR.FANOUT', 'TIMEOUT', 60_000, 'any', 'DBSIZE'), 3);
  assert.equal(await client.ask('RMR.FANOUT', 'TIMEOUT', 60_000, 'ORDER', 'arrival', 'first', 'DBSIZE'), 3);
});

test('replies of one fan-out are reduced as they come', async (t) => {
  const { client, replies, stage } = await withSlow(t);
  const concat = client.ask('RMR.FANOUT', 'concat', 'DBSIZE');
  await until('the second node to be asked', () => replies.length === 1);
  replies[0]!.release('*2\r\n:8\r\n:9\r\n');
  assert.deepEqual(await concat, [3, 8, 9]);
  const byArrival = client.ask('RMR.FANOUT', 'ORDER', 'arrival', 'none', 'DBSIZE');
  await until('the second node to be asked again', () => replies.length === 2);
  replies[1]!.release(':8\r\n');
  assert.deepEqual(((await byArrival) as [string, Value][])[1], [address(stage.fake.nodes[1]!), 8]);
});

test("a lost connection is that part's error", async (t) => {
  const { client, stage, slow } = await withSlow(t);
  slow.script = ({ name }) => (name === 'FLUSHALL' ? { fate: 'cut' } : undefined);
  assert.match(
    String(await client.ask('RMR.FANOUT', 'and', 'FLUSHALL')),
    new RegExp(
      `part node ${address(slow)} failed: ERR slotless: connection to the node was lost before the reply; the outcome`,
    ),
  );
  assert.ok(stage.fake.executed.includes('FLUSHALL'));
});

test('more than functions.maxReplyBytes is an error that names the setting', async (t) => {
  const stage = await room(t, { 'functions.maxReplyBytes': 100_000 });
  const client = await stage.connect();
  const list = (length: number) => `*${length}\r\n${'$4\r\nelem\r\n'.repeat(length)}`;
  let length = 6000;
  stage.fake.script = ({ name }) => (name === 'KEYS' ? list(length) : undefined);
  const limit = "Error: ERR slotless: the limit of the setting 'functions.maxReplyBytes' is passed (100000)";
  assert.equal(String(await client.ask('RMR.FANOUT', 'concat', 'KEYS', '*')), limit);
  assert.equal(String(await client.ask('RMR.FANOUT', 'ORDER', 'arrival', 'none', 'KEYS', '*')), limit);
  // A reducer that keeps nothing of them does not care how many they are.
  assert.equal(await client.ask('RMR.FANOUT', 'count', 'KEYS', '*'), 12_000);
  assert.deepEqual(await client.ask('RMR.FANOUT', 'group', 'KEYS', '*'), ['elem', 12_000]);
  // A single reply may be no longer than that, whatever becomes of it.
  length = 60_000;
  assert.equal(String(await client.ask('RMR.FANOUT', 'count', 'KEYS', '*')), limit);
  assert.equal(await client.ask('PING'), 'PONG');
});

test('of many commands only so many are under way at a time', async (t) => {
  const { stage, client, replies } = await withSlow(t, { 'limits.clientPending': 4 });
  stage.fake.script = () => undefined;
  const commands = Array.from({ length: 100 }, () => ['2', 'GET', 'a']).flat();
  const slot = stage.cluster.ownerOf(15495);
  assert.equal(slot?.address, address(stage.fake.nodes[1]!));
  const sum = client.ask('RMR.MAP', 'TIMEOUT', 10_000, 'sum', 100, ...commands);
  for (let asked = 0; asked < 100; asked++) {
    await until('the next to be asked', () => replies.length > asked);
    assert.ok(replies.length <= asked + 4, `${replies.length} at ${asked}`);
    replies[asked]!.release('$1\r\n2\r\n');
  }
  assert.equal(await sum, 200);
});

test('commands that are never sent for want of time are late like others, and their outcome is known', async (t) => {
  const { client } = await withSlow(t, { 'limits.clientPending': 1 });
  const reply = await client.ask(
    'RMR.MAP',
    'TIMEOUT',
    500,
    'none',
    2,
    3,
    'SET',
    'a',
    '1',
    3,
    'SET',
    'a',
    '2',
  );
  assert.deepEqual(
    (reply as [string, Error][]).map(([, error]) => error.message),
    ['ERR Timeout: no reply within 500 ms; its outcome is unknown', 'ERR Timeout: no reply within 500 ms'],
  );
});

test('it waits for the end of a pause of writes, as whatever may write', async (t) => {
  const stage = await room(t);
  const [client, chief] = [await stage.connect(), await stage.connect()];
  await chief.ask('CLIENT', 'PAUSE', 60_000, 'WRITE');
  const reply = client.ask('RMR.FANOUT', 'count', 'DBSIZE');
  await until('it to wait', () =>
    [...stage.context.clients.values()].some(({ session }) => session.postponed),
  );
  await chief.ask('CLIENT', 'UNPAUSE');
  assert.equal(await reply, 2);
});

// ---- reducers of libraries

interface Scripted {
  readonly stage: Room;
  readonly client: RawClient;
  readonly jobs: Job[];
}

/** A door with one library, whose reducer `pick` answers what `answer` says. */
async function withLibrary(t: TestContext, answer: () => Promise<Buffer>): Promise<Scripted> {
  const jobs: Job[] = [];
  const runner: Runner = {
    inspect: () => Promise.reject(new Error('nothing is loaded here')),
    run: async (job) => {
      jobs.push(job);
      return { reply: await answer() };
    },
    close: () => {},
  };
  const library: Library = {
    name: 'lib',
    apiVersion: '1.0',
    code: '',
    config: undefined,
    user: 'default',
    registrations: { functions: [], clusterFunctions: [], reducers: ['pick'], commands: [] },
    version: '1',
    origin: 'cluster',
  };
  const functions = new Functions(
    runner,
    { load: async () => {}, delete: async () => {}, restore: async () => {} },
    { remoteTaskTimeout: 500, lockTimeout: 500 },
  );
  functions.adopt([library]);
  const stage = await room(t, {}, { functions });
  const [one, two] = stage.fake.nodes;
  one!.script = ({ name }) => (name === 'DBSIZE' ? ':1\r\n' : undefined);
  two!.script = ({ name }) => (name === 'DBSIZE' ? '-ERR none here\r\n' : undefined);
  return { stage, client: await stage.connect(), jobs };
}

test("a library's reducer is given raw replies in RESP3, the texts of errors, and its arguments", async (t) => {
  const { client, jobs, stage } = await withLibrary(t, async () => Buffer.from('+picked\r\n'));
  assert.equal(await client.ask('RMR.FANOUT', 'PARTIAL', 'yes', 'js:lib.pick:a:b', 'DBSIZE'), 'picked');
  const [job] = jobs;
  assert.ok(job?.kind === 'reducer');
  assert.deepEqual([job.name, job.library.name, job.args, job.resp], ['pick', 'lib', ['a', 'b'], 2]);
  assert.deepEqual(job.replies.map(String), [':1\r\n']);
  assert.deepEqual(job.errors, ['ERR none here']);
  assert.equal(job.maxRunTime, stage.context.config.functions.maxRunTime);
  assert.ok(stage.fake.received.some(({ name }) => name === 'DBSIZE'));
});

test("its errors, and what is wrong with its name, are the client's", async (t) => {
  const { client, jobs } = await withLibrary(t, () => Promise.reject(new Error('no such element')));
  assert.match(
    String(await client.ask('RMR.FANOUT', 'js:lib.pick', 'DBSIZE')),
    /part node .* failed: ERR none here/,
  );
  assert.equal(
    String(await client.ask('RMR.FANOUT', 'js:lib.peck', 'DBSIZE')),
    'Error: ERR Unknown reducer peck in library lib',
  );
  assert.equal(
    String(await client.ask('RMR.FANOUT', 'js:bil.pick', 'DBSIZE')),
    'Error: ERR Unknown library bil',
  );
  assert.equal(jobs.length, 0);
  assert.equal(
    String(await client.ask('RMR.FANOUT', 'PARTIAL', 'yes', 'js:lib.pick', 'DBSIZE')),
    'Error: ERR no such element',
  );
});
