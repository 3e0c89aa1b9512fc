import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type GateLimits, Gates, type Waiting } from '../../src/cluster/gate.ts';

/** What a stage's node does with what is sent to it. */
type Fate = 'takes' | 'refuses' | 'has no owner';

class Held implements Waiting {
  readonly name: number;
  readonly slot: number;
  readonly length: number;
  heldSince = 0;
  atGate = false;
  gone = false;
  private readonly stage: Stage;

  constructor(stage: Stage, name: number, slot = 1, length = 10) {
    this.stage = stage;
    this.name = name;
    this.slot = slot;
    this.length = length;
  }

  isOf(other: Waiting): boolean {
    return other === this;
  }

  isBefore(other: Waiting): boolean {
    return this.name < (other as Held).name;
  }

  sendFromGate(): boolean {
    if (this.stage.fate === 'has no owner') return false;
    this.stage.sent.push(this);
    return true;
  }

  giveUp(): void {
    this.gone = true;
    this.heldSince = 0;
    this.stage.givenUp.push(this.name);
  }

  turnAway(setting: string, value: number): void {
    this.gone = true;
    this.stage.turnedAway.push(`${this.name} ${setting} ${value}`);
  }
}

/** Gates with a clock and a node that the test is in charge of. */
class Stage {
  now = 1;
  fate: Fate = 'refuses';
  /** At the node, without an answer. */
  sent: Held[] = [];
  readonly executed: number[] = [];
  readonly givenUp: number[] = [];
  readonly turnedAway: string[] = [];
  readonly gates: Gates;

  constructor(t: TestContext, limits: Partial<GateLimits> = {}) {
    // Time passes when the test says so.
    t.mock.timers.enable({ apis: ['setInterval'] });
    const all = { holdFor: 100, tryAgainFor: 1000, maxCommands: 100, maxBytes: 10_000, ...limits };
    this.gates = new Gates(all, () => this.now);
    t.after(() => this.gates.close());
  }

  hold(name: number, slot = 1): Held {
    const call = new Held(this, name, slot);
    this.gates.hold(call);
    return call;
  }

  /** The node answers all it has. */
  answer(): void {
    const { sent } = this;
    this.sent = [];
    for (const call of sent) {
      if (this.fate === 'refuses') this.gates.hold(call);
      else {
        this.executed.push(call.name);
        if (call.heldSince !== 0) this.gates.settled(call);
      }
    }
  }

  get names(): number[] {
    return this.sent.map(({ name }) => name);
  }
}

test('only the first of a slot is tried, and the rest follow in order when a node has answered it', (t) => {
  const stage = new Stage(t);
  for (const name of [1, 2, 3]) stage.hold(name);
  stage.gates.tick();
  stage.gates.tick();
  assert.deepEqual(stage.names, [1]);
  stage.fate = 'takes';
  stage.answer();
  assert.deepEqual(stage.names, [2, 3]);
  stage.answer();
  assert.deepEqual(stage.executed, [1, 2, 3]);
  assert.equal(stage.gates.slots.size, 0);
});

test('each slot has a gate of its own', (t) => {
  const stage = new Stage(t);
  for (const [name, slot] of [
    [1, 7],
    [2, 8],
    [3, 7],
    [4, 8],
  ] as const)
    stage.hold(name, slot);
  stage.gates.tick();
  assert.deepEqual(stage.names, [1, 2]);
});

test('what comes back stands before what was made after it', (t) => {
  const stage = new Stage(t);
  for (const name of [4, 2, 3, 1]) stage.hold(name);
  stage.gates.tick();
  assert.deepEqual(stage.names, [1]);
  stage.answer();
  stage.gates.tick();
  assert.deepEqual(stage.names, [1]);
  stage.fate = 'takes';
  stage.answer();
  stage.answer();
  assert.deepEqual(stage.executed, [1, 2, 3, 4]);
});

