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
// A shard channel follows its slot. The node from which that goes says so (`sunsubscribe`), and the one to which it
// went is found by MOVED.

import type { Cluster } from '../cluster/cluster.ts';
import type { FeedOptions } from '../cluster/feed.ts';
import { addressOf, type Node } from '../cluster/node.ts';
import { targetOf } from '../cluster/redirect.ts';
import type { NodeInfo, Topology } from '../cluster/topology.ts';
import type { Turn } from '../cluster/turn.ts';
import { matchesGlob } from '../command/glob.ts';
import type { Log } from '../log.ts';
import { TOTAL } from '../telemetry/counters.ts';
import { deliver, saysExpired } from './deliver.ts';
import { Gaps } from './gap.ts';
import { Lost } from './lost.ts';
import { ANY, CHANNEL, isOfKeys, type Kind, MIXED, ONE_SHARD, PATTERN, SHARD } from './names.ts';
import { candidates, isSingle, keyNodes } from './places.ts';
import { Roads } from './roads.ts';
import type { Roll } from './roll.ts';
import { type Place, Subscription } from './subscription.ts';
import type { Upstream, UpstreamOwner } from './upstream.ts';
import { Upstreams } from './upstreams.ts';

export interface PubSubOptions {
  readonly feed: FeedOptions;
  /** Replicas serve channels as well (`pubsub.from`). */
  readonly replicas: boolean;
  /** Subscribers that may have missed messages are disconnected (`pubsub.onGap`). */
  readonly disconnect: boolean;
  /** How long a subscription may wait for a node, ms. */
  readonly holdFor: number;
}

