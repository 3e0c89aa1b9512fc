// CLIENT TRACKING: which client is to be told when which key changes.
//
//   reads of tracking clients --> table: key -> clients
//   ears at all primaries ------> key changed --> "invalidate" to its clients, and the key leaves the table
//
// The nodes tell each worker of every change (cluster/ear.ts) for as long as any of its clients tracks, and who has
// read what is kept here. The promise: after a client has got a value, it is told when that changes, or that
// everything may have. So, when an ear hears no more or begins to hear, and when the nodes are others, every client
// is told to forget everything; and what is read from a node that nobody listens to is to be forgotten at once.
//
// A change may be heard before the reply that it is about: so an invalidation goes out behind all replies that the
// client still waits for.

import type { Cluster } from '../cluster/cluster.ts';
import { Ear } from '../cluster/ear.ts';
import type { FeedOptions } from '../cluster/feed.ts';
import type { Topology } from '../cluster/topology.ts';
import type { Arguments } from '../command/arguments.ts';
import { type Command, FLAG } from '../command/command.ts';
import { findKeys, INVALID, Keys } from '../command/keys.ts';
import { slotOf } from '../command/slot.ts';
import { bulk, bulkString, integer, nilArray, push } from '../resp/write.ts';
import type { Attentive, Signal } from './attention.ts';
import type { Session } from './session.ts';

export interface TrackingOptions {
  readonly feed: FeedOptions;
  /** How long a client may wait until all primaries are listened to, ms. */
  readonly timeout: number;
  /** `limits.trackedKeys`. */
  readonly most: number;
  /** Tells all other workers; resolves with what they say to it. */
  readonly signal: (signal: Signal) => Promise<unknown[]>;
}

/** May read what its keys hold. */
const READS = FLAG.readonly | FLAG.mayReplicate;
const LOOK_EVERY = 500;
const INVALIDATE = bulkString('invalidate');
const INVALIDATE_PUSH = '>2\r\n$10\r\ninvalidate\r\n';
const INVALIDATE_MESSAGE = '*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n';

export class Tracking {
  private readonly cluster: Cluster;
  private readonly clients: ReadonlyMap<number, Attentive>;
  private readonly options: TrackingOptions;
  /** Clients that track. */
  private readonly trackers = new Set<Attentive>();
  /** Who has read a key: their ids. Keys are bytes written as Latin-1. */
  private readonly table = new Map<string, Set<number>>();
  private readonly ears = new Map<string, Ear>();
  private map: Topology | undefined = undefined;
  private timer: NodeJS.Timeout | undefined = undefined;
  private waiting: (() => void)[] = [];

  constructor(cluster: Cluster, clients: ReadonlyMap<number, Attentive>, options: TrackingOptions) {
    this.cluster = cluster;
    this.clients = clients;
    this.options = options;
  }

