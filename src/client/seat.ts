// One blocking call at one slot, on a link of its own: followed through moves and failovers with the time that
// is left, until a server answers it or it is ended.
//
//   borrow a link --> HELLO, the call --id--> at the server --reply--> the link is given back
//        ^                                      |      |
//        |---- MOVED, ASK, TRYAGAIN, demoted ---'      '-- end(): CLIENT UNBLOCK <id> over the shared link
//        '---- link lost, the slot has moved
//
// The invariant: a call that may be at a server is never left by closing its link while that server answers,
// since an element could be popped for nobody. CLIENT UNBLOCK makes the server itself choose between the element
// and the end. HELLO, which every user may give, tells the connection's id, and when its reply is there the
// call has been read too. Cold.
//
// A link lost while the call is at the server: it goes on at the slot's owner. A lone server's client whose
// connection breaks could not know either whether something was popped for it.

import { delayAfter } from '../cluster/breaker.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Lane } from '../cluster/lanes.ts';
import type { Link, Pending } from '../cluster/link.ts';
import type { Node } from '../cluster/node.ts';
import {
  ASK,
  MOVED,
  NONE,
  READONLY,
  REFUSED_LOGIN,
  redirectOf,
  TRYAGAIN,
  targetOf,
} from '../cluster/redirect.ts';
import { isNil, type Timeout, withTimeLeft } from '../command/blocking.ts';
import * as errors from '../resp/errors.ts';
import { command as encodeCommand, nilArray } from '../resp/write.ts';
import { TOTAL } from '../telemetry/counters.ts';
import { Asker, type OnBehalf } from './asker.ts';
import { collect, type Lost } from './collect.ts';
import type { HowToUnblock } from './context.ts';
import { type Waiting, watch } from './lookout.ts';
import { sendOnce } from './once.ts';
import { ASKING, SWALLOW } from './owner.ts';

const MINUS = 45;
const HELLO = encodeCommand(['HELLO']);
/** What a call waits that is only asked for what is there, where it waits at all, ms. */
const SHORTEST = 1;
const DEMOTED = /^-UNBLOCKED force unblock/;
/** What a server says to CLIENT UNBLOCK id ERROR. */
const UNBLOCKED = '-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n';
/** Redirects that are followed at once. */
const IMMEDIATE = 3;
/** Having been at a server for so long, a call had been taken: troubles are counted anew. */
const TAKEN = 250;
/** A call that goes out so soon goes out as it came, ms. */
const PRECISION = 5;
const FIRST_PAUSE = 5;
const LONGEST_PAUSE = 100;

/** What a call needs to be made. */
export interface BlockingCall {
  readonly client: OnBehalf;
  /** Kept by the caller until all is done. */
  readonly lane: Lane;
  readonly words: readonly Buffer[];
  /** What it takes is taken away. */
  readonly writes: boolean;
  readonly timeout: Timeout;
  /** When its time is over, by performance.now(). */
  readonly deadline: number;
}

export class Seat implements Waiting {
  readonly slot: number;
  /** The call is at a server, which has not answered at once. */
  blocked = false;
  /** Told when it begins to wait, at a server or for one. */
  onWaiting: () => void = () => {};

  private readonly call: BlockingCall;
  /** Only what is there now, as inside a MULTI: nothing blocks. */
  private readonly once: boolean;
  private how: HowToUnblock | undefined = undefined;
  /** Called away from a node that has lost the slot. */
  private recalled = false;
  private node: Node | undefined = undefined;
  private link: Link | undefined = undefined;
  private asking = false;
  private id = '';
  private attempts = 0;
  /** When it was last taken by a server that did not answer at once. */
  private blockedAt = 0;
  private wake: (() => void) | undefined = undefined;
  /** What the node has been asked to end it, and has not answered. */
  private readonly unblocking = new Set<Promise<unknown>>();

  constructor(call: BlockingCall, slot: number, once = false) {
    this.call = call;
    this.slot = slot;
    this.once = once;
  }

  /** A server has been asked and may answer at once. */
  get asks(): boolean {
    return this.link !== undefined && !this.blocked;
  }

  /** It has blocked at a server at some time. */
  get wasBlocked(): boolean {
    return this.blockedAt > 0;
  }

