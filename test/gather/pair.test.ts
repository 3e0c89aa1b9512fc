import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Refusal } from '../../src/gather/reach.ts';
import { until } from '../support/wait.ts';
import { endStage, isTidy, lockOf, place, stage } from './stage.ts';

after(endStage);

test('a key that another proxy moves is waited for, in vain no longer than the setting says', async (t) => {
  const on = await stage(t);
  await on.rival.call('SADD', 'a', 'm');
  for (const key of ['a', 'b']) {
    await on.rival.call('SET', lockOf(key), 'another');
    const said = await on.run('SMOVE', 'a', 'b', 'm');
    assert.match(said, /^-TRYAGAIN slotless: 'smove' was not done: .*'crossSlot\.waitFor' \(500 ms\)/);
    assert.deepEqual(await on.rival.ask('KEYS', 'slotless:*'), [String(lockOf(key))]);
    assert.equal(on.reach.held, 0);
    await on.rival.call('DEL', lockOf(key));
  }
  assert.deepEqual(await on.rival.ask('SMEMBERS', 'a'), ['m']);
  assert.equal(await on.rival.ask('EXISTS', 'b'), 0);
});

test('a move goes on as soon as the other proxy has done, with what is there then', async (t) => {
  for (const key of ['a', 'b']) {
    const on = await stage(t);
    await on.rival.call('RPUSH', 'a', '1', '2');
    await on.rival.call('SET', lockOf(key), 'another');
    const said = on.run('LMOVE', 'a', 'b', 'LEFT', 'LEFT');
    const tries = () =>
      on.reach.sent.filter((what) => what.startsWith('SET ') && what.includes(String(lockOf(key))));
    await until('it to wait', () => tries().length > 2);
    // Whoever waits for a key has none behind it.
    const other = lockOf(key === 'a' ? 'b' : 'a');
    await until(
      'the other to be as it should',
      async () => (await on.rival.ask('EXISTS', other)) === (key === 'a' ? 0 : 1),
    );
    await on.rival.pipeline([
      ['LPOP', 'a'],
      ['DEL', lockOf(key)],
    ]);
    assert.equal(await said, '$1\r\n2\r\n');
    assert.deepEqual(await on.rival.ask('LRANGE', 'b', 0, -1), ['2']);
    assert.ok(await isTidy(on));
  }
});

test('where one key can not be reached, nothing is held of the other', async (t) => {
  const on = await stage(t);
  await on.rival.call('SADD', 'a', 'm');
  const hold = on.reach.hold.bind(on.reach);
  on.reach.hold = async (slot, question) => {
    if (slot === place('b').slot) throw new Refusal(Buffer.from('-CLUSTERDOWN not now\r\n'));
    return hold(slot, question);
  };
  assert.equal(await on.run('SMOVE', 'a', 'b', 'm'), '-CLUSTERDOWN not now\r\n');
  assert.ok(await isTidy(on));
  on.reach.hold = hold;
  on.reach.answers = (what) => (what.startsWith(`SET ${lockOf('b')}`) ? '-OOM no' : undefined);
  assert.equal(await on.run('SMOVE', 'a', 'b', 'm'), '-OOM no\r\n');
  assert.ok(await isTidy(on));
});

test('a lock whose owner has died is nobody\u2019s when its lease is over', async (t) => {
  const on = await stage(t);
  await on.rival.call('SADD', 'a', 'm');
  await on.rival.call('SET', lockOf('b'), 'another', 'PX', 50);
  assert.equal(await on.run('SMOVE', 'a', 'b', 'm'), ':1\r\n');
});

test('moves of the same keys to and fro at the same time lose nothing and wait for each other', async (t) => {
  const on = await stage(t);
  await on.rival.call('SADD', 'a', ...'0123456789');
  const moves = [...'0123456789'].flatMap((m) => [
    on.run('SMOVE', 'a', 'b', m),
    on.run('SMOVE', 'b', 'a', m),
    on.run('SMOVE', 'a', 'b', m),
  ]);
  assert.equal((await Promise.all(moves)).join(''), ':1\r\n'.repeat(30));
  assert.equal(await on.rival.ask('SCARD', 'b'), 10);
  assert.equal(await on.rival.ask('EXISTS', 'a'), 0);
  assert.ok(await isTidy(on));
});

test('a lock that is lost before anything was written has the move begin anew', async (t) => {
  const on = await stage(t);
  await on.rival.call('SADD', 'a', 'm');
  let times = 0;
  on.reach.before = (what) =>
    what.includes('SADD b m') && times++ === 0
      ? on.rival.call('SET', lockOf('b'), 'another', 'PX', 20)
      : undefined;
  assert.equal(await on.run('SMOVE', 'a', 'b', 'm'), ':1\r\n');
  assert.deepEqual(await on.rival.ask('SMEMBERS', 'b'), ['m']);
});

test('a lock of the source that is lost after that is told of, and nothing is removed', async (t) => {
  const on = await stage(t);
  await on.rival.call('SADD', 'a', 'm');
  on.reach.before = (what) =>
    what.includes('SREM a m') ? on.rival.call('SET', lockOf('a'), 'another', 'PX', 20) : undefined;
  assert.match(
    await on.run('SMOVE', 'a', 'b', 'm'),
    /^-ERR slotless: 'smove' was not finished: the value may be in both/,
  );
  assert.deepEqual(await on.rival.ask('SINTER', 'a', 'b'), ['m']);
});
