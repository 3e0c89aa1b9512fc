/** The libraries in `examples/functions`, as they stand there. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { onAServer } from './stand.ts';

const library = (name: string) =>
  readFileSync(new URL(`../../examples/functions/${name}.js`, import.meta.url), 'utf8');

onAServer('examples', (stand) => {
  test('RMR.SUM adds up what is a number among the values of keys in any slots', async () => {
    const { client, client3 } = stand();
    assert.equal(await client3.ask('TFUNCTION', 'LOAD', library('sum')), 'OK');
    await client.ask('MSET', 'n:1', 10, 'n:2', 20, 'n:3', '30', 'n:4', 'no number', 'n:5', '0.5');
    assert.equal(await client3.ask('RMR.SUM', 'n:1', 'n:2', 'n:3'), 60);
    assert.equal(await client3.ask('rmr.sum', 'n:1', 'n:2', 'n:3', 'n:4', 'n:5', 'n:6'), 60.5);
    assert.equal(await client3.ask('RMR.SUM', 'n:6'), 0);
    assert.match(String(await client3.ask('RMR.SUM')), /wrong number of arguments/);
  });

  test('a search asks all shards and merges their ten best', async () => {
    const { client } = stand();
    assert.equal(await client.ask('TFUNCTION', 'LOAD', library('search')), 'OK');
    for (let i = 1; i <= 40; i++) {
      const text = `document ${i} about ${'redis '.repeat(i)} ${i % 2 === 0 ? 'clusters' : 'proxies'}`;
      await client.ask('SEARCH.ADD', `doc:${i}`, text);
    }
    const best = (await client.ask('SEARCH', 'redis', 'Clusters')) as [string, number][];
    // ZINTER adds the scores of both words.
    const expected = Array.from({ length: 10 }, (_, i) => [`doc:${40 - 2 * i}`, 41 - 2 * i]);
    assert.deepEqual(best, expected);
    await client.ask('SEARCH.ADD', 'doc:40', 'something else');
    const [first] = (await client.ask('SEARCH', 'redis', 'clusters')) as [string, number][];
    assert.equal(first?.[0], 'doc:38');
    assert.deepEqual(await client.ask('SEARCH', 'nobody', 'wrote'), []);
  });
});
