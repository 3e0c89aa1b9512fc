// A server of the cluster as one worker sees it: its address and the links to it, one per lane.
//
// Clients of one lane share a node's link. Links of one's own, for commands during which the server or the
// sender holds the connection, are borrowed from a bounded pool and given back; one that nobody wants for a
// while is closed. Blocking commands, which keep theirs for long, have a bound of their own, so that they leave
// logins and huge arguments what those need.

import { type Counters, TOTAL } from '../telemetry/counters.ts';
import { Breaker } from './breaker.ts';
import { READY } from './connection.ts';
import type { Lane } from './lanes.ts';
import { Link, type LinkOptions, type LinkOwner } from './link.ts';
import { probe } from './probe.ts';
import type { Turn } from './turn.ts';

export interface NodeOptions extends Omit<LinkOptions, 'host' | 'port' | 'handshake'> {
  /** Links of one's own that may be borrowed at a time. */
  readonly dedicated: number;
  /** The same for commands that block. */
  readonly blocked: number;
  /** The proxy's own, for what it asks by itself. */
  readonly username: string;
  readonly password: string;
}

/** A link that was given back, and when, in the turn's milliseconds. */
interface Idle {
  readonly link: Link;
  readonly since: number;
}

/** How long a link waits for its next borrower, ms. */
const KEEP_IDLE = 5000;

export class Node {
  readonly host: string;
  readonly port: number;
  /** `host:port`, after the natMap. */
  readonly address: string;
  readonly lanes: (Link | undefined)[] = [];
  readonly breaker: Breaker;

  private readonly options: NodeOptions;
  private readonly owner: LinkOwner;
  private readonly turn: Turn;
  private readonly counters: Counters;
  private readonly borrowed = new Set<Link>();
  /** Of these, those that were borrowed to block. */
  private readonly blocked = new Set<Link>();
  private readonly idle = new Map<Lane, Idle[]>();
  private probing = false;
  private probedAt = 0;
  /** When a probe was last answered. */
  private answeredAt = 0;

  constructor(
    host: string,
    port: number,
    options: NodeOptions,
    owner: LinkOwner,
    turn: Turn,
    counters: Counters,
    turned?: (node: Node) => void,
  ) {
    this.host = host;
    this.port = port;
    this.address = addressOf(host, port);
    this.options = options;
    this.owner = owner;
    this.turn = turn;
    this.counters = counters;
    this.breaker = new Breaker(this.address, options, () => turned?.(this));
  }

  /** Why it is sent nothing now; undefined: it is. */
  get shut(): string | undefined {
    return this.breaker.shut;
  }

  /** The shared link of a lane. */
  link(lane: Lane): Link {
    return this.lanes[lane.index] ?? this.openLane(lane);
  }

  /** A link for one user at a time, or undefined when all that are allowed are taken. `toBlock`: of those that may block. */
  borrow(lane: Lane, toBlock = false): Link | undefined {
    const { dedicated, blocked } = this.options;
    const taken = toBlock ? this.blocked.size : this.borrowed.size - this.blocked.size;
    if (taken >= (toBlock ? blocked : dedicated)) return undefined;
    const idle = this.idle.get(lane)?.pop()?.link;
    if (idle === undefined && this.borrowed.size + this.idleCount >= dedicated + blocked) this.closeIdle();
    const link = idle ?? this.newLink(lane);
    this.borrowed.add(link);
    if (toBlock) this.blocked.add(link);
    this.counters.totals[TOTAL.dedicatedLinks]! += 1;
    return link;
  }

  /** Gives a borrowed link back. One that is not quiet is closed: nobody else may get its replies. */
  giveBack(lane: Lane, link: Link): void {
    this.takeBack(link);
    if (!link.quiet || link.state !== READY) return link.close('given back while in use');
    const idle = this.idle.get(lane) ?? [];
    idle.push({ link, since: this.turn.now });
    this.idle.set(lane, idle);
  }

  private takeBack(link: Link): void {
    this.blocked.delete(link);
    if (this.borrowed.delete(link)) this.counters.totals[TOTAL.dedicatedLinks]! -= 1;
  }

  /** Closes a borrowed link that nobody may use again. */
  discard(link: Link): void {
    this.takeBack(link);
    link.close();
  }

  /** The longest silence of a link that is owed a reply, ms. */
  silentFor(now: number): number {
    let longest = 0;
    for (const link of this.lanes) longest = Math.max(longest, link?.silentFor(now) ?? 0);
    for (const link of this.borrowed) longest = Math.max(longest, link.silentFor(now));
    return longest;
  }

