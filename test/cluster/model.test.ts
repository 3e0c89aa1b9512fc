/** What judges the replies must itself see a wrong one: lost, doubled, swapped with its neighbour. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chance, Model, type Step, steps } from './model.ts';

const mix = { resp: 2, client: 1, tags: ['a', 'b'], keys: 2, padding: 0 } as const;

/** Steps and the replies that one server would give, after `change` has been made to what it does. */
function story(
  seed: number,
  change: (steps: Step[]) => Step[] = (all) => all,
): { asked: Step[]; told: string[] } {
  const next = steps(mix, chance(seed));
  const asked = Array.from({ length: 300 }, next);
  const states = new Map<string, string | undefined>();
  const told = new Map<Step, string>();
  for (const step of change(asked)) {
    const { reply, after } = step.play(step.keys.map((key) => states.get(key)));
    for (const [i, key] of step.keys.entries()) states.set(key, after[i]);
    told.set(step, reply);
  }
  return { asked, told: asked.map((step) => told.get(step) ?? '+OK|') };
}

function verdict({ asked, told }: ReturnType<typeof story>): string | undefined {
  const model = new Model();
  for (const [i, step] of asked.entries()) {
    const wrong = model.take(step, told[i]!, undefined);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** The first INCR of a key that another INCR of it follows, and that one. */
function twoIncrements(all: Step[]): [number, number] {
  for (const [i, step] of all.entries()) {
    const j = all.findIndex(({ words }, at) => at > i && words.join() === step.words.join());
    if (step.words[0] === 'INCR' && j > 0) return [i, j];
  }
  throw new Error('no key is counted twice');
}

test('replies that are right are taken', () => {
  for (let seed = 0; seed < 20; seed++) assert.equal(verdict(story(seed)), undefined);
});

test('a write that is lost, done twice, or done behind a later one is seen', () => {
  const lost = story(1, (all) => all.filter((_, i) => i !== twoIncrements(all)[0]));
  assert.match(String(verdict(lost)), /expected/);
  const twice = story(1, (all) =>
    all.flatMap((step, i) => (i === twoIncrements(all)[0] ? [step, step] : [step])),
  );
  assert.match(String(verdict(twice)), /expected/);
  const swapped = story(1, (all) => {
    const [i, j] = twoIncrements(all);
    return all.map((step, at) => (at === i ? all[j]! : at === j ? all[i]! : step));
  });
  assert.match(String(verdict(swapped)), /expected/);
});

test('an outcome that is unknown leaves both open until a read settles it', () => {
  const model = new Model();
  const set = (value: string): Step => ({
    words: ['SET', 'k', value],
    keys: ['k'],
    play: () => ({ reply: '+OK|', after: [value] }),
  });
  const read: Step = { words: ['GET', 'k'], keys: ['k'], play: ([s]) => ({ reply: `${s}`, after: [s] }) };
  model.take(set('one'), '+OK|', undefined);
  model.take(set('two'), '-unknown', /unknown/);
  assert.deepEqual(model.of('k').sort(), ['one', 'two']);
  assert.equal(model.take(read, 'two', undefined), undefined);
  assert.match(String(model.take(read, 'one', undefined)), /expected two/);
});
