/** What clients get while a node is silent: those whose commands go elsewhere notice nothing. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { held } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { room } from './rig.ts';

/** Keys of the first and the second node. */
const FIRST = 'b';
const SECOND = 'a';

async function stage(t: Parameters<typeof room>[0], maxPending: number) {
  const all = await room(t, {}, {}, { maxPending, silence: 300 });
  const { fake, cluster, connect } = all;
  const word = held();
  const first = await connect();
  await first.call('GET', FIRST);
  // It answers when it is released, and then all that has come.
  fake.nodes[0]!.script = (received) =>
    word.answer.then(() => received.node.byDefault(received)) as Promise<string>;
  const inFlight = first.call('SET', FIRST, '0');
  await until('the node to be shut', () => cluster.primaries.some((node) => node.shut !== undefined));
  return { ...all, word, inFlight };
}

test('a pipeline to a silent node waits or is told why not, in its order, and others are served', async (t) => {
  const { fake, connect, word, inFlight } = await stage(t, 4);
  const [one, other] = [await connect(), await connect()];
  const replies = one.pipeline(Array.from({ length: 10 }, (_, i) => ['APPEND', FIRST, String(i + 1)]));
  for (let i = 0; i < 50; i++) assert.equal(String(await other.call('SET', SECOND, 'x')), '+OK\r\n');
  word.release('');
  assert.equal(String(await inFlight), '+OK\r\n');
  const texts = (await replies).map(String);
  assert.deepEqual(texts.slice(0, 4), [':2\r\n', ':3\r\n', ':4\r\n', ':5\r\n']);
  for (const text of texts.slice(4)) assert.match(text, /silent for \d+ ms, and no more may wait for it/);
  assert.equal(fake.store.get(FIRST), '01234');
});

test('a command of several parts fails as a whole when one of them may not wait', async (t) => {
  const { connect, word, inFlight } = await stage(t, 1);
  const [one, two] = [await connect(), await connect()];
  const held = one.call('APPEND', FIRST, '1');
  await until('it to be held', async () => !String(await two.call('GET', FIRST)).startsWith('$'));
  assert.match(String(await two.call('MGET', SECOND, FIRST)), /^-CLUSTERDOWN slotless: .*no more may wait/);
  assert.match(String(await two.call('MSET', FIRST, '1', SECOND, '2')), /^-.*no more may wait/);
  assert.match(String(await two.call('DBSIZE')), /^-.*no more may wait/);
  for (const words of [['MULTI'], ['SET', FIRST, '1']]) await two.call(...words);
  assert.match(String(await two.call('EXEC')), /^-.*no more may wait/);
  assert.equal(String(await two.call('GET', SECOND)), '$1\r\n2\r\n');
  word.release('');
  assert.equal(String(await inFlight), '+OK\r\n');
  assert.equal(String(await held), ':2\r\n');
});

test('whoever waited for a full link goes on when its node is shut, and gets its answer in the end', async (t) => {
  const { fake, cluster, connect } = await room(t, {}, {}, { maxPending: 3, silence: 300, holdFor: 50 });
  const word = held();
  const client = await connect();
  await client.call('GET', FIRST);
  const before = fake.received.length;
  fake.nodes[0]!.script = () => word.answer;
  const replies = client.pipeline(Array.from({ length: 5 }, (_, i) => ['SET', FIRST, String(i)]));
  await until('the link to be full', () => fake.received.length === before + 3);
  // Those in front of them are still to be answered: the two are told when those are.
  await until(
    'the rest to be held and dismissed',
    () => cluster.gates.commands === 0 && cluster.primaries[0]!.shut,
  );
  word.release('+OK\r\n');
  const texts = (await replies).map(String);
  assert.deepEqual(texts.slice(0, 3), ['+OK\r\n', '+OK\r\n', '+OK\r\n']);
  assert.equal(texts.length, 5);
});
