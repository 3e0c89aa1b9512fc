import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  askFor,
  type Cursor,
  cursorHoldsSlot,
  decodeCursor,
  encodeCursor,
  nextCursor,
  nextPlace,
  slotOfPattern,
  tagOf,
} from '../../src/command/cursor.ts';
import { slotOf } from '../../src/command/slot.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { availableServers } from '../support/servers.ts';

const decode = (text: string): Cursor => {
  const cursor = decodeCursor(text);
  assert.ok(cursor, text);
  return cursor;
};
const tag = fc.nat(4095);

test('a cursor of the slot form survives its text, and stays below 2^53', () => {
  const dict = fc.oneof(
    fc.nat(2 ** 26 - 1),
    fc.maxSafeNat().map((n) => n % 2 ** 37),
  );
  fc.assert(
    fc.property(fc.nat(16383), dict, tag, (slot, dict, tag) => {
      const text = encodeCursor('slot', slot, dict, tag)!;
      assert.ok(Number(text) < 2 ** 53);
      const tagged = dict > 0 && dict < 2 ** 26;
      assert.deepEqual(decode(text), { form: 'slot', at: slot, dict, tag: tagged ? tag : -1 });
    }),
  );
});

test('a cursor of an older server survives its text, and stays below 2^53', () => {
  fc.assert(
    fc.property(fc.nat(2047), fc.nat(2 ** 32 - 1), tag, (place, dict, tag) => {
      fc.pre(place > 0 || dict > 0);
      const text = encodeCursor('place', place, dict, tag)!;
      assert.ok(Number(text) < 2 ** 53);
      assert.deepEqual(decode(text), { form: 'place', at: place, dict, tag: dict > 0 ? tag % 256 : -1 });
    }),
  );
});

test('the largest cursors of each form are themselves and no other form', () => {
  const ends: [Cursor['form'], number, number][] = [
    ['slot', 16383, 2 ** 26 - 1],
    ['slot', 16383, 2 ** 26],
    ['slot', 16383, 2 ** 37 - 1],
    ['place', 2047, 2 ** 32 - 1],
    ['place', 1, 0],
  ];
  for (const [form, at, dict] of ends) {
    const cursor = decode(encodeCursor(form, at, dict, 4095)!);
    assert.deepEqual([cursor.form, cursor.at, cursor.dict], [form, at, dict]);
  }
});

test('a server’s cursor beyond the bounds is an error, never cut', () => {
  assert.equal(encodeCursor('slot', 0, 2 ** 37, 0), undefined);
  assert.equal(encodeCursor('place', 0, 2 ** 32, 0), undefined);
  assert.equal(encodeCursor('place', 2048, 0, 0), undefined);
  assert.equal(nextPlace(String(2 ** 32), 0, 3, 1), undefined);
  assert.equal(nextCursor(String(2 ** 37 * 16384 + 5), 5, 10, 1), undefined);
  assert.equal(nextCursor('18446744073709551615', 5, 10, 1), undefined);
});

test('0 begins the walk in both forms, and a slot’s number begins at that slot', () => {
  assert.deepEqual(decode('0'), { form: 'slot', at: 0, dict: 0, tag: -1 });
  assert.equal(encodeCursor('place', 0, 0, 9), '0');
  assert.deepEqual(decode('5461'), { form: 'slot', at: 5461, dict: 0, tag: -1 });
  assert.equal(askFor(decode('5461'), 77), '5461');
});

test('what is no number, or beyond 2^53, is no cursor', () => {
  for (const text of ['', '-1', '+1', ' 1', '1 ', 'x', '1.5', '9007199254740992', '18446744073709551615']) {
    assert.equal(decodeCursor(text), undefined, text);
  }
});

test('the server is asked with its own cursor, or in another process for the slot from its start', () => {
  const cursor = decode(encodeCursor('slot', 100, 7, 5)!);
  assert.equal(askFor(cursor, 5), String(7 * 16384 + 100));
  assert.equal(askFor(cursor, 6), '100');
  const old = decode(encodeCursor('place', 2, 7, 0x105)!);
  assert.equal(askFor(old, 0x105), '7');
  assert.equal(askFor(old, 0x106), '0');
});

test('the walk goes on behind the range of slots, and ends behind the last', () => {
  assert.equal(nextCursor(String(3 * 16384 + 7), 5, 10, 9), encodeCursor('slot', 7, 3, 9));
  assert.equal(nextCursor('0', 5, 10, 9), '11');
  assert.equal(nextCursor(String(16384 + 11), 5, 10, 9), '11', 'a later range of the same node');
  assert.equal(nextCursor('4', 5, 10, 9), '11', 'an earlier one');
  assert.equal(nextCursor('0', 16000, 16383, 9), '0');
  assert.equal(nextCursor('0', 7, 7, 9, 7), '0', 'a walk of one slot');
  assert.equal(nextPlace('0', 0, 2, 9), encodeCursor('place', 1, 0, 9));
  assert.equal(nextPlace('0', 1, 2, 9), '0');
});

