import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Call } from '../../src/cluster/call.ts';
import { TOTAL } from '../../src/telemetry/counters.ts';
import { encode } from '../support/client.ts';
import { held, type Script } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { Asked, mapOf, rig, Sender } from './rig.ts';

const SLOT = 100;
const DOWN = '-CLUSTERDOWN The cluster is down\r\n';
const TRYAGAIN = '-TRYAGAIN Multiple keys request during rehashing of slot\r\n';
const READONLY = "-READONLY You can't write against a read only replica.\r\n";

/** Answers commands on keys by hand, and leaves the rest to the fake node. */
function forKeys(answer: Script): Script {
  return (received) =>
    ['SET', 'GET', 'MSET', 'MGET'].includes(received.name) ? answer(received) : undefined;
}

test('a command is answered once, and then holds nothing back', async (t) => {
  const { cluster } = await rig(t);
  const sender = new Sender(cluster);
  const call = Asked.to(sender, SLOT, 'SET', 'a', '1');
  assert.ok(call.node === cluster.ownerOf(SLOT));
  assert.equal(await call.answered, '+OK\r\n');
  assert.deepEqual([call.answers, call.settled, sender.started, sender.settled], [1, true, 1, 1]);
  assert.equal(sender.loose.length, 0);
});

test('a MOVED is followed, for the one command and for those that come after it', async (t) => {
  const { cluster, fake, stale } = await rig(t);
  const [x, y] = fake.nodes;
  x!.script = forKeys(() => y!.moved(SLOT));
  const sender = new Sender(cluster);
  const call = Asked.to(sender, SLOT, 'SET', 'a', '1');
  assert.equal(await call.answered, '+OK\r\n');
  assert.ok(sender.loose.length === 1 && sender.loose[0] === call);
  assert.equal(stale.length, 1);
  await Asked.to(sender, SLOT, 'SET', 'a', '2').answered;
  assert.deepEqual(
    fake.received.map(({ node }) => node.port),
    [x!.port, y!.port, y!.port],
  );
  assert.equal(cluster.counters.totals[TOTAL.redirectsMoved], 1);
});

test('an ASK is followed for the one command, with ASKING before it', async (t) => {
  const { cluster, fake } = await rig(t);
  const [x, y] = fake.nodes;
  x!.script = forKeys(() => y!.ask(SLOT));
  const sender = new Sender(cluster);
  for (const value of ['1', '2'])
    assert.equal(await Asked.to(sender, SLOT, 'SET', 'a', value).answered, '+OK\r\n');
  assert.deepEqual(
    fake.received.map(({ node, asking }) => [node.port, asking]),
    [
      [x!.port, false],
      [y!.port, true],
      [x!.port, false],
      [y!.port, true],
    ],
  );
  assert.equal(cluster.counters.totals[TOTAL.redirectsAsk], 2);
});

test('the host that a redirect leaves out is that of the node that answered', async (t) => {
  const { cluster, fake } = await rig(t);
  const [x, y] = fake.nodes;
  x!.script = forKeys(() => `-MOVED ${SLOT} :${y!.port}\r\n`);
  assert.equal(await Asked.to(new Sender(cluster), SLOT, 'SET', 'a', '1').answered, '+OK\r\n');
  assert.ok(fake.received[1]!.node === y);
});

test('redirects without end are given up, and the client gets the last', async (t) => {
  const { cluster, fake } = await rig(t, { redirects: 5 });
  const [x, y] = fake.nodes;
  x!.script = forKeys(() => y!.moved(SLOT));
  y!.script = forKeys(() => x!.moved(SLOT));
  const answer = await Asked.to(new Sender(cluster), SLOT, 'SET', 'a', '1').answered;
  assert.match(answer, /^-MOVED 100 /);
  assert.equal(fake.received.length, 6);
});

test('a redirect that speaks of another slot, or is none, is the reply', async (t) => {
  const { cluster, fake } = await rig(t);
  const sender = new Sender(cluster);
  for (const line of [fake.nodes[1]!.moved(SLOT + 1), '-MOVED 100 nowhere\r\n', '-MOVED 100 a:70000\r\n']) {
    fake.nodes[0]!.script = forKeys(() => line);
    assert.equal(await Asked.to(sender, SLOT, 'SET', 'a', '1').answered, line);
  }
  assert.equal(fake.received.length, 3);
});

