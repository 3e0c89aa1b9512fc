import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { cutIn, endStage, isTidy, loseOnce, type Stage, stage } from './stage.ts';

after(endStage);

const OK = '+OK\r\n';
const ONE = ':1\r\n';
const both = ({ rival }: Stage) => rival.ask('MGET', 'a', 'b');

async function stageWith(t: Parameters<typeof stage>[0]): Promise<Stage> {
  const on = await stage(t);
  await on.rival.call('SET', 'a', '1');
  return on;
}

test('a key goes with its value, its type and its time to live', async (t) => {
  const on = await stage(t);
  const { rival } = on;
  await rival.call('ZADD', 'a', 1.5, 'x', 2, 'y');
  await rival.call('PEXPIREAT', 'a', 4_000_000_000_000);
  await rival.call('SET', 'b', 'old');
  assert.equal(await on.run('RENAME', 'a', 'b'), OK);
  assert.deepEqual(await rival.ask('ZRANGE', 'b', 0, -1, 'WITHSCORES'), ['x', '1.5', 'y', '2']);
  assert.equal(await rival.ask('PEXPIRETIME', 'b'), 4_000_000_000_000);
  assert.equal(await rival.ask('EXISTS', 'a'), 0);
  await rival.call('PERSIST', 'b');
  assert.equal(await on.run('RENAMENX', 'b', 'a'), ONE);
  assert.equal(await rival.ask('PTTL', 'a'), -1);
  assert.ok(await isTidy(on));
});

test('no source, and a destination that is there, are told of in one server\u2019s order', async (t) => {
  const on = await stageWith(t);
  assert.equal(await on.run('RENAME', 'none', 'b'), '-ERR no such key\r\n');
  assert.equal(await on.run('RENAMENX', 'none', 'a'), '-ERR no such key\r\n');
  await on.rival.call('SET', 'b', '2');
  assert.equal(await on.run('RENAMENX', 'a', 'b'), ':0\r\n');
  assert.deepEqual(await both(on), ['1', '2']);
  assert.ok(await isTidy(on));
});

test('a key that is larger than may be copied stays where it is', async (t) => {
  const on = await stage(t);
  await on.rival.call('SETRANGE', 'a', 2 ** 20, 'x');
  assert.match(await on.run('RENAME', 'a', 'b'), /crossSlot\.maxBytes/);
  assert.equal(await on.rival.ask('EXISTS', 'a', 'b'), 1);
});

test('a source that is changed in between is copied anew', async (t) => {
  const on = await stageWith(t);
  cutIn(on.reach, 'UNLINK a', () => on.rival.call('APPEND', 'a', '2'));
  assert.equal(await on.run('RENAME', 'a', 'b'), OK);
  assert.deepEqual(await both(on), [null, '12']);
  await on.rival.call('RENAME', 'b', 'a');
  cutIn(on.reach, 'UNLINK a', () => on.rival.call('EXPIREAT', 'a', 4_000_000_000));
  assert.equal(await on.run('RENAMENX', 'a', 'b'), ONE);
  assert.equal(await on.rival.ask('EXPIRETIME', 'b'), 4_000_000_000);
  assert.ok(await isTidy(on));
});

test('a source that only looks as if it were changed is not copied anew', async (t) => {
  const on = await stageWith(t);
  cutIn(on.reach, 'UNLINK a', () => on.rival.call('SET', 'a', '1'));
  assert.equal(await on.run('RENAME', 'a', 'b'), OK);
  assert.equal(on.reach.sent.filter((what) => what.includes('RESTORE b')).length, 1);
});

test('a list that others have rotated, here and there, is still the same, whatever its dump says', async (t) => {
  for (const name of ['RENAME', 'RENAMENX']) {
    const on = await stage(t);
    await on.rival.call('RPUSH', 'a', '1', '2');
    const rotate = (key: string) => on.rival.call('LMOVE', key, key, 'LEFT', 'LEFT');
    cutIn(on.reach, 'UNLINK a', () => Promise.all(['a', 'b'].map(rotate)));
    let dumps = 0;
    on.reach.answers = (what) => (what === 'DUMP a' && dumps++ > 0 ? '$5\r\nother' : undefined);
    assert.equal(await on.run(name, 'a', 'b'), name === 'RENAME' ? OK : ONE);
    assert.deepEqual(await on.rival.ask('LRANGE', 'b', 0, -1), ['1', '2']);
    assert.equal(await on.rival.ask('EXISTS', 'a'), 0);
    assert.ok(await isTidy(on));
  }
});

