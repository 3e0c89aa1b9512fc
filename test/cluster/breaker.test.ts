import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Breaker, type Trying } from '../../src/cluster/breaker.ts';

const OPTIONS = { backoffMin: 50, backoffMax: 2000 };

/** A breaker, its links, and what they were told. */
class Stage {
  readonly log: string[] = [];
  readonly turns: (string | undefined)[] = [];
  readonly breaker: Breaker;
  private readonly t: TestContext;

  constructor(t: TestContext) {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    this.t = t;
    this.breaker = new Breaker('node:1', OPTIONS, () => this.turns.push(this.breaker.shut));
  }

  link(name: string): Trying {
    return {
      connect: () => this.log.push(`${name} connects`),
      refuse: (reason) => this.log.push(`${name}: ${reason}`),
    };
  }

  /** Time passes until the next attempt; how long it took, ms. */
  next(): number {
    const before = this.log.length;
    for (let passed = 0; passed <= 2 * OPTIONS.backoffMax; passed++) {
      this.t.mock.timers.tick(1);
      if (this.log.length > before) return passed;
    }
    throw new Error('nobody tries');
  }
}

test('one link goes first, and when it is connected all others may', (t) => {
  const { breaker, log, link } = bound(t);
  const [a, b, c] = [link('a'), link('b'), link('c')];
  assert.deepEqual([breaker.ask(a), breaker.ask(b), breaker.ask(c)], [true, false, false]);
  assert.deepEqual(log, []);
  breaker.connected();
  assert.deepEqual(log, ['b connects', 'c connects']);
  assert.ok(breaker.ask(link('d')));
});

test('when the first fails the others are told, and whoever comes then', async (t) => {
  const { breaker, log, turns, link } = bound(t);
  const [a, b, c] = [link('a'), link('b'), link('c')];
  breaker.ask(a);
  breaker.ask(b);
  breaker.failed(a, 'refused');
  assert.deepEqual([log, turns], [['b: refused'], ['node:1: refused']]);
  assert.equal(breaker.ask(c), false);
  assert.equal(log.length, 1);
  await nextTurn();
  assert.deepEqual(log, ['b: refused', 'c: refused']);
});

test('a node that is not there is tried by one link, less and less often, until it is', (t) => {
  const stage = new Stage(t);
  const { breaker, log, turns } = stage;
  const a = stage.link('a');
  breaker.ask(a);
  const waits: number[] = [];
  for (let i = 0; i < 12; i++) {
    breaker.failed(a, 'refused');
    waits.push(stage.next());
  }
  assert.deepEqual(log, Array(12).fill('a connects'));
  waits.forEach((wait, i) => {
    const longest = Math.min(OPTIONS.backoffMax, OPTIONS.backoffMin * 2 ** i);
    assert.ok(wait <= longest && (i === 0 || wait >= longest / 2 - 1), `${i}: ${wait}`);
  });
  assert.deepEqual([turns.length, breaker.failures], [1, 12]);
  breaker.connected();
  assert.deepEqual([turns, breaker.failures], [['node:1: refused', undefined], 0]);
});

test('while any link is up the node is not shut, and one link tries for all others', (t) => {
  const stage = new Stage(t);
  const { breaker, log, turns } = stage;
  const [up, a, b] = [stage.link('up'), stage.link('a'), stage.link('b')];
  breaker.ask(up);
  breaker.connected();
  assert.ok(breaker.ask(a));
  breaker.failed(a, 'ERR max number of clients reached');
  assert.equal(breaker.ask(b), false);
  assert.deepEqual([turns, log], [[], []]);
  stage.next();
  assert.deepEqual(log, ['b connects']);
  breaker.lost();
  assert.deepEqual(turns, ['node:1: ERR max number of clients reached']);
});

test('attempts that began while all could connect count as one', (t) => {
  const { breaker, link } = bound(t);
  const [a, b] = [link('a'), link('b')];
  breaker.ask(a);
  breaker.connected();
  assert.ok(breaker.ask(a) && breaker.ask(b));
  breaker.lost();
  breaker.failed(a, 'refused');
  breaker.failed(b, 'refused');
  assert.equal(breaker.failures, 0);
  assert.ok(breaker.ask(a));
  breaker.failed(a, 'refused');
  assert.equal(breaker.failures, 1);
});

test('when the last link is lost one goes first again', (t) => {
  const { breaker, link, turns } = bound(t);
  const [a, b] = [link('a'), link('b')];
  breaker.ask(a);
  breaker.connected();
  breaker.lost();
  assert.deepEqual([breaker.ask(a), breaker.ask(b)], [true, false]);
  assert.deepEqual(turns, []);
});

test('a login that is refused says that the node is there', (t) => {
  const { breaker, log, link } = bound(t);
  const [a, b] = [link('a'), link('b')];
  breaker.ask(a);
  breaker.ask(b);
  breaker.answered();
  assert.deepEqual(log, ['b connects']);
  assert.ok(breaker.ask(a));
});

test('a link that ends while it tries leaves its turn to another; without one the next to come tries', (t) => {
  const stage = new Stage(t);
  const { breaker, log, turns } = stage;
  const [a, b, c] = [stage.link('a'), stage.link('b'), stage.link('c')];
  breaker.ask(a);
  breaker.ask(b);
  breaker.leave(a);
  assert.deepEqual(log, ['b connects']);
  breaker.failed(b, 'refused');
  breaker.leave(b);
  t.mock.timers.tick(OPTIONS.backoffMin);
  assert.deepEqual(turns, ['node:1: refused', undefined]);
  assert.ok(breaker.ask(c));
});

test('a silent node is shut until it speaks', (t) => {
  const { breaker, turns } = bound(t);
  breaker.doubt(1200);
  breaker.doubt(1450);
  assert.equal(breaker.shut, 'node:1 has been silent for 1450 ms');
  breaker.spoke();
  assert.deepEqual(turns, ['node:1 has been silent for 1200 ms', undefined]);
});

test('whoever has ended tells nobody and tries nothing', (t) => {
  const stage = new Stage(t);
  const { breaker, log, turns } = stage;
  const a = stage.link('a');
  breaker.ask(a);
  breaker.failed(a, 'refused');
  breaker.end();
  breaker.leave(a);
  t.mock.timers.tick(OPTIONS.backoffMax);
  assert.deepEqual([log, turns.length], [[], 1]);
});

function bound(t: TestContext) {
  const stage = new Stage(t);
  const { breaker, log, turns } = stage;
  return { breaker, log, turns, link: (name: string) => stage.link(name) };
}