test('a command that is bound to a node is followed nowhere', async (t) => {
  const { cluster, fake } = await rig(t);
  fake.nodes[0]!.script = forKeys(() => fake.nodes[1]!.moved(SLOT));
  const sender = new Sender(cluster);
  const bytes = encode(['GET', 'a']);
  const call = new Asked(sender, -1, true);
  call.startAt(cluster.ownerOf(SLOT)!, bytes, 0, bytes.length);
  assert.match(await call.answered, /^-MOVED/);
  fake.nodes[0]!.script = forKeys(() => ({ fate: 'cut' }));
  const lost = new Asked(sender, -1, true);
  lost.startAt(cluster.ownerOf(SLOT)!, bytes, 0, bytes.length);
  assert.match(await lost.answered, /^-CLUSTERDOWN slotless: /);
});

for (const [what, line] of [
  ['the cluster is down', DOWN],
  ['the node is loading', '-LOADING Redis is loading the dataset in memory\r\n'],
  ['the node has become a replica', READONLY],
] as const) {
  test(`while ${what} a command waits, a newer map is asked for, and it is done once`, async (t) => {
    const { cluster, fake, stale } = await rig(t);
    let times = 0;
    fake.script = forKeys(() => (++times <= 3 ? line : undefined));
    const call = Asked.to(new Sender(cluster), SLOT, 'SET', 'a', '1');
    assert.equal(await call.answered, '+OK\r\n');
    assert.deepEqual([fake.executed, times], [['SET a 1'], 4]);
    assert.ok(stale.length >= 1 && stale[0]!.startsWith(line.slice(1, 10)));
    assert.equal(cluster.counters.totals[TOTAL.redirectsOther], 3);
  });
}

test('TRYAGAIN is tried again until it is done, and does not use up the redirects', async (t) => {
  const { cluster, fake } = await rig(t, { redirects: 2 });
  const [x, y] = fake.nodes;
  let times = 0;
  x!.script = forKeys(() => y!.ask(SLOT));
  y!.script = forKeys(() => (++times <= 6 ? TRYAGAIN : undefined));
  assert.equal(await Asked.to(new Sender(cluster), SLOT, 'MSET', 'a', '1', 'b', '2').answered, '+OK\r\n');
  assert.equal(times, 7);
});

test('who waits for too long gets the error that held it', async (t) => {
  const { cluster, fake } = await rig(t, { holdFor: 60, requestTimeout: 60 });
  const sender = new Sender(cluster);
  for (const line of [DOWN, TRYAGAIN]) {
    fake.script = forKeys(() => line);
    const call = Asked.to(sender, SLOT, 'SET', 'a', '1');
    assert.equal(await call.answered, line);
    assert.ok(call.settled);
  }
  assert.equal(cluster.gates.slots.size, 0);
  fake.owners.fill(-1);
  cluster.adopt(mapOf(fake));
  assert.match(await Asked.to(sender, SLOT, 'SET', 'a', '1').answered, /^-CLUSTERDOWN slotless: /);
  assert.equal(sender.settled, 3);
});

test('when the connection is lost a write that was sent has an unknown outcome and is not sent again', async (t) => {
  const { cluster, fake } = await rig(t);
  let cut = true;
  fake.script = forKeys(() => (cut ? { fate: 'cut' } : undefined));
  const answer = await Asked.to(new Sender(cluster), SLOT, 'SET', 'a', '1').answered;
  cut = false;
  assert.match(answer, /^-ERR slotless: .*unknown/);
  assert.equal(fake.received.length, 1);
  assert.equal(cluster.counters.totals[TOTAL.unknownOutcomes], 1);
});

test('a read that was sent is asked again, but not when a write was made behind it', async (t) => {
  const { cluster, fake } = await rig(t);
  const sender = new Sender(cluster);
  for (const behind of [false, true]) {
    let cut = true;
    fake.received.length = 0;
    fake.script = forKeys(() => {
      if (!cut) return undefined;
      cut = false;
      return { fate: 'cut' };
    });
    sender.behind = behind;
    const answer = await Asked.to(sender, SLOT, 'GET', 'a').answered;
    if (behind) assert.match(answer, /^-ERR slotless: .*a write was sent behind it/);
    else assert.equal(answer, '$-1\r\n');
    assert.equal(fake.received.length, behind ? 1 : 2);
  }
});

test('a write that was never sent is sent later, once', async (t) => {
  const { cluster, fake } = await rig(t);
  const x = fake.nodes[0]!;
  await x.close();
  const call = Asked.to(new Sender(cluster), SLOT, 'SET', 'a', '1');
  await until('it to wait', () => cluster.gates.slots.size === 1);
  await x.listen();
  assert.equal(await call.answered, '+OK\r\n');
  assert.deepEqual(fake.executed, ['SET a 1']);
});

