// The steps of a command across slots, as they are passed: each is a place at which the proxy, or a node, may die.
// They are published on a channel that costs nothing while nobody listens; tests end the process there.

import { channel } from 'node:diagnostics_channel';

/** Every step there is, by the command's way and what is about to be done. */
export const STEPS = [
  'copy: look',
  'copy: dump',
  'copy: prove',
  'copy: run',
  'copy: pour',
  'copy: store',
  'copy: done',
  'sort: read',
  'sort: look up',
  'sort: collate',
  'sort: store',
  'sort: done',
  'pop: ask',
  'move: ask',
  'move: lock',
  'move: write',
  'move: remove',
  'move: undo',
  'move: unlock',
  'move: done',
  'relaxed: lock',
  'relaxed: run',
  'relaxed: verify',
  'relaxed: write',
  'relaxed: undo',
  'relaxed: done',
] as const;
export type Step = (typeof STEPS)[number];

/** Where steps are published: messages are of type Step. */
export const STEP_CHANNEL = 'slotless:gather';
const steps = channel(STEP_CHANNEL);

export function step(name: Step): void {
  if (steps.hasSubscribers) steps.publish(name);
}