  /** Makes the call; the raw reply, or an error of the proxy's own. Once. */
  async run(): Promise<Buffer> {
    const { cluster } = this;
    const { redirects, holdFor } = cluster.options;
    let node = cluster.ownerOf(this.slot);
    let troubledSince = 0;
    let bounces = 0;
    let last: Buffer | undefined;
    const stop = watch(cluster, this);
    try {
      for (;;) {
        if (this.how !== undefined) return this.endedHere(this.how);
        const now = performance.now();
        // A call that no server could be asked at all is not answered with "nothing there".
        if (now >= this.call.deadline && this.blockedAt > 0) return this.endedHere('TIMEOUT');
        if (node === undefined) {
          troubledSince ||= now;
          if (now - troubledSince > holdFor) return last ?? errors.notServed(cluster.whyHeld(this.slot));
          await this.pause(delayAfter(Math.min(bounces++, 10), cluster.options));
          node = cluster.ownerOf(this.slot);
          this.asking = false;
          continue;
        }
        const link = node.borrow(this.call.lane, true);
        if (link === undefined) return errors.limit('node.blocked', cluster.options.blocked);
        const reply = await this.ask(node, link);
        if (this.blockedAt > now && performance.now() - this.blockedAt > TAKEN) troubledSince = bounces = 0;
        if (!Buffer.isBuffer(reply)) {
          node.discard(link);
          const { reason, sent } = reply;
          if (REFUSED_LOGIN.test(reason)) return errors.asServerSaid(reason);
          last = errors.notServed(reason);
          if (sent && this.call.writes) cluster.counters.totals[TOTAL.unknownOutcomes]! += 1;
          if (!this.recalled) cluster.ask(`a link to ${node.address} was lost`);
          this.recalled = false;
          node = undefined;
          continue;
        }
        await this.release(node, link);
        if (this.recalled) {
          this.recalled = false;
          if (isNil(reply)) {
            node = cluster.ownerOf(this.slot);
            this.asking = false;
            continue;
          }
        }
        const kind = reply[0] === MINUS ? kindOf(reply) : NONE;
        if (kind === NONE) return reply;
        last = reply;
        const target = kind === MOVED || kind === ASK ? targetOf(reply, 0, reply.length) : undefined;
        if (target !== undefined) {
          if (++bounces > redirects) {
            node = undefined;
            continue;
          }
          const { totals } = cluster.counters;
          totals[kind === MOVED ? TOTAL.redirectsMoved : TOTAL.redirectsAsk]! += 1;
          const host = target.host === '' ? node.host : target.host;
          this.asking = kind === ASK;
          node =
            kind === ASK ? cluster.nodeAt(host, target.port) : cluster.moved(this.slot, host, target.port);
          if (bounces > IMMEDIATE) await this.pause(FIRST_PAUSE * bounces);
          continue;
        }
        cluster.counters.totals[TOTAL.redirectsOther]! += 1;
        // A call with several keys waits so until its slot has arrived, for as long as it would block.
        if (kind === TRYAGAIN) {
          if (this.once) return nilArray(this.call.lane.resp);
          troubledSince = bounces = 0;
        } else cluster.ask(reply.toString('latin1', 1, 60));
        node = undefined;
      }
    } finally {
      stop();
    }
  }

  /** Ends it, where it is: `run` resolves with what comes of that, an element if one was popped just then. */
  end(how: HowToUnblock): void {
    if (this.how !== undefined) return;
    this.how = how;
    this.wake?.();
    if (this.blocked) this.unblock(how);
  }

  /** The map may be another: a node that has lost the slot is left, if it takes its time to send the call on. */
  look(): void {
    const owner = this.cluster.ownerOf(this.slot);
    // What it was sent to by ASK has become the owner.
    if (owner === this.node) this.asking = false;
    if (!this.blocked || this.asking || this.recalled || owner === undefined || owner === this.node) return;
    this.recalled = true;
    if (this.how === undefined) this.unblock('TIMEOUT');
  }

  private get cluster(): Cluster {
    return this.call.client.cluster;
  }

