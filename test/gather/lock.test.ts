import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Lock, Lost } from '../../src/gather/lock.ts';
import { until } from '../support/wait.ts';
import { endStage, type LoneReach, lockOf, place, stage } from './stage.ts';

after(endStage);

const KEY = 'key';
const NAME = lockOf(KEY);
const lockFor = (reach: LoneReach, confirms = false) => new Lock(reach, place(KEY), confirms);

test('a lock is taken by one alone, and is gone when it is released', async (t) => {
  const { rival, reach } = await stage(t);
  const [one, other] = [lockFor(reach), lockFor(reach)];
  assert.equal(await one.take(), true);
  assert.equal(await other.take(), false);
  assert.ok(Number(await rival.ask('PTTL', NAME)) > 0);
  await other.release();
  assert.equal(await rival.ask('EXISTS', NAME), 1);
  await one.release();
  assert.equal(await rival.ask('EXISTS', NAME), 0);
  assert.equal(reach.held, 0);
});

test('what is done under a lock is done once, and another lease begins', async (t) => {
  const { rival, reach } = await stage(t);
  const lock = lockFor(reach);
  lock.lease = 60_000;
  await lock.take();
  await rival.call('PEXPIRE', NAME, 30_000);
  // Somebody has touched it.
  assert.equal(await lock.attempt([['INCR', KEY]]), undefined);
  assert.equal(lock.changed, false);
  assert.deepEqual((await lock.change([['INCR', KEY]])).map(String), [':1\r\n']);
  assert.equal(lock.changed, true);
  assert.ok(Number(await rival.ask('PTTL', NAME)) > 30_000);
  assert.deepEqual((await lock.change([['INCR', KEY]])).map(String), [':2\r\n']);
  await lock.release();
  assert.equal(await rival.ask('EXISTS', NAME), 0);
});

test('who has lost his lock changes nothing, and leaves it to who has it', async (t) => {
  const { rival, reach } = await stage(t);
  const lock = lockFor(reach);
  await lock.take();
  await rival.call('SET', NAME, 'another');
  await assert.rejects(lock.change([['INCR', KEY]]), Lost);
  await lock.release();
  assert.equal(await rival.ask('GET', NAME), 'another');
  assert.equal(await rival.ask('EXISTS', KEY), 0);
});

test('a lease that has run out before EXEC is noticed by the server', async (t) => {
  const { rival, reach } = await stage(t);
  const lock = lockFor(reach);
  lock.lease = 20;
  assert.equal(await lock.take(), true);
  await until('the end of the lease', async () => (await rival.ask('EXISTS', NAME)) === 0);
  assert.equal(await lock.attempt([['INCR', KEY]]), undefined);
  await assert.rejects(lock.look(), Lost);
  assert.equal(await rival.ask('EXISTS', KEY), 0);
  await lock.release();
});

test('a lease that is half over is begun anew by looking', async (t) => {
  const { rival, reach } = await stage(t);
  const lock = lockFor(reach);
  lock.lease = 2000;
  await lock.take();
  const left = async () => Number(await rival.ask('PTTL', NAME));
  await until('half of the lease', async () => (await left()) < 990);
  await lock.look();
  assert.ok((await left()) > 1000);
  assert.deepEqual((await lock.attempt([['INCR', KEY]]))?.map(String), [':1\r\n']);
  await lock.release();
});

test('of what was executed and left no reply the lock tells, and it is not done twice', async (t) => {
  const { rival, reach } = await stage(t);
  const lock = lockFor(reach);
  await lock.take();
  let lost = 0;
  reach.loses = (what) => (what.includes('INCR') && lost++ === 0 ? 'executed' : undefined);
  assert.deepEqual(await lock.change([['INCR', KEY]]), []);
  assert.equal(await rival.ask('GET', KEY), '1');
  assert.deepEqual((await lock.change([['INCR', KEY]])).map(String), [':2\r\n']);
  await lock.release();
  assert.equal(await rival.ask('EXISTS', NAME), 0);
  assert.equal(reach.held, 0);
});

test('what left no reply and was not executed never is, and is done again', async (t) => {
  const { rival, reach } = await stage(t);
  const lock = lockFor(reach);
  await lock.take();
  const mark = await rival.ask('GET', NAME);
  let lost = 0;
  reach.loses = (what) => (what.includes('INCR') && lost++ === 0 ? 'not executed' : undefined);
  assert.equal(await lock.attempt([['INCR', KEY]]), undefined);
  assert.equal(lock.changed, false);
  assert.notEqual(await rival.ask('GET', NAME), mark, 'a transaction that is still on its way fails');
  assert.deepEqual((await lock.change([['INCR', KEY]])).map(String), [':1\r\n']);
  await lock.release();
});

