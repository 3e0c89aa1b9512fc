/**
 * A client's commands on one key reach the data in the order they were sent, and none is lost or done twice,
 * whatever the nodes say: scripted nodes play the sequences that a real cluster gives once in a long while.
 *
 * The nodes share one small store, so `executed` is what a real cluster's data would have seen, in its order.
 */

import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import type { RawClient } from '../support/client.ts';
import { commandReply, type FakeCluster, held, type Received, startFake } from '../support/fake-node.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

const DOWN = '-CLUSTERDOWN The cluster is down\r\n';
const TRYAGAIN = '-TRYAGAIN Multiple keys request during rehashing of slot\r\n';

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

/** A script that lets the first commands of a key be answered by these, in turn, and the rest by default. */
function first(answers: (string | undefined)[]): (received: Received) => string | undefined {
  return ({ name }) => (name === 'CLUSTER' || name === 'PING' || name === 'CLIENT' || name === 'ASKING' ? undefined : answers.shift());
}

function text(replies: Buffer[]): string[] {
  return replies.map((reply) => reply.toString('latin1').replace(/\r\n/g, '|'));
}

/** A key of the first node, whose slot is the n-th. */
const KEYS = ['{b}', '{c}', '{f}', '{g}'];

describe('order', () => {
  test('a pipeline that is refused with MOVED goes on at the new owner in its order', async (t) => {
    const { fake, client } = await stage(t);
    const [x, y] = fake.nodes;
    const c = await client();
    x!.script = ({ name, words }) => (name === 'APPEND' ? y!.moved(slot(words[1]!)) : undefined);
    const replies = await c.pipeline(Array.from({ length: 50 }, (_, i) => ['APPEND', '{b}', `${i},`]));
    assert.equal(text(replies).at(-1), ':140|');
    assert.deepEqual(fake.executed, Array.from({ length: 50 }, (_, i) => `APPEND {b} ${i},`));
  });

  test('what is redirected waits behind what already waits for its slot', async (t) => {
    // The new owner can't be reached: the first command goes to the gate. The second is redirected later.
    const { fake, client } = await stage(t);
    const [x] = fake.nodes;
    const y = await fake.add();
    const port = y.port;
    await y.close();
    const second = held();
    x!.script = ({ name, words }) => {
      if (name !== 'SET') return undefined;
      return words[2] === '1' ? y.moved(slot('{b}')) : words[2] === '2' ? second.answer : undefined;
    };
    const c = await client();
    const replies = c.pipeline([['SET', '{b}', '1'], ['SET', '{b}', '2']]);
    await until('the first to be refused', () => fake.received.length === 2);
    await until('the new owner to be tried', async () => {
      const info = (await (await client()).call('INFO')).toString();
      return info.length > 0;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    second.release(y.moved(slot('{b}')));
    await new Promise((resolve) => setTimeout(resolve, 100));
    y.port = port;
    await y.listen();
    assert.deepEqual(text(await replies), ['+OK|', '+OK|']);
    assert.deepEqual(fake.executed, ['SET {b} 1', 'SET {b} 2']);
  });

  test('what bounces back to the gate stands before what was sent after it', async (t) => {
    const { fake, client } = await stage(t);
    const early = held();
    let refuse = true;
    fake.nodes[0]!.script = ({ words, name }) => {
      if (name !== 'SET') return undefined;
      if (words[2] === 'early') return refuse ? early.answer : undefined;
      return refuse ? DOWN : undefined;
    };
    const [two, three] = [await client(2), await client(3)];
    const a = three.call('SET', '{b}', 'early');
    await until('the early one to arrive', () => fake.received.length === 1);
    const d = two.call('SET', '{b}', 'other');
    await until('the other one to be refused', () => fake.received.length >= 2);
    const c = three.call('SET', '{b}', 'late');
    await three.call('PING').catch(() => {});
  });
});
void [TRYAGAIN, KEYS, first, after];
