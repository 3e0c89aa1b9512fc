// A blocking command under way: its client, its time, and its seats, one for each slot it waits at. Cold.
//
// Three may end it before a server does: CLIENT UNBLOCK, its client by leaving, and another seat that was served.
// However it ends, each of its seats has spoken before its client's next command runs.

import type { Lane } from '../cluster/lanes.ts';
import { isNil, isWait, keysOf, type Timeout, timeoutOf, undoOf, wordsOf } from '../command/blocking.ts';
import { type Command, FLAG } from '../command/command.ts';
import { TOTAL } from '../telemetry/counters.ts';
import type { Client } from './client.ts';
import type { Blocked, HowToUnblock } from './context.ts';
import { putBack } from './putback.ts';
import type { SavedArguments } from './saved.ts';
import { type BlockingCall, Seat } from './seat.ts';

export class Blocking implements Blocked, BlockingCall {
  readonly client: Client;
  readonly command: Command;
  readonly args: SavedArguments;
  readonly words: readonly Buffer[];
  readonly writes: boolean;
  /** Where its keys stand. */
  readonly keys: readonly number[];
  readonly timeout: Timeout;
  readonly deadline: number;
  readonly lane: Lane;
  /** It is to be ended, and how. */
  how: HowToUnblock | undefined = undefined;
  private readonly seats = new Set<Seat>();
  private readonly enders = new Set<(how: HowToUnblock) => void>();
  private readonly unblockers: ((ended: boolean) => void)[] = [];
  private reply: Buffer | undefined = undefined;

  constructor(client: Client, command: Command, args: SavedArguments) {
    this.client = client;
    this.command = command;
    this.args = args;
    this.words = wordsOf(args);
    this.writes = (command.flags & FLAG.write) !== 0;
    this.keys = keysOf(command, args);
    this.timeout = timeoutOf(command, args);
    this.deadline = performance.now() + this.timeout.milliseconds;
    // The client's own is left when it goes.
    this.lane = client.cluster.enterLane(client.lane);
    client.blocked = this;
    client.context.counters.totals[TOTAL.blockedClients]! += 1;
  }

  /** A seat that is ended with the call. `once`: for what is there now. `lane`: as whom it is asked. */
  sit(slot: number, words = this.words, once = false, lane = this.lane): Seat {
    const { client, writes, timeout, deadline } = this;
    const isLast = timeout.at === this.words.length - 1;
    const at = isLast ? words.length - 1 : timeout.at;
    const seat = new Seat({ client, lane, words, writes, timeout: { ...timeout, at }, deadline }, slot, once);
    seat.onWaiting = () => {
      if (client.leaving) this.leave();
    };
    if (writes) client.wrote |= 1 << (slot >>> 9);
    this.seats.add(seat);
    if (this.how !== undefined) seat.end(this.how);
    return seat;
  }

  /** Calls back when it is to be ended; at once if it is. Returns what takes that back. */
  whenEnded(end: (how: HowToUnblock) => void): () => void {
    this.enders.add(end);
    if (this.how !== undefined) end(this.how);
    return () => this.enders.delete(end);
  }

  unblock(how: HowToUnblock): Promise<boolean> {
    // Somebody else was first.
    if (this.how !== undefined) return Promise.resolve(false);
    this.end(how);
    return new Promise((resolve) => this.unblockers.push(resolve));
  }

  leave(): void {
    // What a server gives at once to a client that has said all it will is still its own.
    const seats = [...this.seats];
    const waits = seats.some(({ blocked }) => blocked) || !seats.some(({ asks }) => asks);
    if (this.client.closed || waits) this.end('TIMEOUT');
  }

  /** The client's reply, once. An element that nobody is there to get goes back. */
  async conclude(reply: Buffer, wasBlocked: boolean): Promise<Buffer> {
    const { client, command, words } = this;
    this.reply = reply;
    const gone = client.closed || (client.leaving && wasBlocked);
    if (!gone) return reply;
    const undo = undoOf(command, words, reply);
    if (undo !== undefined) await putBack(client, command, undo);
    client.close();
    return reply;
  }

  /** All is done. */
  over(): void {
    const { client, lane, reply, unblockers } = this;
    if (client.blocked === this) client.blocked = undefined;
    client.context.counters.totals[TOTAL.blockedClients]! -= 1;
    client.cluster.leaveLane(lane);
    for (const resolve of unblockers) resolve(reply === undefined || this.endedIt(reply));
  }

  private end(how: HowToUnblock): void {
    if (this.how !== undefined) return;
    this.how = how;
    for (const seat of this.seats) seat.end(how);
    for (const end of this.enders) end(how);
  }

  private endedIt(reply: Buffer): boolean {
    // WAIT is answered with a count in any case.
    return isWait(this.command) || isNil(reply) || reply.toString('latin1', 0, 10) === '-UNBLOCKED';
  }
}
