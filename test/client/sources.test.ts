import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { Sources } from '../../src/client/sources.ts';

const shaOf = (text: Buffer) => createHash('sha1').update(text).digest('hex');
const add = (sources: Sources, text: Buffer | string) => {
  const bytes = Buffer.from(`<<${text}>>`, 'latin1');
  return sources.add(bytes, 2, bytes.length - 2);
};

test('a text is found by its SHA1, with the command that loads it', () => {
  const sources = new Sources(10, 1000);
  const { sha } = add(sources, 'return 1');
  assert.equal(sha, 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db');
  assert.equal(String(sources.get(sha)?.source), 'return 1');
  assert.equal(String(sources.get(sha)?.load), '*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$8\r\nreturn 1\r\n');
  assert.equal(sources.get('f'.repeat(40)), undefined);
});

test('texts that look alike are not taken for each other', () => {
  // Of a long text only some bytes make its look: these differ in one that is none of them.
  const sources = new Sources(10, 10_000);
  const [a, b] = [Buffer.alloc(1000, 'x'), Buffer.alloc(1000, 'x')];
  b[1] = 121;
  for (const text of [a, b, a, b]) assert.equal(add(sources, String(text)).sha, shaOf(text));
  assert.deepEqual(
    [String(sources.get(shaOf(a))?.source), String(sources.get(shaOf(b))?.source)],
    [`${a}`, `${b}`],
  );
});

test('whatever texts come, in whatever order, each has its own SHA1', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 100 });
  fc.assert(
    fc.property(fc.array(text, { maxLength: 40 }), (texts) => {
      const sources = new Sources(5, 200);
      for (const one of texts) assert.equal(add(sources, one).sha, shaOf(Buffer.from(one)));
      assert.ok(sources.size <= 5);
    }),
  );
});

test('the least recently used is forgotten first, by number and by bytes', () => {
  const sources = new Sources(2, 1000);
  const [one, two] = [add(sources, 'one'), add(sources, 'two')];
  add(sources, 'one');
  add(sources, 'three');
  assert.deepEqual([sources.get(one.sha) !== undefined, sources.get(two.sha) !== undefined], [true, false]);
  add(sources, 'x'.repeat(998));
  assert.equal(sources.get(one.sha), undefined);
  assert.equal(sources.size, 1);
});

test('a text that is too long is not kept, and has its SHA1 all the same', () => {
  const sources = new Sources(2, 100);
  const text = 'x'.repeat(200);
  assert.equal(add(sources, text).sha, shaOf(Buffer.from(text)));
  assert.equal(sources.get(shaOf(Buffer.from(text))), undefined);
  assert.equal(sources.size, 0);
});

test('what was deleted or cleared can be learned again', () => {
  const sources = new Sources(10, 1000);
  const { sha } = add(sources, 'a');
  sources.delete(sha);
  assert.equal(sources.get(sha), undefined);
  add(sources, 'a');
  assert.equal(String(sources.get(sha)?.source), 'a');
  sources.clear();
  assert.equal(sources.size, 0);
  assert.equal(add(sources, 'a').sha, sha);
});
