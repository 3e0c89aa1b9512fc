/** What one run may ask at once, and what answers say to its promises. */

import assert from 'node:assert';
import { test } from 'node:test';
import { Asks, MAX_ASKS, settlement } from '../../src/functions/asks.ts';

const calls = (ids: number[], word = 'ping') => ({
  kind: 'calls',
  ids,
  raw: ids.map(() => false),
  commands: ids.map(() => [word]),
});

test('a question goes by the name of its first promise', () => {
  const asks = new Asks(1000);
  const { ask, question } = asks.add(calls([7, 8]), []);
  assert.equal(ask, 7);
  assert.deepEqual(question, { kind: 'calls', commands: [[Buffer.from('ping')], [Buffer.from('ping')]] });
  assert.deepEqual(asks.take(7)?.ids, [7, 8]);
  assert.equal(asks.take(7), undefined);
});

test('questions are bounded in number and in bytes, until they are answered', () => {
  const message = 'Too many calls are under way';
  const many = new Asks(1_000_000);
  many.add(calls(Array.from({ length: MAX_ASKS }, (_, i) => i + 1)), []);
  assert.throws(() => many.add(calls([MAX_ASKS + 1]), []), { message });
  many.take(1);
  many.add(calls([MAX_ASKS + 1]), []);

  const long = new Asks(10);
  long.add(calls([1], 'x'.repeat(8)), []);
  assert.throws(() => long.add(calls([2], 'xxx'), []), { message });
  long.take(1);
  long.add(calls([2], 'xxx'), []);
});

const nonsense: readonly unknown[] = [
  { ids: [], kind: 'calls', commands: [] },
  {},
  { ids: ['a'], kind: 'calls', commands: [] },
  { ids: [1], kind: 'calls' },
  { ids: [1], kind: 'calls', commands: [[1]] },
  { ids: [1], kind: 'runOnKey', key: 1, args: [] },
  { ids: [1], kind: 'other' },
];
for (const written of nonsense) {
  test(`no question: ${JSON.stringify(written)}`, () => {
    assert.throws(() => new Asks(1000).add(written, []), Error);
  });
}

test('an error rejects runOnKey with a string and all else with an Error', () => {
  assert.equal(settlement({ error: 'no' }, 0, 'runOnKey', false).how, 'string');
  assert.equal(settlement({ error: 'no' }, 0, 'calls', false).how, 'error');
  assert.equal(settlement({ error: 'no' }, 0, 'runOnShards', false).how, 'error');
});

test('each command has its own reply', () => {
  const answer = { replies: [Buffer.from(':1\r\n'), Buffer.from('$1\r\n\xff\r\n', 'latin1')] };
  assert.deepEqual(settlement(answer, 0, 'calls', false).carrier, ['i', '1']);
  assert.equal(settlement(answer, 1, 'calls', false).carrier, 'Could not decode value as string');
  assert.deepEqual(settlement(answer, 1, 'calls', true).carrier, ['b', 0]);
  assert.equal(settlement(answer, 2, 'calls', true).how, 'error');
});
