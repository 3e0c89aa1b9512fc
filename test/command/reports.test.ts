import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  mergeFunctionStats,
  mergeHistograms,
  mergeHistory,
  mergeLatest,
  mergeLogs,
  mergeMemoryStats,
  mergeTexts,
  type Reply,
} from '../../src/command/reports.ts';

const text = (value: string): Buffer => Buffer.from(value);

test('logs are one, newest first, with ids of their own that stay', () => {
  const entry = (id: number, time: number): Reply => [id, time, 5, [text('GET')], text('a:1'), text('')];
  const logs = [
    { name: 'a:1', entries: [entry(7, 1_700_000_300), entry(6, 1_700_000_100)] },
    { name: 'b:1', entries: [entry(7, 1_700_000_200), entry(1, 1_700_000_000)] },
  ];
  const all = mergeLogs(logs, -1) as [number, number][];
  assert.deepEqual(
    all.map(([, time]) => time - 1_700_000_000),
    [300, 200, 100, 0],
  );
  const ids = all.map(([id]) => id);
  assert.deepEqual(
    ids,
    ids.toSorted((a, b) => b - a),
  );
  assert.equal(new Set(ids).size, 4);
  assert.ok(ids.every(Number.isSafeInteger));
  assert.deepEqual(mergeLogs(logs.toReversed(), 2), all.slice(0, 2));
  assert.deepEqual(mergeLogs([], 10), []);
});

test('of an event the newest sample counts, and the highest of all', () => {
  const merged = mergeLatest([
    [[text('command'), 100, 5, 50]],
    [
      [text('command'), 200, 4, 9],
      [text('fork'), 10, 1, 1],
    ],
    [[text('command'), 150, 80, 80]],
  ]);
  assert.deepEqual(merged, [
    [text('command'), 200, 4, 80],
    [text('fork'), 10, 1, 1],
  ]);
});

test('a history has one sample for a second, in order, and no more than a server keeps', () => {
  assert.deepEqual(
    mergeHistory([
      [
        [3, 1],
        [5, 9],
      ],
      [[3, 7]],
      [],
    ]),
    [
      [3, 7],
      [5, 9],
    ],
  );
  const long = Array.from({ length: 300 }, (_, i) => [i, i]);
  assert.deepEqual(mergeHistory([long]), long.slice(140));
});

test('histograms are added where their bounds differ', () => {
  const one = (...steps: number[]): Reply => [
    text('get'),
    [text('calls'), steps.at(-1) ?? 0, text('histogram_usec'), steps],
  ];
  const merged = mergeHistograms([one(2, 3, 8, 10), one(1, 1, 4, 5), [], one(16, 100)]);
  const get = merged.get('get') as Map<string, unknown>;
  assert.equal(get.get('calls'), 115);
  assert.deepEqual(
    [...(get.get('histogram_usec') as Map<number, number>)],
    [
      [1, 1],
      [2, 4],
      [4, 8],
      [8, 15],
      [16, 115],
    ],
  );
});

test('functions are counted once, and the script that runs is shown', () => {
  const node = (running: Reply): Reply => [
    text('running_script'),
    running,
    text('engines'),
    [text('LUA'), [text('libraries_count'), 2, text('functions_count'), 3]],
  ];
  const script: Reply = [text('name'), text('f'), text('duration_ms'), 9];
  const merged = mergeFunctionStats([node(null), node(script)]);
  assert.deepEqual(
    merged.get('running_script'),
    new Map<string, unknown>([
      ['name', text('f')],
      ['duration_ms', 9],
    ]),
  );
  const lua = (merged.get('engines') as Map<string, Map<string, number>>).get('LUA')!;
  assert.deepEqual(
    [...lua],
    [
      ['libraries_count', 2],
      ['functions_count', 3],
    ],
  );
  assert.equal(mergeFunctionStats([node(null)]).get('running_script'), null);
});

test('functions that nobody is told of are not counted', () => {
  const engines = [text('LUA'), [text('libraries_count'), 3, text('functions_count'), 5]];
  const merged = mergeFunctionStats([[text('running_script'), null, text('engines'), engines]], 2);
  const lua = (merged.get('engines') as Map<string, Map<string, number>>).get('LUA')!;
  assert.deepEqual([...lua.values()], [1, 3]);
});

test('memory is summed, ratios are of the sums, and unknown ones the largest', () => {
  const node = (total: number, peak: number, keys: number): Reply => [
    ...[text('peak.allocated'), peak, text('total.allocated'), total, text('startup.allocated'), 100],
    ...[text('db.0'), [text('overhead.hashtable.main'), 5], text('keys.count'), keys],
    ...[
      text('keys.bytes-per-key'),
      77,
      text('peak.percentage'),
      text('1.5'),
      text('odd.ratio'),
      text(`${total}.5`),
    ],
  ];
  const merged = mergeMemoryStats([node(1100, 2000, 4), node(600, 2000, 6)]);
  assert.deepEqual(merged.get('total.allocated'), { sum: 1700 });
  assert.deepEqual(merged.get('keys.bytes-per-key'), { sum: 150 });
  assert.deepEqual(merged.get('peak.percentage'), { ratio: 42.5 });
  assert.deepEqual(merged.get('odd.ratio'), { ratio: 1100.5 });
  assert.deepEqual(merged.get('db.0'), new Map([['overhead.hashtable.main', { sum: 10 }]]));
});

test('equal texts are one, and others stand under their names', () => {
  assert.equal(mergeTexts(['same\n', 'same\n'], ['a', 'b']), 'same\n');
  assert.equal(mergeTexts(['one\n', 'two'], ['# a', '# b']), '# a\none\n\n# b\ntwo\n');
});
