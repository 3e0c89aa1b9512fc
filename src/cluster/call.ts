// One command under way to the cluster: sent, redirected, held, sent again, answered once. Hot.
//
//   start --> at a node --reply--------------------------> answer
//               ^   |---MOVED, ASK--> at another node
//               |   |---TRYAGAIN----> delayed ----.      (or done key by key: apart.ts)
//               |   |---DOWN, lost--> at the gate -|
//               '----------------------------------'        too long, too often -> answer with the error
//
// The invariant: a command is sent again only when it is certain that it was not executed (its bytes never
// left, or the node said so) or when it only reads. Otherwise its outcome is unknown, and the client is told.

import { asServerSaid, notHeld, notServed, outcomeUnknown, readLost } from '../resp/errors.ts';
import { TOTAL } from '../telemetry/counters.ts';
import { Apart, type Divided, type Pieces } from './apart.ts';
import type { Attempt } from './attempt.ts';
import type { Cluster } from './cluster.ts';
import type { Waiting } from './gate.ts';
import type { Lane } from './lanes.ts';
import type { Link, Pending } from './link.ts';
import type { Node } from './node.ts';
import { ASK, DOWN, MOVED, NONE, READONLY, redirectOf, TRYAGAIN, targetOf } from './redirect.ts';
import { adoptSlab, type Slab } from './slab.ts';
import { elapsed } from './turn.ts';

/** Who sends a call: a client's connection, or the proxy itself. */
export interface Caller {
  readonly cluster: Cluster;
  readonly lane: Lane;
  callStarted(call: Call): void;
  /** The call is no longer where the map says that its slot is. */
  callLoose(call: Call): void;
  /** The call is answered and holds nothing back any more. */
  callSettled(call: Call): void;
  /** The call has come to its slot's gate (1) or has left it (-1). */
  callHeld(call: Call, change: 1 | -1): void;
  /** A write of the same caller to the same slot was made after this call and may have been executed. */
  writesBehind(call: Call): boolean;
}

/** In `Call.slot`: bound to one node, to be followed nowhere. */
export const FIXED = -1;
/** Redirects that are followed at once; further ones wait, since nodes that disagree need time. */
const IMMEDIATE = 3;

const MINUS = 45;
const LF = 10;
const REFUSED_LOGIN = /^(WRONGPASS|NOAUTH|NOPERM) /;
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

export abstract class Call implements Pending, Waiting, Divided {
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
  private request: Slab | undefined = undefined;
  private requestFrom = 0;
  private requestTo = 0;
  private trouble: Trouble | undefined = undefined;
  /** Of a read that several nodes may answer: whom it asks. Undefined: it is the primary's affair. */
  attempt: Attempt | undefined = undefined;

  constructor(caller: Caller, slot: number, reads: boolean, loose: boolean) {
    this.caller = caller;
    this.slot = slot;
    this.reads = reads;
    this.loose = loose;
    this.since = caller.cluster.turn.micros;
    this.sequence = sequence = (sequence + 1) & SEQUENCE_MASK;
    caller.callStarted(this);
  }

  /** The whole reply, or an error of the proxy's own. The bytes are valid during the call only. */
  protected abstract answer(bytes: Buffer, from: number, to: number): void;
  /** The next bytes of a long reply. */
  protected abstract answerPiece(bytes: Buffer, from: number, to: number, last: boolean): void;
  /** A long reply broke off in the middle. */
  protected abstract answerBroken(reason: string): void;

  /** Whether the node has all that the call needs; false: that is being seen to, ask again. Whoever is told true sends. */
  protected ready(_node: Node): boolean {
    return true;
  }

  /** An error that asks nothing of the road. True: the call is under way again, by `mend`. */
  protected lacks(_bytes: Buffer, _from: number, _to: number): boolean {
    return false;
  }

  /** Commands that together do the same, one for each key: `bytes` is the whole command. Undefined: there are none. */
  protected cut(_bytes: Buffer, _from: number, _to: number): Pieces | undefined {
    return undefined;
  }

  /** Where it belongs: the owner of its slot, as a rule. */
  get destination(): Node | undefined {
    const { attempt } = this;
    if (attempt !== undefined && (attempt.atReplica || attempt.copy === undefined)) return attempt.copy?.node;
    return this.caller.cluster.ownerOf(this.slot);
  }