  /**
   * Probes it when it owes a reply and says nothing; shuts it when it has said nothing, to nobody, for as long as it may.
   * Returns for how long the most silent link has said nothing, ms.
   */
  doubt(now: number): number {
    const { silence } = this.options;
    const longest = this.silentFor(now);
    if (longest > silence / 2 && !this.probing && now - this.probedAt > silence / 2) void this.probe(now);
    const silent = Math.min(longest, now - this.heardAt);
    if (silent <= silence) {
      if (this.breaker.silent) this.breaker.spoke();
    } else if (this.breaker.silent || (this.probing && this.probedAt < now)) this.breaker.doubt(silent);
    return longest;
  }

  /** Asks it what has become of the links that are silent, and breaks off the dead ones. */
  private async probe(now: number): Promise<void> {
    const { host, port, options } = this;
    const { username, password, connectTimeout: timeout } = options;
    this.probing = true;
    this.probedAt = now;
    const isSilent = (link: Link) => link.state === READY && link.silentFor(now) > options.silence / 2;
    const shared = this.lanes.filter((link) => link !== undefined).filter(isSilent);
    const silent = [...shared, ...[...this.borrowed].filter(isSilent)];
    const owing = silent.map((link) => {
      return { link, id: link.id, sentFor: now - link.sentAt, connections: link.connections };
    });
    const dead = await probe({ host, port, username, password, timeout }, owing);
    this.probing = false;
    if (dead === undefined) return;
    this.answeredAt = this.turn.tick();
    for (const [{ link, connections }, reason] of dead)
      if (link.connections === connections) link.breakOff(reason);
    for (const link of shared) if (!link.quiet) link.nudge();
    if (this.breaker.silent) this.breaker.spoke();
  }

  /** When it was last heard of, in the turn's milliseconds. */
  private get heardAt(): number {
    let last = this.answeredAt;
    for (const link of this.lanes) last = Math.max(last, link?.heardAt ?? 0);
    for (const link of this.borrowed) last = Math.max(last, link.heardAt);
    return last;
  }

  /** Wakes those who wait until it takes more. */
  letGo(): void {
    for (const link of this.lanes) link?.letGo();
  }

  /** Breaks off the links that wait for a reply. What is pending on them is told. */
  abandon(reason: string): void {
    for (const link of [...this.lanes, ...this.borrowed])
      if (link !== undefined && !link.quiet && !link.patient) link.breakOff(reason);
  }

  check(now: number): void {
    for (const link of this.lanes) link?.check(now);
    for (const link of this.borrowed) link.check(now);
    // The last to be given back is the first to be taken: the oldest is in front.
    for (const idle of this.idle.values())
      while (idle.length > 0 && now - idle[0]!.since > KEEP_IDLE) idle.shift()!.link.close('unused');
  }

  /** Commands sent and not answered. */
  get pending(): number {
    return this.lanes.reduce((sum, link) => sum + (link?.pending ?? 0), 0);
  }

  /** True when nothing is pending on any link. */
  get quiet(): boolean {
    return this.borrowed.size === 0 && this.lanes.every((link) => link === undefined || link.quiet);
  }

  get linkCount(): number {
    return this.lanes.reduce((count, link) => count + (link?.state === READY ? 1 : 0), this.borrowed.size);
  }

  closeLane(lane: Lane): void {
    this.lanes[lane.index]?.close('unused');
    this.lanes[lane.index] = undefined;
    for (const { link } of this.idle.get(lane) ?? []) link.close('unused');
    this.idle.delete(lane);
  }

  close(reason: string): void {
    this.breaker.end();
    for (const link of this.lanes) link?.close(reason);
    this.lanes.length = 0;
    for (const link of [...this.borrowed]) this.discard(link);
    for (const idle of this.idle.values()) for (const { link } of idle) link.close(reason);
    this.idle.clear();
  }

  private get idleCount(): number {
    let count = 0;
    for (const idle of this.idle.values()) count += idle.length;
    return count;
  }

  /** Makes room for a link of another lane. */
  private closeIdle(): void {
    for (const idle of this.idle.values()) {
      const oldest = idle.shift();
      if (oldest !== undefined) return oldest.link.close('makes room for another');
    }
  }

  private openLane(lane: Lane): Link {
    const link = this.newLink(lane);
    while (this.lanes.length <= lane.index) this.lanes.push(undefined);
    this.lanes[lane.index] = link;
    return link;
  }

  private newLink(lane: Lane): Link {
    const { host, port, options } = this;
    return new Link(
      { ...options, host, port, handshake: lane.handshake },
      this.owner,
      this.turn,
      this.counters,
      this.breaker,
    );
  }
}

/** `host:port`, with brackets around an IPv6 address. */
export function addressOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
