// The slots of a command that runs on copies of all its keys: in each a link of one's own, on which its keys are
// locked, watched and read, all in one breath.
//
//     SET <lock of k> <token> NX PX <lease>     nobody else who locks is at work on k (see reserved.ts)
//     WATCH k                                   what everybody else does to it is noticed
//     DUMP k, PEXPIRETIME k
//
// The locks keep such commands from each other, those of other proxies too: without them two could write back half
// of what they have made, each over the other's. Whoever dies leaves them to their lease. Nothing relies on them
// alone: a lock that has run out is no harm, since what is written is written under the WATCH.

import type { Key } from '../command/across.ts';
import { isNil } from '../command/blocking.ts';
import { lockKey } from '../command/reserved.ts';
import type { Copy, Source } from './copies.ts';
import type { Held, Reach, Words } from './reach.ts';
import { bulkOf, integerOf, isElsewhere, succeeded } from './replies.ts';
import { step } from './steps.ts';

/** After which a lock is gone whose owner has died, ms. */
const LEASE = 5000;

/** Removes locks that are still ours. */
const UNLOCK = `
for _, lock in ipairs(KEYS) do
  if redis.call('GET', lock) == ARGV[1] then redis.call('DEL', lock) end
end`;

/** Keys could not be made ours; nothing is done. */
export class Hindered extends Error {
  /** The slot is on the move; else others have locked a key. */
  readonly moving: boolean;

  constructor(moving: boolean) {
    super(moving ? 'a slot is on the move' : 'others have locked a key');
    this.moving = moving;
  }
}

/** A key of the call. */
export interface Target extends Source {
  /** It may be changed. */
  readonly written: boolean;
}

/** The keys of a call, each once. */
export function targetsOf(keys: readonly Key[]): Target[] {
  const found = new Map<string, Target>();
  for (const { name, slot, written } of keys) {
    const text = name.toString('latin1');
    found.set(text, { name, slot, written: written || found.get(text)?.written === true });
  }
  return [...found.values()];
}

/** A slot whose keys are ours for a while. */
export class Place {
  readonly slot: number;
  readonly targets: readonly Target[];
  /** What the keys were when they were locked. */
  copies: readonly Copy[] = [];
  private readonly reach: Reach;
  private readonly token: string;
  private readonly locks: readonly Buffer[];
  private held: Held | undefined = undefined;
  private locked = false;

  /** `token`: of this command alone. */
  constructor(reach: Reach, slot: number, targets: readonly Target[], token: string) {
    this.reach = reach;
    this.slot = slot;
    this.targets = targets;
    this.token = token;
    this.locks = targets.map(({ name }) => lockKey(slot, name));
  }

  /**
   * Locks, watches and reads the keys. `contended`: they are not read before they are locked.
   * @throws Hindered, or Refusal when there is no such owner, or no link to be had
   */
  async occupy(contended: boolean): Promise<void> {
    const { reach, slot, targets, token, locks } = this;
    const names = targets.map(({ name }) => name);
    const held = await reach.hold(slot, ['EXISTS', ...names]);
    this.held = held;
    this.locked = true;
    const locking = locks.map((lock) => held.ask(['SET', lock, token, 'NX', 'PX', LEASE]));
    if (contended) mustBeOurs(await Promise.all(locking));
    const watching = held.ask(['WATCH', ...names]);
    const copies = await Promise.all(targets.map((target) => readKey(held, target)));
    mustBeOurs(await Promise.all([...locking, watching]));
    if (copies.includes(undefined)) throw new Hindered(true);
    this.copies = copies as Copy[];
  }

  /**
   * Writes under the WATCH. `last`: the locks go with it.
   * @returns the raw replies, or undefined when nothing was executed, since somebody has changed a key
   * @throws Refusal as Held.exec
   */
  async exec(commands: readonly Words[], last: boolean): Promise<Buffer[] | undefined> {
    const unlock: Words[] = last ? [['DEL', ...this.locks]] : [];
    const replies = await this.held!.exec([...commands, ...unlock]);
    if (replies === undefined) return undefined;
    if (last) this.locked = false;
    return replies.slice(0, commands.length);
  }

  /** Whether nobody has changed the keys so far; the locks are gone then. */
  async isUntouched(): Promise<boolean> {
    return (await this.exec([], true)) !== undefined;
  }

  /** Watches keys once more, and reads them. Undefined when the slot is on the move. */
  async again(sources: readonly Source[]): Promise<Copy[] | undefined> {
    const held = this.held!;
    succeeded(await held.ask(['WATCH', ...sources.map(({ name }) => name)]));
    const read = await Promise.all(sources.map((source) => readKey(held, source)));
    return read.includes(undefined) ? undefined : (read as Copy[]);
  }

  /** Gives the keys free. What fails here, time will do. */
  async leave(): Promise<void> {
    const { reach, slot, locks, token, held } = this;
    held?.release();
    if (!this.locked) return;
    this.locked = false;
    await reach.ask(slot, ['EVAL', UNLOCK, locks.length, ...locks, token], true);
  }
}

/**
 * Runs work with all keys of the places. `contended`: others want them as well; so they all try for the first one
 * first, and not each for a part of what the others have.
 * @throws as Place.occupy
 */
export async function withPlaces<T>(
  places: readonly Place[],
  contended: boolean,
  work: () => Promise<T>,
): Promise<T> {
  step('relaxed: lock');
  const [first, ...others] = places;
  try {
    if (contended) await first!.occupy(true);
    const taken = await Promise.allSettled(
      (contended ? others : places).map((place) => place.occupy(contended)),
    );
    const failed = taken.find((each) => each.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return await work();
  } finally {
    await Promise.all(places.map((place) => place.leave()));
  }
}

/** @throws Hindered, or Refusal with another error */
function mustBeOurs(replies: readonly Buffer[]): void {
  if (replies.some(isElsewhere)) throw new Hindered(true);
  if (replies.some(isNil)) throw new Hindered(false);
  for (const reply of replies) succeeded(reply);
}

/** A key as it is now. Undefined when the slot is on the move. */
async function readKey(held: Held, { slot, name }: Source): Promise<Copy | undefined> {
  const replies = await Promise.all([held.ask(['DUMP', name]), held.ask(['PEXPIRETIME', name])]);
  if (replies.some(isElsewhere)) return undefined;
  const payload = bulkOf(replies[0]);
  const expires = payload === undefined ? -1 : (integerOf(replies[1]) ?? -1);
  return { slot, name, payload, poured: false, expires };
}
