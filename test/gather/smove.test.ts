import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { cutIn, endStage, isTidy, loseOnce, type Stage, stage } from './stage.ts';

after(endStage);

const members = async ({ rival }: Stage) => [
  ((await rival.ask('SMEMBERS', 'a')) as string[]).sort().join(''),
  ((await rival.ask('SMEMBERS', 'b')) as string[]).sort().join(''),
];

test('a member is added there before it is removed here', async (t) => {
  const on = await stage(t);
  await on.rival.call('SADD', 'a', 'm', 'n');
  assert.equal(await on.run('SMOVE', 'a', 'b', 'm'), ':1\r\n');
  assert.deepEqual(await members(on), ['n', 'm']);
  const order = on.reach.sent.map((what) => /SADD b m|SREM a m/.exec(what)?.[0]).filter(Boolean);
  assert.deepEqual(order, ['SADD b m', 'SREM a m']);
  assert.ok(await isTidy(on));
});

test('types are looked at as one server does, and nothing is locked for them', async (t) => {
  const on = await stage(t);
  await on.rival.call('SET', 'text', 'x');
  await on.rival.call('SADD', 'a', 'm');
  assert.equal(await on.run('SMOVE', 'none', 'text', 'm'), ':0\r\n');
  assert.equal(await on.run('SMOVE', 'a', 'b', 'other'), ':0\r\n');
  for (const call of [
    ['SMOVE', 'a', 'text', 'other'],
    ['SMOVE', 'text', 'a', 'm'],
  ])
    assert.match(await on.run(...call), /^-WRONGTYPE /);
  assert.equal(on.reach.sent.filter((what) => what.includes('slotless:')).length, 0);
  assert.match(await on.run('SMOVE', 'a', 'text', 'm'), /^-WRONGTYPE /);
  assert.deepEqual(await members(on), ['m', await on.rival.ask('SMEMBERS', 'b').then(String)]);
  assert.ok(await isTidy(on));
});

test('somebody who removes it in between was first', async (t) => {
  const on = await stage(t);
  await on.rival.call('SADD', 'a', 'm', 'n');
  cutIn(on.reach, 'SREM a m', () => on.rival.call('SREM', 'a', 'm'));
  assert.equal(await on.run('SMOVE', 'a', 'b', 'm'), ':0\r\n');
  assert.deepEqual(await members(on), ['n', '']);
  assert.ok(await isTidy(on));
});

test('what was there before stays there then', async (t) => {
  const on = await stage(t);
  await on.rival.call('SADD', 'a', 'm', 'n');
  await on.rival.call('SADD', 'b', 'm');
  cutIn(on.reach, 'SREM a m', () => on.rival.call('DEL', 'a'));
  assert.equal(await on.run('SMOVE', 'a', 'b', 'm'), ':0\r\n');
  assert.deepEqual(await members(on), ['', 'm']);
});

test('a source that has become something else is told of, and nothing has moved', async (t) => {
  const on = await stage(t);
  await on.rival.call('SADD', 'a', 'm');
  cutIn(on.reach, 'SREM a m', () => on.rival.call('SET', 'a', 'x'));
  assert.match(await on.run('SMOVE', 'a', 'b', 'm'), /^-WRONGTYPE /);
  assert.equal(await on.rival.ask('EXISTS', 'b'), 0);
  assert.equal(await on.rival.ask('GET', 'a'), 'x');
});

test('whichever reply is lost, the member is in one of both', async (t) => {
  for (const words of ['SADD b m', 'SREM a m'])
    for (const loss of ['executed', 'not executed'] as const) {
      const on = await stage(t);
      await on.rival.call('SADD', 'a', 'm', 'n');
      loseOnce(on.reach, words, loss);
      assert.equal(await on.run('SMOVE', 'a', 'b', 'm'), ':1\r\n', `${words} ${loss}`);
      assert.deepEqual(await members(on), ['n', 'm'], `${words} ${loss}`);
      assert.ok(await isTidy(on));
    }
});

test('a source that can not be reached any more is told of', async (t) => {
  const on = await stage(t);
  await on.rival.call('SADD', 'a', 'm');
  on.reach.answers = (what) => (what.includes('SREM a m') ? '-OOM no' : undefined);
  assert.match(
    await on.run('SMOVE', 'a', 'b', 'm'),
    /^-ERR slotless: 'smove' .* may be in both keys \(OOM no\)/,
  );
  assert.deepEqual(await members(on), ['m', 'm']);
  assert.ok(await isTidy(on));
});
