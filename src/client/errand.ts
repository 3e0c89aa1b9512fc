// Many commands of the proxy's own to many nodes, on a client's behalf and with its rights: what RMR.FANOUT and
// RMR.MAP send. Cold.
//
//   tasks --at most so many at a time--> calls --> nodes --> took(task, reply), as replies come
//                                                   '- late -> took(task, Timeout), and its reply is dropped
//
// Each task is answered exactly once, and all are when `send` resolves. A reply that comes later still is nobody's:
// so these calls are no part of the client's own order, which would have its next command wait for a node that says
// nothing. They take the links that the client's commands take, one behind the other.

import { Call } from '../cluster/call.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Lane } from '../cluster/lanes.ts';
import type { Node } from '../cluster/node.ts';
import { type Caller, FIXED, type Sending } from '../cluster/sending.ts';
import { type Command, SCRIPT } from '../command/command.ts';
import * as errors from '../resp/errors.ts';
import { ServerError } from './asker.ts';
import type { Client } from './client.ts';
import { copy, onlyReads } from './request.ts';
import { type SavedArguments, textOf } from './saved.ts';
import { laneOf } from './session.ts';

/** One command, and who is to have it. */
export interface Task {
  /** For errors: `node 10.0.0.1:6379`. */
  readonly label: string;
  /** `host:port`, as far as is known. */
  readonly node: string | undefined;
  readonly command: Command;
  readonly args: SavedArguments;
  /** The owner of a slot, with redirects followed; or one node and no other. An error that is known already. */
  readonly whom: number | Node | Buffer;
  /** Of a replica: its link is told READONLY. */
  readonly replica: boolean;
}

export interface Terms {
  readonly resp: 2 | 3;
  /** ms for all of them together. */
  readonly timeout: number;
  /** Under way at a time. */
  readonly most: number;
  /** Bytes of replies that are on their way in; above, one is an error. */
  readonly maxBytes: number;
}

/**
 * A task has its reply, an error reply too; `node` is who gave it. True: nothing more is wanted.
 */
export type Took = (task: number, reply: Buffer, node: string | undefined) => boolean;

/** How long until a node that had enough to do is looked at again, ms. */
const AGAIN = 5;

export class Errand {
  private readonly client: Client;
  private readonly tasks: readonly Task[];
  private readonly terms: Terms;
  private readonly took: Took;
  private readonly callers: (OnLane | undefined)[] = [];
  private readonly answered: Uint8Array;
  private next = 0;
  private left: number;
  private underWay = 0;
  private filling = false;
  private done: (error?: Error) => void = () => {};
  private isOver = false;
  /** Bytes of replies that are not whole yet. */
  private incoming = 0;

  private constructor(client: Client, tasks: readonly Task[], terms: Terms, took: Took) {
    this.client = client;
    this.tasks = tasks;
    this.terms = terms;
    this.took = took;
    this.left = tasks.length;
    this.answered = new Uint8Array(tasks.length);
  }

  /** Sends them all; resolves when each has been taken, or no more is wanted. Rejects when too much comes in. */
  static send(client: Client, tasks: readonly Task[], terms: Terms, took: Took): Promise<void> {
    return new Promise((resolve, reject) => {
      const errand = new Errand(client, tasks, terms, took);
      const timer = setTimeout(() => errand.end(), terms.timeout);
      errand.done = (error) => {
        clearTimeout(timer);
        for (const caller of errand.callers) caller?.leave();
        if (error === undefined) resolve();
        else reject(error);
      };
      errand.fill();
    });
  }

  private fill(): void {
    // What is answered at once comes back here.
    if (this.filling) return;
    this.filling = true;
    while (!this.isOver && this.underWay < this.terms.most && this.next < this.tasks.length) {
      const task = this.tasks[this.next]!;
      if (!this.hasRoom(task)) break;
      this.underWay++;
      void this.start(this.next++, task);
    }
    this.filling = false;
  }

  /** False when its node has enough to do for now: it is looked at again. */
  private hasRoom({ whom, replica }: Task): boolean {
    if (Buffer.isBuffer(whom)) return true;
    const node = typeof whom === 'number' ? this.client.cluster.ownerOf(whom) : whom;
    if (node?.link(this.callerTo(replica).lane).full !== true) return true;
    // No `whenRoom`: a node that never has room again would keep every errand that waited for it.
    setTimeout(() => this.fill(), AGAIN);
    return false;
  }

  private callerTo(replica: boolean): OnLane {
    const at = Number(replica);
    this.callers[at] ??= new OnLane(this.client, this.terms.resp, replica);
    return this.callers[at];
  }

