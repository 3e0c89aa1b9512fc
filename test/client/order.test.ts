import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import type { Part } from '../../src/client/gathered.ts';
import { EVERY_SLOT } from '../../src/client/order.ts';
import type { Request } from '../../src/client/request.ts';
import { BareClient, command, MapOnly } from './bare.ts';

const SET = command('set');
const GET = command('get');
const OK = '+OK\r\n';

test('with nothing under way nothing has to wait', () => {
  const client = new BareClient(new MapOnly());
  for (const slot of [1, EVERY_SLOT])
    for (const reads of [true, false]) assert.equal(client.order.mustWait(slot, reads), false);
});

test('a command follows on the same road without waiting', () => {
  const client = new BareClient(new MapOnly());
  client.request(SET, 1);
  assert.equal(client.order.mustWait(1, false), false);
  assert.equal(client.order.mustWait(EVERY_SLOT, false), false);
});

test('behind a call that was redirected others of its slot wait, until it is answered', () => {
  const client = new BareClient(new MapOnly());
  const call = client.request(SET, 1);
  client.callLoose(call);
  assert.deepEqual([client.order.mustWait(1, false), client.order.mustWait(1, true)], [true, true]);
  assert.equal(client.order.mustWait(2, false), false);
  assert.equal(client.order.mustWait(EVERY_SLOT, true), true);
  client.reply(call, OK);
  assert.equal(client.order.mustWait(1, false), false);
});

test('a read of several keys that may be told to try again holds back writes, and no reads', () => {
  const client = new BareClient(new MapOnly());
  const read = client.request(GET, 1, true);
  assert.deepEqual([client.order.mustWait(1, true), client.order.mustWait(1, false)], [false, true]);
  assert.deepEqual(
    [client.order.mustWait(EVERY_SLOT, true), client.order.mustWait(EVERY_SLOT, false)],
    [false, true],
  );
  // Once it is elsewhere a later read could see less than it.
  client.callLoose(read);
  assert.deepEqual([client.order.mustWait(1, true), client.order.mustWait(EVERY_SLOT, true)], [true, true]);
});

test('when all that could be overtaken wait at the gate, a command goes there behind them', () => {
  const client = new BareClient(new MapOnly());
  const [one, other] = [client.request(SET, 1), client.request(SET, 1)];
  for (const call of [one, other]) client.callLoose(call);
  one.atGate = true;
  assert.equal(client.order.mustWait(1, false), true);
  other.atGate = true;
  assert.equal(client.order.mustWait(1, false), false);
  assert.equal(client.order.mustWait(EVERY_SLOT, false), true);
  one.atGate = false;
  assert.equal(client.order.mustWait(1, false), true);
  client.reply(one, OK);
  assert.equal(client.order.mustWait(1, false), false);
});

test('a call knows whether more of its client waits at the gate of its slot', () => {
  const client = new BareClient(new MapOnly());
  const [read, write, other] = [client.request(GET, 1), client.request(SET, 1), client.request(SET, 2)];
  for (const call of [read, write, other]) client.callLoose(call);
  for (const call of [read, other]) call.atGate = true;
  assert.equal(client.order.holdsMore(read), false);
  write.atGate = true;
  assert.equal(client.order.holdsMore(read), true);
  assert.equal(client.order.holdsMore(other), false);
  read.atGate = false;
  assert.equal(client.order.holdsMore(read), true);
});

test('when the map sends a slot elsewhere, what was sent by the old one holds back the new', () => {
  const map = new MapOnly();
  const client = new BareClient(map);
  const old = client.request(SET, 1);
  client.request(SET, 2);
  map.move(1, 'elsewhere');
  assert.deepEqual([client.order.mustWait(1, false), client.order.mustWait(2, false)], [true, false]);
  client.reply(old, OK);
  assert.equal(client.order.mustWait(1, false), false);
});

test('a command of several keys holds back from the beginning: it may be told to try again', () => {
  const client = new BareClient(new MapOnly());
  client.request(SET, 1, true);
  assert.equal(client.order.mustWait(1, false), true);
});

test('all wait for a command that touches every slot', () => {
  const client = new BareClient(new MapOnly());
  const whole = client.gathered(SET, [1, 2], true);
  for (const slot of [1, 3, EVERY_SLOT]) assert.equal(client.order.mustWait(slot, true), true);
  for (const part of whole.parts) client.reply(part, OK);
  assert.equal(client.order.mustWait(3, false), false);
});