const TICK = 50;
/** Redirects that are followed at once. */
const IMMEDIATE = 3;

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
  private readonly upstreams: Upstreams;
  private readonly lost: Lost;
  /** Those of them at which this worker was subscribed. */
  private readonly deaf: Lost;
  private readonly roads: Roads;
  private readonly gaps: Gaps;
  /** The last map that the main thread gave. */
  private map: Topology;
  private timer: NodeJS.Timeout | undefined = undefined;

  constructor(cluster: Cluster, roll: Roll, log: Log, options: PubSubOptions) {
    this.cluster = cluster;
    this.turn = cluster.turn;
    this.totals = cluster.counters.totals;
    this.map = cluster.topology;
    this.roll = roll;
    this.log = log;
    this.options = options;
    this.upstreams = new Upstreams(options.feed, this.turn, this);
    this.lost = new Lost(this.turn);
    this.deaf = new Lost(this.turn);
    this.roads = new Roads(cluster, this.lost);
    this.gaps = new Gaps(this.totals, log);
  }

  /** The subscription of a name; it is kept until each `take` has been followed by a `release`. */
  take(kind: Kind, name: Buffer): Subscription {
    const map = this.subscriptions[kind]!;
    const key = name.toString('latin1');
    let subscription = map.get(key);
    if (subscription !== undefined) {
      subscription.users++;
      return subscription;
    }
    subscription = new Subscription(kind, name, this.turn);
    subscription.users = 1;
    map.set(key, subscription);
    this.totals[TOTAL.subscriptions]! += 1;
    this.place(subscription);
    this.timer ??= setInterval(() => this.tick(), TICK);
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
    this.gaps.end(subscription);
    this.claim(subscription);
  }

  /** Resolves when no node and no other worker counts what was given back up to now; a node that hangs is not waited for. */
  async returned(): Promise<void> {
    const { holdFor } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, holdFor);
    });
    const returned = this.upstreams.all().map((upstream) => upstream.returned);
    await Promise.race([Promise.all([...returned, this.roll.told]), late]);
    clearTimeout(timer);
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

  /** Where a message of a slot's channels is published. */
  roadOf(slot: number): Node | undefined {
    return this.roads.of(slot, this.map);
  }

  /**
   * True while what is published on a channel, at a node, would be missed by some worker whose subscription is on its
   * way: to the new owner of a shard channel's slot, or away from a node that was lost.
   */
  isMissed(channel: string, shard: boolean, node: string): boolean {
    const { roll, deaf, turn } = this;
    if (shard) return roll.unsettled(SHARD, channel, turn.now, (at) => at.includes(node));
    if (roll.silent === 0 && deaf.isEmpty) return false;
    // Where this worker has just lost a node, others have lost it too, or are about to.
    const hears = (at: readonly string[]) => at.some((address) => !deaf.has(address));
    if (roll.unsettled(CHANNEL, channel, turn.now, hears)) return true;
    const text = Buffer.from(channel, 'latin1');
    return [...roll.patterns].some(
      ([key, pattern]) => matchesGlob(pattern, text) && roll.unsettled(PATTERN, key, turn.now, hears),
    );
  }

  /** A node was lost: what others can do is not asked of it for a while. */
  avoid(address: string): void {
    this.lost.add(address);
    this.roads.leave((node) => node === address);
  }

  /** Resolves when all that was published at the subscription's node up to now has been heard. */
  async fence(subscription: Subscription): Promise<void> {
    await subscription.home?.fence();
  }

  /** Takes a new map. */
  adopt(map: Topology): void {
    this.map = map;
    const nodes = new Set(
      map.shards.flatMap(({ primary, replicas }) => [primary, ...replicas]).map(addressIn),
    );
    this.roads.leave((address) => !nodes.has(address));
    for (const upstream of this.upstreams.all()) {
      upstream.primary = this.isPrimary(upstream.address);
      if (nodes.has(upstream.address)) continue;
      // Then what others have published meanwhile may be missing; one that answers is left without a gap.
      if (upstream.silent) upstream.fail('silent, and the cluster has replaced it');
      for (const subscription of [...upstream.subscriptions]) this.leave(upstream, subscription);
    }
    for (const subscription of this.all()) {
      subscription.left.clear();
      // A shard channel goes to its owner from a replica that stood in for it; others stay where they are.
      if (subscription.scope !== ANY || subscription.upstreams.size === 0) this.place(subscription);
    }
  }

  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.upstreams.close();
  }

  private *all(): Iterable<Subscription> {
    for (const map of this.subscriptions) yield* map.values();
  }

  // ---- where they are

  /** Asks for a subscription where it is to be had and has not been asked for, and leaves where it is not. */
  private place(subscription: Subscription): void {
    const { scope, slot, upstreams } = subscription;
    // Its clients have just been disconnected.
    if (subscription.users === 0) return;
    if (isSingle(scope)) {
      const map = scope === ONE_SHARD ? this.cluster.topology : this.map;
      const all = candidates(map, scope, slot, this.options.replicas);
      // A replica hears of a shard channel what its primary has told already: it stands in for a lost one alone.
      const own = scope === ONE_SHARD && all[0] !== undefined && !this.lost.has(addressIn(all[0]));
      const nodes = own ? all.slice(0, 1) : all;
      const node = this.best(nodes.filter((one) => !subscription.left.has(addressIn(one))));
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

  private best(nodes: readonly NodeInfo[]): Upstream | undefined {
    const node = this.lost.best(nodes);
    return node && this.upstreamAt(node);
  }

  private upstreamAt({ host, port }: Pick<NodeInfo, 'host' | 'port'>): Upstream {
    return this.upstreams.at(host, port, (address) => this.isPrimary(address));
  }

  private isPrimary(address: string): boolean {
    return this.map.shards.some(({ primary }) => addressIn(primary) === address);
  }

  /** A subscription is to be heard elsewhere than at a node that is not in the map any more. */
  private leave(upstream: Upstream, subscription: Subscription): void {
    if (!isSingle(subscription.scope)) return;
    // At the new node first: until it is confirmed there, this one counts.
    this.place(subscription);
    if (subscription.home !== upstream && subscription.upstreams.size > 1) upstream.give(subscription);
  }

  private tick(): void {
    const active = this.upstreams.closeIdle(this.turn.tick());
    // What another node could serve does not wait for one that is not there.
    for (const upstream of this.upstreams.all())
      if (!upstream.ready && this.lost.has(upstream.address))
        for (const subscription of [...upstream.subscriptions]) this.elsewhere(upstream, subscription);
    for (const subscription of this.subscriptions[SHARD]!.values()) {
      if (subscription.upstreams.size > 0) continue;
      this.place(subscription);
      if (subscription.upstreams.size === 0)
        this.cluster.ask(`nobody is known to have slot ${subscription.slot}`);
    }
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
    this.lost.delete(upstream.address);
    this.deaf.delete(upstream.address);
  }

  upstreamLost(upstream: Upstream, reason: string): void {
    const first = !this.lost.has(upstream.address);
    this.avoid(upstream.address);
    this.deaf.add(upstream.address);
    const subscriptions = [...upstream.subscriptions];
    if (first && subscriptions.length > 0) {
      this.log.warn(
        { node: upstream.address, subscriptions: subscriptions.length, reason },
        'a node of subscriptions was lost',
      );
      this.cluster.ask(`subscriptions at ${upstream.address} were lost`);
    }
    for (const subscription of subscriptions) {
      // Given back while those before it were seen to, with the clients that were disconnected.
      if (subscription.users === 0) continue;
      const heard = subscription.upstreams.get(upstream) === true;
      subscription.upstreams.set(upstream, false);
      const single = isSingle(subscription.scope);
      const wasHome = subscription.home === upstream;
      if (wasHome) subscription.home = undefined;
      if (heard && (single ? wasHome : upstream.primary || wasHome))
        this.beginGap(subscription, upstream, reason);
      if (single) this.elsewhere(upstream, subscription);
      else this.settle(subscription);
      if (heard && subscription.users > 0) this.claim(subscription);
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
    this.cluster.ask(`the shard channels of slot ${subscription.slot} have left ${upstream.address}`);
    this.beginGap(subscription, upstream, 'its slot has moved');
    // Where it was the owner it may be a replica now, which would take the subscription again and hear nothing for a
    // while. So the news of another owner is waited for, by a new map or by somebody's MOVED.
    const owner = this.cluster.primaryOf(subscription.slot)?.address;
    if (owner === upstream.address) subscription.left.add(owner);
    this.place(subscription);
    this.claim(subscription);
  }

  /** An SSUBSCRIBE came to a node that has not the slot, or that has not all slots. */
  private follow(subscription: Subscription, text: string): void {
    const error = Buffer.from(`-${text}\r\n`, 'latin1');
    const target = text.startsWith('MOVED') ? targetOf(error, 0, error.length) : undefined;
    // Nodes that disagree need time: the tick asks again.
    if (subscription.users === 0 || target === undefined || target.host === '') return;
    if (++subscription.redirects > IMMEDIATE) return;
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
    this.gaps.end(subscription);
    subscription.settle(undefined);
  }

  private beginGap(subscription: Subscription, { address }: Upstream, reason: string): void {
    if (this.gaps.begin(subscription, address, reason) && this.options.disconnect)
      this.disconnect(subscription, 'messages may have been missed (pubsub.onGap)');
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
    const { scope, home } = subscription;
    const byHome = isSingle(scope) || (scope === MIXED && !isOfKeys(bytes, channelFrom, channelTo));
    const counts = byHome ? home === upstream : upstream.primary || saysExpired(bytes, to, channelTo);
    if (counts) deliver(subscription, this.totals, bytes, from, to);
  }
}

function addressIn({ host, port }: NodeInfo): string {
  return addressOf(host, port);
}
