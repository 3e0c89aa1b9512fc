import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Choice, type Reads } from '../../src/cluster/attempt.ts';
import type { Cluster, ClusterOptions } from '../../src/cluster/cluster.ts';
import { FROM, type From } from '../../src/cluster/copies.ts';
import { EMPTY } from '../../src/cluster/topology.ts';
import { TOTAL } from '../../src/telemetry/counters.ts';
import { encode } from '../support/client.ts';
import { type FakeNode, held, type Script } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { Asked, laneKey, rig, Sender } from './rig.ts';

const SLOT = 100;
const NIL = '$-1\r\n';

/** A primary and a replica that has all it has. */
async function shard(t: TestContext, more: Partial<ClusterOptions> = {}) {
  const { fake, cluster } = await rig(t, more);
  const [primary, replica] = fake.nodes as [FakeNode, FakeNode];
  const info = ({ id, host, port }: FakeNode) => ({ id, host, port, hostname: '' });
  cluster.adopt({
    ...EMPTY,
    slots: new Uint16Array(16384),
    shards: [{ primary: info(primary), replicas: [info(replica)] }],
  });
  const [copy] = cluster.copies.shards[0]!.replicas;
  copy!.linked = true;
  copy!.upTo = cluster.turn.now + 1;
  return {
    fake,
    cluster,
    primary,
    replica,
    copy: copy!,
    sender: new Sender(cluster),
    reads: readsOf(cluster),
  };
}

function readsOf(cluster: Cluster): Reads {
  const lane = cluster.enterLane(laneKey({ readOnly: true }));
  return {
    lane,
    choose: (slot, from, not) => cluster.copies.choose(slot, from, -1, lane, cluster.turn.now, not),
  };
}

function read({ sender, reads }: { sender: Sender; reads: Reads }, from: From = FROM.preferReplica) {
  const call = new Asked(sender, SLOT, true, false, new Choice(reads, from, reads.choose(SLOT, from)));
  const bytes = encode(['GET', 'a']);
  call.start(bytes, 0, bytes.length);
  return { call, attempt: call.attempt! };
}

function forGet(answer: Script): Script {
  return (received) => (received.name === 'GET' ? answer(received) : undefined);
}

const ports = (received: readonly { readonly node: FakeNode; readonly name: string }[]) =>
  received.filter(({ name }) => name === 'GET').map(({ node }) => node.port);

test('a replica is asked, on a link that it knows to be for reading', async (t) => {
  const stage = await shard(t);
  stage.fake.store.set('a', 'value');
  const { call } = read(stage);
  assert.equal(await call.answered, '$5\r\nvalue\r\n');
  assert.deepEqual(ports(stage.fake.received), [stage.replica.port]);
  assert.equal(stage.copy.inFlight, 0);
  assert.ok(stage.copy.latency > 0);
  assert.equal(stage.cluster.counters.totals[TOTAL.readsAtReplicas], 1);
});

test('an error of a replica is not the last word: the primary is asked', async (t) => {
  for (const error of [
    '-LOADING Redis is loading the dataset in memory\r\n',
    '-NOPERM no\r\n',
    '-MOVED 100 127.0.0.1:1\r\n',
  ]) {
    const stage = await shard(t, { replicasKnowMoves: true });
    stage.fake.store.set('a', 'value');
    stage.replica.script = forGet(() => error);
    assert.equal(await read(stage).call.answered, '$5\r\nvalue\r\n');
    assert.deepEqual(ports(stage.fake.received), [stage.replica.port, stage.primary.port]);
    // Nor is a replica's MOVED believed.
    assert.equal(stage.cluster.topology.shards.length, 1);
  }
});

test('that there is nothing is believed of a replica that knows which slots are on the move, and of no other', async (t) => {
  for (const replicasKnowMoves of [true, false]) {
    const stage = await shard(t, { replicasKnowMoves });
    stage.fake.store.set('a', 'moved');
    stage.replica.script = forGet(() => NIL);
    assert.equal(await read(stage).call.answered, replicasKnowMoves ? NIL : '$5\r\nmoved\r\n');
    assert.equal(stage.cluster.counters.totals[TOTAL.readsConfirmed], replicasKnowMoves ? 0 : 1);
  }
});

test('a long reply that holds nothing is asked of the primary as well, and one that holds anything is passed on', async (t) => {
  const stage = await shard(t);
  const nothing = `*20000\r\n${NIL.repeat(20_000)}`;
  const something = `*20000\r\n$1\r\nx\r\n${NIL.repeat(19_999)}`;
  stage.primary.script = forGet(() => '+primary\r\n');
  stage.replica.script = forGet(() => nothing);
  assert.equal(await read(stage).call.answered, '+primary\r\n');
  stage.replica.script = forGet(() => something);
  const { call } = read(stage);
  await call.answered;
  assert.equal(
    call.pieces.length > 0 ? Buffer.concat(call.pieces).length : (await call.answered).length,
    something.length,
  );
});

