import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOSED, READY } from '../../src/cluster/connection.ts';
import { TOTAL } from '../../src/telemetry/counters.ts';
import { until } from '../support/wait.ts';
import { Asked, laneKey, mapOf, rig, Sender } from './rig.ts';

const A = 0;
const B = 16_000;

test('a slot belongs to the node that the map names, and commands go there', async (t) => {
  const { cluster, fake } = await rig(t);
  const [x, y] = fake.nodes;
  assert.equal(cluster.ownerOf(A)!.port, x!.port);
  assert.equal(cluster.ownerOf(B)!.port, y!.port);
  const sender = new Sender(cluster);
  await Promise.all(
    [Asked.to(sender, A, 'SET', 'a', '1'), Asked.to(sender, B, 'SET', 'b', '1')].map((c) => c.answered),
  );
  assert.deepEqual(
    fake.received.map(({ node, words }) => [node.port, words[1]]),
    [
      [x!.port, 'a'],
      [y!.port, 'b'],
    ],
  );
});

test('a MOVED changes the owner of its slot at once, and a newer map is asked for', async (t) => {
  const { cluster, fake, stale } = await rig(t);
  const y = fake.nodes[1]!;
  const { version } = cluster.topology;
  const node = cluster.moved(A, y.host, y.port);
  assert.ok(cluster.ownerOf(A) === node);
  assert.ok(cluster.ownerOf(A) === cluster.ownerOf(B));
  assert.ok(cluster.ownerOf(A + 1) !== node);
  assert.ok(cluster.topology.version > version);
  assert.equal(stale.length, 1);
  // The same once more is no news.
  cluster.moved(A, y.host, y.port);
  assert.equal(stale.length, 1);
});

test('a slot may move to a node that nobody has spoken of before', async (t) => {
  const { cluster, fake } = await rig(t);
  const z = await fake.add();
  cluster.moved(A, z.host, z.port);
  assert.equal(await Asked.to(new Sender(cluster), A, 'SET', 'a', '1').answered, '+OK\r\n');
  assert.ok(fake.received[0]!.node === z);
});

test('a node that is in the next map keeps its links, one that is in none loses them when it is quiet', async (t) => {
  const { cluster, fake } = await rig(t);
  const sender = new Sender(cluster);
  for (const slot of [A, B]) await Asked.to(sender, slot, 'GET', 'a').answered;
  const links = [A, B].map((slot) => cluster.ownerOf(slot)!.link(sender.lane));
  fake.owners.fill(0);
  cluster.adopt(mapOf(fake));
  assert.ok(cluster.ownerOf(B)!.link(sender.lane) === links[0]);
  await until('the other to be closed', () => links[1]!.state === CLOSED);
  assert.equal(links[0]!.state, READY);
});

test('a node that has left the map is not closed while something is pending on it', async (t) => {
  const { cluster, fake } = await rig(t);
  const sender = new Sender(cluster);
  let release: (answer: string) => void = () => {};
  fake.nodes[1]!.script = ({ name }) =>
    name === 'GET' ? new Promise((resolve) => (release = resolve)) : undefined;
  const call = Asked.to(sender, B, 'GET', 'a');
  await until('it to arrive', () => fake.received.length === 1);
  const link = cluster.ownerOf(B)!.link(sender.lane);
  fake.owners.fill(0);
  cluster.adopt(mapOf(fake));
  // The tick that closes what is quiet comes by: it also counts what is pending.
  const { totals } = cluster.counters;
  totals[TOTAL.pending] = -1;
  await until('the tick', () => totals[TOTAL.pending] === 1);
  assert.equal(link.state, READY);
  release('$1\r\n1\r\n');
  assert.equal(await call.answered, '$1\r\n1\r\n');
  await until('it to be closed', () => link.state === CLOSED);
});

