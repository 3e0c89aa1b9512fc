/**
 * Ends the proxy it is loaded into, or a node, at a step of a command across slots.
 *
 *     node --import 'fault.ts?step=copy:%20run&nth=1'            SIGKILL to the proxy itself, at its first "copy: run"
 *     node --import 'fault.ts?step=copy:%20run&nth=2&pid=4711'   to a node, at the second
 *     node --import 'fault.ts'                                   none: each step is told
 *
 * It is loaded into each thread. Steps that are passed are told on stdout, at once: a killed process writes no more.
 */

import { subscribe } from 'node:diagnostics_channel';
import { writeSync } from 'node:fs';
import { STEP_CHANNEL } from '../../src/gather/steps.ts';

const { searchParams } = new URL(import.meta.url);
const [wanted, nth, pid] = ['step', 'nth', 'pid'].map((name) => searchParams.get(name));
let passed = 0;

subscribe(STEP_CHANNEL, (step) => {
  writeSync(1, `step ${step}\n`);
  if (step !== wanted || ++passed !== Number(nth)) return;
  process.kill(Number(pid ?? process.pid), 'SIGKILL');
});
