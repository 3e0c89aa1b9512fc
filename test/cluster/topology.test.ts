import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  EMPTY,
  NO_SHARD,
  type NodeInfo,
  reconcile,
  runEnd,
  SLOTS,
  sameTopology,
  type Topology,
  type View,
  withMoved,
} from '../../src/cluster/topology.ts';

const PARTS = 16;
const PART = SLOTS / PARTS;

function node(name: number | string): NodeInfo {
  return { id: `id-${name}`, host: `host-${name}`, port: 7000, hostname: '' };
}

/** A view out of the owner of each sixteenth of the slots; -1 is nobody. */
function view(epoch: number, owners: readonly number[], replicas: readonly number[] = []): View {
  return {
    epoch,
    ranges: owners.flatMap((owner, i) => {
      if (owner < 0) return [];
      return [{ from: i * PART, to: (i + 1) * PART - 1, nodes: [node(owner), ...replicas.map(node)] }];
    }),
  };
}

/** Who owns each sixteenth, by the number of the node. */
function ownersOf(map: Topology): number[] {
  return Array.from({ length: PARTS }, (_, i) => {
    const all = new Set(map.slots.subarray(i * PART, (i + 1) * PART));
    assert.equal(all.size, 1);
    const shard = map.shards[map.slots[i * PART]!];
    return shard === undefined ? -1 : Number(shard.primary.id.slice(3));
  });
}

const owners = fc.array(fc.integer({ min: -1, max: 3 }), { minLength: PARTS, maxLength: PARTS });
const views = fc.array(
  fc.record({ epoch: fc.nat({ max: 5 }), owners }).map(({ epoch, owners }) => ({ epoch, owners })),
  { minLength: 1, maxLength: 5 },
);

test('for each slot the owner wins that a majority names, else the one of the highest epoch', () => {
  fc.assert(
    fc.property(views, (said) => {
      const map = reconcile(
        said.map(({ epoch, owners }) => view(epoch, owners)),
        7,
      );
      const newest = said.toSorted((a, b) => b.epoch - a.epoch)[0]!;
      const expected = Array.from({ length: PARTS }, (_, i) => {
        const votes = new Map<number, number>();
        for (const { owners } of said) votes.set(owners[i]!, (votes.get(owners[i]!) ?? 0) + 1);
        const winner = [...votes].find(([, count]) => count > said.length / 2);
        return winner === undefined ? newest.owners[i]! : winner[0];
      });
      assert.deepEqual(ownersOf(map), expected);
      assert.equal(map.epoch, newest.epoch);
      assert.equal(map.version, 7);
    }),
    { numRuns: 200 },
  );
});

test('shards stand in the order of their lowest slots, and those without slots are left out', () => {
  fc.assert(
    fc.property(views, (said) => {
      const map = reconcile(
        said.map(({ epoch, owners }) => view(epoch, owners)),
        1,
      );
      const lowest = map.shards.map((_, i) => map.slots.indexOf(i));
      assert.ok(lowest.every((slot) => slot >= 0));
      assert.deepEqual(
        lowest,
        lowest.toSorted((a, b) => a - b),
      );
      assert.ok(map.slots.every((shard) => shard === NO_SHARD || shard < map.shards.length));
    }),
    { numRuns: 100 },
  );
});

test('one node on the wrong side of a partition is outvoted, however high its epoch', () => {
  const right = Array.from({ length: PARTS }, (_, i) => (i < 8 ? 0 : 1));
  const map = reconcile([view(9, new Array(PARTS).fill(2)), view(3, right), view(3, right)], 1);
  assert.deepEqual(ownersOf(map), right);
});

test('no view is the empty map', () => {
  const map = reconcile([], 3);
  assert.deepEqual([map.shards.length, map.epoch, map.version], [0, 0, 3]);
  assert.ok(map.slots.every((shard) => shard === NO_SHARD));
  assert.ok(sameTopology(map, EMPTY));
});

