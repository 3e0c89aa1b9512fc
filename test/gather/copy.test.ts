/** Where a command runs, and what stands in its way: on a cluster that only writes down what it is asked. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { keysAcross } from '../../src/command/across.ts';
import { isReserved } from '../../src/command/reserved.ts';
import { slotOf } from '../../src/command/slot.ts';
import { copyAndRun } from '../../src/gather/copy.ts';
import { GONE, Refusal } from '../../src/gather/reach.ts';
import { tryAgain } from '../../src/resp/errors.ts';
import { framed } from '../command/framed.ts';
import { type Fixture, startAll, stopAll } from '../command/tables.ts';
import { type Answers, AskedReach, bulk, payload } from './asked.ts';

let fixtures: Fixture[];
before(async () => {
  fixtures = await startAll();
});
after(() => stopAll(fixtures));

/** A version of dumps that no node has shown to take. */
const NEWER = 99;

const slot = (key: string) => slotOf(Buffer.from(key), 0, key.length);

/** A cluster where keys have these sizes, bytes. */
function holding(sizes: Record<string, number>, more: Answers = () => undefined): AskedReach {
  return new AskedReach((line, at) => {
    const said = more(line, at);
    if (said !== undefined) return said;
    if (line.startsWith('MEMORY USAGE')) {
      const size = sizes[line.split(' ')[2]!];
      return size === undefined ? '$-1\r\n' : `:${size}\r\n`;
    }
    return line.startsWith('DUMP') ? bulk(payload(10)) : undefined;
  });
}

async function run(reach: AskedReach, line: string, maxBytes = 1_000_000): Promise<string> {
  const words = line.split(' ');
  const args = framed(...words);
  const command = fixtures[0]!.table.byName(words[0]!.toLowerCase())!;
  const limits = { level: 'writes', commands: {}, maxBytes, atOnce: 1, waitFor: 1 } as const;
  const texts = { scriptOf: async () => undefined, equip: async () => {} };
  const call = { command, words: words.map((word) => Buffer.from(word)), keys: keysAcross(command, args) };
  return String(await copyAndRun({ ...call, reach, limits, texts }));
}

/** The lines of a transaction by their names, copies as `*`. */
function shown(lines: readonly string[]): string[] {
  return lines.map((line) => {
    const words = line.split(' ').map((word) => (isReserved(Buffer.from(word, 'latin1')) ? '*' : word));
    return ['RESTORE', 'UNLINK'].includes(words[0]!) ? words[0]! : words.join(' ');
  });
}

test('what only reads runs where most bytes are, and copies the rest', async () => {
  const reach = holding({ a: 10, b: 500, '{a}2': 300, '{a}3': 300 });
  await run(reach, 'SUNION a b {a}2 {a}3 none');
  const last = reach.asked.at(-1)!;
  assert.equal(last.slot, slot('a'));
  assert.deepEqual(shown(last.lines), ['RESTORE', 'SUNION a * {a}2 {a}3 *', 'UNLINK']);
  assert.deepEqual(reach.shares, [500]);
});

test('what writes runs where that key is; what is there already is not copied', async () => {
  const reach = holding({ a: 10, '{d}1': 5000 });
  await run(reach, 'SUNIONSTORE d a {d}1 d a');
  const last = reach.asked.at(-1)!;
  assert.equal(last.slot, slot('d'));
  assert.deepEqual(shown(last.lines), ['RESTORE', 'SUNIONSTORE d * {d}1 d *', 'UNLINK']);
  assert.equal(reach.lines.filter((line) => line.startsWith('DUMP')).length, 1);
});

test('the result of large sources in one slot is made there, and sent', async () => {
  const large = holding({ a: 5000 });
  await run(large, 'ZRANGESTORE d a 0 1');
  const [made, sent] = large.asked.slice(-2);
  assert.equal(made!.slot, slot('a'));
  assert.deepEqual(shown(made!.lines), ['ZRANGESTORE * a 0 1', 'DUMP *', 'UNLINK']);
  assert.deepEqual([sent!.slot, sent!.lines[0]!.split(' ')[1]], [slot('d'), 'd']);
  const small = holding({ a: 500 });
  await run(small, 'ZRANGESTORE d a 0 1');
  assert.deepEqual(shown(small.asked.at(-1)!.lines), ['RESTORE', 'ZRANGESTORE d * 0 1', 'UNLINK']);
});

test('an empty result deletes the destination; an error changes nothing', async () => {
  const none = holding({ a: 5000 }, (line) => (line.startsWith('DUMP') ? '$-1\r\n' : undefined));
  await run(none, 'ZRANGESTORE d a 0 1');
  assert.deepEqual(none.asked.at(-1), { slot: slot('d'), lines: ['DEL d'] });
  const wrong = '-WRONGTYPE Operation against a key holding the wrong kind of value\r\n';
  const reach = holding({ a: 5000 }, (line) => (line.startsWith('ZRANGESTORE') ? wrong : undefined));
  assert.equal(await run(reach, 'ZRANGESTORE d a 0 1'), wrong);
  assert.ok(reach.asked.every(({ slot: at }) => at !== slot('d')));
});

