import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Budget } from '../../src/gather/budget.ts';

/** Work that says when it has begun, and ends when it is told to. */
function works(budget: Budget) {
  const begun: number[] = [];
  const ends: ((error?: Error) => void)[] = [];
  const start = (bytes: number) => {
    const i = ends.length;
    ends.push(() => {});
    return budget.within(bytes, () => {
      begun.push(i);
      return new Promise<number>((resolve, reject) => {
        ends[i] = (error) => (error === undefined ? resolve(i) : reject(error));
      });
    });
  };
  return { begun, ends, start };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('what fits is done at once, and the rest in the order in which it came', async () => {
  const { begun, ends, start } = works(new Budget(10));
  const all = [6, 4, 5, 1].map(start);
  await settled();
  assert.deepEqual(begun, [0, 1]);
  ends[1]!();
  await settled();
  // The last would fit; but it came behind one that does not.
  assert.deepEqual(begun, [0, 1]);
  ends[0]!();
  await settled();
  assert.deepEqual(begun, [0, 1, 2, 3]);
  for (const end of ends) end();
  assert.deepEqual(await Promise.all(all), [0, 1, 2, 3]);
});

test('what is larger than the whole is done alone', async () => {
  const { begun, ends, start } = works(new Budget(10));
  const all = [1, 1000, 1].map(start);
  await settled();
  assert.deepEqual(begun, [0]);
  ends[0]!();
  await settled();
  assert.deepEqual(begun, [0, 1]);
  ends[1]!();
  await settled();
  ends[2]!();
  assert.deepEqual(await Promise.all(all), [0, 1, 2]);
});

test('work that fails gives back its share', async () => {
  const { begun, ends, start } = works(new Budget(10));
  const [one, two] = [start(10), start(10)];
  await settled();
  ends[0]!(new Error('failed'));
  await assert.rejects(one, /failed/);
  await settled();
  assert.deepEqual(begun, [0, 1]);
  ends[1]!();
  assert.equal(await two, 1);
});

test('whatever comes, no more than the whole is under way, and all is done in the end', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 25 }), { maxLength: 40 }), async (sizes) => {
      const budget = new Budget(20);
      let under = 0;
      const order: number[] = [];
      const all = sizes.map((size, i) =>
        budget.within(size, async () => {
          under += Math.min(size, 20);
          assert.ok(under <= 20);
          order.push(i);
          await settled();
          under -= Math.min(size, 20);
        }),
      );
      await Promise.all(all);
      assert.deepEqual(order, [...sizes.keys()]);
    }),
    { numRuns: 30 },
  );
});

test('what is no number of bytes takes nothing from the others', async () => {
  const budget = new Budget(10);
  for (const bytes of [Number.NaN, -1])
    await assert.rejects(
      budget.within(bytes, async () => 1),
      RangeError,
    );
  assert.equal(await budget.within(10, async () => 'done'), 'done');
});
