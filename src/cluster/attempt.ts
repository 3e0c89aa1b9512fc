// One sending of a read that several nodes may answer. Hot for who reads from replicas.
//
//   Call (the read) --> Attempt at replica 1 --silence--> Attempt at replica 2      the first answer counts,
//                              '--lost, an error--------> Attempt at another        the other's is passed over
//
// A replica is believed when it answers with data. Its errors are never the last word: they may speak of what
// it does not know yet (a script, a user, a slot that has moved), so the primary is asked. On servers whose
// replicas do not know that a slot is on the move (before Valkey 8) neither is its word that there is nothing:
// a key that has left the primary for its slot's new owner is gone from the replica as well.

import { isVoid } from '../resp/void.ts';
import { TOTAL } from '../telemetry/counters.ts';
import type { Cluster } from './cluster.ts';
import type { Copy, From } from './copies.ts';
import type { Lane } from './lanes.ts';
import type { Pending } from './link.ts';
import { elapsed } from './turn.ts';

/** By what a client chooses whom to ask: see client/reading.ts. */
export interface Reads {
  /** Of links to replicas. */
  readonly lane: Lane;
  /** Whom to ask, but for `not`; undefined where there is nobody. */
  choose(slot: number, from: From, not?: Copy): Copy | undefined;
}

/** What is read; a call. */
export interface Read extends Pending {
  readonly caller: { readonly cluster: Cluster };
  readonly slot: number;
  readonly settled: boolean;
  /** Asks the primary, whatever has been said. */
  askPrimary(): void;
  /** Asks `next` as well. */
  askBeside(next: Attempt): void;
  /** An attempt's link was lost, and nobody else has been asked. */
  lostAt(attempt: Attempt, sent: boolean, reason: string): void;
}

const MINUS = 45;

/** Whom a read is to ask. */
export class Choice {
  readonly reads: Reads;
  /** Undefined: nobody may be asked yet. */
  readonly copy: Copy | undefined;
  /** As what it was chosen, whatever the node becomes meanwhile. */
  readonly atReplica: boolean;
  private readonly from: From;

  constructor(reads: Reads, from: From, copy: Copy | undefined) {
    this.reads = reads;
    this.from = from;
    this.copy = copy;
    this.atReplica = copy !== undefined && !copy.isPrimary;
  }

  /** It is not the owner of the slot. */
  get aside(): boolean {
    return this.atReplica || this.copy === undefined;
  }

  /** Another node; undefined where there is none. */
  elsewhere(slot: number): Choice | undefined {
    const copy = this.reads.choose(slot, this.from, this.copy);
    return copy === undefined ? undefined : new Choice(this.reads, this.from, copy);
  }

  /** Whom to ask now. */
  again(slot: number): Choice {
    return new Choice(this.reads, this.from, this.reads.choose(slot, this.from));
  }

  /** Whoever may be asked some day. */
  later(): Choice {
    return new Choice(this.reads, this.from, undefined);
  }
}

export class Attempt implements Pending {
  readonly choice: Choice;
  private readonly call: Read;
  /** Its answer counts no more. */
  over = false;
  /** Asked beside it. */
  rival: Attempt | undefined = undefined;
  /** Parts of its answer have been passed on. */
  private begun = false;
  private sentAt = 0;

  constructor(choice: Choice, call: Read) {
    this.choice = choice;
    this.call = call;
  }

  /** Asks another node as well. False: there is none. */
  askBeside(): boolean {
    const choice = this.choice.elsewhere(this.call.slot);
    if (choice === undefined) return false;
    const next = new Attempt(choice, this.call);
    this.rival = next;
    next.rival = this;
    this.call.askBeside(next);
    return true;
  }

  /** It is about to be sent. */
  sent(): void {
    this.choice.copy!.inFlight++;
    this.sentAt = this.call.caller.cluster.turn.micros;
  }

  /** Whether it could be asked elsewhere beside, having waited for so long, in microseconds. */
  waits(micros: number, now: number): boolean {
    const alone = this.rival === undefined && !this.over && !this.begun && !this.call.settled;
    return alone && elapsed(this.sentAt, now) > micros;
  }

  reply(bytes: Buffer, from: number, to: number): void {
    this.arrived();
    if (this.over) return;
    if (this.choice.atReplica && (bytes[from] === MINUS || this.mustBeConfirmed(bytes, from, to)))
      return this.askPrimary();
    this.win();
    this.call.reply(bytes, from, to);
  }

  /** Unless another was asked beside it, who will answer. */
  private askPrimary(): void {
    this.over = true;
    if (this.rival === undefined || this.rival.over) this.call.askPrimary();
  }

  piece(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (last) this.arrived();
    if (this.begun) return this.call.piece(bytes, from, to, last);
    if (this.over) return;
    if (this.choice.atReplica && this.mustBeConfirmed(bytes, from, to)) return this.askPrimary();
    this.begun = true;
    this.win();
    this.call.piece(bytes, from, to, last);
  }

  lost(sent: boolean, begun: boolean, reason: string): void {
    this.choice.copy!.inFlight--;
    if (this.begun) return this.call.lost(sent, begun, reason);
    if (this.over) return;
    this.over = true;
    if (this.rival === undefined || this.rival.over) this.call.lostAt(this, sent, reason);
  }

  /** Its answer is the one that counts. */
  private win(): void {
    this.over = true;
    if (this.choice.atReplica) this.call.caller.cluster.counters.totals[TOTAL.readsAtReplicas]! += 1;
    if (this.rival !== undefined) this.rival.over = true;
  }

  private arrived(): void {
    const copy = this.choice.copy!;
    const { turn, copies } = this.call.caller.cluster;
    const micros = elapsed(this.sentAt, turn.micros);
    copy.inFlight--;
    copy.took(micros);
    copies.onReply?.(micros);
  }

  private mustBeConfirmed(bytes: Buffer, from: number, to: number): boolean {
    return !this.call.caller.cluster.options.replicasKnowMoves && isVoid(bytes, from, to);
  }
}
