// One proxy at a time changes libraries: an arbiter in the cluster itself, at the owner of the first slot, since
// FUNCTION LOAD takes a library once. Cold.
//
// Whoever is told OK for a LOAD without REPLACE is so the only one. A proxy that dies with the lock is known by
// having it for longer than any change may take; the lock is then taken from it. That nobody else believes to
// have it meanwhile is the holder's duty: it writes nothing after half of that time.

import { setTimeout as delay } from 'node:timers/promises';
import type { Control } from '../cluster/control.ts';
import { holderAt, lockAt, unlockAt } from './shard.ts';

/** Between two tries, ms. */
const AGAIN_AFTER = 20;

export interface LockOptions {
  /** Of no other change: letters and digits. */
  readonly holder: string;
  /** For how long somebody may have it, ms. */
  readonly most: number;
  /** For how long it is tried, ms. */
  readonly patience: number;
  /** What is thrown where it can't be had. */
  readonly failure: (error: Error) => Error;
}

/** Does some work that nobody else does. `inTime`: whether the lock is sure to be held for long enough to write. */
export async function withLock<T>(
  control: Control,
  options: LockOptions,
  work: (inTime: () => boolean) => Promise<T>,
): Promise<T> {
  try {
    await acquire(control, options);
  } catch (error) {
    throw options.failure(error as Error);
  }
  const begun = performance.now();
  try {
    return await work(() => performance.now() - begun < options.most / 2);
  } finally {
    // Where that fails it ends by itself.
    await unlockAt(control, options.holder).catch(() => {});
  }
}

async function acquire(control: Control, { holder, most, patience }: LockOptions): Promise<void> {
  const begun = performance.now();
  let seen: string | undefined;
  let since = begun;
  while (!(await lockAt(control, holder))) {
    const now = performance.now();
    const other = await holderAt(control);
    if (other !== seen) {
      seen = other;
      since = now;
    } else if (other !== undefined && now - since > most) await unlockAt(control, other);
    if (now - begun > patience) throw new Error('others are changing libraries all the time');
    await delay(AGAIN_AFTER);
  }
}
