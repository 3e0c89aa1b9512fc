import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ASK,
  DOWN,
  isHost,
  isPort,
  MOVED,
  NONE,
  READONLY,
  redirectOf,
  TRYAGAIN,
  targetOf,
} from '../../src/cluster/redirect.ts';

/** What a line is taken for, with bytes before and behind it so that no test depends on offset 0. */
function kindOf(line: string): number {
  const bytes = Buffer.from(`:1\r\n-${line}\r\n+OK\r\n`, 'latin1');
  return redirectOf(bytes, 4, bytes.length - 5);
}

function target(line: string): unknown {
  const bytes = Buffer.from(`:1\r\n-${line}\r\n+OK\r\n`, 'latin1');
  return targetOf(bytes, 4, bytes.length - 5);
}

const SAID_BY_SERVERS: readonly [number, string][] = [
  [MOVED, 'MOVED 3999 127.0.0.1:6381'],
  [MOVED, 'MOVED 0 :7000'],
  [MOVED, 'MOVED 16383 ::1:7000'],
  [ASK, 'ASK 3999 node-1.example:6381'],
  [TRYAGAIN, 'TRYAGAIN Multiple keys request during rehashing of slot'],
  [DOWN, 'CLUSTERDOWN The cluster is down'],
  [DOWN, 'CLUSTERDOWN The cluster is down and only accepts read commands'],
  [DOWN, 'CLUSTERDOWN Hash slot not served'],
  [DOWN, 'LOADING Redis is loading the dataset in memory'],
  [DOWN, 'LOADING Valkey is loading the dataset in memory'],
  [DOWN, "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."],
  [READONLY, "READONLY You can't write against a read only replica."],
];

test('what servers say when they did not execute a command is known', () => {
  for (const [kind, line] of SAID_BY_SERVERS) assert.equal(kindOf(line), kind, line);
});

test('what only begins or ends like it is a reply: a script may have written before it said so', () => {
  for (const [, line] of SAID_BY_SERVERS) {
    assert.equal(kindOf(`${line} `), NONE, line);
    assert.equal(kindOf(`${line} says the script`), NONE, line);
    assert.equal(kindOf(` ${line}`), NONE, line);
    assert.equal(kindOf(line.split(' ')[0]!), NONE, line);
    assert.equal(kindOf(line.toLowerCase()), NONE, line);
  }
});

test('ordinary errors are replies', () => {
  for (const line of ['ERR syntax error', 'WRONGTYPE Operation against a key', 'MISCONF x', 'ACL', 'M', ''])
    assert.equal(kindOf(line), NONE, line);
});

test('slot and address of a redirect are read', () => {
  assert.deepEqual(target('MOVED 3999 127.0.0.1:6381'), { slot: 3999, host: '127.0.0.1', port: 6381 });
  assert.deepEqual(target('ASK 0 node-1.example:1'), { slot: 0, host: 'node-1.example', port: 1 });
  assert.deepEqual(target('MOVED 16383 ::1:65535'), { slot: 16383, host: '::1', port: 65535 });
  assert.deepEqual(target('MOVED 16383 [::1]:65535'), { slot: 16383, host: '::1', port: 65535 });
});

test('an unknown host is the one that was asked', () => {
  assert.deepEqual(target('MOVED 1 :7000'), { slot: 1, host: '', port: 7000 });
  assert.deepEqual(target('MOVED 1 ?:7000'), { slot: 1, host: '', port: 7000 });
});

test('an address that nobody can connect to is none', () => {
  const lines = [
    'MOVED 16384 a:1',
    'MOVED -1 a:1',
    'MOVED x a:1',
    'MOVED 1.5 a:1',
    'MOVED 1 a:0',
    'MOVED 1 a:65536',
    'MOVED 1 a:70000',
    'MOVED 1 a:1.5',
    'MOVED 1 a\0b:7000',
    'MOVED 1 a',
    'MOVED 1',
    'MOVED',
    '',
    `MOVED 1 ${'a'.repeat(600)}:1`,
  ];
  for (const line of lines) assert.equal(target(line), undefined, line);
});

test('every slot and address that is written is read again', () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
  fc.assert(
    fc.property(
      fc.nat({ max: 16383 }),
      host.filter(isHost),
      fc.integer({ min: 1, max: 65535 }),
      (slot, host, port) => {
        for (const word of ['MOVED', 'ASK']) {
          assert.deepEqual(target(`${word} ${slot} ${host}:${port}`), { slot, host, port });
          assert.equal(kindOf(`${word} ${slot} ${host}:${port}`), word === 'MOVED' ? MOVED : ASK);
        }
      },
    ),
  );
});

test('no error line is more than it can be, and none makes it throw', () => {
  const words = fc.constantFrom(
    'MOVED',
    'ASK',
    'TRYAGAIN',
    'LOADING',
    ' ',
    ':',
    '1',
    '16383',
    'a',
    '\0',
    '\xff',
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 12 }), (parts) => {
      const line = parts.join('');
      const found = target(line) as { slot: number; port: number; host: string } | undefined;
      if (found !== undefined) {
        assert.ok(found.slot >= 0 && found.slot < 16384);
        assert.ok(isPort(found.port) && isHost(found.host));
      }
      assert.ok(kindOf(line) >= NONE);
    }),
    { numRuns: 500 },
  );
});
