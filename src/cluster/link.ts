// One connection to a node, shared by many clients and pipelined. Hot.
//
// Commands are appended to a slab and to a FIFO of what is pending; replies come in the order of the commands,
// so the head of the FIFO owns the next one. A link never decides anything about a reply: it finds its end
// and hands it over, whole where it fits, in pieces where it is long.
//
//   send() -> [slab|slab] --flush, once a turn--> socket --chunk--> ReplyFramer --> ring[head].reply()
//             ring: | p0 | p1 | p2 | p3 | p4 |
//                     ^head      ^flushed  ^tail        p0..p2 are at the node, p3 and p4 are still here
//
// When the connection is lost, what had been written may have been executed and what had not cannot have
// been: each pending command is told which of the two it was, and answers for itself. A link connects when
// something is sent: see connection.ts.

import type { Socket } from 'node:net';
import { type Counters, TOTAL } from '../telemetry/counters.ts';
import { Breaker } from './breaker.ts';
import {
  CLOSED,
  CONNECTING,
  Connection,
  type ConnectionOptions,
  GREETING,
  IDLE,
  READY,
} from './connection.ts';
import { Outgoing } from './outgoing.ts';
import { Receiver, type Receiving } from './receiver.ts';
import type { Slab } from './slab.ts';
import { connectTo } from './socket.ts';
import type { Flushable, Turn } from './turn.ts';

/** What waits for a reply. The link calls `reply` once, or `piece` until `last`, or `lost` once. */
export interface Pending {
  /** A whole reply. The bytes are valid during the call only. */
  reply(bytes: Buffer, from: number, to: number): void;
  /** The next bytes of a reply too long to be handed over whole. Set `turn.taken` to keep a view of them. */
  piece(bytes: Buffer, from: number, to: number, last: boolean): void;
  /** The connection is gone. `sent`: the command may have reached the node. `begun`: a part of the reply was handed over. */
  lost(sent: boolean, begun: boolean, reason: string): void;
}

/** Told of a link's changes of state, and given what a node says unasked. */
export interface LinkOwner {
  linkReady(link: Link): void;
  /** `failures`: how many in a row, this one counted. */
  linkLost(link: Link, reason: string, failures: number): void;
  /** A RESP3 push. The bytes are valid during the call only. */
  linkPush(link: Link, bytes: Buffer, from: number, to: number): void;
}

export interface LinkOptions extends ConnectionOptions {
  readonly requestTimeout: number;
  /** For how long a node that owes a reply may say nothing before it is doubted, ms. */
  readonly silence: number;
  readonly replyDepth: number;
  /** Commands without a reply, and bytes not sent, above which no more should be sent. */
  readonly maxPending: number;
  readonly maxPendingBytes: number;
}

/** What the node is known to have. Forgotten with the connection: behind the next one may be another process. */
export interface Known {
  /** From before a SCRIPT FLUSH or after it. */
  readonly era: number;
  /** SHA1s in lower case. */
  readonly scripts: Set<string>;
  readonly functions: Set<string>;
}

const PUSH = 62;

const PING = Buffer.from('*1\r\n$4\r\nPING\r\n');
const ASKING = Buffer.from('*1\r\n$6\r\nASKING\r\n');

export class Link extends Connection implements Flushable, Receiving {
  /** A command blocks on it: silence is no fault. To be set again by who gives the link back. */
  patient = false;
  override readonly options: LinkOptions;
  /** When something was last sent, in the turn's milliseconds. */
  sentAt = 0;
  /** For the client's side. */
  known: Known | undefined = undefined;

  private readonly owner: LinkOwner;
  private readonly turn: Turn;

  private ring: (Pending | undefined)[] = new Array(64).fill(undefined);
  private mask = 63;
  private head = 0;
  private flushed = 0;
  private tail = 0;

  private readonly outgoing = new Outgoing();
  /** Bytes that the kernel had not taken at the last flush. */
  private unsent = 0;
  private dirty = false;
  private congested = false;
  private onRoom = new Set<() => void>();

  private readonly receiver: Receiver;
  private openedAt = 0;
  private readAt = 0;
  private headAt = 0;

  constructor(
    options: LinkOptions,
    owner: LinkOwner,
    turn: Turn,
    counters: Counters,
    breaker: Breaker = new Breaker(options.host, options),
  ) {
    super(options, breaker, counters.totals);
    this.options = options;
    this.owner = owner;
    this.turn = turn;
    this.receiver = new Receiver(this, turn, options.replyDepth);
  }

