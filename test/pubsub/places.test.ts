import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY, SLOTS, type Topology } from '../../src/cluster/topology.ts';
import { ANY, ONE_SHARD } from '../../src/pubsub/names.ts';
import { candidates, keyNodes } from '../../src/pubsub/places.ts';

const node = (port: number) => ({ id: String(port), host: 'h', port, hostname: '' });
/** Three shards: primaries 1, 2, 3, with a replica each: 11, 12, 13. */
const MAP: Topology = {
  version: 1,
  epoch: 1,
  slots: Uint16Array.from({ length: SLOTS }, (_, slot) => Math.floor((slot * 3) / SLOTS)),
  shards: [1, 2, 3].map((port) => ({ primary: node(port), replicas: [node(10 + port)] })),
};
const ports = (...args: Parameters<typeof candidates>) => candidates(...args).map(({ port }) => port);

test('a channel is heard at the owner of its slot, and where that is lost at any other node', () => {
  assert.deepEqual(ports(MAP, ANY, 0, false), [1, 11, 2, 3, 12, 13]);
  assert.deepEqual(ports(MAP, ANY, SLOTS - 1, false).slice(0, 2), [3, 13]);
});

test('what a lost shard had is spread over the others', () => {
  const next = new Set(Array.from({ length: 10 }, (_, slot) => ports(MAP, ANY, slot, false)[2]));
  assert.deepEqual([...next].sort(), [2, 3]);
});

test('replicas have their part of the channels where they may', () => {
  const first = new Set(Array.from({ length: 20 }, (_, slot) => ports(MAP, ANY, slot, true)[0]));
  assert.deepEqual([...first].sort(), [1, 11]);
});

test('a shard channel stays in its shard, at the primary first', () => {
  for (const slot of [0, 1, 5, 3000]) assert.deepEqual(ports(MAP, ONE_SHARD, slot, true), [1, 11]);
});

test('a slot without an owner is heard at some node, a map without nodes at none', () => {
  const holes = { ...MAP, slots: EMPTY.slots };
  assert.equal(ports(holes, ANY, 7, false).length, 6);
  assert.deepEqual(ports(EMPTY, ANY, 7, false), []);
  assert.deepEqual(keyNodes(EMPTY), []);
});

test('keys are heard of at every node', () => {
  assert.deepEqual(
    keyNodes(MAP).map(({ port }) => port),
    [1, 11, 2, 12, 3, 13],
  );
});
