import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal } from '../../src/gather/reach.ts';
import { Line, Turns } from '../../src/gather/turns.ts';

const LONG = 600_000;
const patient = () => ({ command: 'rename', deadline: performance.now() + LONG, waitFor: LONG });
const keys = (text: string) => [...text].map((one) => Buffer.from(one));

/** Work that is done when it is told so. */
class Works {
  readonly log: string[] = [];
  private readonly ends = new Map<string, () => void>();

  start(name: string): () => Promise<void> {
    return () => {
      this.log.push(`+${name}`);
      return new Promise((resolve) => this.ends.set(name, resolve));
    };
  }

  async end(name: string): Promise<void> {
    this.log.push(`-${name}`);
    this.ends.get(name)!();
    await new Promise(setImmediate);
  }
}

test('whoever comes first is first, and no more than may are inside', async () => {
  const line = new Line();
  const entered: number[] = [];
  const enter = (i: number) => line.enter(2, LONG).then((inside) => inside && entered.push(i));
  const all = [0, 1, 2, 3].map(enter);
  await Promise.all(all.slice(0, 2));
  assert.deepEqual(entered, [0, 1]);
  line.leave();
  await all[2];
  assert.deepEqual(entered, [0, 1, 2]);
  line.leave();
  await all[3];
  line.leave();
  line.leave();
  assert.equal(line.empty, true);
});

test('who has waited for too long is not let in, and takes nobody\u2019s place', async () => {
  const line = new Line();
  assert.equal(await line.enter(1, 0), true);
  const [early, late] = [line.enter(1, 1), line.enter(1, LONG)];
  assert.equal(await early, false);
  line.leave();
  assert.equal(await late, true);
  line.leave();
  assert.equal(line.empty, true);
});

test('moves of one key come one after the other, in their order; others do not wait for them', async () => {
  const [turns, works] = [new Turns(), new Works()];
  const all: Promise<unknown>[] = [];
  for (const [name, of] of [
    ['first', 'ab'],
    ['second', 'bc'],
    ['third', 'ca'],
    ['other', 'xy'],
  ] as const) {
    all.push(turns.during(keys(of), 9, patient(), works.start(name)));
    await new Promise(setImmediate);
  }
  assert.deepEqual(works.log, ['+first', '+other']);
  await works.end('first');
  await works.end('second');
  await works.end('third');
  await works.end('other');
  await Promise.all(all);
  assert.deepEqual(works.log.slice(2), ['-first', '+second', '-second', '+third', '-third', '-other']);
});

test('there is a bound on how many moves are made at once', async () => {
  const [turns, works] = [new Turns(), new Works()];
  const all = ['ab', 'cd', 'ef'].map((of) => turns.during(keys(of), 2, patient(), works.start(of)));
  await new Promise(setImmediate);
  assert.deepEqual(works.log, ['+ab', '+cd']);
  await works.end('cd');
  await works.end('ab');
  await works.end('ef');
  await Promise.all(all);
  assert.deepEqual(works.log, ['+ab', '+cd', '-cd', '+ef', '-ab', '-ef']);
});

test('who waits in vain is told so, and what fails leaves the keys to the next', async () => {
  const [turns, works] = [new Turns(), new Works()];
  const fails = turns.during(keys('ab'), 9, patient(), () => Promise.reject(new Error('no')));
  await assert.rejects(fails, /no/);
  const holder = turns.during(keys('ab'), 9, patient(), works.start('holder'));
  await new Promise(setImmediate);
  const brief = { command: 'smove', deadline: performance.now(), waitFor: 7 };
  await assert.rejects(turns.during(keys('bc'), 9, brief, works.start('late')), (error) => {
    assert.ok(error instanceof Refusal);
    const said = String(error.reply);
    assert.match(said, /^-TRYAGAIN slotless: 'smove' was not done: .*'crossSlot\.waitFor' \(7 ms\)/);
    return true;
  });
  await works.end('holder');
  await holder;
  assert.deepEqual(works.log, ['+holder', '-holder']);
});
