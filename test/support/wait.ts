/** Waiting for a condition, which is what tests do instead of sleeping. */

import { setTimeout as delay } from 'node:timers/promises';

/**
 * Asks `condition` again until it gives something truthy, and returns that. A throw counts as "not yet".
 * After `limitMs` it throws, naming `what` and what the last try said.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  limitMs = 30_000,
  everyMs = 20,
) {
  const deadline = performance.now() + limitMs;
  for (;;) {
    let last: unknown;
    try {
      const value = await condition();
      if (value) return value as Exclude<T, undefined | null | false | 0 | ''>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline)
      throw new Error(`waited ${limitMs} ms for ${what}; last: ${String(last)}`);
    await delay(everyMs);
  }
}
