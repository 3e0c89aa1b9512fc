import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { greetings, type Lane, type LaneKey, Lanes } from '../../src/cluster/lanes.ts';
import { laneKey } from './rig.ts';

function words(key: Partial<LaneKey>, linkName = 'name'): string[] {
  return greetings(laneKey(key), linkName).map(({ bytes, onError }) => {
    const said = [...bytes.toString('latin1').matchAll(/\$\d+\r\n(.*)\r\n/g)].map(([, word]) => word);
    return `${onError} ${said.join(' ')}`;
  });
}

test('equal keys share a lane, and any difference makes another', () => {
  const lanes = new Lanes('name');
  const one = lanes.enter(laneKey());
  assert.equal(lanes.enter(laneKey()), one);
  assert.equal(one.users, 2);
  assert.equal(lanes.enter(laneKey({ db: 0, noTouch: false })), one);
  const others: Partial<LaneKey>[] = [
    { resp: 3 },
    { username: 'u' },
    { password: 'p' },
    { readOnly: true },
    { copy: 1 },
    { db: 1 },
    { noTouch: true },
    { username: 'u', password: 'p' },
  ];
  const all = [one, ...others.map((key) => lanes.enter(laneKey(key)))];
  assert.equal(new Set(all).size, all.length);
  assert.deepEqual(
    all.map(({ index }) => index),
    all.map((_, i) => i),
  );
  assert.equal(lanes.userCount, 2);
});

test('a lane is given up only when nobody has used it for a while, and then its number is free', () => {
  const lanes = new Lanes('name');
  const closed: Lane[] = [];
  const close = (lane: Lane) => closed.push(lane);
  const [a, b] = [lanes.enter(laneKey()), lanes.enter(laneKey({ copy: 1 }))];
  lanes.enter(laneKey());
  lanes.leave(a, 10);
  lanes.giveUp(1000, close);
  assert.deepEqual(closed, []);
  lanes.leave(a, 20);
  lanes.giveUp(19, close);
  assert.deepEqual(closed, []);
  // Someone comes back in time.
  assert.equal(lanes.enter(laneKey()), a);
  lanes.giveUp(1000, close);
  assert.deepEqual(closed, []);
  lanes.leave(a, 30);
  lanes.giveUp(30, close);
  assert.deepEqual(closed, [a]);
  const next = lanes.enter(laneKey({ copy: 2 }));
  assert.notEqual(next, a);
  assert.deepEqual([next.index, b.index], [0, 1]);
  lanes.giveUp(1000, close);
  assert.deepEqual(closed, [a]);
});

test('no two lanes in use have the same number, whoever comes and goes', () => {
  const step = fc.record({ copy: fc.nat({ max: 5 }), leaves: fc.boolean(), givesUp: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const lanes = new Lanes('');
      const used: Lane[] = [];
      steps.forEach(({ copy, leaves, givesUp }, now) => {
        const at = used.findIndex((lane) => lane.copy === copy);
        if (leaves && at >= 0) lanes.leave(used.splice(at, 1)[0]!, now);
        else used.push(lanes.enter(laneKey({ copy })));
        if (givesUp) lanes.giveUp(now, (lane) => assert.ok(!used.includes(lane)));
        const different = new Set(used);
        assert.equal(new Set([...different].map(({ index }) => index)).size, different.size);
        assert.equal(new Set([...different].map(({ copy }) => copy)).size, different.size);
      });
    }),
    { numRuns: 200 },
  );
});

test('a link logs in first, speaks the protocol it is for, and asks last whether the node is there', () => {
  const info = 'may CLIENT SETINFO LIB-NAME slotless';
  const last = ['may CLIENT ID', 'ready PING'];
  assert.deepEqual(words({}), ['may CLIENT SETNAME name', info, ...last]);
  assert.deepEqual(words({}, ''), [info, ...last]);
  assert.deepEqual(words({ password: 'p' }, '')[0], 'must AUTH p');
  assert.deepEqual(words({ username: 'u', password: '' }, '')[0], 'must AUTH u ');
  assert.deepEqual(words({ username: 'u', password: 'p\xff', resp: 3, readOnly: true }), [
    'must AUTH u p\xff',
    'must HELLO 3',
    'may CLIENT SETNAME name',
    info,
    'must READONLY',
    ...last,
  ]);
  assert.deepEqual(words({ db: 7, noTouch: true }, ''), [
    info,
    'must SELECT 7',
    'may CLIENT NO-TOUCH ON',
    ...last,
  ]);
});
