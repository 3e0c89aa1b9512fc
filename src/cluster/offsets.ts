// What each replica is known to have: asks primaries and replicas for their place in the replication stream, for
// as long as somebody reads from replicas. Cold.
//
//   primary   INFO at 10:00.000 -> offset 700     INFO at 10:00.100 -> offset 900
//   replica                     INFO -> offset 820                  INFO -> offset 900
//                               => has all of 10:00.000             => has all of 10:00.100
//
// A write was executed before its reply was read here, so the offset of a primary that is asked later counts it
// in; a replica that has come as far has the write. Offsets are compared only while both name the same stream
// (`master_replid`): a failover or a new synchronisation begins another.

import { command } from '../resp/write.ts';
import type { Copies, Copy } from './copies.ts';
import type { Lane } from './lanes.ts';
import type { Pending } from './link.ts';
import type { Node } from './node.ts';
import { elapsed, type Turn } from './turn.ts';

export interface OffsetsOptions {
  /** How often nodes are asked, ms. */
  readonly every: number;
  /** A node that owes an answer for longer, ms, is left out. */
  readonly silence: number;
  /** Who listens to ticks needs them often. */
  readonly fine: boolean;
  /** Zones by `host:port` or by host. */
  readonly zones: Readonly<Record<string, string>>;
}

/** How far a replica said that it is, and in which stream. */
interface Place {
  readonly id: string;
  readonly offset: number;
}

/** What a primary said: the stream's end when it was asked. */
interface Mark {
  readonly at: number;
  readonly offset: number;
}

const REPLICATION = command(['INFO', 'replication']);
const SERVER = command(['INFO', 'server']);
const TICK = 25;
const FINE_TICK = 2;
/** Marks of a primary that are kept: a replica further behind than the oldest has nothing known of it. */
const MARKS = 600;
/** Questions a second, for clusters of many nodes: they are asked less often then. */
const MOST = 500;

/** The stream that a primary writes. */
class Stream {
  id = '';
  marks: Mark[] = [];

  /** The latest time whose writes all lie before `offset`; -1: none known. */
  upTo(offset: number): number {
    const { marks } = this;
    let low = 0;
    let high = marks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (marks[middle]!.offset <= offset) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? -1 : marks[low - 1]!.at;
  }

  add(id: string, mark: Mark): void {
    if (id !== this.id) this.marks = [];
    this.id = id;
    this.marks.push(mark);
    if (this.marks.length > MARKS) this.marks.shift();
  }

  get end(): number {
    return this.marks.at(-1)?.offset ?? 0;
  }
}

export class Offsets {
  private readonly copies: Copies;
  private readonly lane: Lane;
  private readonly turn: Turn;
  private readonly options: OffsetsOptions;
  private readonly streams = new Map<Node, Stream>();
  private readonly places = new WeakMap<Copy, Place>();
  /** Since when each node owes an answer, in `turn.now`. */
  private readonly owing = new Map<Copy, number>();
  private timer: NodeJS.Timeout | undefined;
  private askedAt = Number.NEGATIVE_INFINITY;
  /** Asked at each tick, while anybody reads. */
  onTick: (now: number) => void = () => {};

