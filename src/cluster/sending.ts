// A command's bytes on their way to a node: sent, held back, sent again. Hot.
//
//   start --> the owner of its slot, or the node of its attempt --> a link
//        '--> nobody takes it, or others wait --> the slot's gate --> ... --> a link
//
// What comes back, and what is done then, is in call.ts.

import { notHeld, notServed } from '../resp/errors.ts';
import { TOTAL } from '../telemetry/counters.ts';
import type { Apart } from './apart.ts';
import { Attempt, type Choice, type Read } from './attempt.ts';
import type { Cluster } from './cluster.ts';
import type { Waiting } from './gate.ts';
import type { Lane } from './lanes.ts';
import type { Link } from './link.ts';
import type { Node } from './node.ts';
import { adoptSlab, type Slab } from './slab.ts';

/** Who sends a call: a client's connection, or the proxy itself. */
export interface Caller {
  readonly cluster: Cluster;
  readonly lane: Lane;
  callStarted(call: Sending): void;
  /** The call is no longer where the map says that its slot is. */
  callLoose(call: Sending): void;
  /** The call is answered and holds nothing back any more. */
  callSettled(call: Sending): void;
  /** The call has come to its slot's gate (1) or has left it (-1). */
  callHeld(call: Sending, change: 1 | -1): void;
  /** More of the same caller waits at the gate of the call's slot. */
  holdsMore(call: Sending): boolean;
  /** A write of the same caller to the same slot was made after this call and may have been executed. */
  writesBehind(call: Sending): boolean;
}

/** In `Sending.slot`: bound to one node, to be followed nowhere. */
export const FIXED = -1;
const LF = 10;
/** Calls are numbered as they are made; the numbers go round, and two that are under way are never half a round apart. */
const SEQUENCE_MASK = 0x3fffffff;
let sequence = 0;

/** What only a call that was not answered at once needs to remember. */
interface Trouble {
  /** It is not where the map says, or waits. */
  away: boolean;
  /** It waits at its slot's gate, or is the one that is being tried there. */
  gated: boolean;
  /** When it began to wait, in `turn.now`; 0 when it does not wait. */
  heldSince: number;
  redirects: number;
  lastError: Buffer | undefined;
  /** It is done key by key. */
  apart: Apart | undefined;
}

export abstract class Sending implements Read, Waiting {
  readonly caller: Caller;
  readonly slot: number;
  /** Only reads, so it may be asked again when a connection was lost. */
  readonly reads: boolean;
  /** Where it is; undefined while it waits. */
  node: Node | undefined = undefined;
  /** Not where the map says, or of several keys, which may be told to try again: see `Client`. */
  loose: boolean;
  settled = false;
  /** When it was made, in `turn.micros`. */
  readonly since: number;
  private readonly sequence: number;

  /** Its own bytes: `[requestFrom, requestTo)` of a slab. */
  protected request: Slab | undefined = undefined;
  protected requestFrom = 0;
  protected requestTo = 0;
  protected trouble: Trouble | undefined = undefined;
  /** Of a read that several nodes may answer: whom it asks. Undefined: it is the primary's affair. */
  attempt: Attempt | undefined;

  constructor(caller: Caller, slot: number, reads: boolean, loose: boolean, choice?: Choice) {
    this.caller = caller;
    this.slot = slot;
    this.reads = reads;
    // A write behind it could reach a replica before it does.
    this.loose = loose || choice?.aside === true;
    this.attempt = choice === undefined ? undefined : new Attempt(choice, this);
    this.since = caller.cluster.turn.micros;
    this.sequence = sequence = (sequence + 1) & SEQUENCE_MASK;
    caller.callStarted(this);
  }

  abstract reply(bytes: Buffer, from: number, to: number): void;
  abstract piece(bytes: Buffer, from: number, to: number, last: boolean): void;
  abstract lost(sent: boolean, begun: boolean, reason: string): void;
  abstract askPrimary(): void;
  abstract askBeside(next: Attempt): void;
  abstract lostAt(attempt: Attempt, sent: boolean, reason: string): void;
  /** Answers with an error that no node has just sent. */
  protected abstract end(error: Buffer): void;

  /** Whether the node has all that the call needs; false: that is being seen to, ask again. Whoever is told true sends. */
  protected ready(_node: Node): boolean {
    return true;
  }

  /** Where it belongs: the owner of its slot, as a rule. */
  get destination(): Node | undefined {
    const choice = this.attempt?.choice;
    if (choice?.aside === true) return choice.copy?.node;
    return this.caller.cluster.ownerOf(this.slot);
  }

  /** It was sent to the owner of its slot, which the map does not name any more. */
  get isAstray(): boolean {
    if (this.atReplica) return false;
    return this.node !== (this.destination ?? this.caller.cluster.primaryOf(this.slot));
  }

  private get atReplica(): boolean {
    return this.attempt?.choice.atReplica === true;
  }

  /** Sends it where it belongs. */
  start(bytes: Buffer, from: number, to: number): void {
    const node = this.destination;
    if (node === undefined || this.heldBack) {
      this.keep(bytes, from, to);
      this.hold();
      return;
    }
    this.node = node;
    const slab = this.sendOn(this.linkTo(node), bytes, from, to);
    this.request = slab;
    this.requestTo = slab.used;
    this.requestFrom = slab.used - (to - from);
  }