test('of many slots some are tried at a tick, each in its turn, and all when one has been served', (t) => {
  const stage = new Stage(t, { maxCommands: 10_000 });
  const slots = 1000;
  for (let slot = 0; slot < slots; slot++) stage.hold(slot, slot);
  const seen = new Set<number>();
  for (let i = 0; i < 5; i++) {
    stage.gates.tick(false);
    assert.equal(stage.sent.length, slots / 5);
    for (const { slot } of stage.sent) seen.add(slot);
    stage.answer();
  }
  assert.equal(seen.size, slots);
  stage.gates.tick(false);
  stage.fate = 'takes';
  stage.answer();
  stage.gates.tick(false);
  stage.answer();
  assert.deepEqual([stage.executed.length, stage.gates.slots.size], [slots, 0]);
});

test('what comes anew is held back, the one that is tried is not', (t) => {
  const stage = new Stage(t);
  const first = stage.hold(1);
  assert.ok(stage.gates.holdsBack(first));
  stage.gates.tick();
  assert.ok(!stage.gates.holdsBack(first));
  assert.ok(stage.gates.holdsBack(new Held(stage, 2, 1)));
  assert.ok(!stage.gates.holdsBack(new Held(stage, 3, 2)));
});

test('who has waited for too long gives up, and the slot is open for the next', (t) => {
  const stage = new Stage(t);
  stage.fate = 'has no owner';
  stage.hold(1);
  stage.now += 60;
  stage.hold(2);
  stage.now += 60;
  stage.gates.tick();
  assert.deepEqual(stage.givenUp, [1]);
  stage.now += 60;
  stage.gates.tick();
  assert.deepEqual(stage.givenUp, [1, 2]);
  assert.equal(stage.gates.slots.size, 0);
});

test('a refusal does not make the time begin anew', (t) => {
  const stage = new Stage(t);
  stage.hold(1);
  for (let i = 0; i < 12; i++) {
    stage.now += 10;
    stage.gates.tick();
    stage.answer();
  }
  assert.deepEqual(stage.givenUp, [1]);
});

test('when the one that is tried fails for good the next is tried', (t) => {
  const stage = new Stage(t);
  const first = stage.hold(1);
  stage.hold(2);
  stage.gates.tick();
  stage.sent = [];
  stage.gates.left(first);
  stage.gates.tick();
  assert.deepEqual(stage.names, [2]);
});

test('a delayed command is sent again at the next tick, past the gate, and gives up in its own time', (t) => {
  const stage = new Stage(t);
  const call = new Held(stage, 1);
  stage.gates.delay(call);
  assert.equal(stage.gates.slots.size, 0);
  stage.gates.tick();
  assert.deepEqual(stage.names, [1]);
  stage.sent = [];
  stage.gates.delay(call);
  stage.now += 500;
  stage.gates.tick();
  assert.deepEqual(stage.givenUp, []);
  stage.sent = [];
  stage.gates.delay(call);
  stage.now += 501;
  stage.gates.tick();
  assert.deepEqual(stage.givenUp, [1]);
});

test('a delayed command takes its place when its slot has a gate meanwhile', (t) => {
  const stage = new Stage(t);
  stage.gates.delay(new Held(stage, 1));
  stage.hold(2);
  stage.gates.tick();
  assert.deepEqual(stage.names, [1]);
});

test('one that is tried and told to try again keeps nobody else of its slot waiting', (t) => {
  const stage = new Stage(t);
  const first = stage.hold(1);
  stage.hold(2);
  stage.gates.tick();
  stage.sent = [];
  // A node has spoken: the slot is served, but for the keys of this one.
  stage.gates.delay(first);
  stage.gates.tick();
  assert.deepEqual(stage.names.toSorted(), [1, 2]);
});

