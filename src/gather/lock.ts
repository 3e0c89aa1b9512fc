// The lock of a key that is moved: a key of the proxy's own in the same slot, that says who moves it.
//
//     SET <lock> <token>:0 NX PX <lease>        taken
//     WATCH <lock>, GET <lock>                  it is ours, and EXEC fails as soon as it is not
//     MULTI, what changes the key, SET <lock> <token>:1 PX <lease>, EXEC
//
// Who was halted for so long that his lease ran out changes nothing more, since all that changes data is executed
// under the WATCH. And what was executed has left its mark: when a link is lost before the reply came, the lock tells
// whether the transaction was executed, as the two stand or fall together, on replicas too. One that was not is made
// impossible then, by a new mark, before anything else is done.
//
// The link is found by a question about the key itself: in a slot that is on the move, a lock may be where its key is
// not. It is where the key is, or not taken.

import { lockKey } from '../command/reserved.ts';
import * as errors from '../resp/errors.ts';
import { ZERO } from '../resp/write.ts';
import { newId } from './copies.ts';
import { type Held, type Queued, type Reach, Refusal, type Words } from './reach.ts';
import { bulkOf, isElsewhere, isError, succeeded } from './replies.ts';

/**
 * After which a lock is gone whose owner has died, ms: longer than a failover by plan may halt a node (5 s), and shorter
 * than others wait (`crossSlot.waitFor`, 10 s).
 */
export const LEASE = 8000;
/** How often is tried what others, or a slot on the move, have thwarted: some four seconds in all. */
export const TRIES = 16;
/** How often giving a lock back is tried. */
const UNLOCKS = 3;
/** For how long a replica's word is waited for, ms. */
const CONFIRM = 500;

/** The lock is somebody else's, or nobody's. */
export class Lost extends Error {}
const LOST = 'the lock of a key was lost';

/** How a key is looked at under its lock. */
export interface Sight {
  /** It is watched as well: nothing is changed when anybody has touched it since. */
  readonly watched: boolean;
  readonly reads: readonly Words[];
}

const BLIND: Sight = { watched: false, reads: [] };

export class Lock {
  readonly name: Buffer;
  readonly slot: number;
  /** What the reads of its sight were answered with at last, raw, errors too. */
  seen: readonly Buffer[] = [];
  /** Something has been changed under it, or may have been. */
  changed = false;
  lease = LEASE;
  sight = BLIND;
  /** What is changed is watched from then on: see takeBack. */
  keeps = false;

  private readonly reach: Reach;
  private readonly lock: Buffer;
  private readonly confirms: boolean;
  private readonly token = newId();
  private marks = 0;
  private mark = '';
  private markedAt = 0;
  private held: Held | undefined = undefined;
  private taken = false;
  /** The lock is watched, and was ours then. */
  private armed = false;
  /** What it says, asked in the same breath as what was executed before. */
  private arming: Promise<string> | undefined = undefined;

  /** `confirms`: what is changed here is not done before a replica has it, if there is one that answers. */
  constructor(reach: Reach, { name, slot }: { name: Buffer; slot: number }, confirms: boolean) {
    this.reach = reach;
    this.name = name;
    this.slot = slot;
    this.lock = lockKey(slot, name);
    this.confirms = confirms;
  }

  /** The raw reply to a question about the key, of the node where it is. */
  async ask(question: Words): Promise<Buffer> {
    this.dropLink();
    this.held = await this.reach.hold(this.slot, question);
    return this.held.reply;
  }

  /** Takes the lock, if it is nobody's, and looks at the key. */
  async take(): Promise<boolean> {
    this.mark = this.nextMark();
    this.markedAt = performance.now();
    // What stands there counts, and not the reply to SET: that may have been lost.
    this.taken = true;
    this.taken = await this.see([['SET', this.lock, this.mark, 'NX', 'PX', this.lease]]);
    return this.taken;
  }

  /** Looks at the key again. @throws Lost */
  async look(): Promise<readonly Buffer[]> {
    if (!(await this.see([]))) throw new Lost(LOST);
    if (performance.now() - this.markedAt > this.lease / 2) {
      await this.renew();
      if (!(await this.see([]))) throw new Lost(LOST);
    }
    return this.seen;
  }

  /**
   * Changes the key, if nobody has touched what was looked at.
   * @returns the raw replies; none when they were lost, but it was executed; undefined when it was not
   * @throws Lost, or Refusal with the error of a command that was not even queued
   */
  async attempt(commands: readonly Queued[]): Promise<readonly Buffer[] | undefined> {
    const { held, armed, changed } = this;
    this.armed = false;
    if (held === undefined || !armed) return undefined;
    const next = this.nextMark();
    const now = performance.now();
    const executed = held.exec([...commands, this.marking(next)]);
    const confirmed = this.confirm(held);
    this.arming = this.arm(held);
    const replies = await this.outcome(executed, next);
    this.changed = changed || replies !== undefined;
    if (replies === undefined) return undefined;
    this.mark = next;
    this.markedAt = now;
    // Whoever is the owner now has it, or it is lost.
    if (isError(await confirmed)) await this.look();
    return replies.slice(0, -1);
  }

  /** EXEC's replies; none when they were lost, but it was executed; undefined when it was not. */
  private async outcome(
    executed: Promise<Buffer[] | undefined>,
    mark: string,
  ): Promise<readonly Buffer[] | undefined> {
    try {
      return await executed;
    } catch (error) {
      if (!(error instanceof Refusal && error.unknown)) throw error;
    }
    this.changed = true;
    return (await this.wasExecuted(mark)) ? [] : undefined;
  }