  constructor(copies: Copies, lane: Lane, turn: Turn, options: OffsetsOptions) {
    this.copies = copies;
    this.lane = lane;
    this.turn = turn;
    this.options = options;
    copies.onWish = () => this.wake();
  }

  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.copies.onWish = () => {};
  }

  private wake(): void {
    if (this.timer !== undefined) return;
    this.timer = setInterval(() => this.tick(), this.options.fine ? FINE_TICK : TICK);
    this.ask(this.turn.now);
  }

  private tick(): void {
    const now = this.turn.tick();
    if (!this.copies.isUsed(now)) {
      clearInterval(this.timer);
      this.timer = undefined;
    }
    for (const [copy, since] of this.owing) if (now - since > this.options.silence) copy.doubted = true;
    const pause = Math.max(this.options.every, (this.copies.count * 1000) / MOST);
    if (now - this.askedAt >= pause - TICK / 2) this.ask(now);
    this.onTick(now);
  }

  private ask(now: number): void {
    this.askedAt = now;
    for (const { primary, replicas } of this.copies.shards) {
      if (replicas.length === 0) continue;
      for (const copy of [primary, ...replicas]) this.askOne(copy, now);
    }
    const current = new Set(this.copies.shards.map(({ primary }) => primary.node));
    for (const node of this.streams.keys()) if (!current.has(node)) this.streams.delete(node);
  }

  private askOne(copy: Copy, now: number): void {
    if (this.owing.has(copy)) return;
    this.owing.set(copy, now);
    const link = copy.node.link(this.lane);
    const { micros } = this.turn;
    const heard = (text: string | undefined) => {
      this.owing.delete(copy);
      copy.doubted = text === undefined;
      if (text === undefined) return copy.forget();
      copy.canTake(elapsed(micros, this.turn.micros));
      if (copy.isPrimary) this.primarySaid(copy.node, text, now);
      else this.replicaSaid(copy, text, now);
    };
    link.send(new Report(heard), REPLICATION, 0, REPLICATION.length).release();
    if (copy.zone === '') this.askZone(copy);
  }

  private primarySaid(node: Node, text: string, now: number): void {
    if (field(text, 'role') !== 'master') return;
    const stream = this.streams.get(node) ?? new Stream();
    this.streams.set(node, stream);
    stream.add(field(text, 'master_replid'), { at: now, offset: Number(field(text, 'master_repl_offset')) });
    this.copies.each((copy) => {
      if (copy.linked && copy.of === node) this.compare(copy, stream);
    });
  }

  private replicaSaid(copy: Copy, text: string, now: number): void {
    copy.linked = field(text, 'role') === 'slave' && field(text, 'master_link_status') === 'up';
    if (!copy.linked) return copy.forget();
    copy.seenAt = now;
    const offset = Number(field(text, 'slave_repl_offset'));
    this.places.set(copy, { id: field(text, 'master_replid'), offset });
    const stream = this.streams.get(copy.of);
    if (stream !== undefined) this.compare(copy, stream);
  }

  private compare(copy: Copy, stream: Stream): void {
    const place = this.places.get(copy);
    if (place === undefined || place.id !== stream.id) return;
    copy.behind = Math.max(0, stream.end - place.offset);
    copy.upTo = Math.max(copy.upTo, stream.upTo(place.offset));
  }

  private askZone(copy: Copy): void {
    const { zones } = this.options;
    const { node } = copy;
    const given = zones[node.address] ?? zones[node.host];
    if (given !== undefined) copy.zone = given;
    else {
      // Asked once; a server that knows no zones is in none.
      copy.zone = '?';
      const heard = (text: string | undefined) => {
        copy.zone = text === undefined ? '' : field(text, 'availability_zone') || '?';
      };
      node.link(this.lane).send(new Report(heard), SERVER, 0, SERVER.length).release();
    }
  }
}

/** The text of an INFO, or undefined when there is none. */
class Report implements Pending {
  private readonly heard: (text: string | undefined) => void;
  private readonly pieces: string[] = [];

  constructor(heard: (text: string | undefined) => void) {
    this.heard = heard;
  }

  reply(bytes: Buffer, from: number, to: number): void {
    this.heard(bytes[from] === MINUS ? undefined : bytes.toString('latin1', from, to));
  }

  piece(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.pieces.push(bytes.toString('latin1', from, to));
    if (last) this.heard(this.pieces.join(''));
  }

  lost(): void {
    this.heard(undefined);
  }
}

const MINUS = 45;

/** The value of a line `name:value` of an INFO; empty where there is none. */
function field(text: string, name: string): string {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(text)?.[1] ?? '';
}
