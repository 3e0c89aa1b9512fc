/**
 * A client's commands on one key reach the data in the order they were sent, and none is lost or done twice,
 * whatever the nodes say: scripted nodes play the sequences that a real cluster gives once in a long while.
 *
 * The nodes share one small store, so `executed` is what a real cluster's data would have seen, in its order.
 */

import assert from 'node:assert/strict';
import { before, describe, type TestContext, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import type { RawClient } from '../support/client.ts';
import { commandReply, type FakeCluster, held, startFake } from '../support/fake-node.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

const DOWN = '-CLUSTERDOWN The cluster is down\r\n';
const TRYAGAIN = '-TRYAGAIN Multiple keys request during rehashing of slot\r\n';
const READONLY = "-READONLY You can't write against a read only replica.\r\n";

let commands: Buffer;
before(async () => {
  commands = await commandReply();
});

function slot(key: string): number {
  return slotOf(Buffer.from(key), 0, key.length);
}

interface Stage {
  fake: FakeCluster;
  proxy: RunningProxy;
  client(resp?: 2 | 3): Promise<RawClient>;
}

async function stage(t: TestContext, settings: Record<string, string | number> = {}): Promise<Stage> {
  const fake = await startFake({ commands });
  const proxy = await startProxy({ cluster: fake, settings: { 'refresh.every': 600_000, ...settings } });
  const clients: RawClient[] = [];
  t.after(async () => {
    for (const client of clients) client.destroy();
    await proxy.stop();
    await fake.stop();
  });
  return {
    fake,
    proxy,
    client: async (resp = 2) => {
      const client = await proxy.connect();
      clients.push(client);
      if (resp === 3) await client.call('HELLO', 3);
      return client;
    },
  };
}

function text(replies: Buffer[]): string[] {
  return replies.map((reply) => reply.toString('latin1').replace(/\r\n/g, '|'));
}

/** Comes back when the proxy has read what was sent before: sockets that have bytes are read in one turn. */
async function reached(client: Stage['client']): Promise<void> {
  const other = await client();
  for (let i = 0; i < 3; i++) await other.call('PING');
}

describe('order', () => {
  test('a pipeline that is refused with MOVED goes on at the new owner in its order', async (t) => {
    const { fake, client } = await stage(t);
    const [x, y] = fake.nodes;
    const c = await client();
    x!.script = ({ name, words }) => (name === 'APPEND' ? y!.moved(slot(words[1]!)) : undefined);
    const replies = await c.pipeline(Array.from({ length: 50 }, (_, i) => ['APPEND', '{b}', `${i},`]));
    assert.equal(text(replies).at(-1), ':140|');
    assert.deepEqual(
      fake.executed,
      Array.from({ length: 50 }, (_, i) => `APPEND {b} ${i},`),
    );
  });

  test('what is redirected goes behind what already waits for its slot', async (t) => {
    const { fake, client } = await stage(t);
    const x = fake.nodes[0]!;
    const y = await fake.add();
    await y.close();
    const ask = y.ask(slot('{b}'));
    const second = held();
    let times = 0;
    x.script = ({ name, words }) => {
      if (name !== 'SET') return undefined;
      if (words[2] === '2') return second.answer;
      times++;
      return ask;
    };
    const c = await client();
    const replies = c.pipeline([
      ['SET', '{b}', '1'],
      ['SET', '{b}', '2'],
    ]);
    // The first is refused, can't reach the other node, and comes back: behind the second, which is still there.
    await until('the first to be sent again', () => times === 2);
    await y.listen();
    second.release(ask);
    assert.deepEqual(text(await replies), ['+OK|', '+OK|']);
    assert.deepEqual(fake.executed, ['SET {b} 1', 'SET {b} 2']);
  });

  test('what bounces back to the gate stands before what was sent after it', async (t) => {
    const { fake, client } = await stage(t);
    const early = held();
    let down = true;
    fake.nodes[0]!.script = ({ words, name }) => {
      if (name !== 'SET' || !down) return undefined;
      return words[2] === 'early' ? early.answer : DOWN;
    };
    // Two links: what is refused on one says nothing of what is under way on the other.
    const [two, three] = [await client(2), await client(3)];
    const a = three.call('SET', '{b}', 'early');
    await until('the early one to arrive', () => fake.received.length === 1);
    const d = two.call('SET', '{b}', 'other');
    await until('the other one to be refused and tried again', () => fake.received.length >= 4);
    const c = three.call('SET', '{b}', 'late');
    await reached(client);
    early.release(DOWN);
    await reached(client);
    down = false;
    assert.deepEqual(text(await Promise.all([a, c, d])), ['+OK|', '+OK|', '+OK|']);
    assert.deepEqual(
      fake.executed.filter((one) => !one.endsWith('other')),
      ['SET {b} early', 'SET {b} late'],
    );
  });

  test('a read is not asked again behind a write that may have been done', async (t) => {
    const { fake, client } = await stage(t);
    const x = fake.nodes[0]!;
    let once = true;
    x.script = ({ name }) => {
      if (!once) return undefined;
      if (name === 'GET') return held().answer;
      if (name === 'INCR') {
        once = false;
        setImmediate(() => x.drop());
      }
      return undefined;
    };
    const c = await client();
    const [before, add] = text(
      await c.pipeline([
        ['GET', '{b}'],
        ['INCR', '{b}'],
      ]),
    );
    assert.match(add!, /outcome/);
    assert.match(before!, /^(\$-1\||-)/, `the read saw what was written after it: ${before}`);
  });

  test('a command that tries again and gives up leaves its slot open', async (t) => {
    const { fake, client } = await stage(t, { 'failover.holdFor': 300, requestTimeout: 1000 });
    let answer: string | undefined = DOWN;
    fake.nodes[0]!.script = ({ name, words }) => (name === 'MSET' || words[1] === '{b}' ? answer : undefined);
    const c = await client();
    const several = c.call('MSET', '{b}1', '1', '{b}2', '2');
    await until('it to be refused', () => fake.received.length > 0);
    answer = TRYAGAIN;
    assert.match(text([await several])[0]!, /^-TRYAGAIN/);
    answer = undefined;
    assert.deepEqual(text([await c.call('SET', '{b}', '1')]), ['+OK|']);
  });

  test('a second read does not see less than the first', async (t) => {
    const { fake, client } = await stage(t);
    const [x, y] = fake.nodes;
    // The first read is redirected to a node that is slow; meanwhile the slot is back.
    const slow = held();
    let reads = 0;
    x!.script = ({ name }) => (name === 'GET' && reads++ === 0 ? y!.ask(slot('{b}')) : undefined);
    y!.script = ({ name }) => (name === 'GET' ? slow.answer : undefined);
    const c = await client();
    const first = c.call('GET', '{b}');
    await until('the first read to be redirected', () => fake.received.some(({ node }) => node === y));
    const second = c.call('GET', '{b}');
    await reached(client);
    await (await client()).call('SET', '{b}', 'new');
    slow.release('$3\r\nnew\r\n');
    assert.deepEqual(text(await Promise.all([first, second])), ['$3|new|', '$3|new|']);
  });

  test('a pipeline to a slot that is down waits once, and not once for each command', async (t) => {
    const { fake, client } = await stage(t, { 'failover.holdFor': 500 });
    fake.script = ({ name }) => (name === 'SET' ? '-CLUSTERDOWN The cluster is down\r\n' : undefined);
    const c = await client();
    const begin = fake.received.length;
    const replies = text(await c.pipeline(Array.from({ length: 50 }, (_, i) => ['SET', '{b}', String(i)])));
    assert.deepEqual(new Set(replies), new Set(['-CLUSTERDOWN The cluster is down|']));
    // All of them were sent once, or waited; then one of them was tried at a time, for as long as one may wait.
    const tries = fake.received.slice(begin).filter(({ name }) => name === 'SET').length;
    assert.ok(tries < 50 + 100, `${tries} tries`);
  });

  test('FLUSHALL stands between what was sent before and after it', async (t) => {
    const { fake, client } = await stage(t);
    const [x, y] = fake.nodes;
    // The first node has become a replica of a third, which has taken its place; nobody has said so yet.
    const z = await fake.add();
    x!.script = ({ name, words }) => {
      if (name === 'FLUSHALL') return READONLY;
      return name === 'SET' ? z.moved(slot(words[1]!)) : undefined;
    };
    y!.script = ({ name }) => (name === 'FLUSHALL' ? '+OK\r\n' : undefined);
    const c = await client();
    const replies = c.pipeline([['FLUSHALL'], ['SET', '{b}', '1']]);
    await until('the first node to refuse it', () => fake.received.some(({ node }) => node === x));
    await reached(client);
    fake.owners.fill(2, 0, 8192);
    fake.epoch++;
    assert.deepEqual(text(await replies), ['+OK|', '+OK|']);
    assert.deepEqual(fake.executed, ['FLUSHALL', 'SET {b} 1']);
  });

  test('FLUSHALL waits for a command that is to be tried again', async (t) => {
    const { fake, client } = await stage(t);
    let again = true;
    fake.script = ({ name }) => (name === 'MSET' && again ? TRYAGAIN : undefined);
    const c = await client();
    const replies = c.pipeline([['MSET', '{b}1', '1', '{b}2', '2'], ['PING']]);
    await until('it to be refused', () => fake.received.length > 1);
    const flush = c.call('FLUSHALL');
    await reached(client);
    again = false;
    await replies;
    await flush;
    assert.equal(fake.executed[0], 'MSET {b}1 1 {b}2 2');
  });

  test('a read of several keys that is to be tried again does not see what was written after it', async (t) => {
    const { fake, client } = await stage(t);
    let again = 2;
    fake.script = ({ name }) => (name === 'MGET' && again-- > 0 ? TRYAGAIN : undefined);
    const c = await client();
    const replies = await c.pipeline([
      ['MGET', '{b}1', '{b}2'],
      ['SET', '{b}1', 'later'],
    ]);
    assert.deepEqual(text(replies), ['*2|$-1|$-1|', '+OK|']);
  });

  test('a write is done once, whatever its script says', async (t) => {
    const { fake, client } = await stage(t);
    fake.script = ({ name, words }) => {
      if (name !== 'EVAL') return undefined;
      fake.execute(['INCR', words[3]!]);
      return '-TRYAGAIN says the script\r\n';
    };
    const c = await client();
    await c.call(
      'EVAL',
      "redis.call('incr', KEYS[1]) return redis.error_reply('TRYAGAIN says the script')",
      1,
      '{b}',
    );
    assert.deepEqual(fake.executed, ['INCR {b}']);
  });

  test('bytes after QUIT and after a violation are not commands', async (t) => {
    const { fake, client } = await stage(t);
    for (const last of ['QUIT\r\n', '*1\r\n!\r\n']) {
      const c = await client();
      const slow = held();
      fake.script = ({ name }) => (name === 'GET' ? slow.answer : undefined);
      fake.received.length = 0;
      await c.send('GET {b}\r\n');
      await c.send(last);
      await until('the read to arrive', () => fake.received.length === 1);
      await c.send('SET {b} smuggled\r\n');
      await reached(client);
      await reached(client);
      slow.release('$-1\r\n');
      await c.closed;
      assert.deepEqual(fake.executed, []);
    }
  });
});
