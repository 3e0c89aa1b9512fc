/**
 * Loaded into a proxy by `--import`: counts the steps of commands across slots, and tells from time to time, for each
 * thread, how often each was passed, as a line `steps 1 {"move: lock":12,...}`.
 */

import { subscribe } from 'node:diagnostics_channel';
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { threadId } from 'node:worker_threads';
import { STEP_CHANNEL } from '../../src/gather/steps.ts';

type Counts = Record<string, number>;

/** The flags for node. */
export const COUNTED = ['--import', fileURLToPath(import.meta.url)];

const EVERY = 500;
const STDERR = 2;

const counts: Counts = {};
let told = '';
subscribe(STEP_CHANNEL, (name) => {
  counts[String(name)] = (counts[String(name)] ?? 0) + 1;
});
setInterval(() => {
  const line = `steps ${threadId} ${JSON.stringify(counts)}\n`;
  if (line !== told && line.length > 'steps 00 {}\n'.length) writeSync(STDERR, line);
  told = line;
}, EVERY).unref();

/** What a proxy told at last, over all threads. */
export function stepsIn(log: readonly string[]): Counts {
  const threads = new Map<string, Counts>();
  for (const line of log) {
    const [, thread, text] = /^steps (\d+) (.*)$/.exec(line) ?? [];
    if (thread !== undefined) threads.set(thread, JSON.parse(text!) as Counts);
  }
  const sum: Counts = {};
  for (const each of threads.values())
    for (const [name, count] of Object.entries(each)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}