  private ask(node: Node, link: Link): Promise<Buffer | Lost> {
    this.node = node;
    this.link = link;
    this.id = '';
    link.patient = true;
    const { words, timeout, deadline } = this.call;
    const left = deadline - performance.now();
    const some = this.attempts++ > 0 || left < timeout.milliseconds - PRECISION;
    const rewrite = this.once ? timeout.valid : some && Number.isFinite(deadline) && timeout.at > 0;
    const request = encodeCommand(
      rewrite ? withTimeLeft(words, timeout, this.once ? SHORTEST : left) : words,
    );
    return new Promise((resolve) => {
      const done = (reply: Buffer | Lost) => {
        this.blocked = false;
        this.link = undefined;
        // One that was lost is used no more: see Cluster.linkLost.
        link.patient = !Buffer.isBuffer(reply);
        resolve(reply);
      };
      const send = (bytes: Buffer, pending: Pending) => link.send(pending, bytes, 0, bytes.length).release();
      send(
        HELLO,
        collect((reply) => this.arrived(link, reply)),
      );
      if (this.asking) send(ASKING, SWALLOW);
      // In MULTI, ASKING would be forgotten: the shortest time there is takes its place.
      if (this.once && !this.asking) sendOnce(send, request, done);
      else send(request, collect(done, done));
    });
  }

  /** The server has said hello, and has read the call with it. */
  private arrived(link: Link, hello: Buffer): void {
    this.id = /\r\nid\r\n:(\d+)\r\n/.exec(hello.toString('latin1'))?.[1] ?? '';
    const { attempts } = this;
    // What it answers at once has come in the same read.
    setImmediate(() => {
      if (this.link !== link || this.attempts !== attempts) return;
      this.blocked = true;
      this.blockedAt = performance.now();
      this.onWaiting();
      if (this.how !== undefined) this.unblock(this.how);
      else this.look();
    });
  }

  /** Has the server end the call. A node that does not answer in time is given up. */
  private async unblock(how: HowToUnblock): Promise<void> {
    const { link, node, id, attempts } = this;
    if (link === undefined || node === undefined) return;
    if (id === '') return link.close('its id is not known');
    // The same link may be borrowed for the next attempt.
    const isCurrent = () => this.link === link && this.attempts === attempts;
    const late = setTimeout(() => {
      if (isCurrent()) link.close('the node does not answer');
    }, link.options.connectTimeout);
    await Asker.asProxy(this.call.client, async (asker) => {
      // 0: the call has not begun to block yet, or its reply is on its way.
      for (let wait = FIRST_PAUSE; isCurrent(); wait = Math.min(wait * 2, LONGEST_PAUSE)) {
        const asked = asker.raw(node, ['CLIENT', 'UNBLOCK', id, how], false);
        this.unblocking.add(asked);
        const reply = await asked;
        this.unblocking.delete(asked);
        if (!isCurrent()) break;
        if (/^-(NOPERM|NOAUTH|WRONGPASS)/.test(reply.toString('latin1')))
          link.close('it may not be unblocked');
        else await new Promise((resolve) => setTimeout(resolve, wait));
      }
    });
    clearTimeout(late);
  }

  /** Gives a link back, but not while a CLIENT UNBLOCK for it is on its way: that could end the next one's call. */
  private async release(node: Node, link: Link): Promise<void> {
    if (this.unblocking.size === 0) return node.giveBack(this.call.lane, link);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, link.options.connectTimeout, false);
    });
    const answered = Promise.all(this.unblocking).then(() => true);
    if (await Promise.race([answered, late])) node.giveBack(this.call.lane, link);
    else node.discard(link);
    clearTimeout(timer);
  }

  private endedHere(how: HowToUnblock): Buffer {
    return endedReply(how, this.call.lane.resp);
  }

  private pause(milliseconds: number): Promise<void> {
    this.onWaiting();
    const left = this.call.deadline - performance.now();
    const time = left > 0 ? Math.min(milliseconds, left) : milliseconds;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, time);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** What a server answers to a call that CLIENT UNBLOCK has ended. */
export function endedReply(how: HowToUnblock, resp: 2 | 3): Buffer {
  return how === 'ERROR' ? Buffer.from(UNBLOCKED) : nilArray(resp);
}

function kindOf(reply: Buffer): number {
  return DEMOTED.test(reply.toString('latin1', 0, 40)) ? READONLY : redirectOf(reply, 0, reply.length);
}
