/** What a killed server's append-only file tells. */

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { encode } from '../support/client.ts';
import { remove, temporary } from '../support/reaper.ts';
import { Evidence } from './evidence.ts';

test('shows the writes of this round that the server had executed, up to the one that was cut', () => {
  const folder = temporary('slotless-aof');
  try {
    mkdirSync(join(folder, 'appendonlydir'));
    const commands = [
      ['SELECT', 0],
      ['INCR', 'r1:n'],
      ['INCR', 'r0:n'],
      ['INCR', 'r1:n'],
      ['APPEND', 'r1:j', '0000003,'],
      ['MSET', 'r1:a', '00000004', 'r1:b', '00000005'],
    ];
    const cut = encode(['SET', 'r1:c', '00000006']).subarray(0, -4);
    const file = join(folder, 'appendonlydir', 'appendonly.aof.1.incr.aof');
    writeFileSync(file, Buffer.concat([...commands.map((words) => encode(words)), cut]));
    const evidence = new Evidence();
    evidence.read(folder, 'r1');
    const shows = (key: string, number: number) => evidence.shows({ key, number, safe: false });
    assert.deepEqual([shows('r1:n', 2), shows('r1:n', 3), shows('r0:n', 1)], [true, false, false]);
    assert.deepEqual([shows('r1:j', 3), shows('r1:j', 2)], [true, false]);
    assert.deepEqual([shows('r1:a', 4), shows('r1:b', 5), shows('r1:c', 6)], [true, true, false]);
  } finally {
    remove(folder);
  }
});
