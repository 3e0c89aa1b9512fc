// Which node answers a read that several may answer: what is known of a slot's replicas, and the choice among
// them. Hot for who reads from replicas; nobody else comes here.
//
// A replica is asked only when it is known to have what it must have: all that its primary had executed at some
// time, `upTo`, which offsets.ts finds out. That time has to be later than the last write of the client that
// reads (its own writes), later than the slot's last change of owner, and not longer ago than the limit.
//
//            slot taken over     own write        upTo = what the replica has        now
//   -------------|-------------------|---------------------|--------------------------|----> time
//                                                          '------ at most maxLag ----'
//
// Among those that may be asked: the ones of the own zone while there is any, and of these the better of two
// picked by chance, by what is pending there times how long it takes. The choice of two keeps the crowd from
// running to the one that was best a moment ago.

import { BACKING_OFF, CLOSED, WAITING } from './connection.ts';
import type { Lane } from './lanes.ts';
import type { Node } from './node.ts';
import { SLOTS } from './topology.ts';

/** Where a read goes: the setting `reads.from`. */
export const FROM = { primary: 0, preferReplica: 1, replica: 2, any: 3, nearest: 4 } as const;
export type From = (typeof FROM)[keyof typeof FROM];

/** How far a replica may be behind: time, ms, or bytes of the replication stream. */
export interface MaxLag {
  readonly unit: 'ms' | 'bytes';
  readonly most: number;
}

export interface CopiesOptions {
  readonly maxLag: MaxLag;
  /** A node that says nothing to a read for so long, ms, is left out. */
  readonly silence: number;
  /** Whose nodes come first; empty: all are alike. */
  readonly zone: string;
}

/** A node as one that can be read from. */
export class Copy {
  readonly node: Node;
  /** The primary of which it is a copy, itself for a primary. What is known of it holds for that one. */
  of: Node;
  /** Its link to the primary is up, and it said so lately. */
  linked = false;
  /** All that the primary had executed at this time is here, in `turn.now`; -1: nothing is known. */
  upTo = -1;
  /** Bytes behind the primary at `seenAt`, when it was asked. */
  behind = 0;
  seenAt = -1;
  /** It owes an answer for too long: left out until it has given one. */
  doubted = false;
  /** Of its node; empty: unknown. */
  zone = '';
  /** Microseconds that a reply takes, an average in which the old fades. */
  latency = 0;
  /** Reads under way. */
  inFlight = 0;

  constructor(node: Node) {
    this.node = node;
    this.of = node;
  }

  get isPrimary(): boolean {
    return this.of === this.node;
  }

  /** Takes note of how long a reply took. */
  took(micros: number): void {
    this.latency += (micros - this.latency) * WEIGHT;
  }

  /** It has just answered as fast as that: one that was slow is asked again before long. */
  canTake(micros: number): void {
    this.latency = this.latency === 0 ? micros : Math.min(this.latency, Math.max(micros, this.latency / 2));
  }

  /** Nothing is known of it any more. */
  forget(): void {
    this.linked = false;
    this.upTo = this.seenAt = -1;
  }
}

const WEIGHT = 1 / 16;
/** An answer about a replica counts for as long, ms. */
const FRESH = 1000;

/** A shard's nodes. */
export interface CopiesOfShard {
  readonly primary: Copy;
  readonly replicas: readonly Copy[];
}

export class Copies {
  shards: readonly CopiesOfShard[] = [];
  /** When reads were last wished for, in `turn.now`: what nobody asks about needs no watching. */
  wishedAt = Number.NEGATIVE_INFINITY;
  /** Told how many microseconds a read took. */
  onReply: ((micros: number) => void) | undefined = undefined;
  /** Told when a wish comes after a time without any. */
  onWish: () => void = () => {};

  private readonly options: CopiesOptions;
  private readonly nodes = new Map<Node, Copy>();
  private slots: Uint16Array = new Uint16Array(0);
  private owners: (Node | undefined)[] = [];
  /** By slot: when its owner became that, in `turn.now`. */
  private readonly ownedSince = new Float64Array(SLOTS).fill(-1);
  /** Those that may be asked, while one is chosen. */
  private readonly able: Copy[] = [];

  constructor(options: CopiesOptions) {
    this.options = options;
  }

  /** Takes a new map. */
  adopt(
    slots: Uint16Array,
    shards: readonly { primary: Node; replicas: readonly Node[] }[],
    now: number,
  ): void {
    const owners = shards.map(({ primary }) => primary);
    for (let slot = 0; slot < SLOTS; slot++)
      if (owners[slots[slot]!] !== this.owners[this.slots[slot]!]) this.ownedSince[slot] = now;
    this.slots = slots;
    this.owners = owners;
    this.shards = shards.map(({ primary, replicas }) => ({
      primary: this.copyOf(primary, primary),
      replicas: replicas.map((replica) => this.copyOf(replica, primary)),
    }));
    const current = new Set(this.shards.flatMap(({ primary, replicas }) => [primary, ...replicas]));
    for (const [node, copy] of this.nodes) if (!current.has(copy)) this.nodes.delete(node);
  }