test('addresses that nodes give are mapped', async (t) => {
  const { cluster } = await rig(t, { natMap: { '10.0.0.1:7000': { host: '127.0.0.1', port: 1234 } } });
  assert.equal(cluster.nodeAt('10.0.0.1', 7000).address, '127.0.0.1:1234');
  assert.ok(cluster.nodeAt('10.0.0.1', 7000) === cluster.nodeAt('127.0.0.1', 1234));
  assert.equal(cluster.nodeAt('10.0.0.1', 7001).address, '10.0.0.1:7001');
  assert.equal(cluster.moved(A, '10.0.0.1', 7000).address, '127.0.0.1:1234');
  assert.equal(cluster.ownerOf(A)!.address, '127.0.0.1:1234');
});

test('every shard that has a slot has one to be asked by, and any slot is one of them', async (t) => {
  const { cluster, fake } = await rig(t);
  assert.deepEqual(cluster.shardSlots(), [0, 8192]);
  assert.deepEqual(
    [0, 1, 2, 3].map((seed) => cluster.anySlot(seed)),
    [0, 8192, 0, 8192],
  );
  for (let slot = 0; slot < 3; slot++) cluster.moved(slot, fake.nodes[1]!.host, fake.nodes[1]!.port);
  assert.deepEqual(cluster.shardSlots(), [3, 0]);
  assert.equal(cluster.ownerOf(cluster.anySlot(1))!.port, fake.nodes[1]!.port);
});

test('without a map nobody owns a slot, and a slot can be named all the same', async (t) => {
  const { cluster, fake } = await rig(t);
  fake.owners.fill(-1);
  cluster.adopt(mapOf(fake));
  assert.equal(cluster.ownerOf(A), undefined);
  assert.deepEqual([cluster.shardSlots(), cluster.anySlot(7)], [[], 0]);
});

test('replicas are nodes behind their primary', async (t) => {
  const { cluster, fake } = await rig(t);
  const map = mapOf(fake);
  const replica = { id: 'r', host: '127.0.0.1', port: 1, hostname: '' };
  cluster.adopt({ ...map, shards: [{ ...map.shards[0]!, replicas: [replica] }, map.shards[1]!] });
  assert.deepEqual(
    cluster.allNodes().map(({ node, primary, shard }) => [node.port, primary, shard]),
    [
      [fake.nodes[0]!.port, true, 0],
      [1, false, 0],
      [fake.nodes[1]!.port, true, 1],
    ],
  );
});

test('a map that names an owner lets go what has waited for one', async (t) => {
  const { cluster, fake, stale } = await rig(t);
  const map = mapOf(fake);
  fake.owners.fill(-1, 0, 8192);
  cluster.adopt(mapOf(fake));
  const call = Asked.to(new Sender(cluster), A, 'SET', 'a', '1');
  assert.equal(cluster.gates.slots.size, 1);
  await until('a map to be asked for', () => stale.length > 0);
  cluster.adopt(map);
  assert.equal(await call.answered, '+OK\r\n');
  assert.equal(cluster.gates.slots.size, 0);
});

test('a lost link is told with its node, and how often it has failed', async (t) => {
  const { cluster, fake, lost } = await rig(t);
  await Asked.to(new Sender(cluster), A, 'GET', 'a').answered;
  const { host, port } = fake.nodes[0]!;
  await fake.nodes[0]!.close();
  await until('the loss', () => lost.length > 0);
  assert.ok(lost[0]!.startsWith(`${host}:${port} (1): `));
});

test('users are counted once, whatever protocol they speak', async (t) => {
  const { cluster } = await rig(t);
  for (const resp of [2, 3] as const)
    for (const username of ['', 'a', 'b']) cluster.enterLane(laneKey({ resp, username }));
  assert.equal(cluster.userCount, 3);
});

test('after the end nothing is connected', async (t) => {
  const { cluster, fake } = await rig(t);
  const sender = new Sender(cluster);
  for (const slot of [A, B]) await Asked.to(sender, slot, 'GET', 'a').answered;
  assert.equal(cluster.linkCount, 2);
  cluster.close();
  assert.equal(cluster.linkCount, 0);
  await until('the nodes to see it', () => fake.nodes.every(({ connections }) => connections.size === 0));
});