  /** Puts its bytes on a link; they are the last ones of the slab. */
  protected sendOn(link: Link, bytes: Buffer, from: number, to: number): Slab {
    const { attempt } = this;
    if (attempt === undefined) return link.send(this, bytes, from, to);
    attempt.sent();
    return link.send(attempt, bytes, from, to);
  }

  protected linkTo(node: Node): Link {
    const choice = this.attempt?.choice;
    return node.link(choice?.atReplica === true ? choice.reads.lane : this.caller.lane);
  }

  /** Others wait for its slot's owner, and it would overtake them. */
  private get heldBack(): boolean {
    return this.caller.cluster.gates.holdsBack(this) && !this.atReplica;
  }

  /** Sends it to one node, whatever slots that has. */
  startAt(node: Node, bytes: Buffer, from: number, to: number): void {
    this.keep(bytes, from, to);
    this.sendTo(node, false);
  }

  /** Argument `i` of the command, a view of its bytes. Only while it is under way. Cold. */
  argument(i: number): Buffer {
    const { bytes } = this.request!;
    let at = bytes.indexOf(LF, this.requestFrom) + 1;
    for (let left = i; ; left--) {
      const line = bytes.indexOf(LF, at) + 1;
      const end = line + Number(bytes.toString('latin1', at + 1, line - 2));
      if (left === 0) return bytes.subarray(line, end);
      at = end + 2;
    }
  }

  isOf(other: Waiting): boolean {
    return other instanceof Sending && other.caller === this.caller;
  }

  isBefore(other: Waiting): boolean {
    return other instanceof Sending && ((other.sequence - this.sequence) & SEQUENCE_MASK) < SEQUENCE_MASK / 2;
  }

  get length(): number {
    return this.requestTo - this.requestFrom;
  }

  sendFromGate(): boolean {
    if (this.attempt === undefined) return this.trySend();
    const { cluster } = this.caller;
    // What its client has behind it here would overtake it: the owner serves them in their order.
    if (this.caller.holdsMore(this)) {
      this.attempt = undefined;
      return this.trySend();
    }
    const choice = this.attempt.choice.again(this.slot);
    this.attempt = new Attempt(choice, this);
    if (choice.copy === undefined && cluster.turn.now - this.heldSince > cluster.options.holdFor) {
      this.end(notServed(`no replica of slot ${this.slot} may be read from (reads.from)`));
      return true;
    }
    // A replica may answer, which says nothing of the slot's owner: others go on waiting for that.
    if (choice.atReplica) {
      cluster.gates.left(this);
      this.heldSince = 0;
      this.atGate = false;
    }
    return this.trySend();
  }

  protected trySend(): boolean {
    const node = this.destination;
    if (node === undefined || this.heldBack) return false;
    if (!this.atReplica && !this.ready(node)) return false;
    this.sendTo(node, false);
    return true;
  }

  protected sendAgain(): void {
    if (!this.trySend()) this.hold();
  }

  set atGate(at: boolean) {
    if (at === this.atGate) return;
    this.troubled().gated = at;
    this.caller.callHeld(this, at ? 1 : -1);
  }

  get atGate(): boolean {
    return this.trouble?.gated === true;
  }

  /** It is at a node, or was: what it writes may have been written. */
  get begun(): boolean {
    return this.node !== undefined || this.trouble?.apart !== undefined;
  }

  /** Not where the map says, or waiting. */
  get away(): boolean {
    return this.trouble?.away === true;
  }

  /** From now on it is not where the map says. */
  stray(): void {
    this.loose = this.troubled().away = true;
  }

  get heldSince(): number {
    return this.trouble?.heldSince ?? 0;
  }

  set heldSince(time: number) {
    if (time !== 0 || this.trouble !== undefined) this.troubled().heldSince = time;
  }

  /** Why it is not sent. */
  protected get whyHeld(): string {
    return this.caller.cluster.whyHeld(this.slot);
  }

  giveUp(): void {
    this.end(this.trouble?.lastError ?? notServed(this.whyHeld));
  }

  turnAway(setting: string, value: number): void {
    const { cluster } = this.caller;
    cluster.counters.totals[TOTAL.rejected]! += 1;
    this.end(notHeld(this.whyHeld, setting, value));
  }

  protected troubled(): Trouble {
    this.trouble ??= {
      away: false,
      gated: false,
      heldSince: 0,
      redirects: 0,
      lastError: undefined,
      apart: undefined,
    };
    return this.trouble;
  }

  private keep(bytes: Buffer, from: number, to: number): void {
    this.request = adoptSlab(Buffer.from(bytes.subarray(from, to)), to - from);
    this.request.refs = 1;
    this.requestFrom = 0;
    this.requestTo = to - from;
  }

  protected sendTo(node: Node, asking: boolean): void {
    const old = this.request!;
    const length = this.requestTo - this.requestFrom;
    this.node = node;
    const link = this.linkTo(node);
    const apart = this.trouble?.apart;
    if (apart !== undefined) return apart.send(link, asking);
    if (asking) link.asking();
    const slab = this.sendOn(link, old.bytes, this.requestFrom, this.requestTo);
    this.request = slab;
    this.requestTo = slab.used;
    this.requestFrom = slab.used - length;
    old.release();
  }

  protected hold(): void {
    const { gates } = this.caller.cluster;
    this.node = undefined;
    this.caller.callLoose(this);
    // A read that waits for a replica: its slot's owner may be well.
    if (this.attempt !== undefined && this.attempt.choice.copy === undefined) gates.delay(this);
    else gates.hold(this);
  }
}