  /** Commands without a reply yet. */
  get pending(): number {
    return this.tail - this.head;
  }

  /** True when no more should be sent for now: the sender waits for `whenRoom`. */
  get full(): boolean {
    const { maxPending, maxPendingBytes } = this.options;
    return this.tail - this.head >= maxPending || this.outgoing.unflushed + this.unsent > maxPendingBytes;
  }

  /**
   * Sends one command. Returns the slab that holds its bytes at `[slab.used - length, slab.used)`; the caller
   * releases it when the command needs no sending again.
   */
  send(pending: Pending, bytes: Buffer, from: number, to: number): Slab {
    const slab = this.outgoing.append(bytes, from, to);
    this.push(pending);
    return slab;
  }

  /**
   * Sends commands that nothing may come between, written one behind the other: the last one's reply is
   * `pending`'s, those of the `count - 1` before it go to `before`.
   */
  sendRun(pending: Pending, before: Pending, count: number, bytes: Buffer, from: number, to: number): Slab {
    const slab = this.outgoing.append(bytes, from, to);
    for (let i = 1; i < count; i++) this.push(before);
    this.push(pending);
    return slab;
  }

  /** Sends something that asks for nothing. Only on a link that is shared. */
  nudge(): void {
    this.push(new Unheard(this.outgoing.append(PING, 0, PING.length)));
  }

  /** Says that what is sent next is meant for a slot that this node is importing. */
  asking(): void {
    this.push(new Unheard(this.outgoing.append(ASKING, 0, ASKING.length)));
  }

  /** Writes bytes of a command that is passed on while it still comes. Only on a link of one's own. */
  writeThrough(bytes: Buffer): boolean {
    if (this.state !== READY) return false;
    this.flush();
    this.headAt = this.turn.now;
    return this.socket?.write(bytes) ?? false;
  }

  /** Announces the command whose bytes `writeThrough` passes on. */
  expect(pending: Pending): void {
    this.push(pending);
    this.flush();
  }

  /** Reads no more for now, or again. Only on a link of one's own: the node is not silent meanwhile. */
  rest(resting: boolean): void {
    if (this.patient === resting) return;
    this.patient = resting;
    if (resting) this.socket?.pause();
    else {
      // What it has not been asked for in between is no silence.
      this.headAt = this.turn.now;
      this.socket?.resume();
    }
  }

  /** Calls back once, when half of what was too much has gone, or the link is lost. */
  whenRoom(callback: () => void): void {
    this.congested = true;
    this.onRoom.add(callback);
  }

  flush(): void {
    this.dirty = false;
    if (this.state !== READY) return;
    const socket = this.socket!;
    this.totals[TOTAL.bytesToNodes]! += this.outgoing.flush(socket);
    this.sentAt = this.turn.now;
    if (this.flushed === this.head) this.headAt = this.sentAt;
    this.flushed = this.tail;
    this.unsent = socket.writableLength;
    if (this.congested) this.lookForRoom();
  }

  /** Ends the connection when it has been silent for too long with something pending. Called by a slow tick. */
  check(now: number): void {
    const silent = this.silentFor(now);
    if (silent <= this.options.requestTimeout) return;
    this.totals[TOTAL.timeouts]! += 1;
    this.fail(`no reply for ${Math.round(silent)} ms`);
  }

  /** For how long the node has said nothing although it owes a reply, or a connection, ms. */
  silentFor(now: number): number {
    if (this.state === CONNECTING || this.state === GREETING) return now - this.openedAt;
    if (this.state !== READY || this.flushed === this.head || this.patient) return 0;
    return now - Math.max(this.headAt, this.readAt);
  }

  /** Calls back with each command that has no reply yet, in their order. What is sent here meanwhile is left out. */
  eachPending(callback: (pending: Pending) => void): void {
    const { ring, mask, head, tail } = this;
    for (let i = head; i < tail; i++) callback(ring[i & mask]!);
  }

  /** When the node last said anything here, in the turn's milliseconds. */
  get heardAt(): number {
    return this.readAt;
  }

  /** Who waits for room need not: the node is sent nothing more for now. */
  letGo(): void {
    if (this.congested) this.roomAgain();
  }

  /** True when nothing is pending and nothing is under way. */
  get quiet(): boolean {
    return this.tail === this.head && (this.state === READY || this.resting);
  }

