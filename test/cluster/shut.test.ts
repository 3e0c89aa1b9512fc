/** Nodes that are sent nothing for now: silent ones. Scripted nodes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Held, held } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { Asked, mapOf, type Rig, rig, Sender } from './rig.ts';

/** Of the first and of the second node. */
const A = 1;
const B = 16000;
const SILENCE = 300;

/** The first node answers nothing until it is released; what came meanwhile it answers then. */
function silence({ fake }: Rig): Held {
  const word = held();
  fake.nodes[0]!.script = ({ node, words, ...rest }) =>
    word.answer.then((answer) => (answer === '' ? node.byDefault({ node, words, ...rest }) : answer));
  return word;
}

function shut({ cluster }: Rig): Promise<unknown> {
  return until('the node to be shut', () => cluster.ownerOf(A) === undefined);
}

test('a command for a silent node is held back, and goes behind what was sent when that speaks again', async (t) => {
  const stage = await rig(t, { silence: SILENCE });
  const { cluster, fake } = stage;
  const sender = new Sender(cluster);
  // So that its link is there.
  await Asked.to(sender, A, 'GET', 'x').answered;
  const word = silence(stage);
  const calls = [Asked.to(sender, A, 'APPEND', 'a', '0')];
  await shut(stage);
  for (let i = 1; i < 5; i++) calls.push(Asked.to(sender, A, 'APPEND', 'a', String(i)));
  assert.equal(await Asked.to(sender, B, 'APPEND', 'b', '0').answered, ':1\r\n');
  assert.equal(fake.received.filter(({ words }) => words[1] === 'a').length, 1);
  assert.match(cluster.whyHeld(A), new RegExp(`^${fake.nodes[0]!.host}:\\d+ has been silent for \\d+ ms$`));
  word.release('');
  assert.deepEqual(
    await Promise.all(calls.map(({ answered }) => answered)),
    calls.map((_, i) => `:${i + 1}\r\n`),
  );
  assert.equal(fake.store.get('a'), '01234');
});

test('what waits for too long is told which node is silent, and was not executed', async (t) => {
  const stage = await rig(t, { silence: SILENCE, holdFor: 50 });
  const sender = new Sender(stage.cluster);
  await Asked.to(sender, A, 'GET', 'x').answered;
  silence(stage);
  const first = Asked.to(sender, A, 'SET', 'a', '0');
  await shut(stage);
  assert.match(
    await Asked.to(sender, A, 'SET', 'a', '1').answered,
    /^-CLUSTERDOWN slotless: the command was not served: 127.0.0.1:\d+ has been silent for \d+ ms\r\n$/,
  );
  assert.equal(first.answers, 0);
});

test('what waits goes to the new owner at once, and what was sent has an unknown outcome', async (t) => {
  const stage = await rig(t, { silence: SILENCE });
  const { cluster, fake } = stage;
  const sender = new Sender(cluster);
  await Asked.to(sender, A, 'GET', 'x').answered;
  silence(stage);
  const first = Asked.to(sender, A, 'SET', 'a', '0');
  await shut(stage);
  const second = Asked.to(sender, A, 'SET', 'a', '1');
  fake.owners.fill(1);
  cluster.adopt(mapOf(fake));
  assert.match(await first.answered, /outcome of this write is unknown/);
  assert.equal(await second.answered, '+OK\r\n');
  assert.equal(fake.store.get('a'), '1');
});

test('no more wait than may, and what needs not wait is served', async (t) => {
  const stage = await rig(t, { silence: SILENCE, maxPending: 4 });
  const { cluster, fake } = stage;
  const sender = new Sender(cluster);
  await Asked.to(sender, A, 'GET', 'x').answered;
  const word = silence(stage);
  const calls = [Asked.to(sender, A, 'APPEND', 'a', '0')];
  await shut(stage);
  for (let i = 1; i < 5; i++) calls.push(Asked.to(sender, A, 'APPEND', 'a', String(i)));
  const more = Asked.to(sender, A, 'APPEND', 'a', 'never');
  assert.match(
    await more.answered,
    /^-CLUSTERDOWN slotless: .* silent for \d+ ms, and no more may wait for it \(the setting 'node.maxPending', 4\)\r\n$/,
  );
  assert.equal(await Asked.to(sender, B, 'APPEND', 'b', '0').answered, ':1\r\n');
  word.release('');
  await Promise.all(calls.map(({ answered }) => answered));
  assert.equal(fake.store.get('a'), '01234');
});

