// The two keys of a command that moves a value from one slot to another: both are locked while it does, so that no
// two moves of a key, of whatever proxy, come between each other.
//
//     SMOVE a b m      SISMEMBER a m                               nothing to move: that is the reply
//                      lock a, lock b
//                      b's slot:  MULTI SADD b m ... EXEC, WAIT 1   there first
//                      a's slot:  MULTI SREM a m ... EXEC           then no longer here
//                      unlock a, unlock b
//
// So whoever dies, the value is in one of the two or in both, and never in none. Commands that are no moves know
// nothing of the locks: what they do to the source meanwhile is noticed before it is removed there, and what they do
// to the destination is as if the value had just come.
//
// Both locks are tried at once. Where that fails, they are waited for in the order of the keys' bytes, and nobody
// waits for a key while he has one behind it: so there is no circle of waiting.

import type { Key } from '../command/across.ts';
import { temporaryKey } from '../command/reserved.ts';
import * as errors from '../resp/errors.ts';
import { newId } from './copies.ts';
import type { Crossing } from './crossing.ts';
import { LEASE, Lock, Lost, pause, type Sight, TRIES } from './lock.ts';
import { Refusal, type Words } from './reach.ts';
import { isError } from './replies.ts';
import { step } from './steps.ts';
import { type Patience, Turns, waitedInVain } from './turns.ts';

/** The longest pause between two tries at a lock, ms. */
const POLL = 20;
/** Of the links to a node, moves take this part at most; each needs two. */
const SHARE = 4;
/** What is surely copied in a second, bytes: a larger value has its locks for longer. */
const PACE = 4 * 1024 * 1024;

const turns = new Turns();

/** Somebody has been in the way, and nothing is done: the move may begin anew. */
export class Thwarted extends Error {}

export class Pair {
  readonly source: Lock;
  readonly destination: Lock;
  private readonly patience: Patience;

  constructor(call: Crossing, patience: Patience) {
    const [from, to] = keysOf(call);
    this.source = new Lock(call.reach, from, false);
    this.destination = new Lock(call.reach, to, true);
    this.patience = patience;
  }

  /** The raw replies to a question about each key, before anything is locked. */
  ask(ofSource: Words, ofDestination: Words): Promise<[Buffer, Buffer]> {
    step('move: ask');
    return both(this.source.ask(ofSource), this.destination.ask(ofDestination));
  }

  /** Locks both; the source is looked at. `bytes`: of what is to be copied. @throws Refusal when others don't let go */
  async lock(sight: Sight, bytes = 0): Promise<void> {
    const { source, destination } = this;
    step('move: lock');
    source.sight = sight;
    source.lease = destination.lease = LEASE + Math.ceil((bytes / PACE) * 1000);
    const inOrder = [source, destination].sort((one, other) => one.name.compare(other.name));
    const [first, second] = inOrder as [Lock, Lock];
    const [hasFirst, hasSecond] = await both(first.take(), second.take());
    if (hasFirst && hasSecond) return;
    if (hasSecond) await second.release();
    if (!hasFirst) await this.wait(first);
    await this.wait(second);
    await source.look();
  }

  release(): Promise<unknown> {
    step('move: unlock');
    return Promise.all([this.source.release(), this.destination.release()]);
  }

  private async wait(lock: Lock): Promise<void> {
    for (let tries = 1; !(await lock.take()); tries++) {
      if (performance.now() > this.patience.deadline) throw waitedInVain(this.patience);
      await pause(tries, POLL);
    }
  }
}

/**
 * Runs a move, when it is its turn, and once more when it was thwarted.
 * @throws Refusal: nothing is done, unless it says that the value may be in both
 */
export function moving(call: Crossing, work: (pair: Pair) => Promise<Buffer>): Promise<Buffer> {
  const { command, limits, reach } = call;
  const { waitFor } = limits;
  const patience = { command: command.name, waitFor, deadline: performance.now() + waitFor };
  const most = Math.max(1, Math.floor(reach.links / SHARE));
  const names = keysOf(call).map(({ name }) => name);
  return turns.during(names, most, patience, async () => {
    for (let tries = 1; ; tries++) {
      const reply = await once(call, new Pair(call, patience), work);
      if (reply !== undefined) return reply;
      if (tries === TRIES) throw new Refusal(errors.moveThwarted(command.name));
      await pause(tries);
    }
  });
}

/** Undefined: it was thwarted. */
async function once(
  { command }: Crossing,
  pair: Pair,
  work: (pair: Pair) => Promise<Buffer>,
): Promise<Buffer | undefined> {
  try {
    const reply = await work(pair);
    step('move: done');
    return reply;
  } catch (error) {
    if (error instanceof Thwarted) return undefined;
    const isKnown = error instanceof Lost || error instanceof Refusal;
    if (isKnown && pair.destination.changed) throw new Refusal(errors.movedHalf(command.name, error.message));
    if (error instanceof Lost) return undefined;
    throw error;
  } finally {
    await pair.release();
  }
}

/** What a server says of arguments that make no sense: it is shown the call with keys that are not there. */
export async function objectionOf({ words, keys, reach }: Crossing): Promise<Buffer | undefined> {
  const { slot } = keys[0]!;
  const id = newId();
  const native: (Buffer | string)[] = [...words];
  keys.forEach(({ at }, i) => {
    native[at] = temporaryKey(slot, id, i);
  });
  // In a transaction, what would block does not.
  const [reply] = await reach.atomically(slot, [native], true);
  return isError(reply!) ? reply : undefined;
}

/** Both have ended before the failure of one is told: what went on behind it, nobody would release. */
async function both<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([one, other]);
  return Promise.all([one, other]);
}

function keysOf({ keys }: Crossing): [Key, Key] {
  return [keys[0]!, keys[1]!];
}