test('a node that can not be reached is named when time is over', async (t) => {
  const { cluster, fake } = await rig(t, { holdFor: 60 });
  await fake.nodes[0]!.close();
  const answer = await Asked.to(new Sender(cluster), SLOT, 'SET', 'a', '1').answered;
  assert.match(answer, /^-CLUSTERDOWN slotless: the command was not served: .*ECONNREFUSED/);
});

test('a long reply comes in pieces, and is broken off when its node is lost', async (t) => {
  const { cluster, fake } = await rig(t);
  const sender = new Sender(cluster);
  const value = 'x'.repeat(600_000);
  fake.store.set('long', value);
  const call = Asked.to(sender, SLOT, 'GET', 'long');
  assert.ok((await call.answered) === `$600000\r\n${value}\r\n`);
  assert.ok(call.pieces.length > 1);
  fake.script = forKeys(() => ({ fate: 'cut', after: `$600000\r\n${value.slice(1)}` }));
  const broken = Asked.to(sender, SLOT, 'GET', 'long');
  assert.match(await broken.answered, /^broken: /);
  assert.deepEqual([broken.answers, broken.settled, sender.settled], [1, true, 2]);
});

test('commands of a slot that waits go in the order in which they were made', async (t) => {
  const { cluster, fake } = await rig(t);
  const sender = new Sender(cluster);
  let down = true;
  fake.script = forKeys(() => (down ? DOWN : undefined));
  const calls = [Asked.to(sender, SLOT, 'SET', 'a', '0')];
  await until('it to be refused', () => cluster.gates.slots.size === 1);
  for (let i = 1; i < 50; i++) calls.push(Asked.to(sender, SLOT, 'SET', 'a', String(i)));
  // One attempt, however many wait.
  await until('it to be tried again', () => fake.received.length > 3);
  assert.ok(fake.received.every(({ words }) => words[2] === '0'));
  down = false;
  await Promise.all(calls.map(({ answered }) => answered));
  assert.deepEqual(
    fake.executed,
    calls.map((_, i) => `SET a ${i}`),
  );
});

test('what follows a redirect stands behind what already waits for its slot', async (t) => {
  const { cluster, fake } = await rig(t);
  const sender = new Sender(cluster);
  const [x, y] = fake.nodes;
  const late = held();
  let down = true;
  let times = 0;
  x!.script = forKeys(({ words }) => {
    if (words[2] === 'asked' && ++times === 1) return late.answer;
    return down ? DOWN : undefined;
  });
  const asked = Asked.to(sender, SLOT, 'SET', 'a', 'asked');
  await until('it to arrive', () => fake.received.length === 1);
  // On a lane of its own, or it would wait behind the other's reply.
  const waits = Asked.to(new Sender(cluster, 3), SLOT, 'SET', 'a', 'waits');
  await until('it to wait', () => waits.heldSince !== 0);
  late.release(y!.ask(SLOT));
  await until('the other to wait, too', () => asked.heldSince !== 0);
  down = false;
  await Promise.all([asked.answered, waits.answered]);
  // Made first, it is first.
  assert.deepEqual(fake.executed, ['SET a asked', 'SET a waits']);
  assert.ok(fake.received.every(({ node }) => node === x));
});

test('what a client has put behind a command that is tried again stays behind it', async (t) => {
  const { cluster, fake } = await rig(t);
  const sender = new Sender(cluster);
  let answer: string | undefined = DOWN;
  let refusals = 0;
  fake.script = forKeys(({ name }) => {
    if (name !== 'MSET') return undefined;
    refusals += answer === TRYAGAIN ? 1 : 0;
    return answer;
  });
  const several = Asked.to(sender, SLOT, 'MSET', 'a', '1', 'b', '1');
  await until('it to wait', () => several.heldSince !== 0);
  const one = Asked.to(sender, SLOT, 'SET', 'a', '2');
  answer = TRYAGAIN;
  await until('it to be tried again', () => refusals >= 3);
  answer = undefined;
  await Promise.all([several.answered, one.answered]);
  assert.deepEqual(fake.executed, ['MSET a 1 b 1', 'SET a 2']);
});

test('commands are numbered in the order in which they were made', async (t) => {
  const { cluster } = await rig(t);
  const sender = new Sender(cluster);
  const calls = Array.from({ length: 20 }, () => new Asked(sender, SLOT, true));
  for (let i = 0; i < 20; i++)
    for (let j = 0; j < 20; j++) if (i !== j) assert.equal(calls[i]!.isBefore(calls[j]!), i < j);
  assert.ok(calls[0] instanceof Call);
});
