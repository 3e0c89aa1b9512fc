import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Copies, type CopiesOptions, type Copy, FROM, type From } from '../../src/cluster/copies.ts';
import type { Lane } from '../../src/cluster/lanes.ts';
import { Node } from '../../src/cluster/node.ts';
import { Turn } from '../../src/cluster/turn.ts';
import { Counters } from '../../src/telemetry/counters.ts';
import { clusterOptions } from './rig.ts';

const LANE: Lane = {
  index: 0,
  resp: 2,
  username: '',
  password: '',
  readOnly: true,
  copy: 0,
  handshake: [],
  users: 1,
};
const OWNER = { linkReady() {}, linkLost() {}, linkPush() {} };
const NOW = 100_000;

function nodes(count: number): Node[] {
  const turn = new Turn();
  const counters = Counters.create([]);
  return Array.from(
    { length: count },
    (_, i) => new Node('127.0.0.1', 7000 + i, clusterOptions(), OWNER, turn, counters),
  );
}

/** One shard of a primary and `count` replicas that have all of a moment ago. */
function shard(count: number, more: Partial<CopiesOptions> = {}) {
  const copies = new Copies({ maxLag: { unit: 'ms', most: 1000 }, silence: 100, zone: '', ...more });
  const [primary, ...replicas] = nodes(count + 1);
  const slots = new Uint16Array(16384);
  copies.adopt(slots, [{ primary: primary!, replicas }], NOW - 50_000);
  const all = copies.shards[0]!;
  for (const copy of all.replicas) {
    copy.linked = true;
    copy.upTo = NOW - 10;
    copy.seenAt = NOW;
  }
  for (const copy of [all.primary, ...all.replicas]) copy.latency = 100;
  const choose = (from: From, after = -1, not?: Copy) => copies.choose(1, from, after, LANE, NOW, not);
  /** All that are chosen in many tries. */
  const chosen = (from: From, after = -1, not?: Copy) =>
    new Set(Array.from({ length: 200 }, () => choose(from, after, not)));
  return { copies, slots, nodes: [primary!, ...replicas], ...all, choose, chosen };
}

test('a replica is chosen, or any node, or the primary where there is no replica', () => {
  const { primary, replicas, chosen } = shard(2);
  assert.deepEqual(chosen(FROM.preferReplica), new Set(replicas));
  assert.deepEqual(chosen(FROM.replica), new Set(replicas));
  assert.deepEqual(chosen(FROM.any), new Set([primary, ...replicas]));
  const alone = shard(0);
  assert.deepEqual(alone.chosen(FROM.preferReplica), new Set([alone.primary]));
  assert.deepEqual(alone.chosen(FROM.any), new Set([alone.primary]));
  assert.deepEqual(alone.chosen(FROM.replica), new Set([undefined]));
});

test('nearest is the one that answers soonest', () => {
  const { replicas, chosen } = shard(2);
  replicas[1]!.latency = 99;
  assert.deepEqual(chosen(FROM.nearest), new Set([replicas[1]]));
});

test('who has not what must be there is not chosen: the primary is, also where replicas alone are to be asked', () => {
  const { primary, replicas, chosen } = shard(2);
  replicas[0]!.upTo = NOW - 50;
  assert.deepEqual(chosen(FROM.preferReplica, NOW - 20), new Set([replicas[1]]));
  assert.deepEqual(chosen(FROM.preferReplica, NOW - 10), new Set([primary]));
  assert.deepEqual(chosen(FROM.replica, NOW - 10), new Set([primary]));
  assert.deepEqual(chosen(FROM.any, Number.POSITIVE_INFINITY), new Set([primary]));
});

test('who is too far behind, in time or in bytes, is not chosen', () => {
  const { replicas, chosen } = shard(2);
  replicas[0]!.upTo = NOW - 1001;
  assert.deepEqual(chosen(FROM.preferReplica), new Set([replicas[1]]));
  const bytes = shard(2, { maxLag: { unit: 'bytes', most: 100 } });
  bytes.replicas[0]!.behind = 101;
  bytes.replicas[1]!.behind = 100;
  assert.deepEqual(bytes.chosen(FROM.preferReplica), new Set([bytes.replicas[1]]));
  // What was said of it long ago counts no more.
  bytes.replicas[1]!.seenAt = NOW - 1001;
  assert.deepEqual(bytes.chosen(FROM.replica), new Set([undefined]));
});