  /**
   * The node to ask, or undefined where none may be asked. The primary may always be asked.
   * @param written what is read must be newer than this, in `turn.now`
   * @param lane of links to replicas
   * @param not one that has just failed
   */
  choose(slot: number, from: From, written: number, lane: Lane, now: number, not?: Copy): Copy | undefined {
    if (now - this.wishedAt > IDLE) this.onWish();
    this.wishedAt = now;
    const shard = this.shards[this.slots[slot]!];
    if (shard === undefined) return undefined;
    const { able } = this;
    able.length = 0;
    const after = Math.max(written, this.ownedSince[slot]!);
    let near = false;
    let current = false;
    for (const copy of shard.replicas) {
      if (copy === not || !this.isSound(copy, lane, now)) continue;
      current = true;
      if (copy.upTo <= after) continue;
      near ||= this.isNear(copy);
      able.push(copy);
    }
    const { primary } = shard;
    const alsoPrimary = from === FROM.any || from === FROM.nearest;
    if (alsoPrimary && primary !== not && this.isOpen(primary, lane, now)) {
      near ||= this.isNear(primary);
      able.push(primary);
    }
    if (near) this.leaveFar();
    if (able.length > 0) return from === FROM.nearest ? nearest(able) : better(able);
    // A replica is there, and has not yet what it must have: the primary has.
    if (from === FROM.replica && !current) return undefined;
    return primary === not ? undefined : primary;
  }

  /** Somebody reads, or waits for what was read. */
  isUsed(now: number): boolean {
    if (now - this.wishedAt <= IDLE) return true;
    for (const { inFlight } of this.nodes.values()) if (inFlight > 0) return true;
    return false;
  }

  /** How many nodes there are. */
  get count(): number {
    return this.nodes.size;
  }

  /** Calls back with each node, once. */
  each(callback: (copy: Copy) => void): void {
    for (const copy of this.nodes.values()) callback(copy);
  }

  /** All replicas that are in touch with their primaries have what was written until then; -1: there are none. */
  get allUpTo(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { replicas } of this.shards)
      for (const copy of replicas) if (copy.linked) least = Math.min(least, copy.upTo);
    return least === Number.POSITIVE_INFINITY ? -1 : least;
  }

  /** In touch with its primary, not too far behind, and answering. */
  private isSound(copy: Copy, lane: Lane, now: number): boolean {
    if (!copy.linked || copy.doubted || !this.isOpen(copy, lane, now)) return false;
    const { unit, most } = this.options.maxLag;
    return unit === 'ms' ? now - copy.upTo <= most : copy.behind <= most && now - copy.seenAt <= FRESH;
  }

  /** Its link takes more, and is not silent. */
  private isOpen({ node, inFlight }: Copy, lane: Lane, now: number): boolean {
    if (node.shut !== undefined) return false;
    const link = node.lanes[lane.index];
    if (link === undefined) return true;
    const { state } = link;
    if (state === BACKING_OFF || state === WAITING || state === CLOSED || link.full) return false;
    return inFlight === 0 || link.silentFor(now) <= this.options.silence;
  }

  private isNear(copy: Copy): boolean {
    const { zone } = this.options;
    return zone !== '' && copy.zone === zone;
  }

  private leaveFar(): void {
    const { able } = this;
    let kept = 0;
    for (const copy of able) if (this.isNear(copy)) able[kept++] = copy;
    able.length = kept;
  }

  private copyOf(node: Node, primary: Node): Copy {
    let copy = this.nodes.get(node);
    if (copy === undefined) {
      copy = new Copy(node);
      this.nodes.set(node, copy);
    }
    // What it has of another primary's says nothing of this one's.
    if (copy.of !== primary) copy.forget();
    copy.of = primary;
    return copy;
  }
}

/** Wishes further apart than this, ms, are not watched for in between. */
const IDLE = 1000;

function better(able: readonly Copy[]): Copy {
  const count = able.length;
  if (count === 1) return able[0]!;
  const i = Math.floor(Math.random() * count);
  const j = (i + 1 + Math.floor(Math.random() * (count - 1))) % count;
  const one = able[i]!;
  const other = able[j]!;
  return loadOf(other) < loadOf(one) ? other : one;
}

/** Latencies count as alike within a factor of two: else the faster one of two would be asked alone. */
function loadOf({ inFlight, latency }: Copy): number {
  return (inFlight + 1) * 2 ** (31 - Math.clz32(latency));
}

function nearest(able: readonly Copy[]): Copy {
  let best = able[0]!;
  for (const copy of able) if (copy.latency < best.latency) best = copy;
  return best;
}
