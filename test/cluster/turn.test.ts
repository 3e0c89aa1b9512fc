import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { elapsed, type Flushable, Turn } from '../../src/cluster/turn.ts';

function recorder(name: string, log: string[], also: () => void = () => {}): Flushable {
  return {
    flush: () => {
      log.push(name);
      also();
    },
  };
}

/** Turns of the loop until something is in the log; each of them reads something when `busy`. */
async function turnsUntil(log: string[], turn: Turn, busy: boolean): Promise<number> {
  let turns = 0;
  while (log.length === 0) {
    if (busy) turn.tick();
    await nextTurn();
    turns++;
    assert.ok(turns < 100, 'nothing was ever written');
  }
  return turns;
}

test('links are written before clients, each in the order in which they were marked', async () => {
  const turn = new Turn();
  const log: string[] = [];
  turn.markClient(recorder('client 1', log));
  turn.markLink(recorder('link 1', log));
  turn.markClient(recorder('client 2', log));
  turn.markLink(recorder('link 2', log));
  assert.deepEqual(log, []);
  await turnsUntil(log, turn, false);
  assert.deepEqual(log, ['link 1', 'link 2', 'client 1', 'client 2']);
});

test('an idle turn is written at its end, once', async () => {
  const turn = new Turn();
  const log: string[] = [];
  turn.markLink(recorder('link', log));
  assert.ok((await turnsUntil(log, turn, false)) <= 2);
  for (let i = 0; i < 10; i++) await nextTurn();
  assert.deepEqual(log, ['link']);
});

test('a busy turn waits for what comes in, but not for ever', async () => {
  const turn = new Turn();
  const log: string[] = [];
  turn.markLink(recorder('link', log));
  const turns = await turnsUntil(log, turn, true);
  assert.ok(turns > 2 && turns < 10, `it was written after ${turns} turns`);
  // The next one has the same patience anew.
  log.length = 0;
  turn.markLink(recorder('link', log));
  assert.ok((await turnsUntil(log, turn, true)) > 2);
});

test('what a flush marks anew is written in the next turn, and nothing is lost', async () => {
  const turn = new Turn();
  const log: string[] = [];
  let again = 3;
  const link = recorder('link', log, () => {
    if (again-- > 0) turn.markLink(link);
  });
  const client = recorder('client', log, () => {
    if (again === 2) turn.markLink(recorder('marked by a client', log));
  });
  turn.markLink(link);
  turn.markClient(client);
  for (let i = 0; i < 20; i++) await nextTurn();
  assert.deepEqual(log, ['link', 'client', 'link', 'marked by a client', 'link', 'link']);
});

test('the clock goes on with each read, in whole milliseconds and in microseconds', () => {
  const turn = new Turn();
  const before = Math.floor(performance.now());
  assert.equal(turn.tick(), turn.now);
  const after = Math.floor(performance.now());
  assert.ok(before <= turn.now && turn.now <= after);
  assert.ok(Number.isInteger(turn.micros) && turn.micros >= 0 && turn.micros < 2 ** 30);
  const micros = turn.micros;
  while (performance.now() < after + 3);
  turn.tick();
  assert.ok(elapsed(micros, turn.micros) >= 1000);
});

test('what has elapsed is right also where the microseconds go round', () => {
  const within = fc.nat({ max: 2 ** 30 - 1 });
  fc.assert(
    fc.property(within, within, (since, passed) => {
      assert.equal(elapsed(since, (since + passed) % 2 ** 30), passed);
    }),
  );
});
