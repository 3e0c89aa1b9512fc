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

import { asServerSaid, notServed, outcomeUnknown, readLost } from '../resp/errors.ts';
import { TOTAL } from '../telemetry/counters.ts';
import { Apart, type Divided, type Pieces } from './apart.ts';
import { Attempt } from './attempt.ts';
import {
  ASK,
  DOWN,
  MOVED,
  NONE,
  READONLY,
  REFUSED_LOGIN,
  redirectOf,
  TRYAGAIN,
  targetOf,
} from './redirect.ts';
import { FIXED, Sending } from './sending.ts';
import { elapsed } from './turn.ts';

/** Redirects that are followed at once; further ones wait, since nodes that disagree need time. */
const IMMEDIATE = 3;

const MINUS = 45;

export abstract class Call extends Sending implements Divided {
  /** The whole reply, or an error of the proxy's own. The bytes are valid during the call only. */
  protected abstract answer(bytes: Buffer, from: number, to: number): void;
  /** The next bytes of a long reply. */
  protected abstract answerPiece(bytes: Buffer, from: number, to: number, last: boolean): void;
  /** A long reply broke off in the middle. */
  protected abstract answerBroken(reason: string): void;

  /** An error that asks nothing of the road. True: the call is under way again, by `mend`. */
  protected lacks(_bytes: Buffer, _from: number, _to: number): boolean {
    return false;
  }

  /** Commands that together do the same, one for each key: `bytes` is the whole command. Undefined: there are none. */
  protected cut(_bytes: Buffer, _from: number, _to: number): Pieces | undefined {
    return undefined;
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
    this.sendAgain();
  }

  /** The link of an attempt was lost, and nobody else has been asked. */
  lostAt({ choice }: Attempt, sent: boolean, reason: string): void {
    // What was sent behind a read is behind it at the primary alone.
    const tied = sent && !choice.atReplica && this.caller.writesBehind(this);
    const next = tied
      ? undefined
      : (choice.elsewhere(this.slot) ?? (choice.atReplica ? choice.later() : undefined));
    if (next === undefined) return this.lost(sent, false, reason);
    this.attempt = new Attempt(next, this);
    this.node = undefined;
    this.caller.callLoose(this);
    this.caller.cluster.counters.totals[TOTAL.readsElsewhere]! += 1;
    this.sendAgain();
  }

  /** Asks another node as well: the first answer counts. */
  askBeside(next: Attempt): void {
    this.attempt = next;
    this.node = next.choice.copy!.node;
    this.caller.callLoose(this);
    const { bytes } = this.request!;
    this.sendOn(this.linkTo(next.choice.copy!.node), bytes, this.requestFrom, this.requestTo).release();
  }

  goOn(): void {
    this.troubled().redirects = 0;
    this.sendAgain();
  }

  protected override end(error: Buffer): void {
    const reply = this.trouble?.apart?.withRest(error) ?? error;
    this.caller.cluster.gates.left(this);
    this.heldSince = 0;
    this.settle();
    this.answer(reply, 0, reply.length);
  }

  /** It has been under way for longer than it may. */
  private get late(): boolean {
    const { cluster } = this.caller;
    return elapsed(this.since, cluster.turn.micros) > cluster.options.requestTimeout * 1000;
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
