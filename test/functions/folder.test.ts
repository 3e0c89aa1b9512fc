import assert from 'node:assert/strict';
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import type { DestinationStream } from 'pino';
import { Folder } from '../../src/functions/folder.ts';
import type { Library } from '../../src/functions/library.ts';
import { createLog } from '../../src/log.ts';
import { remove, temporary } from '../support/reaper.ts';
import { until } from '../support/wait.ts';

const code = (name: string, body = '') => `#!js api_version=1.0 name=${name}\n${body}`;
const open: Folder[] = [];
const folders: string[] = [];

afterEach(() => {
  for (const folder of open.splice(0)) folder.close();
  for (const folder of folders.splice(0)) remove(folder);
});

/** A folder, what was inspected of it, and what was logged. Code with `bad` can't be loaded. */
function stand(files: Record<string, string>, dir = temporary('slotless-folder')) {
  folders.push(dir);
  const inspected: string[] = [];
  const lines: Record<string, string>[] = [];
  let changes = 0;
  const to = { write: (line: string) => lines.push(JSON.parse(line)) } as unknown as DestinationStream;
  const folder = new Folder({
    dir,
    maxCode: 1000,
    user: 'default',
    log: createLog('info', {}, to),
    inspect: async ({ name, code }) => {
      inspected.push(name);
      if (code.includes('bad')) throw new Error('Failed loading library: bad');
      return { functions: [], clusterFunctions: [], reducers: [], commands: [] };
    },
    check: ({ name }: Library, others) => {
      if (name === 'lonely' && others.length > 0) throw new Error('there are others');
    },
    changed: () => changes++,
  });
  open.push(folder);
  const write = (name: string, text: string) => writeFileSync(join(dir, name), text);
  for (const [name, text] of Object.entries(files)) write(name, text);
  const names = () => folder.libraries().map(({ name }) => name);
  const reasons = () => lines.flatMap(({ reason }) => reason ?? []);
  return { dir, folder, inspected, names, reasons, write, changes: () => changes };
}

test('each file that ends with .js is a library', async () => {
  const { folder, names, changes } = stand({ 'a.js': code('x'), 'b.js': code('y'), 'c.txt': code('z') });
  await folder.open();
  assert.deepEqual(names(), ['x', 'y']);
  assert.equal(changes(), 1);
  const [first] = folder.libraries();
  assert.equal(first!.origin, 'folder');
  assert.equal(first!.code, code('x'));
  assert.match(first!.version, /^folder_[0-9a-f]{40}$/);
});

test('files are read again when they have changed, and not before', async () => {
  const { dir, folder, inspected, names, write, changes } = stand({ 'a.js': code('x'), 'b.js': code('y') });
  await folder.open();
  write('a.js', code('x', '// other'));
  utimesSync(join(dir, 'b.js'), 1, 1);
  await until('the change to be seen', () => changes() === 2, 4000);
  assert.deepEqual(folder.libraries()[0]!.code, code('x', '// other'));
  rmSync(join(dir, 'b.js'));
  write('c.js', code('z'));
  await until('the change to be seen', () => changes() === 3, 4000);
  assert.deepEqual(names(), ['x', 'z']);
  assert.deepEqual(inspected, ['x', 'y', 'x', 'y', 'z']);
});

test('a file that is bad costs a line, and one that turns bad leaves what there was', async () => {
  const { folder, names, reasons, write, changes } = stand({
    'a.js': code('x'),
    'b.js': 'no header',
    'c.js': code('y', 'bad'),
    'd.js': code('z', 'x'.repeat(1000)),
  });
  await folder.open();
  assert.deepEqual(names(), ['x']);
  assert.match(reasons()[0]!, /^Invalid or missing prologue/);
  assert.deepEqual(reasons().slice(1), [
    'Failed loading library: bad',
    'it is longer than functions.maxCode (1000)',
  ]);
  write('a.js', code('x', 'bad now'));
  await until('it to be told', () => reasons().length === 4, 4000);
  assert.equal(folder.libraries()[0]!.code, code('x'));
  write('a.js', code('x', 'well again'));
  await until('it to be read', () => changes() === 2, 4000);
  assert.equal(folder.libraries()[0]!.code, code('x', 'well again'));
});

test('of two files with one library the first counts, and one that does not fit is not used', async () => {
  const { folder, names, reasons } = stand({
    'a.js': code('x'),
    'b.js': code('x', '2'),
    'c.js': code('lonely'),
  });
  await folder.open();
  assert.deepEqual(names(), ['x']);
  assert.equal(folder.libraries()[0]!.code, code('x'));
  assert.deepEqual(reasons(), ['library x is in a.js already', 'there are others']);
});

test('a folder that is not there is empty, until it is; one that goes leaves what there was', async () => {
  const { dir, folder, names, reasons, write, changes } = stand({});
  rmSync(dir, { recursive: true });
  await folder.open();
  assert.deepEqual(names(), []);
  assert.match(reasons()[0]!, /ENOENT/);
  mkdirSync(dir);
  write('a.js', code('x'));
  await until('it to be read', () => changes() === 1, 4000);
  rmSync(dir, { recursive: true });
  await until('it to be told', () => reasons().length === 2, 4000);
  assert.deepEqual(names(), ['x']);
});
