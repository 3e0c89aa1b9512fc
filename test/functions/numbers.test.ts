import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { reduced, reducedBytes } from './reduced.ts';

test('numbers and numeric strings are added, others and nils passed over', () => {
  assert.equal(reduced('sum', [1n, '20', 'three', null, '', '0x10', ' 5', true]), 22);
  assert.equal(reduced('sum', ['abc', null]), 0);
  assert.equal(reduced('sum', []), 0);
});

test('arrays, sets and maps count element by element, at whatever depth', () => {
  assert.equal(reduced('sum', [[1n, ['2', [3n]]], new Set(['4']), new Map([['five', 5n]])]), 15);
  assert.equal(reduced('max', [['1', '7'], []]), 7);
});

test('integers are exact beyond 2^53, and beyond 64 bits too', () => {
  assert.equal(String(reducedBytes('sum', [2n ** 53n, 1n])), ':9007199254740993\r\n');
  assert.equal(String(reducedBytes('sum', [2n ** 63n - 1n, 1n])), '(9223372036854775808\r\n');
  assert.equal(
    String(reducedBytes('sum', [2n ** 63n - 1n, 1n], { resp: 2 })),
    '$19\r\n9223372036854775808\r\n',
  );
});

test('what an integer and a double are together is a double', () => {
  assert.equal(String(reducedBytes('sum', [1n, 0.5])), ',1.5\r\n');
  assert.equal(String(reducedBytes('sum', [1n, '2.5'], { resp: 2 })), '$3\r\n3.5\r\n');
  assert.equal(String(reducedBytes('sum', ['1e3', '-inf'])), ',-inf\r\n');
});

test('doubles are added in the same order whichever came first', () => {
  const replies = [1e16, 1, -1e16, 0.1];
  const inOrder = reducedBytes('sum', replies);
  assert.deepEqual(reducedBytes('sum', replies, { arrival: [3, 1, 0, 2] }), inOrder);
});

test('the least and the greatest are as they came; of nothing they are nil', () => {
  assert.equal(String(reducedBytes('min', [3n, '2', 2.5])), ':2\r\n');
  assert.equal(String(reducedBytes('max', [3n, '3.5', 'x'])), ',3.5\r\n');
  assert.equal(String(reducedBytes('max', [2n, 2])), ':2\r\n');
  assert.equal(String(reducedBytes('max', [2, 2n])), ':2\r\n');
  assert.equal(reduced('min', ['x', null]), null);
  assert.equal(reduced('max', []), null);
});

test('an average is a double; of nothing it is nil', () => {
  assert.equal(String(reducedBytes('avg', [1n, 2n])), ',1.5\r\n');
  assert.equal(String(reducedBytes('avg', [2n, ['4', 'x']])), ',3\r\n');
  assert.equal(String(reducedBytes('avg', [2n, 4n], { resp: 2 })), '$1\r\n3\r\n');
  assert.equal(reduced('avg', [null, 'x']), null);
});

test('not true are nil, false, 0 and the empty string', () => {
  for (const no of [null, false, 0n, 0, '0', '0.0', '']) {
    assert.equal(reduced('and', [1n, no, 1n]), 0, String(no));
    assert.equal(reduced('or', [no, no]), 0, String(no));
  }
  for (const yes of [true, 1n, -1n, 0.5, 'x', '2']) {
    assert.equal(reduced('and', [yes, 1n]), 1, String(yes));
    assert.equal(reduced('or', [0n, yes]), 1, String(yes));
  }
});

test('arrays are true element by element; of nothing all are true and none is', () => {
  assert.equal(reduced('and', [[1n, 1n], [1n]]), 1);
  assert.equal(reduced('and', [[1n, 0n], [1n]]), 0);
  assert.equal(reduced('or', [[0n, 1n], []]), 1);
  assert.equal(reduced('and', [[]]), 1);
  assert.equal(reduced('or', [[]]), 0);
});

test('as they come they make the same as all at once', () => {
  const numbers = fc.array(fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }), { maxLength: 5 });
  fc.assert(
    fc.property(fc.array(numbers, { minLength: 1, maxLength: 8 }), fc.nat(), (replies, seed) => {
      const all = replies.flat();
      const arrival = shuffled(replies.length, seed);
      const sum = all.reduce((a, b) => a + b, 0n);
      assert.equal(BigInt(reduced('sum', replies, { arrival }) as bigint), sum);
      const least = all.toSorted((a, b) => (a < b ? -1 : 1))[0] ?? null;
      const found = reduced('min', replies, { arrival });
      assert.equal(found === null ? null : BigInt(found as bigint), least);
      assert.equal(reduced('count', replies, { arrival }), all.length);
      if (all.length > 0) assert.equal(reduced('avg', replies, { arrival }), Number(sum) / all.length);
    }),
  );
});

function shuffled(length: number, seed: number): number[] {
  return [...Array(length).keys()].sort((a, b) => (((a + 1) * seed) % 101) - (((b + 1) * seed) % 101));
}