  private async start(at: number, task: Task): Promise<void> {
    const { command, args, whom, replica } = task;
    if (Buffer.isBuffer(whom)) return this.take(at, whom, undefined);
    for (let wait = this.equip(task); wait !== undefined; wait = this.equip(task)) await wait;
    if (this.isOver) return;
    const slot = typeof whom === 'number' ? whom : FIXED;
    const call: ErrandCall = new ErrandCall(this.callerTo(replica), slot, onlyReads(command), {
      take: (reply) => this.take(at, reply, call.node?.address),
      grow: (bytes) => this.grow(bytes),
      isGone: () => this.isOver,
    });
    if (typeof whom === 'number') call.start(args.request, 0, args.request.length);
    else call.startAt(whom, args.request, 0, args.request.length);
  }

  /** Scripts and functions that one shard knows are known to all: see scripts.ts. What has to be waited for, if anything. */
  private equip({ command, args, whom, replica }: Task): Promise<unknown> | undefined {
    if (command.script === SCRIPT.none || Buffer.isBuffer(whom) || this.isOver) return undefined;
    const { repertoire, cluster } = this.client;
    if (command.script === SCRIPT.source) {
      repertoire.learn(args.bytes, args.starts[1]!, args.ends[1]!);
      return undefined;
    }
    const node = typeof whom === 'number' ? cluster.ownerOf(whom) : whom;
    return (
      node && repertoire.prepare(command.script, args.text(1), node, node.link(this.callerTo(replica).lane))
    );
  }

  private grow(bytes: number): void {
    this.incoming += bytes;
    const { maxBytes } = this.terms;
    if (this.incoming > maxBytes) this.finish(tooMuch(maxBytes));
  }

  private take(at: number, reply: Buffer, node: string | undefined): void {
    if (this.isOver) return;
    this.answered[at] = 1;
    this.underWay--;
    this.left--;
    if (this.took(at, reply, node ?? this.tasks[at]!.node) || this.left === 0) return this.finish();
    this.fill();
  }

  /** Time is up: whoever has not answered is late. */
  private end(): void {
    const { timeout } = this.terms;
    for (const [at, { command, node }] of this.tasks.entries()) {
      if (this.isOver) return;
      if (this.answered[at] === 1) continue;
      const sent = at < this.next;
      this.left--;
      const late = errors.late(timeout, sent && !onlyReads(command));
      if (this.took(at, late, node) || this.left === 0) this.finish();
    }
  }

  private finish(error?: Error): void {
    if (this.isOver) return;
    this.isOver = true;
    this.done(error);
  }
}

/** More was gathered than may be. */
export function tooMuch(maxBytes: number): ServerError {
  return new ServerError(textOf(errors.limit('functions.maxReplyBytes', maxBytes)));
}

/** A lane of its own, kept until all calls on it are answered. What they write, the client has written. */
class OnLane implements Caller {
  readonly cluster: Cluster;
  readonly lane: Lane;
  private readonly client: Client;
  private inFlight = 0;
  private leaving = false;

  constructor(client: Client, resp: 2 | 3, readOnly: boolean) {
    const { cluster, session } = client;
    this.client = client;
    this.cluster = cluster;
    this.lane = cluster.enterLane({ ...laneOf(cluster, session), resp, readOnly });
  }

  leave(): void {
    this.leaving = true;
    if (this.inFlight === 0) this.cluster.leaveLane(this.lane);
  }

  callStarted(): void {
    this.inFlight++;
  }

  callSettled(call: Sending): void {
    if (!call.reads) {
      this.client.wrote = -1;
      this.client.reading?.wroteAnywhere();
    }
    if (--this.inFlight === 0 && this.leaving) this.cluster.leaveLane(this.lane);
  }

  callLoose(): void {}
  callHeld(): void {}

  holdsMore(): boolean {
    return false;
  }

  /** The tasks of one errand have no order among themselves. */
  writesBehind(): boolean {
    return false;
  }
}

interface Taker {
  take(reply: Buffer): void;
  /** So much more of the reply has come; negative: is not held any more. */
  grow(bytes: number): void;
  /** Nobody wants it any more. */
  isGone(): boolean;
}

class ErrandCall extends Call {
  private readonly taker: Taker;
  private pieces: Buffer[] = [];
  private held = 0;

  constructor(caller: Caller, slot: number, reads: boolean, taker: Taker) {
    super(caller, slot, reads, false);
    this.taker = taker;
  }

  protected override answer(bytes: Buffer, from: number, to: number): void {
    if (!this.taker.isGone()) this.taker.take(copy(bytes, from, to));
  }

  protected override answerPiece(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (this.taker.isGone()) return this.drop();
    this.pieces.push(copy(bytes, from, to));
    this.held += to - from;
    this.taker.grow(to - from);
    if (!last || this.taker.isGone()) return;
    const reply = Buffer.concat(this.pieces);
    this.drop();
    this.taker.take(reply);
  }

  protected override answerBroken(reason: string): void {
    this.drop();
    this.taker.take(Buffer.from(`-ERR slotless: a reply broke off: ${reason}\r\n`));
  }

  private drop(): void {
    this.taker.grow(-this.held);
    this.held = 0;
    this.pieces = [];
  }
}
