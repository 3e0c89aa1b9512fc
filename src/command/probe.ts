// A key for each slot that nobody uses, to ask a node whether a slot is wholly its own: a command on such a key
// is redirected when the slot is not there, or has begun to leave.

import { SLOTS, slotOf } from './slot.ts';

let keys: string[] | undefined;

export function probeKey(slot: number): string {
  keys ??= findKeys();
  return keys[slot]!;
}

/** Numbers are tried until each slot has a key: some 170,000, once. */
function findKeys(): string[] {
  const found: string[] = new Array(SLOTS);
  for (let i = 0, missing = SLOTS; missing > 0; i++) {
    const key = `slotless:probe:${i}`;
    const bytes = Buffer.from(key);
    const slot = slotOf(bytes, 0, bytes.length);
    if (found[slot] !== undefined) continue;
    found[slot] = key;
    missing--;
  }
  return found;
}
