/** The bars of the table, and what misses them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS } from './faults.ts';
import type { Figures } from './round.ts';
import { missed, type Row, table } from './table.ts';

const QUIET: Figures = {
  answered: 1000,
  errors: {},
  unknown: 0,
  unread: 0,
  lost: 0,
  lostByCluster: 0,
  doubled: 0,
  disordered: 0,
  stale: 0,
  malformed: 0,
  pause: 20,
  ownPause: 5,
  took: 0,
  others: undefined,
  examples: [],
};

function row(id: string, ...rounds: Partial<Figures>[]): Row {
  const fault = FAULTS.find((one) => one.id === id)!;
  const figures = rounds.map((round) => ({ ...QUIET, ...round }));
  return { fault, server: 'redis 7.0.15', kind: 'slotless', rounds: figures, nodeTimeout: 2000 };
}

test('a round in which nothing happened holds every bar', () => {
  for (const { id } of FAULTS) assert.deepEqual(missed(row(id, {}, {})), []);
});

test('whatever a client was told wrongly misses a bar', () => {
  const wrong = ['lost', 'doubled', 'disordered', 'malformed'] as const;
  for (const { id } of FAULTS) {
    for (const what of wrong) assert.equal(missed(row(id, {}, { [what]: 1 })).length, 1, `${id} ${what}`);
    assert.deepEqual(missed(row(id, { errors: { 'GET: ERR x': 2 } })), ['errors 2']);
  }
});

test('only where primaries are lost may writes be left open, or be lost by the cluster', () => {
  const figures = { unknown: 1, unread: 2, lostByCluster: 3, stale: 4 };
  assert.deepEqual(missed(row('primary-killed', figures)), []);
  assert.deepEqual(missed(row('failover', figures)), ['unknown 3', 'stale 4', 'lost by the cluster 3']);
});

test('the pause of the worst round counts, from the time the cluster itself needed', () => {
  assert.deepEqual(missed(row('slots', { pause: 99 }, { pause: 101 })), ['pause 101 ms']);
  assert.deepEqual(missed(row('primary-killed', { pause: 3001 })), ['pause 3001 ms']);
  assert.deepEqual(missed(row('primary-killed', { pause: 4400, took: 3500 })), []);
  assert.deepEqual(missed(row('primary-killed', { pause: 4600, took: 3500 })), ['pause 4600 ms']);
});

test('a slow node may not make the others twice as slow', () => {
  assert.deepEqual(missed(row('slow', { others: [1, 1.9] })), []);
  assert.deepEqual(missed(row('slow', { others: [1, 2.1] })), ['p99 of other nodes x 2.10']);
});

test('what broke a row off is told', () => {
  const broken = { ...row('slots'), broken: 'Error: no cluster' };
  assert.deepEqual(missed(broken), ['Error: no cluster']);
  assert.match(table([broken]), /no: Error: no cluster/);
});
