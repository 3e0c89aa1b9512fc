import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Attention, type Attentive, type Signal } from '../../src/client/attention.ts';
import type { Session } from '../../src/client/session.ts';
import { FLAG } from '../../src/command/command.ts';
import { framed } from '../command/framed.ts';

interface Fake extends Attentive {
  looks: number;
  lines: string[];
  closed: boolean;
}

function sessionOf(more: object): Session {
  return { monitoring: false, db: 0, path: '', address: '1.2.3.4:5', ...more } as unknown as Session;
}

function client(): Fake {
  return {
    session: sessionOf({}),
    looks: 0,
    lines: [],
    closed: false,
    look() {
      this.looks++;
    },
    tell(bytes) {
      this.lines.push(String(bytes));
    },
    push() {},
    close() {
      this.closed = true;
    },
  };
}

/** Workers that tell each other at once, or when the test says so. */
function workers(count: number, outputLimit = 1e6) {
  const held: (() => void)[] = [];
  let holding = false;
  const all = Array.from({ length: count }, (_, worker) => {
    const clients = new Map([[1, client()]]);
    const signal = async (what: Signal) => {
      if (holding) await new Promise<void>((resolve) => held.push(resolve));
      for (const [i, { attention }] of all.entries()) if (i !== worker) attention.hear(what);
    };
    return {
      clients,
      one: clients.get(1)!,
      attention: new Attention(clients, { worker, outputLimit, signal }),
    };
  });
  const hold = (on: boolean) => {
    holding = on;
    if (!on) for (const release of held.splice(0)) release();
  };
  return { all, hold };
}

const command = (name: string, flags: number) =>
  ({ name, flags }) as Parameters<Attention['postpones']>[0] & { name: string };
const GET = command('get', FLAG.readonly);
const SET = command('set', FLAG.write);
const EVAL = command('eval', FLAG.mayReplicate);
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a pause holds for the clients of every worker until its time is over', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  t.after(() => mock.timers.reset());
  const { all } = workers(2);
  await all[0]!.attention.pause(1_000_100, false);
  for (const { attention, one } of all) {
    assert.deepEqual([attention.on, attention.monitored, one.looks], [true, false, 1]);
    const held = [GET, SET, EVAL].map((each) => attention.postpones(each, one.session));
    assert.deepEqual(held, [false, true, true]);
  }
  mock.timers.tick(99);
  assert.equal(all[1]!.attention.on, true);
  mock.timers.tick(1);
  for (const { attention, one } of all) assert.deepEqual([attention.on, one.looks], [false, 2]);
});

test('a second pause neither shortens the first nor lets pass what that one holds', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  t.after(() => mock.timers.reset());
  const [{ attention, one }] = workers(1).all as [ReturnType<typeof workers>['all'][number]];
  await attention.pause(1_000_300, false);
  await attention.pause(0, true);
  await attention.pause(1_000_200, false);
  mock.timers.tick(299);
  assert.equal(attention.postpones(GET, one.session), true);
  mock.timers.tick(1);
  assert.equal(attention.on, false);
  await attention.pause(0, true);
  assert.equal(attention.on, false);
  await attention.pause(1_000_301, false);
  assert.equal(attention.postpones(GET, one.session), false);
});

test('a pause longer than a timer can be ends by UNPAUSE alone', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  t.after(() => mock.timers.reset());
  const { all } = workers(2);
  await all[0]!.attention.pause(1e18, true);
  mock.timers.tick(2147483647);
  mock.timers.tick(2147483647);
  assert.equal(all[0]!.attention.postpones(GET, all[0]!.one.session), true);
  assert.equal(
    all[0]!.attention.postpones(command('client|unpause', FLAG.admin), all[0]!.one.session),
    false,
  );
  await all[1]!.attention.unpause();
  for (const { attention } of all) assert.equal(attention.on, false);
});

test('who looks on is not paused, EXEC of writes is', async () => {
  const { attention, one } = workers(1).all[0]!;
  await attention.pause(Date.now() + 1e6, false);
  const exec = command('exec', 0);
  assert.equal(attention.postpones(exec, sessionOf({ transaction: { reads: true } })), false);
  assert.equal(attention.postpones(exec, sessionOf({ transaction: { reads: false } })), true);
  assert.equal(attention.postpones(SET, { ...one.session, monitoring: true } as Session), false);
  await attention.unpause();
});

test('a monitor sees what the clients of every worker do, in one batch a turn', async () => {
  const { all } = workers(2);
  const [near, far] = all as [(typeof all)[number], (typeof all)[number]];
  await near.attention.join(near.one);
  assert.deepEqual([near.attention.monitored, far.attention.monitored], [true, true]);
  near.attention.show(near.one.session, GET, framed('GET', 'a'));
  assert.match(near.one.lines.join(), /^\+\d+\.\d{6} \[0 1\.2\.3\.4:5\] "GET" "a"\r\n$/);
  far.attention.show(far.one.session, GET, framed('GET', 'b'));
  far.attention.show({ ...far.one.session, path: '/s', db: 3 } as Session, GET, framed('GET', 'c'));
  assert.equal(near.one.lines.length, 1);
  await turn();
  assert.equal(near.one.lines.length, 2);
  assert.match(near.one.lines[1]!, /"GET" "b"\r\n.* \[3 unix:\/s\] "GET" "c"\r\n$/);
  near.attention.leave(near.one);
  await turn();
  assert.deepEqual([near.attention.on, far.attention.on, near.one.session.monitoring], [false, false, false]);
  assert.deepEqual(far.one.lines, []);
});

test('monitors whose worker does not keep up are cut off', async () => {
  const { all, hold } = workers(2, 300);
  const [near, far] = all as [(typeof all)[number], (typeof all)[number]];
  await near.attention.join(near.one);
  hold(true);
  for (let i = 0; i < 10; i++) {
    far.attention.show(far.one.session, GET, framed('GET', `key:${i}`));
    await turn();
  }
  assert.equal(far.attention.monitored, false);
  hold(false);
  await turn();
  assert.equal(near.one.closed, true);
});
