/** What is asked of the cluster to look keys up, seen by a cluster that is written down here. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import { lookUp } from '../../src/gather/lookups.ts';
import { Meter } from '../../src/gather/meter.ts';
import { type Reach, Refusal, type Words } from '../../src/gather/reach.ts';
import { encode, error } from '../../src/resp/write.ts';

interface Asked {
  readonly slot: number;
  readonly words: string[];
}

/** Answers each question as `answer` does, a turn later; and what was asked. */
function reachOf(answer: (words: string[]) => Buffer): { reach: Reach; asked: Asked[]; most: () => number } {
  const asked: Asked[] = [];
  let [open, most] = [0, 0];
  const ask = async (slot: number, words: Words) => {
    const texts = words.map(String);
    asked.push({ slot, words: texts });
    most = Math.max(most, ++open);
    await new Promise(setImmediate);
    open--;
    return answer(texts);
  };
  return { reach: { ask } as unknown as Reach, asked, most: () => most };
}

const echo = (words: string[]) =>
  encode(
    2,
    words.slice(words[0] === 'MGET' ? 1 : 2).map((word) => (word.startsWith('no') ? null : `<${word}>`)),
  );

const named = (key: string, field?: string) => ({
  key: Buffer.from(key),
  field: field === undefined ? undefined : Buffer.from(field),
});

const slot = (key: string) => slotOf(Buffer.from(key), 0, key.length);

const lots = (count: number, name: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => named(name(i)));

test('each key and each field is asked for once, those of a slot or a hash together', async () => {
  const { reach, asked } = reachOf(echo);
  const wanted = [named('{t}1'), named('u'), named('h', 'a'), undefined, named('{t}2'), named('no')];
  wanted.push(named('h', 'b'), named('{t}1'), named('h', 'a'), named('h'), named('g', 'a'));
  const found = await lookUp(reach, wanted, new Meter(1000));
  assert.deepEqual(
    found.map((value) => value && String(value)),
    [...['<{t}1>', '<u>', '<a>', undefined, '<{t}2>', undefined], ...['<b>', '<{t}1>', '<a>', '<h>', '<a>']],
  );
  assert.deepEqual(asked.map(({ words }) => words.join(' ')).sort(), [
    'HMGET g a',
    'HMGET h a b',
    'MGET h',
    'MGET no',
    'MGET u',
    'MGET {t}1 {t}2',
  ]);
  for (const { slot: where, words } of asked) assert.equal(where, slot(words[1]!), words.join(' '));
});

test('a key is not taken for another with a field', async () => {
  const { reach, asked } = reachOf(echo);
  await lookUp(reach, [named('1:ab'), named('a', 'b'), named('=a'), named('a')], new Meter(1000));
  assert.equal(asked.length, 4);
});

test('questions are short, and only so many are under way', async () => {
  const { reach, asked, most } = reachOf(echo);
  const wanted = [...lots(250, (i) => `{t}${i}`), ...lots(1000, (i) => `key${i}`)];
  const found = await lookUp(reach, wanted, new Meter(1e6));
  assert.deepEqual(
    found.map(String),
    wanted.map(({ key }) => `<${key}>`),
  );
  assert.deepEqual(
    asked.filter(({ slot: where }) => where === slot('t')).map(({ words }) => words.length),
    [101, 101, 51],
  );
  assert.equal(most(), 256);
});

test('fields of what is no hash are nothing, and any other error ends it', async () => {
  const wrongType = reachOf(() => error('WRONGTYPE Operation against a key'));
  assert.deepEqual(await lookUp(wrongType.reach, [named('h', 'f'), named('h', 'g')], new Meter(9)), [
    undefined,
    undefined,
  ]);
  let open = 0;
  const failing = reachOf(() => error(`ERR failed ${++open}`));
  await assert.rejects(
    lookUp(
      failing.reach,
      lots(1000, (i) => `key${i}`),
      new Meter(1e6),
    ),
    (failure) => failure instanceof Refusal && String(failure.reply) === '-ERR failed 1\r\n',
  );
  // What was under way has ended, and nothing more was begun.
  assert.deepEqual([open, failing.asked.length], [256, 256]);
});

test('more than may be read is refused as soon as it is found', async () => {
  const { reach, asked } = reachOf(echo);
  await assert.rejects(
    lookUp(
      reach,
      lots(1000, (i) => `key${i}`),
      new Meter(50),
    ),
    /would copy \d+ bytes .* 'crossSlot\.maxBytes' permits 50/,
  );
  assert.ok(asked.length < 500, `${asked.length} questions`);
});
