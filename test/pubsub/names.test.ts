import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesGlob } from '../../src/command/glob.ts';
import {
  ANY,
  CHANNEL,
  EVERY,
  isOfKeys,
  MIXED,
  ONE_SHARD,
  PATTERN,
  SHARD,
  scopeOf,
} from '../../src/pubsub/names.ts';

const CASES = [
  [CHANNEL, 'news', ANY],
  [CHANNEL, '', ANY],
  [CHANNEL, '__keyspace', ANY],
  [CHANNEL, '__keyspace@0__:k', EVERY],
  [CHANNEL, '__keyevent@0__:expired', EVERY],
  [CHANNEL, '*', ANY],
  [PATTERN, 'news.*', ANY],
  [PATTERN, '', ANY],
  [PATTERN, '*', MIXED],
  [PATTERN, '?*', MIXED],
  [PATTERN, '_*', MIXED],
  [PATTERN, '__key*__:*', MIXED],
  [PATTERN, '__keyspace@0__:*', EVERY],
  [PATTERN, '__keyspace@*', EVERY],
  [PATTERN, '__keyevent@0__:expired', EVERY],
  [PATTERN, '__keyevent@0__:ex[pq]ired', EVERY],
  [PATTERN, '__keyspac?@0__:k', MIXED],
  [PATTERN, '[_]_keyspace@0__:k', MIXED],
  [PATTERN, '\\__keyspace@0__:k', MIXED],
  [PATTERN, '*:expired', MIXED],
  [PATTERN, '__keyspac', ANY],
  [PATTERN, '*a', MIXED],
  [PATTERN, 'x*', ANY],
  [PATTERN, '??', ANY],
  [SHARD, '__keyspace@0__:k', ONE_SHARD],
  [SHARD, 'news', ONE_SHARD],
] as const;

test('what nodes say of their keys is heard at every primary, all else at one node', () => {
  for (const [kind, name, scope] of CASES) assert.equal(scopeOf(kind, Buffer.from(name)), scope, name);
});

test('no pattern that is of a channel of keys is taken for one that is not', () => {
  const piece = fc.constantFrom(
    '*',
    '?',
    '_',
    '__key',
    'space@',
    'event@',
    '0__:',
    '[a_]',
    '[^x]',
    '\\_',
    'k',
    '[',
    '\\',
  );
  const channel = fc
    .tuple(fc.constantFrom('__keyspace@', '__keyevent@'), fc.string({ maxLength: 6 }))
    .map((parts) => Buffer.from(parts.join('')));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), channel, (pieces, text) => {
      const pattern = Buffer.from(pieces.join(''));
      if (matchesGlob(pattern, text)) assert.notEqual(scopeOf(PATTERN, pattern), ANY, String(pattern));
    }),
    { numRuns: 5000 },
  );
});

test('channels of keys are told by their beginning', () => {
  const bytes = Buffer.from('x__keyspace@0__:k');
  assert.equal(isOfKeys(bytes, 1, bytes.length), true);
  assert.equal(isOfKeys(bytes, 0, bytes.length), false);
  assert.equal(isOfKeys(bytes, 1, 11), false);
});
