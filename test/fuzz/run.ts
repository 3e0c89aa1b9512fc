/**
 * `node test/fuzz/run.ts --minutes 10 [--seed N] [--side client|node]`: hostile clients, hostile nodes.
 *
 * The time is shared out between the sides. A failure names its seed and shows what was sent last, in hex.
 */

import { parseArgs } from 'node:util';
import { fuzzClients } from './client-side.ts';
import { fuzzNodes } from './node-side.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' }, side: { type: 'string' } },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const sides = [
  ['client', fuzzClients],
  ['node', fuzzNodes],
] as const;
const wanted = sides.filter(([side]) => values.side === undefined || side === values.side);
const seconds = (Number(values.minutes) * 60) / wanted.length;
console.log(`seed ${seed}, ${Math.round(seconds)} s a side`);
for (const [side, fuzz] of wanted) {
  try {
    console.log(side, JSON.stringify(await fuzz({ seconds, seed }), null, 1));
  } catch (error) {
    console.error(side, error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