test('a source that is removed in between, or never stands still, is told of', async (t) => {
  const on = await stageWith(t);
  cutIn(on.reach, 'UNLINK a', () => on.rival.call('DEL', 'a'));
  assert.match(await on.run('RENAME', 'a', 'b'), /^-ERR slotless: 'rename' .* removed meanwhile/);
  assert.deepEqual(await both(on), [null, '1']);
  await on.rival.call('SET', 'a', '');
  cutIn(on.reach, 'UNLINK a', () => on.rival.call('APPEND', 'a', 'x'), true);
  assert.match(await on.run('RENAME', 'a', 'b'), /^-ERR slotless: .* changed all the time/);
  const [a, b] = (await both(on)) as string[];
  assert.ok(a!.length === b!.length + 1 && b!.length > 10);
  assert.ok(await isTidy(on));
});

test('a source whose time ends in between has moved', async (t) => {
  const on = await stageWith(t);
  cutIn(on.reach, 'UNLINK a', () => on.rival.call('DEL', 'a', 'b'));
  assert.equal(await on.run('RENAME', 'a', 'b'), OK);
});

test('RENAMENX writes over nothing that somebody has put there in between', async (t) => {
  const on = await stageWith(t);
  cutIn(on.reach, 'RESTORE b', () => on.rival.call('SET', 'b', '2'));
  assert.equal(await on.run('RENAMENX', 'a', 'b'), ':0\r\n');
  assert.deepEqual(await both(on), ['1', '2']);
  await on.rival.call('DEL', 'b');
  cutIn(on.reach, 'UNLINK a', async () => {
    await on.rival.call('APPEND', 'a', '+');
    await on.rival.call('APPEND', 'b', '-');
  });
  assert.match(await on.run('RENAMENX', 'a', 'b'), /both keys have been changed/);
  assert.deepEqual(await both(on), ['1+', '1-']);
  assert.ok(await isTidy(on));
});

test('RENAMENX of a source that is removed in between finds no source, and leaves no copy', async (t) => {
  const on = await stageWith(t);
  cutIn(on.reach, 'UNLINK a', () => on.rival.call('DEL', 'a'));
  assert.equal(await on.run('RENAMENX', 'a', 'b'), '-ERR no such key\r\n');
  assert.deepEqual(await both(on), [null, null]);
});

test('whichever reply is lost, the key is in one of both places', async (t) => {
  for (const [name, reply] of [
    ['RENAME', OK],
    ['RENAMENX', ONE],
  ] as const)
    for (const words of ['RESTORE b', 'UNLINK a'])
      for (const loss of ['executed', 'not executed'] as const) {
        const on = await stageWith(t);
        loseOnce(on.reach, words, loss);
        const said = await on.run(name, 'a', 'b');
        const values = await both(on);
        assert.ok(await isTidy(on));
        // The dump that tells a copy from somebody else's key was lost with the reply.
        if (name === 'RENAMENX' && words === 'RESTORE b' && loss === 'executed') {
          assert.match(said, /may be in both/);
          assert.deepEqual(values, ['1', '1']);
        } else {
          assert.equal(said, reply, `${name} ${words} ${loss}`);
          assert.deepEqual(values, [null, '1'], `${name} ${words} ${loss}`);
        }
      }
});

test('what the destination will not take stays where it is', async (t) => {
  const on = await stageWith(t);
  await on.rival.call('SET', 'b', '2');
  on.reach.answers = (what) => (what.startsWith('DUMP') ? '$3\r\nxyz' : undefined);
  assert.match(await on.run('RENAME', 'a', 'b'), /^-ERR DUMP payload version or checksum are wrong/);
  assert.deepEqual(await both(on), ['1', '2']);
  assert.ok(await isTidy(on));
});
