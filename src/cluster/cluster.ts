// The cluster as one worker sees it: the current map, the nodes, the lanes, and the gates where commands wait.
//
// The map comes from the main thread, which asks the nodes; a MOVED corrects one slot of it at once, here, and
// asks for a new one. Nodes outlive maps: one that is in the next map keeps its links, one that is in none is
// closed when nothing is pending on it.

import { type Counters, TOTAL } from '../telemetry/counters.ts';
import { Copies, type CopiesOptions } from './copies.ts';
import { Gates } from './gate.ts';
import { type Lane, type LaneKey, Lanes } from './lanes.ts';
import type { Link, LinkOwner } from './link.ts';
import { addressOf, Node, type NodeOptions } from './node.ts';
import { EMPTY, type Topology, withMoved } from './topology.ts';
import type { Turn } from './turn.ts';

export interface ClusterOptions extends NodeOptions {
  readonly reads: CopiesOptions;
  /** Replicas answer of a slot that is on the move as its primary does (Valkey 8 and later). */
  readonly replicasKnowMoves: boolean;
  /** Redirects that are followed for one command. */
  readonly redirects: number;
  readonly holdFor: number;
  readonly natMap: Readonly<Record<string, { host: string; port: number }>>;
  readonly linkName: string;
  /** Shared links per node and lane. */
  readonly links: number;
}

/** What the cluster tells its worker. */
export interface ClusterEvents {
  /** A newer map is wanted, and why. `news`: for a reason that there was not before. */
  stale(why: string, news: boolean): void;
  /** A link was lost, or could not be made; `failures` in a row. */
  linkLost(address: string, reason: string, failures: number): void;
  /** A node is sent nothing more for now, and why; undefined: it is again. */
  turned(address: string, why: string | undefined): void;
}

const CHECK_EVERY = 250;
const UNUSED_LANE = 30_000;
/** A node that is silent for longer, ms, is likely to stay so. */
const PATIENCE = 10_000;

export class Cluster implements LinkOwner {
  readonly options: ClusterOptions;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly gates: Gates;
  /** What may be read from, besides primaries. */
  readonly copies: Copies;
  topology: Topology = EMPTY;
  /** Counts the times that commands came to take other roads: with another map, or past a lost node. */
  roads = 0;
  /** The last map that the main thread gave, without what MOVEDs have corrected since. */
  private given: Topology = EMPTY;
  /** Of the current map, for the hot path: slot -> index -> node. */
  slots: Uint16Array = EMPTY.slots;
  primaries: Node[] = [];
  /** The same without those that are shut. */
  private open: (Node | undefined)[] = [];
  /** The lowest slot of each shard that has any, and of those whose primary is not shut. */
  private firstSlots: number[] = [];
  private openSlots: number[] = [];

  private readonly events: ClusterEvents;
  private readonly nodes = new Map<string, Node>();
  private readonly lanes: Lanes;
  private readonly timer: NodeJS.Timeout;
  private checks = 0;
  private checkedAt = 0;

  constructor(options: ClusterOptions, turn: Turn, counters: Counters, events: ClusterEvents) {
    this.options = options;
    this.turn = turn;
    this.counters = counters;
    this.events = events;
    this.lanes = new Lanes(options.linkName);
    this.copies = new Copies(options.reads);
    const { holdFor, requestTimeout, maxPending, maxPendingBytes } = options;
    const limits = {
      holdFor,
      tryAgainFor: requestTimeout,
      maxCommands: maxPending,
      maxBytes: maxPendingBytes,
    };
    this.gates = new Gates(
      limits,
      () => this.turn.tick(),
      () => this.ask('commands wait for a slot that nobody serves'),
    );
    this.timer = setInterval(() => this.check(), CHECK_EVERY);
  }

  /** Takes a new map. */
  adopt(topology: Topology): void {
    this.given = topology;
    this.use({ ...topology, version: this.topology.version + 1 });
    this.leaveReplaced(new Set(this.allNodes().map(({ node }) => node)), this.turn.tick());
    this.gates.tick();
  }

  /** A node that says nothing, and that the others count on no more, will not answer what it owes. */
  private leaveReplaced(current: ReadonlySet<Node>, now: number): void {
    for (const node of this.nodes.values())
      if (!current.has(node) && node.silentFor(now) > this.options.silence)
        node.abandon('it is silent, and the cluster has replaced it');
  }

  /** A node that owes a reply says nothing: does the cluster still count on it? Asked less often as time goes by. */
  private doubt(node: Node, now: number): void {
    const silent = node.doubt(now);
    if (silent <= this.options.silence) return;
    if (silent < PATIENCE || this.checks % 8 === 0)
      this.ask(`${node.address} has been silent for ${silent} ms`);
  }

  /** Corrects the map as a MOVED says; returns the slot's new owner. */
  moved(slot: number, host: string, port: number): Node {
    const node = this.nodeAt(host, port);
    const next = withMoved(this.topology, slot, node.host, node.port);
    if (next !== this.topology) {
      this.use(next);
      this.ask(`slot ${slot} has moved to ${node.address}`, true);
    }
    return node;
  }

  private use(topology: Topology): void {
    this.topology = topology;
    this.roads++;
    this.slots = topology.slots;
    this.primaries = topology.shards.map(({ primary }) => this.known(primary.host, primary.port));
    const shards = topology.shards.map(({ replicas }, i) => ({
      primary: this.primaries[i]!,
      replicas: replicas.map(({ host, port }) => this.known(host, port)),
    }));
    this.copies.adopt(this.slots, shards, this.turn.now);
    this.firstSlots = topology.shards
      .map((_, shard) => topology.slots.indexOf(shard))
      .filter((slot) => slot >= 0);
    this.lookWhoIsOpen();
  }