test('a node that refuses copies gets no command that would write of them', async () => {
  const text = '-ERR DUMP payload version or checksum are wrong\r\n';
  const reach = holding({ a: 10, b: 10 }, (line) => {
    if (line.startsWith('DUMP')) return bulk(payload(NEWER));
    return line.startsWith('RESTORE') ? text : undefined;
  });
  await assert.rejects(run(reach, 'SUNIONSTORE d a b'), (error: Refusal) => String(error.reply) === text);
  assert.ok(!reach.lines.some((line) => line.startsWith('SUNIONSTORE')));
});

test('a read with a copy that was refused is an error, whatever the command said', async () => {
  const reach = holding({ a: 10, b: 20 }, (line) =>
    line.startsWith('RESTORE') ? '-OOM no\r\n' : line.startsWith('SINTERCARD') ? ':0\r\n' : undefined,
  );
  await assert.rejects(
    run(reach, 'SINTERCARD 2 a b'),
    (error: Refusal) => String(error.reply) === '-OOM no\r\n',
  );
});

test('while its slot is on the move, what reads or overwrites runs in another, on copies of all it reads', async () => {
  const moving = [slot('a'), slot('d')];
  const answers: Answers = (line, at) => {
    if (!moving.includes(at)) return /^(SUNIONSTORE|SINTERCARD)/.test(line) ? ':7\r\n' : undefined;
    if (/^(RESTORE|DUMP|UNLINK) slotless:/.test(line)) throw new Refusal(tryAgain());
    return undefined;
  };
  const store = holding({ a: 10, '{d}1': 10 }, answers);
  assert.equal(await run(store, 'SUNIONSTORE d a {d}1 d'), ':7\r\n');
  const [made, sent] = store.asked.slice(-2);
  assert.ok(!moving.includes(made!.slot));
  assert.deepEqual(shown(made!.lines), ['RESTORE', 'RESTORE', 'SUNIONSTORE * * * *', 'DUMP *', 'UNLINK']);
  assert.deepEqual([sent!.slot, sent!.lines[0]!.split(' ', 2)], [slot('d'), ['RESTORE', 'd']]);
  const read = holding({ a: 10, b: 5 }, answers);
  assert.equal(await run(read, 'SINTERCARD 2 a b'), ':7\r\n');
  assert.deepEqual(shown(read.asked.at(-1)!.lines), [
    'RESTORE',
    'RESTORE',
    'SINTERCARD 2 * *',
    'DUMP *',
    'UNLINK',
  ]);
});

test('what is more than may be copied is not, also when it was small a moment ago', async () => {
  const reach = holding({ a: 2000, b: 10 });
  await assert.rejects(run(reach, 'SUNIONSTORE d a b', 1000), /would copy 2010 bytes/);
  const grown = holding({ a: 10, b: 10 }, (line) =>
    line === 'DUMP a' ? bulk(Buffer.concat([Buffer.alloc(3000), payload(10)])) : undefined,
  );
  await assert.rejects(run(grown, 'SUNIONSTORE d a b', 1000), /would copy 30\d\d bytes/);
  for (const { lines } of [reach, grown]) assert.ok(!lines.some((line) => line.startsWith('SUNIONSTORE')));
});

test('COPY takes the time to live along, and nothing else does', async () => {
  const reach = holding({ a: 10 }, (line) =>
    line.startsWith('PEXPIRETIME') ? ':4102444800000\r\n' : undefined,
  );
  await run(reach, 'COPY a d REPLACE');
  assert.match(reach.asked.at(-1)!.lines[0]!, /^RESTORE \S+ 4102444800000 .* REPLACE ABSTTL$/s);
  await run(reach, 'PFMERGE d a');
  assert.match(reach.asked.at(-1)!.lines[0]!, /^RESTORE \S+ 10000 .* REPLACE$/s);
});

test('a large result that was gone before it was stored is an error, and the rest is cleaned up', async () => {
  const made: Answers = (line) => (line.startsWith('MEMORY USAGE slotless') ? ':5000\r\n' : undefined);
  const reach = holding({ a: 5000 }, (line, at) => (line.startsWith('POUR') ? GONE : made(line, at)));
  const most = holding({ a: 5000 }, made);
  for (const each of [reach, most]) each.pourAbove = 1000;
  await assert.rejects(run(reach, 'ZRANGESTORE d a 0 1'), /gone before it was stored/);
  await assert.rejects(run(most, 'ZRANGESTORE d a 0 1', 4999), /would copy 5000 bytes/);
  for (const { lines } of [reach, most]) assert.match(lines.at(-1)!, /^UNLINK slotless:/);
});
