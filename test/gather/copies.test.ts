import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReserved } from '../../src/command/reserved.ts';
import { slotOf } from '../../src/command/slot.ts';
import { Copies, type Copy, dump, mayCopy, newId, Proofs, sizesOf } from '../../src/gather/copies.ts';
import { Refusal } from '../../src/gather/reach.ts';
import { AskedReach, bulk, payload } from './asked.ts';

const source = (name: string, slot: number) => ({ name: Buffer.from(name), slot });
const copy = (name: string, more: Partial<Copy> = {}): Copy => ({
  ...source(name, 5),
  payload: payload(10),
  poured: false,
  expires: -1,
  ...more,
});
const copies = (all: readonly Copy[], slot = 100, expiring = false) =>
  new Copies({ slot, id: newId(), expiring, most: 1000 }, all);

test('sizes are those of memory; a key that is not there has none', async () => {
  const reach = new AskedReach((line) => (line.endsWith(' a') ? ':120\r\n' : '$-1\r\n'));
  assert.deepEqual(await sizesOf(reach, [source('a', 1), source('b', 2)]), [120, 0]);
  const refusing = new AskedReach(() => '-NOPERM no\r\n');
  await assert.rejects(sizesOf(refusing, [source('a', 1)]), Refusal);
});

test('more than is permitted is an error that names the setting', () => {
  mayCopy(100, 100);
  assert.throws(
    () => mayCopy(101, 100),
    (error: Refusal) => /101 bytes .*'crossSlot.maxBytes' permits 100\r\n$/.test(String(error.reply)),
  );
});

test('what is not there, or is large, is not dumped; a time to live is asked in the same breath', async () => {
  const reach = new AskedReach((line) => (line.startsWith('DUMP') ? bulk(payload(10)) : ':77\r\n'));
  reach.pourAbove = 50;
  const sources = [source('a', 1), source('none', 2), source('large', 3)];
  const plain = await dump(reach, sources, [10, 0, 51], false);
  assert.deepEqual(
    plain.map(({ payload, poured, expires }) => [payload?.length, poured, expires]),
    [
      [12, false, -1],
      [undefined, false, -1],
      [undefined, true, -1],
    ],
  );
  const [expiring] = await dump(reach, sources.slice(0, 1), [10], true);
  assert.equal(expiring!.expires, 77);
  assert.deepEqual(reach.asked.at(-1)!.lines, ['DUMP a', 'PEXPIRETIME a']);
});

test('a copy has a name of the proxy in the slot where it goes, and a lifetime of its own or of its source', () => {
  const all = copies([copy('a', { expires: 99 }), copy('none', { payload: undefined }), copy('b')]);
  const name = all.nameOf(Buffer.from('a'));
  assert.ok(isReserved(name));
  assert.equal(slotOf(name, 0, name.length), 100);
  assert.ok(isReserved(all.nameOf(Buffer.from('none'))), 'there is nothing of that name either');
  assert.equal(String(all.nameOf(Buffer.from('other'))), 'other');
  assert.deepEqual(
    all.restores.map((words) => (words as readonly unknown[])[2]),
    [10_000, 10_000],
  );
  const alike = copies([copy('a', { expires: 99 }), copy('b')], 100, true)
    .restores as readonly (readonly unknown[])[];
  assert.deepEqual(
    alike.map((words) => [words[2], words.at(-1)]),
    [
      [99, 'ABSTTL'],
      [0, 'REPLACE'],
    ],
  );
  assert.deepEqual(all.removals(), [['UNLINK', ...all.made.map(({ as }) => as)]]);
  assert.deepEqual(copies([copy('none', { payload: undefined })]).removals(), []);
});

test('replies and errors have the names that the client knows', () => {
  const all = copies([copy('a'), copy('key $& of many bytes')]);
  const [one, two] = ['a', 'key $& of many bytes'].map((key) => all.nameOf(Buffer.from(key)));
  const reply = Buffer.concat([Buffer.from('*2\r\n'), bulk(one!), bulk(two!)]);
  assert.equal(String(all.rename(reply)), '*2\r\n$1\r\na\r\n$20\r\nkey $& of many bytes\r\n');
  assert.equal(
    String(all.rename(Buffer.from(`-ERR no ${one} and ${two}\r\n`))),
    '-ERR no a and key $& of many bytes\r\n',
  );
  const value = bulk(`it holds ${one}`);
  assert.deepEqual(all.rename(value), value);
});

test('a node shows once that it takes dumps of a version, before anything is written of them', async () => {
  const proofs = new Proofs();
  const reach = new AskedReach();
  await proofs.require(reach, copies([copy('a'), copy('b')]));
  assert.deepEqual(
    reach.lines.map((line) => line.split(' ')[0]),
    ['RESTORE', 'RESTORE', 'UNLINK'],
  );
  await proofs.require(reach, copies([copy('c')]));
  assert.equal(reach.asked.length, 1);
  await proofs.require(reach, copies([copy('c', { payload: payload(11) })]));
  await proofs.require(reach, copies([copy('c')], 9000));
  assert.deepEqual(
    reach.asked.map(({ slot }) => slot),
    [100, 100, 9000],
  );
});

test("a module's own type is shown each time, since the version says nothing of it", async () => {
  const proofs = new Proofs();
  const reach = new AskedReach();
  for (let i = 0; i < 2; i++) await proofs.require(reach, copies([copy('a', { payload: payload(10, 7) })]));
  assert.equal(reach.asked.length, 2);
});

test('a node that refuses a copy is asked again the next time', async () => {
  const proofs = new Proofs();
  const text = '-ERR Bad data format\r\n';
  const reach = new AskedReach((line) => (line.startsWith('RESTORE') ? text : ':0\r\n'));
  for (let i = 0; i < 2; i++) {
    await assert.rejects(proofs.require(reach, copies([copy('a')])), (error: Refusal) => {
      return String(error.reply) === text;
    });
  }
  assert.equal(reach.asked.length, 2);
});

test('no two commands give their copies the same name', () => {
  const names = Array.from({ length: 100 }, () => String(copies([copy('a')]).nameOf(Buffer.from('a'))));
  assert.equal(new Set(names).size, 100);
});
