/** Commands of modules with keys in several slots: by their key specs, or by what a server tells of their keys. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { withOwn } from '../../src/command/own.ts';
import { isReserved } from '../../src/command/reserved.ts';
import { CommandTable } from '../../src/command/table.ts';
import { Counters } from '../../src/telemetry/counters.ts';
import { parse } from '../command/tables.ts';
import { commandReply, type Script } from '../support/fake-node.ts';
import { room } from './rig.ts';

const range = (first: number, last: number, flags: string[]) => [
  ['flags', flags],
  ['begin_search', ['type', 'index', 'spec', ['index', first]]],
  ['find_keys', ['type', 'range', 'spec', ['lastkey', last, 'keystep', 1, 'limit', 0]]],
];
const spec = (...of: Parameters<typeof range>) => range(...of).flat();
const row = (name: string, flags: string[], specs: unknown[]) => [
  name,
  -2,
  flags,
  0,
  0,
  0,
  [],
  [],
  specs,
  [],
];

const MODULES = [
  row('mod.read', ['readonly', 'module'], [spec(1, -1, ['RO'])]),
  row('mod.merge', ['write', 'module'], [spec(1, 0, ['OW']), spec(2, -1, ['RO'])]),
  row('mod.swap', ['write', 'module'], [spec(1, -1, ['RW'])]),
  row('mod.told', ['write', 'module', 'movablekeys'], []),
];

/** Copies of keys as a server dumps them: the version of the format is 10. */
const DUMP = Buffer.concat([Buffer.from('\0\x01x'), Buffer.from([10, 0]), Buffer.alloc(8)]);
const bulk = (bytes: Buffer | string) =>
  Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), Buffer.from(bytes), Buffer.from('\r\n')]);

async function stage(t: TestContext, settings = {}, told: [string, string][] = []) {
  const table = CommandTable.parse(withOwn([...parse(await commandReply()), ...MODULES]));
  const counters = Counters.create(table.commands.map(({ name }) => name));
  const one = await room(t, settings, { table, counters });
  const ran: string[][] = [];
  const queued = new Map<unknown, string[][]>();
  const script: Script = ({ connection, name, words }) => {
    const open = queued.get(connection);
    if (name === 'COMMAND' && words[1] === 'GETKEYS')
      return `*${told.length}\r\n${told.map(([key]) => bulk(key)).join('')}`;
    if (name === 'COMMAND' && words[1] === 'GETKEYSANDFLAGS')
      return `*${told.length}\r\n${told.map(([key, flag]) => `*2\r\n${bulk(key)}*1\r\n+${flag}\r\n`).join('')}`;
    if (name === 'MEMORY') return ':50\r\n';
    if (name === 'DUMP') return bulk(DUMP);
    if (name === 'MULTI') {
      queued.set(connection, []);
      return '+OK\r\n';
    }
    if (name === 'EXEC') {
      queued.delete(connection);
      for (const each of open!) if (each[0]!.startsWith('mod.')) ran.push(each);
      const replies = open!.map(([first]) => (first!.startsWith('mod.') ? ':7\r\n' : '+OK\r\n'));
      return `*${replies.length}\r\n${replies.join('')}`;
    }
    if (open === undefined) return undefined;
    open.push([...words]);
    return '+QUEUED\r\n';
  };
  one.fake.script = script;
  return { ...one, ran, client: await one.connect() };
}

const shown = (words: string[]) =>
  words.map((word) => (isReserved(Buffer.from(word)) ? 'copy' : word)).join(' ');

test('one that writes a key runs where that key is, with copies of those it reads', async (t) => {
  const { client, ran } = await stage(t);
  assert.equal(await client.ask('mod.merge', 'd', 'a', 'd', 'b'), 7);
  assert.deepEqual(ran.map(shown), ['mod.merge d copy d copy']);
});

test('one that reads runs where most is, and writes nothing but copies', async (t) => {
  const { client, ran } = await stage(t, { crossSlot: 'reads' });
  assert.equal(await client.ask('mod.read', 'a', '{b}1', '{b}2'), 7);
  assert.deepEqual(ran.map(shown), ['mod.read copy {b}1 {b}2']);
});

test('one that writes several keys is refused, with the setting that permits it', async (t) => {
  const { client, ran } = await stage(t);
  const refused = await client.ask('mod.swap', 'a', 'b');
  assert.match(String(refused), /^Error: CROSSSLOT .*'mod.swap' is refused .* 'crossSlot: all' permits it$/);
  assert.deepEqual(ran, []);
});

test('keys that only a server can find are asked for, with what is done to each', async (t) => {
  const { client, ran } = await stage(t, {}, [
    ['d', 'OW'],
    ['a', 'RO'],
  ]);
  assert.equal(await client.ask('mod.told', 'x', 'd', 'a', 'y'), 7);
  assert.deepEqual(ran.map(shown), ['mod.told x d copy y']);
});

test('a key whose name is another argument as well is not guessed at', async (t) => {
  const { client, ran } = await stage(t, {}, [
    ['d', 'OW'],
    ['a', 'RO'],
  ]);
  assert.match(String(await client.ask('mod.told', 'a', 'd', 'a')), /^Error: CROSSSLOT /);
  assert.deepEqual(ran, []);
});
