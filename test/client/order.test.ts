import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { EVERY_SLOT } from '../../src/client/order.ts';
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

test('reads may change places with reads, and not with writes', () => {
  const client = new BareClient(new MapOnly());
  client.callLoose(client.request(GET, 1));
  assert.deepEqual([client.order.mustWait(1, true), client.order.mustWait(1, false)], [false, true]);
  assert.deepEqual(
    [client.order.mustWait(EVERY_SLOT, true), client.order.mustWait(EVERY_SLOT, false)],
    [false, true],
  );
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
  // What one lost link asks for each of its reads is looked for once in a turn.
  client.reply(write, OK);
  await nextTurn();
  assert.equal(client.order.writesBehind(first), false);
  await nextTurn();
  client.gathered(SET, [7], true);
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

test('a command waits exactly while one it must not overtake is on another road', () => {
  const slots = fc.nat({ max: 2 });
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        what: fc.constant('send' as const),
        slot: slots,
        reads: fc.boolean(),
        several: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('send to all' as const), reads: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant('bounce' as const), which: fc.nat() }) },
    { weight: 4, arbitrary: fc.record({ what: fc.constant('answer' as const), which: fc.nat() }) },
    {
      weight: 1,
      arbitrary: fc.record({
        what: fc.constant('move' as const),
        slot: slots,
        to: fc.constantFrom('x', 'y'),
      }),
    },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const map = new MapOnly();
      const client = new BareClient(map);
      interface Sent {
        call: ReturnType<BareClient['request']>;
        slot: number;
        reads: boolean;
        loose: boolean;
        wide: boolean;
      }
      let sent: Sent[] = [];
      for (const one of steps) {
        if (one.what === 'send') {
          const { slot, reads, several } = one;
          const call = client.request(reads ? GET : SET, slot, several);
          sent.push({ call, slot, reads, loose: several, wide: false });
        } else if (one.what === 'send to all') {
          const { parts } = client.gathered(one.reads ? GET : SET, [0, 1, 2], true);
          for (const part of parts)
            sent.push({ call: part, slot: part.slot, reads: one.reads, loose: true, wide: true });
        } else if (one.what === 'move') {
          map.move(one.slot, one.to);
          for (const each of sent) each.loose ||= each.call.node !== map.ownerOf(each.slot);
        } else if (sent.length > 0) {
          const which = one.which % sent.length;
          const each = sent[which]!;
          if (one.what === 'bounce') {
            each.call.node = undefined;
            client.callLoose(each.call);
            each.loose = true;
          } else {
            client.reply(each.call, OK);
            sent = sent.toSpliced(which, 1);
          }
        }
        for (const reads of [true, false]) {
          for (const slot of [0, 1, 2, EVERY_SLOT]) {
            const expected = sent.some((each) => {
              if (each.wide) return true;
              const meets = slot === EVERY_SLOT || each.slot === slot;
              return meets && each.loose && !(reads && each.reads);
            });
            assert.equal(client.order.mustWait(slot, reads), expected, `slot ${slot}`);
          }
        }
        assert.equal(client.order.inFlight, sent.length);
      }
    }),
    { numRuns: 300 },
  );
});
