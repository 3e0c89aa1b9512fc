/** The ledgers see what they are there for: a check that finds nothing anywhere would hold every bar. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Counter, Findings, Journal, Register } from './ledger.ts';

function summary({ losses, doubled, disordered, stale, malformed }: Findings) {
  return { lost: losses.map(({ number }) => number), doubled, disordered, stale, malformed };
}

const NOTHING = { lost: [] as number[], doubled: 0, disordered: 0, stale: 0, malformed: 0 };

describe('a counter', () => {
  /** Replies in the order in which they came; a text is an open write. */
  function count(replies: (number | 'open')[], atTheEnd: number, pipelined = true) {
    const findings = new Findings();
    const counter = new Counter('k', findings);
    const places = pipelined ? replies.map(() => counter.send()) : [];
    for (const [i, reply] of replies.entries()) {
      const place = places[i] ?? counter.send();
      if (reply === 'open') counter.leaveOpen();
      else counter.take(place, reply);
    }
    counter.check(String(atTheEnd));
    return summary(findings);
  }

  test('that counts each write once is right', () => {
    assert.deepEqual(count([1, 2, 3], 3), NOTHING);
  });

  test('may have counted open writes, or not, at their time or later', () => {
    assert.deepEqual(count([1, 'open', 3], 3), NOTHING);
    assert.deepEqual(count([1, 'open', 2], 2), NOTHING);
    assert.deepEqual(count([1, 'open', 2, 4], 4), NOTHING);
    assert.deepEqual(count([1, 'open'], 2), NOTHING);
  });

  test('that skips a number, or ends above the last, has counted a write twice', () => {
    assert.deepEqual(count([1, 3], 3), { ...NOTHING, doubled: 1 });
    assert.deepEqual(count([1, 2], 3), { ...NOTHING, doubled: 1 });
    assert.deepEqual(count([1, 'open', 4], 4), { ...NOTHING, doubled: 1 });
  });

  test('that falls back, or ends below the last, has lost what was acknowledged beyond', () => {
    assert.deepEqual(count([1, 2, 3, 2, 3], 3, false), { ...NOTHING, lost: [2, 3] });
    assert.deepEqual(count([1, 2, 3], 1), { ...NOTHING, lost: [2, 3] });
  });

  test('whose replies have changed places has executed writes out of order', () => {
    assert.deepEqual(count([1, 3, 2, 4], 4), { ...NOTHING, disordered: 1 });
  });
});

describe('a journal', () => {
  /** What each record was told, and the numbers that are there at the end. */
  function keep(outcomes: ('acknowledged' | 'open' | 'refused')[], atTheEnd: number[]) {
    const findings = new Findings();
    const journal = new Journal('k', findings);
    let records = '';
    for (const outcome of outcomes) {
      const { number, record } = journal.next();
      records += record;
      if (outcome === 'acknowledged') journal.take(number, records.length);
      if (outcome === 'open') journal.leaveOpen(number);
    }
    journal.check(atTheEnd.map((number) => `${String(number).padStart(7, '0')},`).join(''));
    return summary(findings);
  }
  const yes = 'acknowledged';

  test('holds what was acknowledged, and may hold what is open', () => {
    assert.deepEqual(keep([yes, 'open', yes], [1, 2, 3]), NOTHING);
    assert.deepEqual(keep([yes, 'open', yes], [1, 3]), NOTHING);
  });

  test('shows what is lost, there twice, or there although it was refused', () => {
    assert.deepEqual(keep([yes, yes, yes], [1, 3]), { ...NOTHING, lost: [2] });
    assert.deepEqual(keep([yes, yes], [1, 2, 2]), { ...NOTHING, doubled: 1 });
    assert.deepEqual(keep([yes, 'open', yes], [1, 2, 3, 2]), { ...NOTHING, doubled: 1 });
    assert.deepEqual(keep([yes, 'refused'], [1, 2]), { ...NOTHING, doubled: 1 });
  });

  test('shows what has changed places, also when it was open', () => {
    assert.deepEqual(keep([yes, yes, yes], [2, 1, 3]), { ...NOTHING, disordered: 1 });
    assert.deepEqual(keep([yes, 'open', yes], [1, 3, 2]), { ...NOTHING, disordered: 1 });
  });

  test('tells a loss that WAIT had confirmed from one that it had not', () => {
    const findings = new Findings();
    const journal = new Journal('k', findings);
    journal.take(journal.next().number, 8);
    journal.confirm();
    journal.take(journal.next().number, 16);
    journal.check(null);
    assert.deepEqual(
      findings.losses.map(({ number, safe }) => ({ number, safe })),
      [
        { number: 1, safe: true },
        { number: 2, safe: false },
      ],
    );
  });
});

describe('a register', () => {
  /** Writes by their outcome and reads by the number they showed, in turn. */
  function tell(turns: ('acknowledged' | 'open' | 'refused' | number)[], atTheEnd: number) {
    const findings = new Findings();
    const register = new Register('k', findings);
    const text = (number: number) => (number === 0 ? null : String(number).padStart(8, '0'));
    for (const turn of turns) {
      if (typeof turn === 'number') {
        register.read(text(turn));
        continue;
      }
      const { number } = register.next();
      if (turn === 'acknowledged') register.take(number);
      if (turn === 'open') register.leaveOpen(number);
    }
    register.check(text(atTheEnd));
    return summary(findings);
  }
  const yes = 'acknowledged';

  test('shows the last write, and open ones behind it or not', () => {
    assert.deepEqual(tell([0, yes, 1, yes, 2], 2), NOTHING);
    assert.deepEqual(tell([yes, 'open', 1, 2, 2], 2), NOTHING);
    assert.deepEqual(tell([yes, 'open', 1], 1), NOTHING);
  });

  test('that shows an older value was read stale, and has lost a write when that stays', () => {
    assert.deepEqual(tell([yes, yes, 1, 2], 2), { ...NOTHING, stale: 1 });
    assert.deepEqual(tell([yes, 'open', 2, 1], 2), { ...NOTHING, stale: 1 });
    assert.deepEqual(tell([yes, yes], 1), { ...NOTHING, lost: [2] });
  });

  test('that shows a later value was read out of order, or a refused write is there', () => {
    const findings = new Findings();
    const register = new Register('k', findings);
    register.next();
    register.next();
    register.take(1);
    register.read('00000002');
    assert.deepEqual(summary(findings), { ...NOTHING, disordered: 1 });
    assert.deepEqual(tell([yes, 'refused'], 2), { ...NOTHING, doubled: 1 });
  });

  test('that shows anything else is malformed', () => {
    const findings = new Findings();
    new Register('k', findings).read('1');
    assert.equal(findings.malformed, 1);
  });
});
