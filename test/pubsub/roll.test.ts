import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHANNEL, PATTERN, SHARD } from '../../src/pubsub/names.ts';
import { receiversBeside } from '../../src/pubsub/receivers.ts';
import { type Claims, Roll } from '../../src/pubsub/roll.ts';

/** Workers that tell each other. */
function crew(count: number): Roll[] {
  const rolls: Roll[] = [];
  const signal = async (claims: Claims) => {
    for (const [i, roll] of rolls.entries()) if (i !== claims.worker) roll.hear(structuredClone(claims));
  };
  for (let worker = 0; worker < count; worker++) rolls.push(new Roll({ worker, signal }));
  return rolls;
}

const claim = (kind: 0 | 1 | 2, key: string, clients: number, at: string[]) => ({
  kind,
  key,
  clients,
  users: clients,
  at,
});

test('clients of all workers are counted, and not their own subscriptions at the node', async () => {
  const [one, two] = crew(2);
  one!.claim(claim(CHANNEL, 'c', 3, ['a:1']));
  two!.claim(claim(CHANNEL, 'c', 4, ['b:1']));
  await Promise.all([one!.told, two!.told]);
  for (const roll of [one!, two!]) {
    assert.equal(roll.clients(CHANNEL, 'c'), 7);
    assert.equal(roll.subscriptions(CHANNEL, 'c'), 2);
    // The node a:1 says 1, for the first worker: 7 in all.
    assert.equal(receiversBeside(roll, 'c', false, false, 'a:1'), 6);
    assert.equal(receiversBeside(roll, 'c', false, false, 'x:1'), 7);
    assert.equal(receiversBeside(roll, 'other', false, false, 'a:1'), 0);
  }
});

test('clients of patterns count for every channel of the pattern', async () => {
  const [one, two] = crew(2);
  one!.claim(claim(PATTERN, 'n*', 2, ['a:1']));
  one!.claim(claim(CHANNEL, 'news', 1, ['a:1']));
  await one!.told;
  assert.equal(receiversBeside(two!, 'news', false, false, 'a:1'), 1);
  assert.equal(receiversBeside(two!, 'old', false, false, 'a:1'), 0);
  assert.deepEqual([...two!.patterns.keys()], ['n*']);
});

test('shard channels are apart, but where plain ones are heard as such', async () => {
  const [one] = crew(1);
  one!.claim(claim(SHARD, 'c', 2, ['a:1']));
  one!.claim(claim(CHANNEL, 'c', 5, ['b:1']));
  assert.equal(receiversBeside(one!, 'c', true, false, 'a:1'), 1);
  assert.equal(receiversBeside(one!, 'c', true, true, 'a:1'), 6);
});

test('what is given back is forgotten everywhere', async () => {
  const [one, two] = crew(2);
  one!.claim(claim(PATTERN, 'n*', 2, ['a:1']));
  await one!.told;
  one!.claim(claim(PATTERN, 'n*', 0, []));
  await one!.told;
  for (const roll of [one!, two!]) {
    assert.equal(roll.isEmpty(PATTERN), true);
    assert.deepEqual([roll.keys(PATTERN), roll.patterns.size], [[], 0]);
  }
});

test('a worker that is alone tells nobody', () => {
  const roll = new Roll({ worker: -1, signal: () => assert.fail('told') });
  roll.claim(claim(CHANNEL, 'c', 1, ['a:1']));
  assert.equal(roll.told, undefined);
  assert.equal(roll.clients(CHANNEL, 'c'), 1);
});