test('what left no reply, and whose lock is somebody else\u2019s since, may have been done', async (t) => {
  const { rival, reach } = await stage(t);
  const lock = lockFor(reach);
  await lock.take();
  reach.loses = (what) => (what.includes('INCR') ? 'not executed' : undefined);
  reach.before = (what) => (what.startsWith('EXISTS') ? rival.call('SET', NAME, 'another') : undefined);
  await assert.rejects(lock.attempt([['INCR', KEY]]), Lost);
  assert.equal(lock.changed, true);
  await lock.release();
});

test('a node that has lost the slot is left for its new owner', async (t) => {
  const { rival, reach } = await stage(t);
  const lock = lockFor(reach);
  let moved = 2;
  reach.answers = (what) => (what.startsWith('GET') && moved-- > 0 ? '-MOVED 1 127.0.0.1:1' : undefined);
  assert.equal(await lock.take(), true);
  assert.equal(reach.sent.filter((what) => what.startsWith('EXISTS')).length, 3);
  // And when it is given back.
  await lock.change([['INCR', KEY]]);
  moved = 1;
  await lock.look();
  moved = 1;
  await lock.change([['INCR', KEY]]);
  await lock.release();
  assert.equal(await rival.ask('EXISTS', NAME), 0);
  assert.equal(reach.held, 0);
});

test('a lock that is not where its key has gone is given back where it is', async (t) => {
  const { rival, reach } = await stage(t);
  const lock = lockFor(reach);
  await lock.take();
  let isThere = true;
  reach.answers = (what) => {
    // The key's new node is asked about the key, its old one about the lock.
    if (what.startsWith('EXISTS')) isThere = what.includes('slotless:');
    return what.startsWith('GET') && !isThere ? '$-1' : undefined;
  };
  let moved = true;
  reach.before = (what) => {
    if (moved && what.startsWith('MULTI')) isThere = moved = false;
    return undefined;
  };
  await rival.call('PEXPIRE', NAME, 60_000);
  await assert.rejects(lock.change([['INCR', KEY]]), Lost);
  assert.equal(await rival.ask('EXISTS', NAME), 1);
  await lock.release();
  assert.equal(await rival.ask('EXISTS', NAME), 0);
  assert.equal(reach.held, 0);
});

test('a slot that stays on the move is told of as it is', async (t) => {
  const { reach } = await stage(t);
  const lock = lockFor(reach);
  reach.answers = (what) => (what.startsWith('SET') ? '-TRYAGAIN Multiple keys' : undefined);
  await assert.rejects(lock.take(), /CLUSTERDOWN slotless: .*: TRYAGAIN Multiple keys/);
  await lock.release();
  assert.equal(reach.held, 0);
});

test('a replica is waited for where something was written, and asked for nothing else', async (t) => {
  const { reach } = await stage(t);
  reach.replicas = 1;
  reach.answers = (what) => (what.startsWith('WAIT') ? ':1' : undefined);
  const [plain, confirming] = [lockFor(reach), lockFor(reach, true)];
  const waits = () => reach.sent.filter((what) => what === 'WAIT 1 500').length;
  await plain.take();
  await plain.change([['INCR', KEY]]);
  await plain.release();
  assert.equal(waits(), 0);
  await confirming.take();
  await confirming.change([['INCR', KEY]]);
  assert.equal(waits(), 1);
  await confirming.release();
});

test('a replica that the map does not know yet is waited for as well', async (t) => {
  const { reach } = await stage(t);
  const roles = ['*0', '*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n$1\r\n1'];
  for (const [waits, replicas] of roles.entries()) {
    reach.answers = (what) => {
      if (what === 'ROLE') return `*3\r\n$6\r\nmaster\r\n:1\r\n${replicas}`;
      return what.startsWith('WAIT') ? ':1' : undefined;
    };
    const lock = lockFor(reach, true);
    await lock.take();
    await lock.change([['INCR', KEY]]);
    await lock.release();
    assert.equal(reach.sent.filter((what) => what.startsWith('WAIT')).length, waits);
  }
});

test('what a replica could not be asked about is looked for at the owner', async (t) => {
  const { rival, reach } = await stage(t);
  reach.replicas = 1;
  reach.answers = (what) => (what.startsWith('WAIT') ? '-UNBLOCKED force unblock' : undefined);
  const lock = lockFor(reach, true);
  await lock.take();
  assert.deepEqual((await lock.change([['INCR', KEY]])).map(String), [':1\r\n']);
  // A failover has lost it.
  reach.before = (what) => (what.startsWith('WAIT') ? rival.call('DEL', NAME) : undefined);
  await assert.rejects(lock.change([['INCR', KEY]]), Lost);
  await lock.release();
});
