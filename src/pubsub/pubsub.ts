// The subscriptions of one worker's clients, and where they are heard.
//
//   clients --> Subscription (one for each channel, pattern, shard channel) --> Upstream (one for each node)
//           <-- audiences <----------------------------------------- messages <--
//
// A subscription is taken with its first client and given back with the last. One that any node can serve has one
// node, its home: only what is heard there counts, so that nothing comes twice while it moves from one to another.
// It stays where it is for as long as that node answers and is in the map: moving it would cost messages.
//
// What nodes say of their own keys is heard at all of them, and counts when a primary says it. That a key has
// expired only a primary says: there it counts whoever says it, so that nothing is missed between a promotion and
// the news of it.
//
// What clients publish goes to the owner of its channel's slot, and keeps to that node when the slot moves or the
// node becomes a replica: any node passes a message on to all others, and on two roads two messages could change
// places. Only when the node is lost or leaves the map another is taken.
//
// A shard channel follows its slot. The node from which that goes says so (`sunsubscribe`), and the one to which it
// went is found by MOVED.

import type { Cluster } from '../cluster/cluster.ts';
import type { FeedOptions } from '../cluster/feed.ts';
import { addressOf, type Node } from '../cluster/node.ts';
import { targetOf } from '../cluster/redirect.ts';
import { type NodeInfo, SLOTS, type Topology } from '../cluster/topology.ts';
import type { Turn } from '../cluster/turn.ts';
import type { Log } from '../log.ts';
import { TOTAL } from '../telemetry/counters.ts';
import type { Audience } from './audience.ts';
import { Gap } from './gap.ts';
import { ANY, isOfKeys, type Kind, MIXED, ONE_SHARD, SHARD } from './names.ts';
import { candidates, isSingle, keyNodes } from './places.ts';
import type { Claim, Roll } from './roll.ts';
import { type Place, Subscription } from './subscription.ts';
import { Upstream, type UpstreamOwner } from './upstream.ts';

export interface PubSubOptions {
  readonly feed: FeedOptions;
  /** Replicas serve channels as well (`pubsub.from`). */
  readonly replicas: boolean;
  /** Subscribers that may have missed messages are disconnected (`pubsub.onGap`). */
  readonly disconnect: boolean;
  /** How long a subscription may wait for a node, ms. */
  readonly holdFor: number;
}

/** A node that was lost is not asked for what others can serve, for so long, ms. */
const AVOID = 5000;
/** What is published on a shard channel waits so long for those who do not hear it yet, ms. */
const DOUBT = 1000;
const TICK = 100;
/** A node at which nothing is subscribed any more is left after so long, ms. */
const KEEP_IDLE = 10_000;
/** Redirects that are followed at once. */
const IMMEDIATE = 3;

const NOTHING = Buffer.alloc(0);
const PUSH = Buffer.from('>');
/** `*3\r\n$8\r\nsmessage\r\n`, and what stands in its place for who has said SUBSCRIBE. */
const SMESSAGE_BYTES = 18;
const MESSAGE = [Buffer.from('*3\r\n$7\r\nmessage\r\n'), Buffer.from('>3\r\n$7\r\nmessage\r\n')] as const;
const EXPIRED = Buffer.from('expired');

export class PubSub implements UpstreamOwner {
  readonly roll: Roll;
  private readonly cluster: Cluster;
  private readonly turn: Turn;
  readonly totals: Float64Array;
  private readonly log: Log;
  private readonly options: PubSubOptions;
  /** By kind: by key. */
  private readonly subscriptions = [new Map(), new Map(), new Map()] as readonly Map<string, Subscription>[];
  /** The one a message was last heard of, by kind. */
  private readonly last: (Subscription | undefined)[] = [undefined, undefined, undefined];
  private readonly upstreams = new Map<string, Upstream>();
  /** Nodes that were lost, by address: when. */
  private readonly avoided = new Map<string, number>();
  /** Claims that others wait for: since when. */
  private readonly doubts = new WeakMap<Claim, number>();
  /** The last map that the main thread gave. */
  private map: Topology;
  /** By slot: where its channels' messages are published. */
  private readonly roads: (Node | undefined)[] = new Array(SLOTS).fill(undefined);
  /** Gaps that have begun in this turn, by node. */
  private readonly gaps = new Map<string, Gap>();
  private timer: NodeJS.Timeout | undefined = undefined;