test('replicas are those of the view with the highest epoch, and of another where it knows none', () => {
  const all = new Array(PARTS).fill(0);
  const map = reconcile([view(1, all, [7]), view(2, all, [8, 9])], 1);
  assert.deepEqual(
    map.shards[0]!.replicas.map(({ id }) => id),
    ['id-8', 'id-9'],
  );
  const one = reconcile([view(1, all, [7]), view(2, all)], 1);
  assert.deepEqual(
    one.shards[0]!.replicas.map(({ id }) => id),
    ['id-7'],
  );
});

test('after a failover the heir owns the slots when a majority says so', () => {
  const before = new Array(PARTS).fill(0);
  const after = new Array(PARTS).fill(1);
  const map = reconcile([view(1, before, [1]), view(2, after, [0]), view(2, after, [0])], 1);
  assert.deepEqual(ownersOf(map), after);
  assert.deepEqual(map.shards[0]!.replicas, [node(0)]);
});

/** A map with one replica to each shard. Made in the test, so that a counterexample is not 16384 slots long. */
function mapOf(owners: readonly number[]): Topology {
  return reconcile([view(1, owners, [9])], 1);
}

const slots = fc.nat({ max: SLOTS - 1 });

test('a MOVED changes the owner of one slot and nothing else', () => {
  fc.assert(
    fc.property(owners, slots, fc.nat({ max: 12 }), (owners, slot, name) => {
      const map = mapOf(owners);
      const before = structuredClone(map);
      const { host, port } = node(name);
      const next = withMoved(map, slot, host, port);
      assert.deepEqual(map, before);
      const owner = next.shards[next.slots[slot]!]!.primary;
      assert.deepEqual([owner.host, owner.port], [host, port]);
      const others = (slots: Uint16Array) => slots.with(slot, 0);
      assert.deepEqual(others(next.slots), others(map.slots));
      assert.deepEqual(next.shards.slice(0, map.shards.length), map.shards);
      assert.ok(next.shards.length <= map.shards.length + 1);
      assert.equal(next.version, next === map ? map.version : map.version + 1);
      // Said twice it changes nothing more.
      assert.equal(withMoved(next, slot, host, port), next);
    }),
    { numRuns: 100 },
  );
});

test('a replica that a MOVED names keeps its id', () => {
  const map = reconcile([view(1, new Array(PARTS).fill(0), [5])], 1);
  const next = withMoved(map, 3, 'host-5', 7000);
  assert.equal(next.shards[next.slots[3]!]!.primary.id, 'id-5');
  assert.equal(withMoved(map, 3, 'stranger', 1).shards.at(-1)!.primary.id, '');
});

test('a map is the same as itself in another order of replicas, and no other', () => {
  const one = reconcile([view(1, new Array(PARTS).fill(0), [1, 2])], 1);
  assert.ok(sameTopology(one, reconcile([view(4, new Array(PARTS).fill(0), [2, 1])], 9)));
  const others = [
    view(1, new Array(PARTS).fill(0), [1]),
    view(1, new Array(PARTS).fill(0), [1, 3]),
    view(1, new Array(PARTS).fill(3), [1, 2]),
    view(1, new Array(PARTS).fill(0).with(5, 3), [1, 2]),
    view(1, new Array(PARTS).fill(0).with(5, -1), [1, 2]),
  ];
  for (const other of others) assert.ok(!sameTopology(one, reconcile([other], 1)));
  const elsewhere = { ...one, shards: [{ ...one.shards[0]!, primary: { ...node(0), port: 1 } }] };
  assert.ok(!sameTopology(one, elsewhere));
});

test('a run of slots ends where the next one has another owner', () => {
  fc.assert(
    fc.property(owners, slots, (owners, slot) => {
      const map = mapOf(owners);
      const end = runEnd(map, slot);
      assert.ok(end >= slot && end < SLOTS);
      assert.ok(map.slots.subarray(slot, end + 1).every((shard) => shard === map.slots[slot]));
      if (end + 1 < SLOTS) assert.notEqual(map.slots[end + 1], map.slots[slot]);
    }),
    { numRuns: 100 },
  );
});