  private lookWhoIsOpen(): void {
    this.open = this.primaries.map((node) => (node.shut === undefined ? node : undefined));
    this.openSlots = this.firstSlots.filter((slot) => this.ownerOf(slot) !== undefined);
  }

  /** A node was shut or opened. */
  private turned(node: Node): void {
    this.lookWhoIsOpen();
    this.events.turned(node.address, node.shut);
    if (node.shut === undefined) {
      setImmediate(() => this.gates.tick());
      return;
    }
    this.ask(node.shut, true);
    node.letGo();
  }

  /** Where commands for a slot are sent: to its primary, as far as is known; undefined while that is shut. */
  ownerOf(slot: number): Node | undefined {
    return this.open[this.slots[slot]!];
  }

  /** The primary that has a slot, as far as is known, shut or not. */
  primaryOf(slot: number): Node | undefined {
    return this.primaries[this.slots[slot]!];
  }

  /** Why commands for a slot are not sent. */
  whyHeld(slot: number): string {
    const primary = this.primaryOf(slot);
    return primary === undefined ? 'the slot has no owner' : (primary.shut ?? 'its slot is not served');
  }

  /** The node at an address that a server gave. */
  nodeAt(host: string, port: number): Node {
    const mapped = this.options.natMap[addressOf(host, port)];
    return mapped === undefined ? this.known(host, port) : this.known(mapped.host, mapped.port);
  }

  /** All nodes of the map, each shard's primary before its replicas. */
  allNodes(): { node: Node; primary: boolean; shard: number }[] {
    return this.topology.shards.flatMap(({ primary, replicas }, shard) => [
      { node: this.known(primary.host, primary.port), primary: true, shard },
      ...replicas.map(({ host, port }) => ({ node: this.known(host, port), primary: false, shard })),
    ]);
  }

  /**
   * A slot of each shard that has any: calls to a primary are routed by its slot, so that they follow a
   * failover.
   */
  shardSlots(): readonly number[] {
    return this.firstSlots;
  }

  /** A slot for what any shard may answer; the same for the same `seed` while the map is, and none is shut. */
  anySlot(seed: number): number {
    const slots = this.openSlots.length === 0 ? this.firstSlots : this.openSlots;
    return slots.length === 0 ? 0 : slots[seed % slots.length]!;
  }

  /** Has the map asked for. `news`: for a reason that there was not before. */
  ask(why: string, news = false): void {
    this.events.stale(why, news);
  }

  /** The lane of a protocol version, a user and so on; to be left when it is used no more. */
  enterLane(key: LaneKey): Lane {
    return this.lanes.enter(key);
  }

  leaveLane(lane: Lane): void {
    this.lanes.leave(lane, this.turn.now);
  }

  /** Users that have a lane, the default one included. */
  get userCount(): number {
    return this.lanes.userCount;
  }

  // ---- links

  linkReady(): void {
    if (this.gates.slots.size > 0) setImmediate(() => this.gates.tick());
  }

  linkLost(link: Link, reason: string, failures: number): void {
    const { host, port } = link.options;
    // A MOVED led to a node that is not there, and that nobody else has heard of: back to what all say.
    const strange = this.primaries.some((node) => node.host === host && node.port === port);
    if (strange && !hasNode(this.given, host, port)) this.adopt(this.given);
    // Those that block are many, and each attempt has a new one: the shared links speak for the node.
    if (link.patient) return this.ask('a link on which a command blocked was lost');
    this.events.linkLost(addressOf(link.options.host, link.options.port), reason, failures);
  }

  /** Subscriptions and tracking have connections of their own (feed.ts): nothing waits for a push here. */
  linkPush(): void {}

  /** Connections that are up. */
  get linkCount(): number {
    let count = 0;
    for (const node of this.nodes.values()) count += node.linkCount;
    return count;
  }

  close(): void {
    clearInterval(this.timer);
    for (const node of this.nodes.values()) node.close('the proxy is closing');
    // Behind it: reads that a node has just lost wait there now.
    this.gates.close();
  }

  /** The node at an address of the map. */
  known(host: string, port: number): Node {
    const address = addressOf(host, port);
    let node = this.nodes.get(address);
    if (node === undefined) {
      node = new Node(host, port, this.options, this, this.turn, this.counters, (turned) =>
        this.turned(turned),
      );
      this.nodes.set(address, node);
    }
    return node;
  }

  private check(): void {
    const now = this.turn.tick();
    // When this process itself was held up, what the nodes have said lies unread.
    const late = now - this.checkedAt > 2 * CHECK_EVERY;
    this.checkedAt = now;
    this.checks++;
    let pending = 0;
    let shut = 0;
    for (const node of this.nodes.values()) {
      pending += node.pending;
      if (node.shut !== undefined) shut++;
    }
    const { totals } = this.counters;
    totals[TOTAL.pending] = pending;
    totals[TOTAL.nodesShut] = shut;
    totals[TOTAL.held] = this.gates.commands;
    const current = new Set(this.allNodes().map(({ node }) => node));
    this.leaveReplaced(current, now);
    for (const [address, node] of this.nodes) {
      node.check(now);
      if (!late) this.doubt(node, now);
      if (current.has(node) || !node.quiet) continue;
      node.close('no longer in the cluster');
      this.nodes.delete(address);
    }
    this.lanes.giveUp(now - UNUSED_LANE, (lane) => {
      for (const node of this.nodes.values()) node.closeLane(lane);
    });
  }
}

function hasNode({ shards }: Topology, host: string, port: number): boolean {
  return shards.some(({ primary, replicas }) =>
    [primary, ...replicas].some((node) => node.host === host && node.port === port),
  );
}
