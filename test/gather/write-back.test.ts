/** Writing back over links that are lost: what is said of which keys. Places are faked; see relaxed.test.ts for real ones. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Copy } from '../../src/gather/copies.ts';
import type { Crossing } from '../../src/gather/crossing.ts';
import type { Place } from '../../src/gather/places.ts';
import { type Reach, Refusal, type Words } from '../../src/gather/reach.ts';
import type { Change } from '../../src/gather/standins.ts';
import { writeBack } from '../../src/gather/write-back.ts';

const OK = Buffer.from('+OK\r\n');
const LOST = new Refusal(Buffer.from('-ERR lost\r\n'), true);
const REFUSED = new Refusal(Buffer.from('-OOM command not allowed\r\n'));

/** What a place's EXECs come to, one after the other: done, changed by others, or an error. */
type Outcome = 'done' | 'changed' | Refusal;

/** A dump of an integer, as far as it is looked at: its format's version stands ten bytes before the end. */
function dumpOf(text: string): Buffer {
  return Buffer.concat([Buffer.from([0]), Buffer.from(text), Buffer.from([10, 0]), Buffer.alloc(8)]);
}

function copyOf(name: string, slot: number, text: string): Copy {
  return { name: Buffer.from(name), slot, payload: dumpOf(text), poured: false, expires: -1 };
}

/** Places 1, 2 ... with a key each, which is changed where there is an outcome for a write. */
function stand(
  outcomes: readonly (readonly Outcome[])[],
  others: readonly number[] = [],
  expired: readonly number[] = [],
) {
  const calls: string[] = [];
  const places = outcomes.map((some, i) => {
    const left = [...some];
    return {
      slot: i + 1,
      targets: [],
      isUntouched: async () => left.shift() === 'done',
      exec: async (commands: readonly Words[]) => {
        calls.push(`${i + 1} ${commands.map(([name]) => name).join(' ')}`);
        const outcome = left.shift();
        if (outcome instanceof Refusal) throw outcome;
        if (outcome !== 'done') return undefined;
        return commands.map(([name]) => (name === 'DUMP' ? bulk(dumpOf('new')) : OK));
      },
      again: async () => {
        const now = copyOf(`k${i + 1}`, i + 1, others.includes(i + 1) ? 'other' : 'new');
        return [expired.includes(i + 1) ? { ...now, payload: undefined } : now];
      },
    } as unknown as Place;
  });
  const reach = { ownerOf: () => 'a:1', atomically: async (_: number, all: Words[]) => all.map(() => OK) };
  const call = {
    command: { name: 'eval' },
    reach: reach as unknown as Reach,
    limits: { maxBytes: 1e6 },
  } as unknown as Crossing;
  return { call, places, calls };
}

function bulk(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
}

function changesOf(places: readonly Place[]): Change[] {
  return places.map(({ slot }) => ({
    before: copyOf(`k${slot}`, slot, 'old'),
    after: copyOf(`k${slot}`, slot, 'new'),
    value: true,
  }));
}

async function said(work: Promise<unknown>): Promise<string> {
  return work.then(String, (error: Error) => error.message);
}

test('all slots are written, the last one last', async () => {
  const { call, places, calls } = stand([['done'], ['done'], ['done']]);
  assert.equal(await writeBack(call, places, changesOf(places), 1), true);
  assert.deepEqual(calls, ['2 RESTORE DUMP', '3 RESTORE DUMP', '1 RESTORE']);
});

test('a slot of which nothing changed is looked at before anything is written', async () => {
  const { call, places, calls } = stand([['done'], ['changed']]);
  assert.equal(await writeBack(call, places, changesOf(places).slice(0, 1), 1), false);
  assert.deepEqual(calls, []);
});

test('a slot with a key that expires comes before others', async () => {
  const { call, places, calls } = stand([['done'], ['done'], ['done']]);
  const changes = changesOf(places).map((change) => {
    const { before } = change;
    return before.slot === 3 ? { ...change, before: { ...before, expires: 1 } } : change;
  });
  assert.equal(await writeBack(call, places, changes, 3), true);
  assert.deepEqual(calls, ['3 RESTORE DUMP', '1 RESTORE DUMP', '2 RESTORE']);
});

test('what has expired since it was written is put back as if nobody had touched it', async () => {
  const { call, places, calls } = stand([['done', 'done'], ['changed']], [], [1]);
  const changes = changesOf(places).map((change) => ({ ...change, after: { ...change.after, expires: 1 } }));
  assert.equal(await writeBack(call, places, changes, 2), false);
  assert.deepEqual(calls, ['1 RESTORE DUMP', '2 RESTORE', '1 RESTORE']);
});

test('a link that is lost over the only write leaves it unknown', async () => {
  const { call, places } = stand([[LOST], ['done']]);
  assert.equal(await said(writeBack(call, places, changesOf(places).slice(0, 1), 1)), 'ERR lost');
});

test('a link that is lost over a later write is told with the names of the keys', async () => {
  const { call, places, calls } = stand([['done'], [LOST], ['done']]);
  assert.equal(
    await said(writeBack(call, places, changesOf(places), 3)),
    "ERR slotless: 'eval' was executed in part; written: k1; not written: k3; nobody knows of: k2 (ERR lost)",
  );
  assert.deepEqual(calls, ['1 RESTORE DUMP', '2 RESTORE DUMP']);
});

test('a later write that is refused is undone with those before it', async () => {
  const { call, places, calls } = stand([['done', 'done'], ['done', 'done'], [REFUSED]]);
  assert.equal(await said(writeBack(call, places, changesOf(places), 3)), 'OOM command not allowed');
  assert.deepEqual(calls.slice(2), ['3 RESTORE', '2 RESTORE', '1 RESTORE']);
});

test('what others have changed since is not undone', async () => {
  const { call, places, calls } = stand([['done'], ['done', 'done'], ['changed']], [1]);
  assert.equal(
    await said(writeBack(call, places, changesOf(places), 3)),
    "ERR slotless: 'eval' was executed in part; written: k1; not written: k2 k3 (the keys were changed by others)",
  );
  assert.deepEqual(calls.slice(3), ['2 RESTORE']);
});

test('a link that is lost while a write is undone leaves that key unknown', async () => {
  const { call, places } = stand([['done', LOST], ['changed']]);
  assert.equal(
    await said(writeBack(call, places, changesOf(places), 2)),
    "ERR slotless: 'eval' was executed in part; not written: k2; nobody knows of: k1 (the keys were changed by others)",
  );
});
