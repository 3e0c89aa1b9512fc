import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from '../../src/cluster/pace.ts';

/** Times at which the map is asked for while it is wanted all the time, ms. */
function questions(until: number, newsAt: readonly number[] = []): number[] {
  let now = 0;
  const pace = new Pace(100, () => now);
  const asked: number[] = [];
  for (; now <= until; now += 10) {
    pace.want(newsAt.includes(now));
    if (now - (asked.at(-1) ?? Number.NEGATIVE_INFINITY) >= pace.pause) asked.push(now);
  }
  return asked;
}

test('the map is asked for fast at first, and less and less often while that brings nothing', () => {
  const asked = questions(3_600_000);
  const between = (from: number, to: number) => asked.filter((at) => at >= from && at < to).length;
  assert.equal(between(0, 5000), 50);
  assert.ok(between(0, 60_000) < 250);
  assert.equal(between(600_000, 660_000), 60);
});

test('whatever time the news take, they are seen within a fiftieth of it', () => {
  const asked = questions(60_000);
  for (const end of [500, 3000, 7777, 20_000, 40_000]) {
    const seen = asked.find((at) => at >= end)!;
    assert.ok(seen - end <= Math.max(100, (end * 2) / 100) + 10, `${end}: ${seen}`);
  }
});

test('news, and a want after a quiet time, are asked about fast', () => {
  const asked = questions(700_000, [600_000]);
  assert.equal(asked.filter((at) => at > 600_000 && at <= 602_000).length, 20);
  let now = 0;
  const pace = new Pace(100, () => now);
  pace.want(true);
  now = 100_000;
  assert.equal(pace.pause, 1000);
  pace.want(false);
  assert.equal(pace.pause, 100);
});

test('a shortest pause that is longer than the longest one counts', () => {
  assert.equal(new Pace(5000, () => 0).pause, 5000);
});
