import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runIdOf, Standing } from '../../src/client/standing.ts';

const A = 'a'.repeat(40);
const B = 'b'.repeat(40);
const INFO = `# Server\r\nredis_version:7.0.15\r\nrun_id:${'0123456789'.repeat(4)}\r\n`;
const NODES = [
  `${B} 10.0.0.2:6379@16379,host slave ${A} 0 1 2 connected`,
  `${A} 10.0.0.1:6379@16379 myself,master - 0 0 7 connected 0-9 20 30-40 [20->-${B}] [50-<-${B}]`,
  `${'c'.repeat(40)} 10.0.0.3:6379@16379 master - 0 1 3 connected 10-19 50`,
  '',
].join('\n');

test('a node says which slots it has, and which of them leave', () => {
  const standing = Standing.read(NODES, INFO)!;
  assert.equal(standing.process, `${A} ${'0123456789'.repeat(4)}`);
  const owned = [...standing.owned].flatMap((one, slot) => (one === 1 ? [slot] : []));
  assert.deepEqual(owned, [...Array(10).keys(), 20, ...Array.from({ length: 11 }, (_, i) => 30 + i)]);
  assert.deepEqual([...standing.leaving], [[20, B]]);
  assert.deepEqual([standing.runEnd(0), standing.runEnd(20), standing.runEnd(35)], [9, 20, 40]);
  assert.equal(standing.ownerOf(15), 'c'.repeat(40));
  assert.equal(standing.ownerOf(50), 'c'.repeat(40));
  assert.equal(standing.ownerOf(60), undefined);
});

test('the last slot ends a run', () => {
  const standing = Standing.read(`${A} h:1@2 myself,master - 0 0 1 connected 16000-16383`, INFO)!;
  assert.equal(standing.runEnd(16100), 16383);
});

test('what is no such reply has no standing', () => {
  assert.equal(Standing.read('', INFO), undefined);
  assert.equal(Standing.read(NODES, '# Server\r\n'), undefined);
  assert.equal(runIdOf('run_id:abc\r\n'), 'abc');
});