  constructor(cluster: Cluster, roll: Roll, log: Log, options: PubSubOptions) {
    this.cluster = cluster;
    this.turn = cluster.turn;
    this.totals = cluster.counters.totals;
    this.map = cluster.topology;
    this.roll = roll;
    this.log = log;
    this.options = options;
  }

  /** The subscription of a name, if any client has it. */
  named(kind: Kind, key: string): Subscription | undefined {
    return this.subscriptions[kind]!.get(key);
  }

  /** The subscription of a name; it is kept until each `take` has been followed by a `release`. */
  take(kind: Kind, name: Buffer): Subscription {
    const map = this.subscriptions[kind]!;
    const key = name.toString('latin1');
    let subscription = map.get(key);
    if (subscription === undefined) {
      subscription = new Subscription(kind, name, this.turn);
      map.set(key, subscription);
      this.totals[TOTAL.subscriptions]! += 1;
      this.place(subscription);
      this.timer ??= setInterval(() => this.tick(), TICK);
    }
    subscription.users++;
    return subscription;
  }

  release(subscription: Subscription): void {
    if (--subscription.users > 0) return this.claim(subscription);
    const { kind, key } = subscription;
    this.subscriptions[kind]!.delete(key);
    if (this.last[kind] === subscription) this.last[kind] = undefined;
    this.totals[TOTAL.subscriptions]! -= 1;
    subscription.home = undefined;
    for (const upstream of [...subscription.upstreams.keys()]) upstream.give(subscription);
    this.endGap(subscription);
    this.claim(subscription);
  }

