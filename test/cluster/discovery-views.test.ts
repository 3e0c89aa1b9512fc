/** What a node says of the map, in the two forms that servers have for it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rangesOfShards, rangesOfSlots } from '../../src/cluster/discovery.ts';

const ASKED = '10.0.0.99';
const asIs = (host: string, port: number) => ({ host, port });

type Fields = Record<string, unknown>;

/** A node as CLUSTER SHARDS lists it. */
function listed(id: string, more: Fields = {}): unknown[] {
  const fields = { id, port: 7000, ip: '10.0.0.1', endpoint: '10.0.0.1', role: 'master', health: 'online' };
  return Object.entries({ ...fields, ...more }).flat();
}

function shards(nodes: unknown[][], slots: number[] = [0, 16383], nat = asIs) {
  return rangesOfShards([['slots', slots, 'nodes', nodes]], ASKED, nat);
}

function hostsOf(ranges: ReturnType<typeof shards>): string[] {
  return ranges[0]!.nodes.map(({ host, port }) => `${host}:${port}`);
}

test('a shard has one range for each pair of slots, all with the same nodes', () => {
  const ranges = shards([listed('a'), listed('b', { role: 'replica', port: 7001 })], [0, 99, 200, 200]);
  assert.deepEqual(
    ranges.map(({ from, to }) => [from, to]),
    [
      [0, 99],
      [200, 200],
    ],
  );
  for (const { nodes } of ranges)
    assert.deepEqual(
      nodes.map(({ id }) => id),
      ['a', 'b'],
    );
});

test('a shard without slots, or a cluster without shards, has no range', () => {
  assert.deepEqual(shards([listed('a')], []), []);
  assert.deepEqual(rangesOfShards([], ASKED, asIs), []);
});

test('the primary comes first, wherever it is listed', () => {
  const [range] = shards([listed('r', { role: 'replica' }), listed('p'), listed('s', { role: 'replica' })]);
  assert.deepEqual(
    range!.nodes.map(({ id }) => id),
    ['p', 'r', 's'],
  );
});

test('a primary that is well comes before one that has failed in the same shard', () => {
  const dead = listed('dead', { health: 'fail' });
  const heir = listed('heir', { port: 7001 });
  for (const nodes of [
    [dead, heir],
    [heir, dead],
  ])
    assert.deepEqual(
      shards(nodes)[0]!.nodes.map(({ id }) => id),
      ['heir'],
    );
});

test('a primary is taken as it is, and a replica only when it is well', () => {
  for (const health of ['fail', 'loading', 'online']) {
    const nodes = [listed('p', { health }), listed('r', { role: 'replica', health })];
    const ids = shards(nodes)[0]!.nodes.map(({ id }) => id);
    assert.deepEqual(ids, health === 'online' ? ['p', 'r'] : ['p']);
  }
});

test('an unknown endpoint is the host that was asked', () => {
  for (const endpoint of ['', '?', null])
    assert.deepEqual(hostsOf(shards([listed('a', { endpoint })])), [`${ASKED}:7000`]);
});

test('names and IPv6 addresses are endpoints as well', () => {
  const nodes = [
    listed('a', { endpoint: 'node-1.example', hostname: 'node-1.example' }),
    listed('b', { endpoint: '::1', role: 'replica' }),
  ];
  const [range] = shards(nodes);
  assert.deepEqual(
    range!.nodes.map(({ host, hostname }) => [host, hostname]),
    [
      ['node-1.example', 'node-1.example'],
      ['::1', ''],
    ],
  );
});

test('where there is no plain port the one for TLS is taken', () => {
  const node = ['id', 'a', 'tls-port', 7443, 'endpoint', '10.0.0.1', 'role', 'master', 'health', 'online'];
  assert.deepEqual(hostsOf(shards([node])), ['10.0.0.1:7443']);
});

test('the natMap is asked with the announced address, the host that was asked included', () => {
  const nat = (host: string, port: number) => ({ host: `${host}-mapped`, port: port + 1 });
  assert.deepEqual(hostsOf(shards([listed('a')], [0, 1], nat)), ['10.0.0.1-mapped:7001']);
  assert.deepEqual(hostsOf(shards([listed('a', { endpoint: '?' })], [0, 1], nat)), [`${ASKED}-mapped:7001`]);
});

test('a node that nobody can connect to makes the view worthless', () => {
  for (const more of [
    { port: 70000 },
    { port: 0 },
    { port: null },
    { port: 'x' },
    { endpoint: 'a\0b' },
    { endpoint: 'a b' },
  ])
    assert.throws(() => shards([listed('a', more)]), /a node is said to be at/);
});

test('CLUSTER SLOTS says the same in its form', () => {
  const reply = [
    [0, 99, ['10.0.0.1', 7000, 'a'], ['10.0.0.2', 7001, 'b', ['hostname', 'node-b']]],
    [100, 100, ['', 7002, 'c', []]],
    [101, 102, ['?', 7002, 'c'], [null, 7003, 'd']],
  ];
  const ranges = rangesOfSlots(reply, ASKED, asIs);
  assert.deepEqual(ranges, [
    {
      from: 0,
      to: 99,
      nodes: [
        { id: 'a', host: '10.0.0.1', port: 7000, hostname: '' },
        { id: 'b', host: '10.0.0.2', port: 7001, hostname: 'node-b' },
      ],
    },
    { from: 100, to: 100, nodes: [{ id: 'c', host: ASKED, port: 7002, hostname: '' }] },
    {
      from: 101,
      to: 102,
      nodes: [
        { id: 'c', host: ASKED, port: 7002, hostname: '' },
        { id: 'd', host: ASKED, port: 7003, hostname: '' },
      ],
    },
  ]);
  assert.throws(() => rangesOfSlots([[0, 1, ['a', 70000, 'x']]], ASKED, asIs), /a node is said to be at/);
});