  private push(pending: Pending): void {
    if (this.tail - this.head > this.mask) this.grow();
    this.ring[this.tail++ & this.mask] = pending;
    if (this.state === READY) {
      if (!this.dirty) {
        this.dirty = true;
        this.turn.markLink(this);
      }
    } else if (this.state === IDLE) this.open();
    else if (this.state === CLOSED) setImmediate(() => this.drop('closed'));
  }

  private grow(): void {
    const { ring, mask, head, tail } = this;
    const next = new Array<Pending | undefined>(ring.length * 2).fill(undefined);
    for (let i = head; i < tail; i++) next[i - head] = ring[i & mask];
    this.ring = next;
    this.mask = next.length - 1;
    this.flushed -= head;
    this.tail -= head;
    this.head = 0;
  }

  private lookForRoom(): void {
    const { maxPending, maxPendingBytes } = this.options;
    this.unsent = this.socket?.writableLength ?? 0;
    if (
      (this.tail - this.head) * 2 <= maxPending &&
      (this.outgoing.unflushed + this.unsent) * 2 <= maxPendingBytes
    )
      this.roomAgain();
  }

  private roomAgain(): void {
    this.congested = false;
    const callbacks = this.onRoom;
    this.onRoom = new Set();
    for (const callback of callbacks) callback();
  }

  // ---- the connection's life

  protected override get wanted(): boolean {
    return this.tail > this.head;
  }

  protected override makeSocket(): Socket {
    this.openedAt = this.turn.now;
    return connectTo(this.options, this.receiver, (chunk, length) => this.read(chunk, length));
  }

  protected override opened(): void {
    this.readAt = this.headAt = this.turn.now;
    this.owner.linkReady(this);
    if (this.wanted) this.flush();
  }

  protected override drained(): void {
    this.unsent = 0;
    if (this.congested) this.lookForRoom();
  }

  protected override lost(reason: string, failures: number): void {
    this.owner.linkLost(this, reason, failures);
  }

  /** Forgets the connection and tells what was pending. What they send again comes into a clean FIFO. */
  protected override drop(reason: string): void {
    const socket = this.socket;
    this.socket = undefined;
    this.known = undefined;
    this.id = '';
    socket?.destroy();
    const { ring, mask, head, flushed, tail } = this;
    const { streaming } = this.receiver;
    this.ring = new Array(64).fill(undefined);
    this.mask = 63;
    this.head = this.flushed = this.tail = 0;
    this.outgoing.reset();
    this.unsent = 0;
    this.dirty = false;
    this.receiver.reset();
    for (let i = head; i < tail; i++) ring[i & mask]!.lost(i < flushed, streaming && i === head, reason);
    if (this.congested) this.roomAgain();
  }

  // ---- replies

  get whole(): boolean {
    return this.state !== READY;
  }

  get expecting(): boolean {
    return this.head !== this.flushed;
  }

  get gone(): boolean {
    return this.socket === undefined;
  }

  received(bytes: Buffer, from: number, to: number): void {
    if (this.state !== READY) {
      if (this.state === GREETING) this.greeting(bytes, from, to);
      return;
    }
    if (bytes[from] === PUSH) return this.owner.linkPush(this, bytes, from, to);
    const pending = this.take();
    if (pending === undefined) return this.fail('the node sent a reply that nobody asked for');
    pending.reply(bytes, from, to);
  }

  receivedPiece(bytes: Buffer, from: number, to: number, last: boolean): void {
    const pending = last ? this.take() : this.ring[this.head & this.mask];
    pending!.piece(bytes, from, to, last);
  }

  broken(reason: string): void {
    this.fail(reason);
  }

  private read(chunk: Buffer, length: number): void {
    this.readAt = this.turn.tick();
    this.totals[TOTAL.bytesFromNodes]! += length;
    if (this.breaker.silent) this.breaker.spoke();
    this.receiver.read(chunk, length);
    if (this.congested) this.lookForRoom();
  }

  private take(): Pending | undefined {
    if (this.head === this.flushed) return undefined;
    const at = this.head++ & this.mask;
    const pending = this.ring[at];
    this.ring[at] = undefined;
    if (this.head === this.tail) this.head = this.flushed = this.tail = 0;
    this.headAt = this.turn.now;
    return pending;
  }
}

/** A command of the link's own, whose reply nobody needs. */
class Unheard implements Pending {
  private readonly slab: Slab;

  constructor(slab: Slab) {
    this.slab = slab;
  }

  reply(): void {
    this.slab.release();
  }

  piece(): void {}

  lost(): void {}
}
