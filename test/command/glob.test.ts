import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesGlob } from '../../src/command/glob.ts';
import { connect } from '../support/client.ts';
import { startLone } from '../support/cluster.ts';
import { availableServers } from '../support/servers.ts';

const matches = (pattern: string, text: string) => matchesGlob(Buffer.from(pattern), Buffer.from(text));

test('stars, question marks, classes and escapes', () => {
  assert.ok(matches('', ''));
  assert.ok(!matches('', 'a'));
  assert.ok(matches('***', 'abc') && matches('a*', 'a'));
  assert.ok(!matches('*', '') && !matches('a', ''));
  assert.ok(matches('a*c', 'abbbc') && !matches('a*c', 'abbb'));
  assert.ok(matches('h?llo', 'hello') && !matches('h?llo', 'hllo'));
  assert.ok(matches('h[ae]llo', 'hallo') && !matches('h[ae]llo', 'hillo'));
  assert.ok(matches('h[^e]llo', 'hallo') && !matches('h[^e]llo', 'hello'));
  assert.ok(matches('[aab]c', 'ac') && !matches('[aab]c', 'aa'));
  assert.ok(matches('h[a-c]', 'hb') && matches('h[c-a]', 'hb') && !matches('h[a-c]', 'hd'));
  assert.ok(matches('\\*', '*') && !matches('\\*', 'a'));
  assert.ok(!matches('A', 'a'));
});

test('many stars take no long time', () => {
  assert.ok(!matches(`${'a*'.repeat(200)}b`, 'a'.repeat(5000)));
});

test('a server matches the same texts', async () => {
  for (const server of await availableServers()) {
    const lone = await startLone({ server });
    const client = await connect(lone.port);
    const letters = fc.constantFrom('a', 'b', 'c', '-', '^', ']', '[', '\\', '*', '?');
    const text = fc.array(letters, { minLength: 1, maxLength: 5 }).map((parts) => parts.join(''));
    const pattern = fc.array(letters, { minLength: 1, maxLength: 7 }).map((parts) => parts.join(''));
    const texts = fc.sample(text, { numRuns: 400, seed: 11 });
    const patterns = fc.sample(pattern, { numRuns: 3000, seed: 12 });
    await client.pipeline(texts.map((key) => ['SET', key, 'x']));
    const found = await Promise.all(patterns.map((one) => client.ask('KEYS', one)));
    let hits = 0;
    for (const [i, one] of patterns.entries()) {
      const ours = [...new Set(texts)].filter((key) => matches(one, key)).sort();
      hits += ours.length;
      assert.deepEqual(ours, (found[i] as string[]).sort(), JSON.stringify(one));
    }
    assert.ok(hits > 1000);
    await client.close();
    await lone.stop();
  }
});