test('a lost link sends the read elsewhere', async (t) => {
  const stage = await shard(t);
  stage.fake.store.set('a', 'value');
  stage.replica.script = forGet(() => ({ fate: 'reset' }));
  assert.equal(await read(stage).call.answered, '$5\r\nvalue\r\n');
  assert.deepEqual(ports(stage.fake.received), [stage.replica.port, stage.primary.port]);
  assert.equal(stage.copy.inFlight, 0);
});

test('asked of two nodes the first answer counts, and the other is passed over', async (t) => {
  for (const late of [
    NIL,
    '-ERR late\r\n',
    '$4\r\nlate\r\n',
    `$40000\r\n${'l'.repeat(40_000)}\r\n`,
    'reset',
  ]) {
    const stage = await shard(t);
    const gate = held();
    stage.replica.script = forGet(() => gate.answer);
    stage.fake.store.set('a', 'value');
    const { call, attempt } = read(stage);
    await until('the replica to have it', () => ports(stage.fake.received).length === 1);
    assert.equal(attempt.askBeside(), true);
    assert.equal(await call.answered, '$5\r\nvalue\r\n');
    gate.release(late === 'reset' ? { fate: 'reset' } : late);
    await until('the late answer to be there', () => stage.copy.inFlight === 0);
    assert.deepEqual([call.answers, call.pieces.length, stage.sender.settled], [1, 0, 1]);
  }
});

test('when the node that was asked beside fails, the first answers all the same', async (t) => {
  const stage = await shard(t);
  const gate = held();
  stage.replica.script = forGet(() => gate.answer);
  const second = held();
  stage.primary.script = forGet(() => second.answer);
  const { call, attempt } = read(stage);
  await until('the replica to have it', () => ports(stage.fake.received).length === 1);
  attempt.askBeside();
  await until('the primary to have it', () => ports(stage.fake.received).length === 2);
  second.release({ fate: 'reset' });
  await until('the primary to be lost', () => stage.cluster.copies.shards[0]!.primary.inFlight === 0);
  gate.release('$5\r\nvalue\r\n');
  assert.equal(await call.answered, '$5\r\nvalue\r\n');
});

test('when both fail it waits for the primary', async (t) => {
  const stage = await shard(t);
  const gates = [held(), held()];
  stage.replica.script = forGet(() => gates[0]!.answer);
  stage.primary.script = forGet(() => gates[1]!.answer);
  const { call, attempt } = read(stage);
  await until('the replica to have it', () => ports(stage.fake.received).length === 1);
  attempt.askBeside();
  await until('the primary to have it', () => ports(stage.fake.received).length === 2);
  stage.replica.script = stage.primary.script = forGet(() => '$5\r\nagain\r\n');
  for (const gate of gates) gate.release({ fate: 'reset' });
  assert.equal(await call.answered, '$5\r\nagain\r\n');
  assert.equal(call.answers, 1);
});

test('a read that no replica may answer waits until one may', async (t) => {
  const stage = await shard(t);
  stage.fake.store.set('a', 'value');
  stage.copy.linked = false;
  const { call } = read(stage, FROM.replica);
  assert.equal(call.node, undefined);
  // What others do with the slot goes on.
  assert.equal(await Asked.to(stage.sender, SLOT, 'SET', 'b', '1').answered, '+OK\r\n');
  assert.equal(call.answers, 0);
  stage.copy.linked = true;
  assert.equal(await call.answered, '$5\r\nvalue\r\n');
  assert.deepEqual(ports(stage.fake.received), [stage.replica.port]);
});

test('a read that waits at the gate for a lost primary goes to a replica when one may answer, and lets nobody else pass', async (t) => {
  const stage = await shard(t);
  stage.copy.linked = false;
  stage.fake.store.set('a', 'value');
  await stage.primary.close();
  const { call } = read(stage);
  const write = Asked.to(stage.sender, SLOT, 'SET', 'b', '1');
  await until('both to wait', () => call.atGate && write.atGate);
  stage.copy.linked = true;
  assert.equal(await call.answered, '$5\r\nvalue\r\n');
  assert.deepEqual([write.answers, write.atGate], [0, true]);
});

test('a read that was sent to the primary is astray when that is a replica, and follows what it is told', async (t) => {
  const stage = await shard(t);
  const gate = held();
  stage.primary.script = forGet(() => gate.answer);
  stage.copy.linked = false;
  stage.fake.store.set('a', 'value');
  const { call } = read(stage);
  await until('the primary to have it', () => ports(stage.fake.received).length === 1);
  assert.equal(call.isAstray, false);
  const { cluster, primary, replica } = stage;
  const info = ({ id, host, port }: FakeNode) => ({ id, host, port, hostname: '' });
  cluster.adopt({
    ...EMPTY,
    slots: new Uint16Array(16384),
    shards: [{ primary: info(replica), replicas: [info(primary)] }],
  });
  assert.equal(call.isAstray, true);
  gate.release(`-MOVED ${SLOT} ${replica.host}:${replica.port}\r\n`);
  assert.equal(await call.answered, '$5\r\nvalue\r\n');
  assert.equal(cluster.counters.totals[TOTAL.redirectsMoved], 1);
  assert.equal(cluster.counters.totals[TOTAL.readsConfirmed], 0);
});