  /** Resolves when a subscription is heard, with the reason if it can't be. */
  async heardOf(subscription: Subscription): Promise<string | undefined> {
    if (this.isHeard(subscription)) return undefined;
    const { holdFor } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => {
        const problem = [...subscription.upstreams.keys()].find((place) => place.problem !== '')?.problem;
        resolve(`ERR slotless: not subscribed within ${holdFor} ms: ${problem ?? 'no node has answered'}`);
      }, holdFor);
    });
    const problem = await Promise.race([subscription.wait(), late]);
    clearTimeout(timer);
    return problem;
  }

  /** Says how many clients of this worker are subscribed. */
  claim({ kind, key, clients, users, upstreams }: Subscription): void {
    const at = [...upstreams].flatMap(([upstream, confirmed]) => (confirmed ? [upstream.address] : []));
    this.roll.claim({ kind, key, clients, users, at });
  }

  /**
   * True while some worker does not hear a shard channel where its slot's owner is now: what was published there
   * would be missed. For a while only: a subscription that is refused holds nobody up for ever.
   */
  unsettled(channel: string, owner: string): boolean {
    for (const claim of this.roll.of(SHARD, channel)) {
      if (claim.at.includes(owner)) continue;
      const since = this.doubts.get(claim) ?? this.turn.now;
      this.doubts.set(claim, since);
      if (this.turn.now - since < DOUBT) return true;
    }
    return false;
  }

  /** Where a message of a slot's channels is published. */
  roadOf(slot: number): Node | undefined {
    return this.roads[slot] ?? this.newRoad(slot);
  }

  private newRoad(slot: number): Node | undefined {
    const nodes = candidates(this.map, ANY, slot, false);
    const node = nodes.find(({ host, port }) => !this.avoids(addressOf(host, port))) ?? nodes[0];
    if (node === undefined) return undefined;
    const road = this.cluster.known(node.host, node.port);
    this.roads[slot] = road;
    return road;
  }

  /** A node was lost: what others can do is not asked of it for a while. */
  avoid(address: string): void {
    this.avoided.set(address, this.turn.now);
    this.leaveRoads((node) => node === address);
  }

  private leaveRoads(lost: (address: string) => boolean): void {
    for (let slot = 0; slot < SLOTS; slot++) {
      const road = this.roads[slot];
      if (road !== undefined && lost(road.address)) this.roads[slot] = undefined;
    }
    this.cluster.roads++;
  }

  /** Resolves when all that was published at the subscription's node up to now has been heard. */
  async fence(subscription: Subscription): Promise<void> {
    await subscription.home?.fence();
  }

  /** Takes a new map. */
  adopt(map: Topology): void {
    this.map = map;
    const nodes = new Set<string>();
    const primaries = new Set(map.shards.map(({ primary }) => addressOf(primary.host, primary.port)));
    for (const { primary, replicas } of map.shards)
      for (const { host, port } of [primary, ...replicas]) nodes.add(addressOf(host, port));
    this.leaveRoads((address) => !nodes.has(address));
    for (const upstream of this.upstreams.values()) {
      upstream.primary = primaries.has(upstream.address);
      if (nodes.has(upstream.address)) continue;
      for (const subscription of [...upstream.subscriptions]) this.leave(upstream, subscription);
    }
    for (const subscription of this.all()) {
      subscription.left.clear();
      // A shard channel goes to its owner from a replica that stood in for it; others stay where they are.
      if (subscription.scope !== ANY) this.place(subscription);
    }
  }

  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    for (const upstream of this.upstreams.values()) upstream.close();
    this.upstreams.clear();
  }

  private *all(): Iterable<Subscription> {
    for (const map of this.subscriptions) yield* map.values();
  }

  // ---- where they are

  /** Asks for a subscription where it is to be had and has not been asked for, and leaves where it is not. */
  private place(subscription: Subscription): void {
    const { scope, slot, upstreams } = subscription;
    if (isSingle(scope)) {
      const map = scope === ONE_SHARD ? this.cluster.topology : this.map;
      const nodes = candidates(map, scope, slot, this.options.replicas);
      const node =
        this.best(nodes.filter((one) => !subscription.left.has(addressOf(one.host, one.port)))) ??
        this.best(nodes);
      if (node !== undefined && !upstreams.has(node)) node.take(subscription);
      return;
    }
    const wanted = new Set<Place>(keyNodes(this.map).map((node) => this.upstreamAt(node)));
    for (const upstream of [...upstreams.keys()]) if (!wanted.has(upstream)) upstream.give(subscription);
    for (const node of keyNodes(this.map)) {
      const upstream = this.upstreamAt(node);
      if (!upstreams.has(upstream)) upstream.take(subscription);
    }
    this.settle(subscription);
  }

  /** The first that is not known to be lost; else the first. */
  private best(nodes: readonly NodeInfo[]): Upstream | undefined {
    const good = nodes.find(({ host, port }) => !this.avoids(addressOf(host, port)));
    const node = good ?? nodes[0];
    return node && this.upstreamAt(node);
  }

  private avoids(address: string): boolean {
    const since = this.avoided.get(address);
    return since !== undefined && this.turn.now - since < AVOID;
  }

  private upstreamAt({ host, port }: { readonly host: string; readonly port: number }): Upstream {
    const address = addressOf(host, port);
    let upstream = this.upstreams.get(address);
    if (upstream === undefined) {
      upstream = new Upstream(host, port, address, this.options.feed, this.turn, this);
      upstream.primary = this.map.shards.some(
        ({ primary }) => primary.host === host && primary.port === port,
      );
      this.upstreams.set(address, upstream);
    }
    return upstream;
  }

  /** A subscription is to be heard elsewhere than at a node that is not in the map any more. */
  private leave(upstream: Upstream, subscription: Subscription): void {
    if (!isSingle(subscription.scope)) return;
    // At the new node first: until it is confirmed there, this one counts.
    this.place(subscription);
    if (subscription.home !== upstream && subscription.upstreams.size > 1) upstream.give(subscription);
  }

  private tick(): void {
    const now = this.turn.tick();
    let active = false;
    for (const [address, upstream] of this.upstreams) {
      if (upstream.subscriptions.size > 0) {
        // What another node could serve does not wait for this one.
        if (!upstream.ready && this.avoids(address))
          for (const subscription of [...upstream.subscriptions]) this.elsewhere(upstream, subscription);
        upstream.idleSince = 0;
      } else if (upstream.idleSince === 0) upstream.idleSince = now;
      else if (now - upstream.idleSince > KEEP_IDLE) {
        upstream.close();
        this.upstreams.delete(address);
        continue;
      }
      active = true;
    }
    for (const subscription of this.subscriptions[SHARD]!.values())
      if (subscription.upstreams.size === 0) this.place(subscription);
    if (active) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** A subscription that waits for a node which is not there goes to another that may be. */
  private elsewhere(upstream: Upstream, subscription: Subscription): void {
    if (!isSingle(subscription.scope)) return;
    this.place(subscription);
    if (subscription.upstreams.size > 1) upstream.give(subscription);
  }

  // ---- what becomes of them

  upstreamOpened(upstream: Upstream): void {
    this.avoided.delete(upstream.address);
  }

  upstreamLost(upstream: Upstream, reason: string): void {
    const first = !this.avoids(upstream.address);
    this.avoid(upstream.address);
    const subscriptions = [...upstream.subscriptions];
    if (first && subscriptions.length > 0) {
      this.log.warn(
        { node: upstream.address, subscriptions: subscriptions.length, reason },
        'a node of subscriptions was lost',
      );
      this.cluster.ask(`subscriptions at ${upstream.address} were lost`);
    }
    for (const subscription of subscriptions) {
      const heard = subscription.upstreams.get(upstream) === true;
      subscription.upstreams.set(upstream, false);
      const single = isSingle(subscription.scope);
      const wasHome = subscription.home === upstream;
      if (wasHome) subscription.home = undefined;
      if (heard && (single ? wasHome : upstream.primary || wasHome))
        this.beginGap(subscription, upstream, reason);
      if (single) this.elsewhere(upstream, subscription);
      else this.settle(subscription);
      if (heard) this.claim(subscription);
    }
  }

  confirmed(upstream: Upstream, subscription: Subscription): void {
    subscription.upstreams.set(upstream, true);
    if (isSingle(subscription.scope)) {
      subscription.home = upstream;
      for (const other of [...subscription.upstreams.keys()])
        if (other !== upstream) other.give(subscription);
    }
    this.settle(subscription);
    this.claim(subscription);
  }

  refused(upstream: Upstream, subscription: Subscription, text: string): void {
    if (subscription.kind === SHARD && /^(MOVED|CLUSTERDOWN|TRYAGAIN|ASK|LOADING|MASTERDOWN) /.test(text)) {
      this.follow(subscription, text);
      return;
    }
    subscription.settle(text);
    // Nobody can hear it any more: its clients would wait for ever.
    const reason = `its subscription was refused: ${text}`;
    if (subscription.home === undefined) this.disconnect(subscription, `${reason} (at ${upstream.address})`);
  }

  moved(upstream: Upstream, subscription: Subscription): void {
    if (subscription.home !== upstream) return;
    subscription.home = undefined;
    // It may be a replica now, which would take the subscription again and, for a while, hear nothing.
    subscription.left.add(upstream.address);
    this.cluster.ask(`the shard channels of slot ${subscription.slot} have left ${upstream.address}`);
    this.beginGap(subscription, upstream, 'its slot has moved');
    this.place(subscription);
    this.claim(subscription);
  }

  /** An SSUBSCRIBE came to a node that has not the slot, or that has not all slots. */
  private follow(subscription: Subscription, text: string): void {
    const error = Buffer.from(`-${text}\r\n`, 'latin1');
    const target = text.startsWith('MOVED') ? targetOf(error, 0, error.length) : undefined;
    // Nodes that disagree need time: the tick asks again.
    if (target === undefined || target.host === '' || ++subscription.redirects > IMMEDIATE) return;
    const { host, port } = this.cluster.moved(target.slot, target.host, target.port);
    this.upstreamAt({ host, port }).take(subscription);
  }

  /** Whether all is heard that the subscription is for. */
  private isHeard({ scope, home, upstreams }: Subscription): boolean {
    if (isSingle(scope)) return home !== undefined;
    if (scope === MIXED && home === undefined) return false;
    const primaries = [...upstreams].filter(([{ primary }]) => primary);
    return primaries.length > 0 && primaries.every(([, confirmed]) => confirmed);
  }

  private settle(subscription: Subscription): void {
    if (subscription.scope === MIXED && subscription.home === undefined) {
      const heard = [...subscription.upstreams].filter(([, confirmed]) => confirmed);
      // The same at every worker, and another for another pattern.
      const at = heard[subscription.slot % Math.max(heard.length, 1)];
      subscription.home = at?.[0];
    }
    if (!this.isHeard(subscription)) return;
    subscription.redirects = 0;
    this.endGap(subscription);
    subscription.settle(undefined);
  }

  // ---- gaps

  private beginGap(subscription: Subscription, { address }: Upstream, reason: string): void {
    if (subscription.clients === 0 || subscription.gap !== undefined) return;
    let gap = this.gaps.get(address);
    if (gap === undefined) {
      gap = new Gap(address, reason, performance.now());
      this.gaps.set(address, gap);
      setImmediate(() => this.gaps.delete(address));
    }
    gap.subscriptions++;
    gap.open++;
    subscription.gap = gap;
    this.totals[TOTAL.subscriptionGaps]! += 1;
    if (this.options.disconnect)
      this.disconnect(subscription, 'messages may have been missed (pubsub.onGap)');
  }

  private endGap(subscription: Subscription): void {
    const { gap } = subscription;
    if (gap === undefined) return;
    subscription.gap = undefined;
    const ms = performance.now() - gap.since;
    this.totals[TOTAL.subscriptionGapSeconds]! += ms / 1000;
    if (--gap.open > 0) return;
    const { node, reason, subscriptions } = gap;
    this.log.warn(
      { node, reason, subscriptions, ms: Math.round(ms) },
      'subscriptions are heard again; what was published in that time may be missing',
    );
  }

  private disconnect(subscription: Subscription, reason: string): void {
    for (const member of [...subscription.members()]) member.close(reason);
  }

  // ---- messages

  find(kind: Kind, bytes: Buffer, from: number, to: number): Subscription | undefined {
    const last = this.last[kind];
    if (last !== undefined && to - from === last.name.length && last.name.compare(bytes, from, to) === 0)
      return last;
    const found = this.subscriptions[kind]!.get(bytes.toString('latin1', from, to));
    if (found !== undefined) this.last[kind] = found;
    return found;
  }

  message(
    upstream: Upstream,
    subscription: Subscription,
    bytes: Buffer,
    from: number,
    to: number,
    channelFrom: number,
    channelTo: number,
  ): void {
    const { scope, home, audiences } = subscription;
    const byHome = isSingle(scope) || (scope === MIXED && !isOfKeys(bytes, channelFrom, channelTo));
    if (byHome ? home !== upstream : !upstream.primary && !saysExpired(bytes, to, channelTo)) return;
    this.totals[TOTAL.messagesFromNodes]! += 1;
    this.tell(audiences[0], NOTHING, bytes, from, to);
    this.tell(audiences[1], PUSH, bytes, from + 1, to);
    if (subscription.kind !== SHARD) return;
    this.tell(subscription.legacy[0], MESSAGE[0], bytes, from + SMESSAGE_BYTES, to);
    this.tell(subscription.legacy[1], MESSAGE[1], bytes, from + SMESSAGE_BYTES, to);
  }

  private tell(audience: Audience, head: Buffer, bytes: Buffer, from: number, to: number): void {
    const { size } = audience.members;
    if (size === 0) return;
    this.totals[TOTAL.messagesToClients]! += size;
    audience.tell(head, bytes, from, to);
  }
}

/** Whether a message says that a key has expired: by the end of its channel, or by what stands in it. */
function saysExpired(bytes: Buffer, to: number, channelTo: number): boolean {
  return endsWith(bytes, channelTo) || endsWith(bytes, to - 2);
}

function endsWith(bytes: Buffer, to: number): boolean {
  const from = to - EXPIRED.length;
  // Behind a colon in a channel's name, behind a line end in what is said.
  return (
    bytes.compare(EXPIRED, 0, EXPIRED.length, from, to) === 0 &&
    (bytes[from - 1] === 58 || bytes[from - 1] === 10)
  );
}
