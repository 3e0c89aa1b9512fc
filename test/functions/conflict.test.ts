import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conflictOf } from '../../src/functions/conflict.ts';
import type { Library, Registrations } from '../../src/functions/library.ts';

const registering = (...names: string[]): Registrations => ({
  functions: [],
  clusterFunctions: [],
  reducers: [],
  commands: names.map((name) => ({ name, arity: -1, firstKey: 0, lastKey: 0, keyStep: 0, flags: [] })),
});
const library = (name: string, ...commands: string[]): Library => ({
  name,
  apiVersion: '1.0',
  code: '',
  config: undefined,
  user: 'default',
  registrations: registering(...commands),
  version: name,
  origin: 'cluster',
});
const isCommand = (name: string) => name === 'get';

test('a registered command may hide none of the servers', () => {
  const conflict = conflictOf(registering('my.own', 'Get'), [], isCommand);
  assert.equal(conflict, "Command Get is there already, and can't be registered.");
});

test('nor one of another library', () => {
  const conflict = conflictOf(registering('my.own'), [library('a', 'x'), library('b', 'MY.OWN')], isCommand);
  assert.equal(conflict, 'Command my.own is registered by library b already.');
});

test('all else goes', () => {
  assert.equal(conflictOf(registering('my.own'), [library('a', 'my.other')], isCommand), undefined);
  assert.equal(conflictOf(registering(), [library('a', 'get')], isCommand), undefined);
});