test('who has lost its primary, owes an answer or takes nothing is not chosen', () => {
  const { replicas, chosen } = shard(4);
  replicas[0]!.linked = false;
  replicas[1]!.doubted = true;
  replicas[2]!.node.breaker.doubt(2000);
  assert.deepEqual(chosen(FROM.preferReplica), new Set([replicas[3]]));
});

test('the one that has just failed is not chosen again, were it the primary', () => {
  const { primary, replicas, chosen } = shard(1);
  assert.deepEqual(chosen(FROM.preferReplica, -1, replicas[0]), new Set([primary]));
  assert.deepEqual(chosen(FROM.any, -1, primary), new Set(replicas));
  assert.deepEqual(chosen(FROM.any, NOW, primary), new Set([undefined]));
  assert.deepEqual(chosen(FROM.replica, -1, replicas[0]), new Set([undefined]));
});

test('those of the own zone come first, and others when there is none of it', () => {
  const { primary, replicas, chosen } = shard(3, { zone: 'a' });
  primary.zone = replicas[0]!.zone = 'b';
  replicas[1]!.zone = replicas[2]!.zone = 'a';
  assert.deepEqual(chosen(FROM.preferReplica), new Set(replicas.slice(1)));
  assert.deepEqual(chosen(FROM.any), new Set(replicas.slice(1)));
  for (const copy of replicas.slice(1)) copy.linked = false;
  assert.deepEqual(chosen(FROM.preferReplica), new Set([replicas[0]]));
  primary.zone = 'a';
  assert.deepEqual(chosen(FROM.any), new Set([primary]));
});

test('of two the one with less to do is chosen, by what is pending and by how long it takes', () => {
  const { replicas, chosen } = shard(2);
  replicas[0]!.inFlight = 3;
  assert.deepEqual(chosen(FROM.preferReplica), new Set([replicas[1]]));
  replicas[1]!.latency = 1000;
  assert.deepEqual(chosen(FROM.preferReplica), new Set([replicas[0]]));
});

test('of many the most laden is never chosen, and all others are', () => {
  const { replicas, chosen } = shard(5);
  replicas[2]!.inFlight = 10;
  assert.deepEqual(chosen(FROM.preferReplica), new Set(replicas.filter((copy) => copy !== replicas[2])));
});

test('a slot that has changed hands is read from replicas that are known to have it since', () => {
  const [first, second, replica] = nodes(3);
  const copies = new Copies({ maxLag: { unit: 'ms', most: 1000 }, silence: 100, zone: '' });
  const shards = [
    { primary: first!, replicas: [] },
    { primary: second!, replicas: [replica!] },
  ];
  const slots = new Uint16Array(16384).fill(1);
  slots[1] = 0;
  copies.adopt(slots, shards, NOW - 5000);
  const [copy] = copies.shards[1]!.replicas;
  copy!.linked = true;
  copy!.upTo = NOW - 20;
  const read = (slot: number, now: number) => copies.choose(slot, FROM.preferReplica, -1, LANE, now)?.node;
  const moved = slots.slice();
  moved[1] = 1;
  copies.adopt(moved, shards, NOW - 10);
  assert.equal(read(2, NOW), replica);
  assert.equal(read(1, NOW), second);
  copy!.upTo = NOW - 9;
  assert.equal(read(1, NOW), replica);
});

test('what was known of a replica of another primary counts no more', () => {
  const { copies, slots, replicas, nodes: all, choose } = shard(2);
  const [primary, heir, other] = all;
  assert.ok(replicas.includes(choose(FROM.preferReplica)!));
  copies.adopt(slots, [{ primary: heir!, replicas: [primary!, other!] }], NOW - 100);
  assert.equal(choose(FROM.preferReplica)?.node, heir);
  assert.deepEqual(
    copies.shards[0]!.replicas.map(({ linked, upTo }) => [linked, upTo]),
    [
      [false, -1],
      [false, -1],
    ],
  );
});

test('a slow one is thought of as fast again when it answers fast a few times', () => {
  const { replicas } = shard(1);
  const [copy] = replicas;
  copy!.latency = 1_000_000;
  for (let i = 0; i < 14; i++) copy!.canTake(100);
  assert.equal(copy!.latency, 100);
  copy!.canTake(500);
  assert.equal(copy!.latency, 100);
});

test('somebody uses it while there are reads, and as long as one has no answer', () => {
  const { copies, replicas, choose } = shard(1);
  assert.equal(copies.isUsed(NOW), false);
  choose(FROM.any);
  assert.equal(copies.isUsed(NOW + 1000), true);
  assert.equal(copies.isUsed(NOW + 1001), false);
  replicas[0]!.inFlight = 1;
  assert.equal(copies.isUsed(NOW + 1001), true);
});