test('a process is told by a tag of 12 bits', () => {
  const tags = new Set(Array.from({ length: 1000 }, (_, i) => tagOf(`node run-id ${i}`)));
  assert.ok([...tags].every((one) => one >= 0 && one < 4096));
  assert.ok(tags.size > 800, String(tags.size));
});

test('a pattern has a slot where its hash tag is plain text, or it is plain text itself', () => {
  const slot = (text: string) => slotOfPattern(Buffer.from(`*${text}*`), 1, 1 + text.length);
  const keySlot = (text: string) => slotOf(Buffer.from(text), 0, text.length);
  assert.equal(slot('{user}:*'), keySlot('user'));
  assert.equal(slot('a{user}b?'), keySlot('user'));
  assert.equal(slot('plain'), keySlot('plain'));
  assert.equal(slot('{open'), keySlot('{open'));
  assert.equal(slot('{}{a}'), keySlot('{}{a}'));
  for (const text of ['*', 'a*{b}', '{a*}', '{a?}', '{[ab]}x', '\\{a}', '{a\\}b}', '{}{a}*', '{a*', '*{a}']) {
    assert.equal(slot(text), -1, text);
  }
});

test('the version tells whether the slot is in the cursor', () => {
  assert.ok(!cursorHoldsSlot('# Server\r\nredis_version:7.0.15\r\n'));
  assert.ok(!cursorHoldsSlot('redis_version:7.2.9\r\n'));
  assert.ok(cursorHoldsSlot('redis_version:7.4.0\r\n'));
  assert.ok(cursorHoldsSlot('redis_version:8.0.1\r\n'));
  assert.ok(cursorHoldsSlot('redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n'));
  assert.ok(!cursorHoldsSlot('redis_version:7.2.4\r\nvalkey_version:7.2.7\r\n'));
});

/** One step of a walk as the proxy takes it. @returns the client's next cursor and the keys */
type Step = (cursor: Cursor, count: number) => Promise<[string, string[]]>;

async function stepOf(cluster: Cluster, tagged: (port: number) => number): Promise<Step> {
  const info = String(await cluster.cli(cluster.nodes[0]!.port, 'INFO', 'server'));
  const ranges = (
    (await cluster.cli(cluster.nodes[0]!.port, 'CLUSTER', 'SLOTS')) as [number, number, [string, number]][]
  )
    .map(([first, last, [, port]]) => ({ first, last, port }))
    .sort((a, b) => a.first - b.first);
  return async (cursor, count) => {
    const bySlot = cursorHoldsSlot(info);
    const range = bySlot
      ? ranges.find(({ first, last }) => first <= cursor.at && cursor.at <= last)!
      : ranges[cursor.at]!;
    const tag = tagged(range.port);
    const asked = askFor(cursor, tag);
    const [next, keys] = (await cluster.cli(range.port, 'SCAN', asked, 'COUNT', count)) as [string, string[]];
    const after = bySlot
      ? nextCursor(next, cursor.at, range.last, tag)
      : nextPlace(next, cursor.at, ranges.length, tag);
    assert.ok(after);
    return [after, keys];
  };
}

test('a walk over a real cluster finds every key, also when every process is another half-way', async () => {
  for (const server of await availableServers()) {
    const cluster = await startCluster({ server, primaries: 3, replicas: 0 });
    try {
      const keys = new Set(Array.from({ length: 2000 }, (_, i) => `${i % 3 ? `{few${i % 5}}` : ''}key:${i}`));
      for (const key of keys) {
        const owner = await cluster.ownerOf(slotOf(Buffer.from(key), 0, key.length));
        await cluster.cli(owner.port, 'SET', key, 'x');
      }
      for (const restarts of [0, 1]) {
        const found = new Set<string>();
        let steps = 0;
        const step = await stepOf(cluster, (port) => (port + (restarts > 0 && steps > 150 ? 1 : 0)) % 4096);
        let cursor = '0';
        do {
          const [next, keys] = await step(decode(cursor), 10);
          for (const key of keys) found.add(key);
          cursor = next;
          assert.ok(++steps < 5000, 'the walk ends');
        } while (cursor !== '0');
        assert.ok(steps > 150, 'long enough for the restart to happen half-way');
        assert.equal(found.size, keys.size, `${server.flavour} ${server.version}`);
      }
    } finally {
      await cluster.stop();
    }
  }
});