  /** Waits until a replica has what was executed before, if there is one that answers in time. */
  private async confirm(held: Held): Promise<Buffer> {
    if (!this.confirms) return ZERO;
    // The map may not know yet of a replica that has just come back.
    if (this.reach.replicasOf(this.slot) === 0) {
      const role = await held.ask(['ROLE']);
      if (isError(role) || hasNoReplica(role)) return role;
    }
    return held.ask(['WAIT', 1, CONFIRM]);
  }

  /** Changes the key, whoever has touched it. Replies as above. */
  async change(commands: readonly Queued[]): Promise<readonly Buffer[]> {
    for (let tries = 0; tries < TRIES; tries++) {
      if (tries > 0) await pause(tries);
      if (!this.armed) await this.look();
      const replies = await this.attempt(commands);
      if (replies !== undefined) return replies;
    }
    throw new Refusal(errors.notServed('its slot is on the move, or the key changes all the time'));
  }

  /** Does away with what was changed just before, if nobody has touched the key since. False: it is not as it was. */
  async takeBack(commands: readonly Words[]): Promise<boolean> {
    this.armed = this.keeps && (await this.arming) === this.mark;
    return (await this.attempt(commands)) !== undefined;
  }

  /** Gives the lock back if it is ours, and the link. What fails here, time will do. */
  async release(): Promise<void> {
    try {
      if (this.taken) await this.unlock();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    } finally {
      this.taken = false;
      this.dropLink();
    }
  }

  private async unlock(): Promise<void> {
    const { lock, slot, mark } = this;
    this.keeps = false;
    let value = this.armed ? this.mark : await this.arming;
    for (let tries = 0; tries < UNLOCKS; tries++) {
      if (value === mark) {
        if ((await this.held?.exec([['DEL', lock]])) !== undefined) return;
        // What was watched beside the lock may have been touched.
      } else if (value !== undefined) {
        if (value !== '' && !AWAY.test(value)) return;
        // In a slot on the move it need not be where its key is.
        this.dropLink();
        this.held = await this.reach.hold(slot, ['EXISTS', lock]);
      }
      if (this.held === undefined) return;
      value = await this.arm(this.held);
    }
  }

  /** A new mark, and a new lease. False: it is to be looked at again. */
  private async renew(): Promise<boolean> {
    const mark = this.nextMark();
    const now = performance.now();
    this.armed = false;
    if ((await this.held?.exec([this.marking(mark)])) === undefined) return false;
    this.mark = mark;
    this.markedAt = now;
    return true;
  }

  /** Asks, behind `before`, for whose the lock is, and for what is to be seen. True: it is ours, and watched. */
  private async see(before: readonly Words[]): Promise<boolean> {
    const { lock, name, sight } = this;
    const watches = sight.watched ? [['WATCH', name]] : [];
    const asked = [['UNWATCH'], ...before, ['WATCH', lock], ...watches, ['GET', lock]];
    for (let tries = 1; ; tries++) {
      if (this.held === undefined) await this.ask(['EXISTS', name]);
      const held = this.held!;
      const replies = await Promise.all([...asked, ...sight.reads].map((words) => held.ask(words)));
      const elsewhere = replies.find(isElsewhere);
      if (elsewhere === undefined) {
        for (const reply of replies.slice(0, asked.length)) succeeded(reply);
        this.seen = replies.slice(asked.length);
        this.armed = String(bulkOf(replies[asked.length - 1]!)) === this.mark;
        return this.armed;
      }
      this.dropLink();
      if (tries === TRIES) throw new Refusal(errors.notServed(textOf(elsewhere)));
      await pause(tries);
    }
  }

  /** Watches the lock without looking at anything: what it says, nothing where it is not there, or an error's line. */
  private async arm(held: Held): Promise<string> {
    const { lock, name, keeps } = this;
    const watched = keeps ? [lock, name] : [lock];
    const asked = [['UNWATCH'], ['WATCH', ...watched], ['GET', lock]].map((words) => held.ask(words));
    const value = (await Promise.all(asked)).at(-1)!;
    return String(isError(value) ? value : (bulkOf(value) ?? ''));
  }

  /** Of what left no reply: it has been executed by now, or never will be. */
  private async wasExecuted(doubtful: string): Promise<boolean> {
    const { mark } = this;
    for (let tries = 0; tries < TRIES; tries++) {
      if (await this.see([])) {
        if (await this.renew()) return false;
        continue;
      }
      this.mark = doubtful;
      if (await this.see([])) return true;
      this.mark = mark;
    }
    throw new Lost(LOST);
  }

  private nextMark(): string {
    return `${this.token}:${this.marks++}`;
  }

  private marking(mark: string): Words {
    return ['SET', this.lock, mark, 'PX', this.lease];
  }

  private dropLink(): void {
    this.held?.release();
    this.held = undefined;
    this.armed = false;
    this.arming = undefined;
  }
}

/** Waits the longer the more often it was tried. `most`: ms */
export function pause(tries: number, most = 512): Promise<void> {
  const time = Math.min(2 ** tries, most) * (0.5 + Math.random() / 2);
  return new Promise((resolve) => setTimeout(resolve, time));
}

/** Of what says that the slot is elsewhere, what a node says that lives. */
const AWAY = /^-(MOVED|ASK|TRYAGAIN|READONLY) /;

/** ROLE of a primary: its name, its offset, and an array of its replicas. */
function hasNoReplica(role: Buffer): boolean {
  return role.toString('latin1').endsWith('*0\r\n');
}

function textOf(error: Buffer): string {
  return error.toString('latin1', 1, error.length - 2);
}