test('a read has writes behind it when one of its slot was sent after it, or one of every slot', async () => {
  const client = new BareClient(new MapOnly());
  const first = client.request(GET, 1);
  const write = client.request(SET, 1);
  const second = client.request(GET, 1);
  const other = client.request(GET, 2);
  assert.deepEqual(
    [first, second, other].map((call) => client.order.writesBehind(call)),
    [true, false, false],
  );
  client.reply(write, OK);
  // What one lost link asks for each of its reads is looked for once in a turn.
  await nextTurn();
  assert.equal(client.order.writesBehind(first), false);
  client.gathered(SET, [3], true);
  await nextTurn();
  assert.deepEqual(
    [first, second, other].map((call) => client.order.writesBehind(call)),
    [true, true, true],
  );
});

test('a write that waits has not been executed, and is behind nothing', () => {
  const client = new BareClient(new MapOnly());
  const read = client.request(GET, 1);
  const write = client.request(SET, 1);
  write.node = undefined;
  assert.equal(client.order.writesBehind(read), false);
});

interface Sent {
  readonly call: Request | Part;
  readonly slot: number;
  readonly reads: boolean;
  readonly wide: boolean;
  /** May be told to try again; elsewhere or waiting; waiting at its slot's gate. */
  loose: boolean;
  away: boolean;
  held: boolean;
}

/** What `mustWait` should say, by looking at all calls. */
function mustWait(sent: readonly Sent[], slot: number, reads: boolean): boolean {
  if (sent.some(({ wide }) => wide)) return true;
  const there = sent.filter((one) => one.loose && (slot === EVERY_SLOT || one.slot === slot));
  const hindrances = there.filter((one) => !reads || !one.reads || one.away);
  if (hindrances.length === 0) return false;
  return slot === EVERY_SLOT || there.some(({ held }) => !held);
}

test('a command waits exactly while one it must not overtake is on another road', () => {
  const slot = fc.nat({ max: 2 });
  const which = fc.nat();
  const reads = fc.boolean();
  const one = <const What extends string, T extends object>(
    what: What,
    weight: number,
    more: { [K in keyof T]: fc.Arbitrary<T[K]> },
  ) => ({
    weight,
    arbitrary: fc.record(more).map((values) => ({ what, ...values })),
  });
  const step = fc.oneof(
    one('send', 5, { slot, reads, several: fc.boolean() }),
    one('send to all', 1, { reads }),
    one('bounce', 2, { which, gate: fc.boolean() }),
    one('let go', 1, { which }),
    one('answer', 4, { which }),
    one('move', 1, { slot, to: fc.constantFrom('x', 'y') }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const map = new MapOnly();
      const client = new BareClient(map);
      let sent: Sent[] = [];
      const add = (call: Request | Part, reads: boolean, loose: boolean, wide: boolean) =>
        sent.push({ call, slot: call.slot, reads, loose, wide, away: false, held: false });
      for (const each of steps) {
        if (each.what === 'send') {
          add(
            client.request(each.reads ? GET : SET, each.slot, each.several),
            each.reads,
            each.several,
            false,
          );
        } else if (each.what === 'send to all') {
          const { parts } = client.gathered(each.reads ? GET : SET, [0, 1, 2], true);
          for (const part of parts) add(part, each.reads, true, true);
        } else if (each.what === 'move') {
          map.move(each.slot, each.to);
          for (const other of sent) {
            if (other.call.node === map.ownerOf(other.slot)) continue;
            other.loose = other.away = true;
          }
        } else if (sent.length > 0) {
          const at = each.which % sent.length;
          const chosen = sent[at]!;
          const { call } = chosen;
          if (each.what === 'bounce') {
            call.node = undefined;
            client.callLoose(call);
            call.atGate = each.gate;
            Object.assign(chosen, { loose: true, away: true, held: each.gate });
          } else if (each.what === 'let go') {
            call.atGate = chosen.held = false;
          } else {
            client.reply(call, OK);
            sent = sent.toSpliced(at, 1);
          }
        }
        for (const slot of [0, 1, 2, EVERY_SLOT])
          for (const reads of [true, false])
            assert.equal(client.order.mustWait(slot, reads), mustWait(sent, slot, reads), `slot ${slot}`);
        assert.equal(client.order.inFlight, sent.length);
      }
    }),
    { numRuns: 400 },
  );
});