test('who gives up while it is tried again leaves its slot open', (t) => {
  const stage = new Stage(t);
  const first = stage.hold(1);
  stage.gates.tick();
  stage.sent = [];
  stage.gates.delay(first);
  stage.now += 1001;
  stage.gates.tick();
  assert.deepEqual(stage.givenUp, [1]);
  stage.fate = 'takes';
  assert.ok(!stage.gates.holdsBack(new Held(stage, 2)));
});

test('commands and bytes that wait are bounded, and what would be too many is turned away', (t) => {
  for (const [limits, why] of [
    [{ maxCommands: 3 }, 'node.maxPending 3'],
    [{ maxBytes: 30 }, 'node.maxPendingBytes 30'],
  ] as const) {
    const stage = new Stage(t, limits);
    const calls = [1, 2, 3].map((name) => stage.hold(name));
    stage.hold(4, 2);
    assert.deepEqual(stage.turnedAway, [`4 ${why}`]);
    stage.gates.delay(new Held(stage, 5, 2));
    assert.deepEqual(stage.givenUp, [5]);
    // The one that is tried makes room, and has its place all the same when it comes back.
    stage.gates.tick();
    stage.hold(6);
    stage.answer();
    assert.deepEqual([stage.turnedAway.length, calls[0]!.gone], [1, false]);
    stage.hold(7);
    assert.deepEqual(stage.turnedAway, [`4 ${why}`, `7 ${why}`]);
    t.mock.timers.reset();
  }
});

test('the clock of the gates stops when nobody waits', (t) => {
  const stage = new Stage(t);
  stage.fate = 'takes';
  stage.hold(1);
  t.mock.timers.tick(20);
  assert.deepEqual(stage.names, [1]);
  stage.answer();
  t.mock.timers.tick(20);
  const before = stage.now;
  stage.gates.tick = () => assert.fail('it still ticks');
  t.mock.timers.tick(1000);
  assert.equal(stage.now, before);
});

test('whatever happens, a slot is served in order, everybody gets an end, and the counts come back to nothing', (t) => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ what: fc.constant('come' as const), slot: fc.nat({ max: 2 }) }) },
    { weight: 3, arbitrary: fc.constant({ what: 'tick' as const }) },
    { weight: 3, arbitrary: fc.constant({ what: 'answer' as const }) },
    {
      weight: 2,
      arbitrary: fc.record({
        what: fc.constant('fate' as const),
        fate: fc.constantFrom<Fate>('takes', 'refuses', 'has no owner'),
      }),
    },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('time' as const), passes: fc.nat({ max: 80 }) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const stage = new Stage(t);
      const all: Held[] = [];
      for (const one of steps) {
        if (one.what === 'tick') stage.gates.tick();
        else if (one.what === 'answer') stage.answer();
        else if (one.what === 'time') stage.now += one.passes;
        else if (one.what === 'fate') {
          // A node changes its mind between commands, not about those that it has already.
          stage.answer();
          stage.fate = one.fate;
        } else {
          const call = new Held(stage, all.length, one.slot);
          all.push(call);
          // As a call does: at the gate if there is one, else to the node.
          if (stage.gates.holdsBack(call) || !call.sendFromGate()) stage.gates.hold(call);
        }
      }
      stage.fate = 'takes';
      for (let i = 0; i < 4; i++) {
        stage.answer();
        stage.gates.tick();
      }
      assert.deepEqual(
        [...stage.executed, ...stage.givenUp].toSorted((a, b) => a - b),
        all.map(({ name }) => name),
      );
      for (const slot of [0, 1, 2]) {
        const order = stage.executed.filter((name) => all[name]!.slot === slot);
        assert.deepEqual(
          order,
          order.toSorted((a, b) => a - b),
        );
      }
      const { commands, bytes } = stage.gates as unknown as { commands: number; bytes: number };
      assert.deepEqual([commands, bytes, stage.gates.slots.size], [0, 0, 0]);
      stage.gates.close();
      t.mock.timers.reset();
    }),
    { numRuns: 300 },
  );
});