  /** It was sent to the owner of its slot, which the map does not name any more. */
  get isAstray(): boolean {
    if (this.attempt?.atReplica === true) return false;
    return this.node !== (this.destination ?? this.caller.cluster.primaryOf(this.slot));
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

  private linkTo(node: Node): Link {
    const { attempt, caller } = this;
    return node.link(attempt?.atReplica === true ? attempt.reads.lane : caller.lane);
  }

  /** Others wait for its slot's owner, and it would overtake them. */
  private get heldBack(): boolean {
    return this.caller.cluster.gates.holdsBack(this) && this.attempt?.atReplica !== true;
  }

  /**
   * The node has not executed it for want of something. When `mended` is true it is sent again, else the error,
   * of which a copy is kept, is its answer. False: it has been sent often enough.
   */
  mend(mended: Promise<boolean>, bytes: Buffer, from: number, to: number): boolean {
    if (this.late || ++this.troubled().redirects > this.caller.cluster.options.redirects) return false;
    const error = Buffer.from(bytes.subarray(from, to));
    this.node = undefined;
    this.caller.callLoose(this);
    mended.then((good) => (good ? this.sendAgain() : this.end(error)));
    return true;
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

  /** Sends it to one node, whatever slots that has. */
  startAt(node: Node, bytes: Buffer, from: number, to: number): void {
    this.keep(bytes, from, to);
    this.sendTo(node, false);
  }

  reply(bytes: Buffer, from: number, to: number): void {
    if (bytes[from] !== MINUS || !this.bounce(bytes, from, to)) this.conclude(bytes, from, to);
  }

  /** Answers, whatever the reply says. */
  protected conclude(bytes: Buffer, from: number, to: number): void {
    this.settle();
    this.answer(bytes, from, to);
  }

  join(reply: Buffer): void {
    this.conclude(reply, 0, reply.length);
  }

  piece(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (last) this.settle();
    this.answerPiece(bytes, from, to, last);
  }

  lost(sent: boolean, begun: boolean, reason: string): void {
    const { cluster } = this.caller;
    if (begun) {
      this.settle();
      return this.answerBroken(reason);
    }
    // A refused login says nothing of the slot: nobody else's commands shall wait for it.
    if (!sent && REFUSED_LOGIN.test(reason)) return this.end(asServerSaid(reason));
    if (this.slot !== FIXED && (!sent || (this.reads && !this.caller.writesBehind(this)))) {
      cluster.counters.totals[TOTAL.retries]! += 1;
      this.troubled().lastError = notServed(reason);
      return this.hold();
    }
    this.end(this.whyLost(sent, reason));
  }

  private whyLost(sent: boolean, reason: string): Buffer {
    if (!sent) return notServed(reason);
    if (this.reads) return this.slot === FIXED ? notServed(reason) : readLost(reason);
    this.caller.cluster.counters.totals[TOTAL.unknownOutcomes]! += 1;
    return outcomeUnknown(reason);
  }

  // ---- reads that several nodes may answer

  /** The primary is asked, whatever others have said. */
  askPrimary(): void {
    this.attempt = undefined;
    this.node = undefined;
    this.caller.cluster.counters.totals[TOTAL.readsConfirmed]! += 1;
    if (!this.trySend()) this.hold();
  }

  /** The link of an attempt was lost, and nobody else has been asked. */
  lostAt(attempt: Attempt, sent: boolean, reason: string): void {
    // What was sent behind a read is behind it at the primary alone.
    const tied = sent && !attempt.atReplica && this.caller.writesBehind(this);
    const next = tied
      ? undefined
      : (attempt.elsewhere() ?? (attempt.atReplica ? attempt.nobody() : undefined));
    if (next === undefined) return this.lost(sent, false, reason);
    this.attempt = next;
    this.node = undefined;
    this.caller.callLoose(this);
    this.caller.cluster.counters.totals[TOTAL.readsElsewhere]! += 1;
    if (!this.trySend()) this.hold();
  }

  /** Asks another node as well: the first answer counts. */
  askBeside(next: Attempt): void {
    this.attempt = next;
    this.caller.callLoose(this);
    const { bytes } = this.request!;
    this.sendOn(this.linkTo(next.copy!.node), bytes, this.requestFrom, this.requestTo).release();
  }

  isOf(other: Waiting): boolean {
    return other instanceof Call && other.caller === this.caller;
  }

  isBefore(other: Waiting): boolean {
    return other instanceof Call && ((other.sequence - this.sequence) & SEQUENCE_MASK) < SEQUENCE_MASK / 2;
  }

  get length(): number {
    return this.requestTo - this.requestFrom;
  }

  sendFromGate(): boolean {
    if (this.attempt === undefined) return this.trySend();
    this.attempt = this.attempt.again();
    const { cluster } = this.caller;
    if (this.attempt.copy === undefined && cluster.turn.now - this.heldSince > cluster.options.holdFor) {
      this.end(notServed(`no replica of slot ${this.slot} may be read from (reads.from)`));
      return true;
    }
    // A replica may answer, which says nothing of the slot's owner: others go on waiting for that.
    if (this.attempt.atReplica) {
      cluster.gates.left(this);
      this.heldSince = 0;
      this.atGate = false;
    }
    return this.trySend();
  }

  private trySend(): boolean {
    const node = this.destination;
    if (node === undefined || this.heldBack) return false;
    if (this.attempt?.atReplica !== true && !this.ready(node)) return false;
    this.sendTo(node, false);
    return true;
  }

  goOn(): void {
    this.troubled().redirects = 0;
    this.sendAgain();
  }

  private sendAgain(): void {
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

  /** Answers with an error that no node has just sent. */
  private end(error: Buffer): void {
    const reply = this.trouble?.apart?.withRest(error) ?? error;
    this.caller.cluster.gates.left(this);
    this.heldSince = 0;
    this.settle();
    this.answer(reply, 0, reply.length);
  }

  private troubled(): Trouble {
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

  private sendTo(node: Node, asking: boolean): void {
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

  /** It has been under way for longer than it may. */
  private get late(): boolean {
    const { cluster } = this.caller;
    return elapsed(this.since, cluster.turn.micros) > cluster.options.requestTimeout * 1000;
  }

  private hold(): void {
    const { gates } = this.caller.cluster;
    this.node = undefined;
    this.caller.callLoose(this);
    // A read that waits for a replica: its slot's owner may be well.
    if (this.attempt !== undefined && this.attempt.copy === undefined) gates.delay(this);
    else gates.hold(this);
  }

  /** Follows a "not executed". False when it is none, or has been followed often enough: the client gets it. */
  bounce(bytes: Buffer, from: number, to: number): boolean {
    if (this.slot === FIXED) return false;
    const kind = redirectOf(bytes, from, to);
    if (kind === NONE) return this.lacks(bytes, from, to);
    const { cluster } = this.caller;
    if (this.late) return false;
    // From here on it is the affair of those who have the slot.
    if (kind === MOVED || kind === ASK || kind === TRYAGAIN) this.attempt = undefined;
    if (kind === MOVED || kind === ASK) return this.follow(kind, bytes, from, to);
    this.troubled().lastError = Buffer.from(bytes.subarray(from, to));
    cluster.counters.totals[TOTAL.redirectsOther]! += 1;
    if (kind === TRYAGAIN) {
      // Time alone bounds it: on a slot that is being imported each try is an ASK as well.
      this.troubled().redirects = 0;
      this.node = undefined;
      this.caller.callLoose(this);
      this.tryAgain();
      return true;
    }
    if (kind === DOWN || kind === READONLY)
      cluster.ask(bytes.toString('latin1', from + 1, Math.min(to - 2, from + 80)));
    this.hold();
    return true;
  }

  /** Its keys are apart: they are done one by one where that is the same, else waited for until they are together. */
  private tryAgain(): void {
    const { gates } = this.caller.cluster;
    const trouble = this.troubled();
    const pieces =
      trouble.apart === undefined && this.cut(this.request!.bytes, this.requestFrom, this.requestTo);
    if (!pieces) return gates.delay(this);
    trouble.apart = new Apart(this, pieces);
    gates.stepAside(this);
    this.sendAgain();
  }

  private follow(kind: number, bytes: Buffer, from: number, to: number): boolean {
    const { cluster } = this.caller;
    const target = targetOf(bytes, from, to);
    // A script may say anything; the server speaks of the slot that was asked for.
    if (target === undefined || target.slot !== this.slot) return false;
    if (++this.troubled().redirects > cluster.options.redirects) return false;
    const host = target.host === '' ? this.node!.host : target.host;
    cluster.counters.totals[kind === MOVED ? TOTAL.redirectsMoved : TOTAL.redirectsAsk]! += 1;
    this.caller.callLoose(this);
    const node =
      kind === MOVED ? cluster.moved(target.slot, host, target.port) : cluster.nodeAt(host, target.port);
    const unready = !cluster.gates.holdsBack(this) && !this.ready(node);
    // While a node is being made ready, time alone bounds it.
    if (unready) this.troubled().redirects--;
    if (
      unready ||
      (this.troubled().redirects > IMMEDIATE && kind === MOVED) ||
      cluster.gates.holdsBack(this)
    ) {
      this.troubled().lastError = Buffer.from(bytes.subarray(from, to));
      this.hold();
    } else this.sendTo(node, kind === ASK);
    return true;
  }

  private settle(): void {
    this.settled = true;
    this.request?.release();
    this.request = undefined;
    if (this.trouble !== undefined) {
      if (this.trouble.heldSince !== 0) this.caller.cluster.gates.settled(this);
      this.atGate = false;
    }
    this.caller.callSettled(this);
  }
}