test('a node that speaks on another link is not shut', async (t) => {
  const stage = await rig(t, { silence: SILENCE });
  const { cluster, fake } = stage;
  const [two, three] = [new Sender(cluster, 2), new Sender(cluster, 3)];
  await Asked.to(two, A, 'GET', 'x').answered;
  const word = held();
  fake.nodes[0]!.script = ({ words }) => (words[1] === 'slow' ? word.answer : undefined);
  const slow = Asked.to(two, A, 'GET', 'slow');
  const node = cluster.ownerOf(A)!;
  while (node.silentFor(cluster.turn.tick()) < 3 * SILENCE) {
    await Asked.to(three, A, 'GET', 'quick').answered;
    assert.equal(cluster.ownerOf(A), node);
  }
  word.release('$-1\r\n');
  assert.equal(await slow.answered, '$-1\r\n');
});

test('what any shard may answer is asked of one that is not shut', async (t) => {
  const stage = await rig(t, { silence: SILENCE });
  const { cluster } = stage;
  const sender = new Sender(cluster);
  await Asked.to(sender, A, 'GET', 'x').answered;
  assert.equal(cluster.primaryOf(cluster.anySlot(0)), cluster.primaryOf(A));
  silence(stage);
  void Asked.to(sender, A, 'GET', 'a');
  await shut(stage);
  for (const seed of [0, 1, 2]) assert.equal(cluster.primaryOf(cluster.anySlot(seed)), cluster.primaryOf(B));
});

test('what is for a node that is not there waits for one link that tries, and follows its slot at once', async (t) => {
  const stage = await rig(t, { backoffMin: 20, backoffMax: 100_000 });
  const { cluster, fake, lost } = stage;
  const senders = [2, 3].map((resp) => new Sender(cluster, resp as 2 | 3));
  for (const sender of senders) await Asked.to(sender, A, 'GET', 'x').answered;
  await fake.nodes[0]!.close();
  const append = (i: number) => Asked.to(senders[i % 2]!, A, 'APPEND', `a${i % 2}`, String(i % 10));
  const calls = Array.from({ length: 100 }, (_, i) => append(i));
  await shut(stage);
  calls.push(...Array.from({ length: 100 }, (_, i) => append(i)));
  assert.match(cluster.whyHeld(A), /^127.0.0.1:\d+: .*ECONNREFUSED/);
  await until('another attempt', () => lost.filter((line) => line.includes('ECONNREFUSED')).length > 2);
  assert.ok(lost.length < 20, lost.join('\n'));
  fake.owners.fill(1);
  cluster.adopt(mapOf(fake));
  await Promise.all(calls.map(({ answered }) => answered));
  assert.equal(fake.store.get('a0'), '02468'.repeat(20));
  assert.equal(fake.store.get('a1'), '13579'.repeat(20));
});

test('a node that comes back is served at once by all links, in order', async (t) => {
  const stage = await rig(t, { backoffMin: 5, backoffMax: 20 });
  const { cluster, fake } = stage;
  const senders = [2, 3].map((resp) => new Sender(cluster, resp as 2 | 3));
  await fake.nodes[0]!.close();
  const append = (i: number) => Asked.to(senders[i % 2]!, A, 'APPEND', `a${i % 2}`, String(i % 10));
  const calls = [append(0)];
  await shut(stage);
  for (let i = 1; i < 20; i++) calls.push(append(i));
  await fake.nodes[0]!.listen();
  await Promise.all(calls.map(({ answered }) => answered));
  assert.equal(fake.store.get('a0'), '02468'.repeat(2));
  assert.equal(fake.store.get('a1'), '13579'.repeat(2));
});

test('a login that is refused holds nobody else up', async (t) => {
  const stage = await rig(t);
  const { cluster, fake } = stage;
  fake.nodes[0]!.script = ({ name, words }) =>
    name === 'HELLO' && words[1] === '3' ? '-NOPERM no\r\n' : undefined;
  const [two, three] = [new Sender(cluster, 2), new Sender(cluster, 3)];
  const refused = [1, 2, 3].map(() => Asked.to(three, A, 'SET', 'a', '1'));
  assert.equal(await Asked.to(two, A, 'SET', 'b', '1').answered, '+OK\r\n');
  for (const { answered } of refused) assert.equal(await answered, '-NOPERM no\r\n');
  assert.equal(cluster.ownerOf(A)?.port, fake.nodes[0]!.port);
});
