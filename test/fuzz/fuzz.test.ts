import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzClients } from './client-side.ts';
import { fuzzNodes } from './node-side.ts';

// One seed, so that the suite is the same each time; `run.ts` does this for minutes, with any seed.
const options = { seconds: 6, seed: 20_261_122, hangMs: 15_000 };

test('clients that send anything at all disturb nobody', async () => {
  const { connections } = await fuzzClients(options);
  assert.ok(Number(connections) > 100, `${connections} connections`);
});

test('a node that says anything at all disturbs none but its own slots', async () => {
  const { answers } = await fuzzNodes(options);
  assert.ok(Number(answers) > 100, `${answers} answers`);
});
