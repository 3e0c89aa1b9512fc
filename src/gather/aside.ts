// Where a command across slots runs while the slots of its keys are on the move: in some other, as all it needs are
// copies. Of thousands of slots a few move at a time.

import { SLOTS } from '../command/slot.ts';
import { isOnTheMove } from './reach.ts';

/** How often another one is tried. */
const TRIES = 8;

export function someSlot(): number {
  return Math.floor(Math.random() * SLOTS);
}

/** Does work in a slot that is not on the move. */
export async function inSomeSlot<T>(work: (slot: number) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work(someSlot());
    } catch (error) {
      if (tries === TRIES || !isOnTheMove(error)) throw error;
    }
  }
}