  /** A client tracks from now on. Resolves when all primaries are listened to, with the reason if one can't be. */
  async join(client: Attentive): Promise<string | undefined> {
    this.trackers.add(client);
    this.timer ??= setInterval(() => this.look(), LOOK_EVERY).unref();
    this.look();
    const deadline = performance.now() + this.options.timeout;
    for (;;) {
      const deaf = [...this.ears.values()].find(({ ready }) => !ready);
      if (deaf === undefined) return undefined;
      if (performance.now() >= deadline) {
        this.leave(client);
        return deaf.problem;
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadline - performance.now());
        this.waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** A client tracks no more, if it did. */
  leave(client: Attentive): void {
    client.session.tracking = undefined;
    if (!this.trackers.delete(client) || this.trackers.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.map = undefined;
    for (const ear of this.ears.values()) ear.close();
    this.ears.clear();
    this.table.clear();
  }

  /** A tracking client has been given a command: what it reads is remembered. */
  seen(client: Attentive, command: Command, args: Arguments): void {
    const { tracking } = client.session;
    if (tracking === undefined || tracking.bcast) return;
    const { caching } = tracking;
    if (!command.name.startsWith('client')) tracking.caching = undefined;
    // What stood in it was read when it was run.
    if (command.name === 'exec') return this.tell(client, undefined);
    if ((command.flags & READS) === 0) return;
    if (tracking.optin ? caching !== true : tracking.optout && caching === false) return;
    const count = findKeys(command, args, keys);
    if (count === INVALID || count === 0) return;
    // Only the server knows which.
    if (count < 0) return this.tell(client, undefined);
    this.look();
    const unheard: Buffer[] = [];
    for (let i = 0; i < count; i++) {
      const from = args.starts[keys.at[i]!]!;
      const to = args.ends[keys.at[i]!]!;
      const key = Buffer.from(args.bytes.subarray(from, to));
      if (this.hears(slotOf(args.bytes, from, to))) this.remember(key.toString('latin1'), client.session.id);
      else unheard.push(key);
    }
    if (unheard.length > 0) this.tell(client, unheard);
  }

  /** Writes an invalidation to a client of this worker that another's tracking is redirected to. */
  deliver(id: number, message: string): boolean {
    const target = this.clients.get(id);
    if (target === undefined) return false;
    const { resp, subscribed } = target.session;
    if (resp === 3) target.push(Buffer.from(message, 'latin1'));
    // Who is subscribed to anything is told in the form of a message (tracking.c sendTrackingMessage).
    else if (subscribed !== undefined) target.push(Buffer.from(inRespTwo(message), 'latin1'));
    return true;
  }

  /** Whether any worker has such a client. */
  async exists(id: number): Promise<boolean> {
    if (this.clients.has(id)) return true;
    return (await this.options.signal({ about: 'client', id })).includes(true);
  }

  // ---- the table

  private remember(key: string, id: number): void {
    const { table, options } = this;
    let readers = table.get(key);
    if (readers === undefined) {
      if (table.size >= options.most) this.evict();
      readers = new Set();
      table.set(key, readers);
    }
    readers.add(id);
  }

  /** Room for another key: the one that was read first counts as changed. */
  private evict(): void {
    const [key] = this.table.keys();
    if (key !== undefined) this.invalidate([Buffer.from(key, 'latin1')], false);
  }

  private changed(changes: readonly Buffer[] | undefined): void {
    if (changes === undefined) this.forgetAll();
    else this.invalidate(changes, true);
  }

  private invalidate(changes: readonly Buffer[], bcast: boolean): void {
    for (const key of changes) {
      const name = key.toString('latin1');
      const readers = this.table.get(name);
      if (readers === undefined) continue;
      this.table.delete(name);
      for (const id of readers) {
        const client = this.clients.get(id);
        if (client?.session.tracking?.bcast === false) this.tell(client, [key]);
      }
    }
    if (bcast) for (const client of this.trackers) this.broadcast(client, changes);
  }

  /** One message for each prefix, as a server has it. */
  private broadcast(client: Attentive, changes: readonly Buffer[]): void {
    const { tracking } = client.session;
    if (tracking === undefined || !tracking.bcast) return;
    for (const prefix of tracking.prefixes) {
      const ofPrefix = changes.filter((key) => key.subarray(0, prefix.length).equals(prefix));
      if (ofPrefix.length > 0) this.tell(client, ofPrefix);
    }
  }

  private forgetAll(): void {
    this.table.clear();
    for (const client of this.trackers) this.tell(client, undefined);
  }

  /** Tells a client, or the one that it has named, that keys have changed; undefined: that any may have. */
  private tell(client: Attentive, changes: readonly Buffer[] | undefined): void {
    const { session } = client;
    const { tracking } = session;
    if (tracking === undefined) return;
    const what = changes === undefined ? nilArray(3) : listOf(changes);
    const message = push(3, [INVALIDATE, what]);
    if (tracking.redirect === 0) {
      if (session.resp === 3) client.push(message);
      return;
    }
    const text = message.toString('latin1');
    if (this.deliver(tracking.redirect, text)) return;
    this.options.signal({ about: 'push', id: tracking.redirect, message: text }).then((found) => {
      if (!found.includes(true)) this.broken(client, session);
    });
  }

  private broken(client: Attentive, { tracking, resp }: Session): void {
    if (tracking === undefined) return;
    tracking.broken = true;
    if (resp === 3) client.push(push(3, [bulkString('tracking-redir-broken'), integer(tracking.redirect)]));
  }

  // ---- the ears

  private hears(slot: number): boolean {
    const node = this.cluster.primaryOf(slot);
    return node !== undefined && this.ears.get(node.address)?.ready === true;
  }

  /** An ear at every primary, and at no other node. */
  private look(): void {
    const { cluster, ears } = this;
    if (this.map === cluster.topology) return;
    this.map = cluster.topology;
    const wanted = new Map(cluster.primaries.map((node) => [node.address, node]));
    for (const [address, ear] of ears) {
      if (wanted.has(address)) continue;
      ears.delete(address);
      ear.close();
    }
    for (const [address, { host, port }] of wanted)
      if (!ears.has(address)) {
        const ear = new Ear(host, port, this.options.feed, cluster.turn, this.listener);
        ears.set(address, ear);
      }
  }

  private readonly listener = {
    began: () => {
      this.forgetAll();
      for (const go of this.waiting.splice(0)) go();
    },
    ended: () => this.forgetAll(),
    changed: (changes: readonly Buffer[] | undefined) => this.changed(changes),
  };
}

function listOf(changes: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from(`*${changes.length}\r\n`), ...changes.map(bulk)]);
}

/** A push as the message that it is in RESP2. */
function inRespTwo(message: string): string {
  const what = message.slice(INVALIDATE_PUSH.length);
  return INVALIDATE_MESSAGE + (what === '_\r\n' ? '$-1\r\n' : what);
}

const keys = new Keys();
