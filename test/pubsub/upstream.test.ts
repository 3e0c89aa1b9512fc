/** That a subscription has ended is said when the node counts it no more, so that whoever asks next is told so. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Room, room } from '../client/rig.ts';
import type { Received } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';

const confirmation = ({ name, words }: Received, count: number) => {
  const verb = name.toLowerCase();
  return `*3\r\n$${verb.length}\r\n${verb}\r\n$${words[1]!.length}\r\n${words[1]}\r\n:${count}\r\n`;
};

async function opened(t: TestContext, settings: Record<string, string> = {}): Promise<Room> {
  const it = await room(t, settings);
  t.after(() => it.context.pubsub.close());
  return it;
}

for (const [subscribe, ending] of [
  ['SUBSCRIBE', 'UNSUBSCRIBE'],
  ['PSUBSCRIBE', 'PUNSUBSCRIBE'],
  ['SSUBSCRIBE', 'SUNSUBSCRIBE'],
  ['SUBSCRIBE', 'RESET'],
  ['PSUBSCRIBE', 'QUIT'],
] as const) {
  test(`${ending} after ${subscribe} is answered when the node has given it back`, async (t) => {
    const { fake, connect } = await opened(t);
    let giveBack = () => {};
    fake.script = (received) => {
      if (received.name === subscribe) return confirmation(received, 1);
      // It takes the number of a fence for an answer.
      if (received.name === 'PING' && received.words.length > 1) return '$1\r\n1\r\n';
      if (!received.name.endsWith('UNSUBSCRIBE')) return undefined;
      return new Promise((resolve) => {
        giveBack = () => resolve(confirmation(received, 0));
      });
    };
    const [client, other] = [await connect(), await connect()];
    await client.call(subscribe, 'x');
    let answered = false;
    const answer = client.call(ending).then((reply) => {
      answered = true;
      return String(reply);
    });
    await until('it to be given back', () => fake.received.some(({ name }) => /UNSUBSCRIBE/.test(name)));
    for (let round = 0; round < 5; round++) await other.call('PING');
    assert.equal(answered, false);
    giveBack();
    const said = { RESET: '+RESET\r\n', QUIT: '+OK\r\n' } as Record<string, string>;
    const verb = ending.toLowerCase();
    assert.equal(await answer, said[ending] ?? `*3\r\n$${verb.length}\r\n${verb}\r\n$1\r\nx\r\n:0\r\n`);
  });
}

test('a node that is lost gives back all that it had', async (t) => {
  const { fake, connect } = await opened(t);
  fake.script = (received) => {
    if (received.name === 'SUBSCRIBE') return confirmation(received, 1);
    return received.name === 'UNSUBSCRIBE' ? { fate: 'reset' } : undefined;
  };
  const client = await connect();
  await client.call('SUBSCRIBE', 'x');
  assert.equal(String(await client.call('UNSUBSCRIBE')), '*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:0\r\n');
});

test('a node that hangs is waited for no longer than for a subscription', async (t) => {
  const { fake, connect } = await opened(t, { 'failover.holdFor': '20ms' });
  fake.script = (received) => {
    if (received.name === 'SUBSCRIBE') return confirmation(received, 1);
    return received.name === 'UNSUBSCRIBE' ? { fate: 'hang' } : undefined;
  };
  const client = await connect();
  await until('it to be subscribed', async () => Array.isArray(await client.ask('SUBSCRIBE', 'x')));
  assert.equal(String(await client.call('UNSUBSCRIBE')), '*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:0\r\n');
});
