import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { cutIn, endStage, isTidy, loseOnce, type Stage, stage } from './stage.ts';

after(endStage);

const list = async ({ rival }: Stage, name: string) =>
  ((await rival.ask('LRANGE', name, 0, -1)) as string[]).join('');
const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`;

async function stageWith(t: Parameters<typeof stage>[0], a: string, b = ''): Promise<Stage> {
  const on = await stage(t);
  await on.rival.call('RPUSH', 'a', ...a);
  if (b !== '') await on.rival.call('RPUSH', 'b', ...b);
  return on;
}

test('elements go from any end to any end', async (t) => {
  const on = await stageWith(t, '12345', 'x');
  assert.equal(await on.run('LMOVE', 'a', 'b', 'LEFT', 'RIGHT'), bulk('1'));
  assert.equal(await on.run('lmove', 'a', 'b', 'right', 'left'), bulk('5'));
  assert.equal(await on.run('RPOPLPUSH', 'a', 'b'), bulk('4'));
  assert.equal(await on.run('LMOVE', 'a', 'b', 'LEFT', 'LEFT'), bulk('2'));
  assert.equal(await on.run('BLMOVE', 'a', 'b', 'RIGHT', 'RIGHT', '0'), bulk('3'));
  assert.deepEqual([await list(on, 'a'), await list(on, 'b')], ['', '245x13']);
  assert.equal(await on.rival.ask('EXISTS', 'a'), 0);
  assert.equal(await on.run('RPOPLPUSH', 'a', 'b'), '$-1\r\n');
  assert.ok(await isTidy(on));
});

test('the list is never copied, and an element is bounded', async (t) => {
  const on = await stageWith(t, '123');
  await on.run('LMOVE', 'a', 'b', 'LEFT', 'RIGHT');
  assert.ok(!on.reach.sent.some((what) => /DUMP|RESTORE|RANGE/.test(what)));
  await on.rival.call('LPUSH', 'a', 'x'.repeat(2 ** 20 + 1));
  assert.match(await on.run('LMOVE', 'a', 'b', 'LEFT', 'RIGHT'), /crossSlot\.maxBytes/);
  assert.equal(await on.rival.ask('LLEN', 'a'), 3);
});

test('wrong types and directions are told of as one server does', async (t) => {
  const on = await stageWith(t, '1');
  await on.rival.call('SET', 'text', 'x');
  assert.equal(await on.run('LMOVE', 'none', 'text', 'LEFT', 'LEFT'), '$-1\r\n');
  assert.match(await on.run('LMOVE', 'text', 'a', 'LEFT', 'LEFT'), /^-WRONGTYPE /);
  assert.match(await on.run('LMOVE', 'a', 'text', 'LEFT', 'LEFT'), /^-WRONGTYPE /);
  assert.equal(await on.run('LMOVE', 'a', 'b', 'LEFT', 'UP'), '-ERR syntax error\r\n');
  assert.equal(await list(on, 'a'), '1');
  assert.ok(await isTidy(on));
});

test('what is pushed at the other end in between does no harm', async (t) => {
  const on = await stageWith(t, '12');
  cutIn(on.reach, 'LPOP a', () => on.rival.call('RPUSH', 'a', '3'));
  assert.equal(await on.run('LMOVE', 'a', 'b', 'LEFT', 'LEFT'), bulk('1'));
  assert.deepEqual([await list(on, 'a'), await list(on, 'b')], ['23', '1']);
});

test('of what is pushed in front in between our move was first', async (t) => {
  const on = await stageWith(t, '121');
  cutIn(on.reach, 'LPOP a', () => on.rival.call('LPUSH', 'a', '0'));
  assert.equal(await on.run('LMOVE', 'a', 'b', 'LEFT', 'LEFT'), bulk('1'));
  assert.deepEqual([await list(on, 'a'), await list(on, 'b')], ['021', '1']);
  cutIn(on.reach, 'RPOP a', () => on.rival.call('RPUSH', 'a', '3'));
  assert.equal(await on.run('RPOPLPUSH', 'a', 'b'), bulk('1'));
  assert.deepEqual([await list(on, 'a'), await list(on, 'b')], ['023', '11']);
});

test('an element that somebody pops in between is his, and the next one is moved', async (t) => {
  const on = await stageWith(t, '12', 'x');
  cutIn(on.reach, 'LPOP a', () => on.rival.call('LPOP', 'a'));
  assert.equal(await on.run('LMOVE', 'a', 'b', 'LEFT', 'RIGHT'), bulk('2'));
  assert.deepEqual([await list(on, 'a'), await list(on, 'b')], ['', 'x2']);
  assert.ok(await isTidy(on));
});

test('the last element that somebody pops in between leaves nothing to be moved', async (t) => {
  const on = await stageWith(t, '1');
  cutIn(on.reach, 'LPOP a', () => on.rival.call('LPOP', 'a'));
  assert.equal(await on.run('LMOVE', 'a', 'b', 'LEFT', 'RIGHT'), '$-1\r\n');
  assert.equal(await on.rival.ask('EXISTS', 'a', 'b'), 0);
});

test('an element that others pop in between here and there is told of', async (t) => {
  const on = await stageWith(t, '12');
  cutIn(on.reach, 'LPOP a', async () => {
    await on.rival.call('LPOP', 'a');
    await on.rival.call('LPOP', 'b');
  });
  assert.match(
    await on.run('LMOVE', 'a', 'b', 'LEFT', 'RIGHT'),
    /^-ERR slotless: 'lmove' was not finished: .*taken from both/,
  );
  assert.deepEqual([await list(on, 'a'), await list(on, 'b')], ['2', '']);
  assert.ok(await isTidy(on));
});

test('a source that others change all the time is moved from all the same', async (t) => {
  const on = await stageWith(t, '12');
  cutIn(on.reach, 'POP a', () => on.rival.call('RPUSH', 'a', '3'), true);
  assert.equal(await on.run('LMOVE', 'a', 'b', 'LEFT', 'LEFT'), bulk('1'));
  assert.deepEqual([await list(on, 'a'), await list(on, 'b')], ['2333', '1']);
});

test('a source that has become something else is told of, and nothing has moved', async (t) => {
  const on = await stageWith(t, '12');
  cutIn(on.reach, 'LPOP a', () => on.rival.call('SET', 'a', 'x'));
  assert.match(await on.run('LMOVE', 'a', 'b', 'LEFT', 'LEFT'), /^-WRONGTYPE /);
  assert.equal(await on.rival.ask('EXISTS', 'b'), 0);
});

test('whichever reply is lost, the element is in one of both', async (t) => {
  for (const words of ['RPUSH b 1', 'LPOP a'])
    for (const loss of ['executed', 'not executed'] as const) {
      const on = await stageWith(t, '112');
      loseOnce(on.reach, words, loss);
      assert.equal(await on.run('LMOVE', 'a', 'b', 'LEFT', 'RIGHT'), bulk('1'), `${words} ${loss}`);
      assert.deepEqual([await list(on, 'a'), await list(on, 'b')], ['12', '1'], `${words} ${loss}`);
      assert.ok(await isTidy(on));
    }
});

test('where the reply of a push to a wrong type is lost, nothing is popped', async (t) => {
  const on = await stageWith(t, '12');
  await on.rival.call('SET', 'b', 'x');
  loseOnce(on.reach, 'LPUSH b 1', 'executed');
  assert.match(await on.run('LMOVE', 'a', 'b', 'LEFT', 'LEFT'), /^-WRONGTYPE /);
  assert.equal(await list(on, 'a'), '12');
});
