import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Library } from '../../src/functions/library.ts';
import {
  carrierOf,
  decodeRecord,
  encodeRecord,
  isForgotten,
  isNewer,
  isReserved,
  nameCarried,
  versionAfter,
  versionCarried,
} from '../../src/functions/record.ts';

const NOW = 1_800_000_000_000;
const version = versionAfter('', NOW, 'a1');
const library: Library = {
  name: 'lib',
  apiVersion: '1.0',
  code: '#!js api_version=1.0 name=lib\nredis.log(\']]\\0\' + "é\u{1f600}");',
  config: '{"a":1}',
  user: 'default',
  registrations: {
    functions: [{ name: 'f', isAsync: true, flags: ['no-writes'], description: null }],
    clusterFunctions: ['c'],
    reducers: ['r'],
    commands: [{ name: 'x.y', arity: -2, firstKey: 1, lastKey: -1, keyStep: 1, flags: ['readonly'] }],
  },
  version,
  origin: 'cluster',
};

test('a record comes out of a library of the servers as it went in, whatever its code holds', () => {
  const record = { name: 'lib', version, library };
  const code = encodeRecord(record);
  assert.deepEqual(decodeRecord(code), record);
  assert.match(code, /^#!lua name=__slotless_lib_lib\nredis\.register_function\{[^\n]*\}$/);
});

test('one of what was deleted has no library', () => {
  const record = { name: 'lib', version, library: undefined };
  assert.deepEqual(decodeRecord(encodeRecord(record)), record);
});

test('what no proxy has written is no record', () => {
  const wrap = (value: unknown) => `x return '${Buffer.from(JSON.stringify(value)).toString('base64')}' end`;
  assert.equal(decodeRecord(''), undefined);
  assert.equal(decodeRecord("return '' end"), undefined);
  assert.equal(decodeRecord("return '!!' end"), undefined);
  assert.equal(decodeRecord(wrap({ name: 'a-b', version })), undefined);
  assert.equal(decodeRecord(wrap({ name: 'lib', version: 'new' })), undefined);
  assert.equal(decodeRecord(wrap({ name: 'lib', version, library: {} })), undefined);
  assert.equal(decodeRecord(wrap({ name: 'other', version, library })), undefined);
  assert.equal(
    decodeRecord(wrap({ name: 'lib', version: versionAfter(version, 0, 'a'), library })),
    undefined,
  );
  assert.notEqual(decodeRecord(wrap({ name: 'lib', version, library })), undefined);
});

test('a version is above the last one, also where the clock is not', () => {
  const earlier = versionAfter(version, NOW - 5000, 'b2');
  assert.ok(earlier > version);
  assert.ok(versionAfter(earlier, NOW + 5, 'a1') > earlier);
  assert.ok(versionAfter('', NOW * 20, 'a') > versionAfter('', NOW, 'z'));
  assert.ok(isNewer(earlier, { name: 'lib', version, library }));
  assert.ok(!isNewer(version, { name: 'lib', version, library }));
  assert.ok(isNewer(version, undefined));
});

test('what was deleted is remembered for a day', () => {
  const record = { name: 'lib', version, library: undefined };
  assert.equal(isForgotten(record, NOW + 80_000_000), false);
  assert.equal(isForgotten(record, NOW + 90_000_000), true);
  assert.equal(isForgotten({ name: 'lib', version, library }, NOW + 90_000_000), false);
});

test('names lead from a library to what carries it and back', () => {
  assert.equal(nameCarried(carrierOf('Lib_1')), 'Lib_1');
  assert.equal(nameCarried('__slotless_lock'), undefined);
  assert.equal(nameCarried('mylib'), undefined);
  assert.equal(versionCarried(`__slotless_${version}`), version);
  assert.equal(versionCarried('__slotless_lock_a1'), undefined);
  assert.ok(isReserved('__SLOTLESS_lib_x') && !isReserved('slotless'));
});
