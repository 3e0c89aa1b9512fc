// What one node tells one worker of the subscriptions that it has there. Hot for what it hears.
//
// SUBSCRIBE and the like go out one name at a time, collected over a turn, and are confirmed in that order: a FIFO
// says which confirmation, or error, is whose.
//
//   asked | SUBSCRIBE a | SSUBSCRIBE b | SUNSUBSCRIBE c, PING 7 |      <- confirmed from the left
//
// One thing comes unasked: `sunsubscribe`, when a shard channel's slot leaves the node. It can cross our own
// SUNSUBSCRIBE, which is then answered with a second one or with MOVED: so that is followed by a PING with a number,
// and whatever comes before its answer belongs to it. Such a fence also tells when all that was published before
// has been heard.

import { Feed, type FeedOptions, type Hearer } from '../cluster/feed.ts';
import type { Flushable, Turn } from '../cluster/turn.ts';
import { command } from '../resp/write.ts';
import { CHANNEL, type Kind, PATTERN, SHARD } from './names.ts';
import type { Subscription } from './subscription.ts';

/** Told of what the node says. */
export interface UpstreamOwner {
  upstreamOpened(upstream: Upstream): void;
  upstreamLost(upstream: Upstream, reason: string): void;
  /** A subscription is heard here from now on. */
  confirmed(upstream: Upstream, subscription: Subscription): void;
  /** The node does not take it. `text`: its error. */
  refused(upstream: Upstream, subscription: Subscription, text: string): void;
  /** Its slot has left the node. */
  moved(upstream: Upstream, subscription: Subscription): void;
  /** The subscription of this name, `bytes[from..to)`. */
  find(kind: Kind, bytes: Buffer, from: number, to: number): Subscription | undefined;
  /** A message, `bytes[from..to)`, on the channel `bytes[channelFrom..channelTo)`. */
  message(
    upstream: Upstream,
    subscription: Subscription,
    bytes: Buffer,
    from: number,
    to: number,
    channelFrom: number,
    channelTo: number,
  ): void;
}

interface Asked {
  readonly what: 'take' | 'give' | 'fence';
  readonly subscription: Subscription | undefined;
  /** Called when the node has answered it, or is lost. */
  readonly passed: (() => void) | undefined;
}

const TAKE = ['SUBSCRIBE', 'PSUBSCRIBE', 'SSUBSCRIBE'] as const;
const GIVE = ['UNSUBSCRIBE', 'PUNSUBSCRIBE', 'SUNSUBSCRIBE'] as const;
const MINUS = 45;
const STAR = 42;
const CR = 13;
const LETTER_M = 109;
const LETTER_P = 112;
const LETTER_S = 115;
const LETTER_U = 117;

export class Upstream implements Hearer, Flushable {
  readonly host: string;
  readonly port: number;
  readonly address: string;
  /** What is to be heard here. */
  readonly subscriptions = new Set<Subscription>();
  /** The map says that it is one. */
  primary = false;
  /** Resolves when the node counts nothing any more that was given back up to now, or is lost. */
  returned: Promise<void> = Promise.resolve();
  /** Since when nothing has been asked of it, in the turn's milliseconds; 0: it is in use. */
  idleSince = 0;

  private readonly owner: UpstreamOwner;
  private readonly turn: Turn;
  private readonly feed: Feed;
  private asked: Asked[] = [];
  private unsent: Buffer[] = [];
  private fences = 0;
  /** What was last asked of a subscription, if that was to have it. */
  private readonly takes = new Map<Subscription, Asked>();

  constructor(
    host: string,
    port: number,
    address: string,
    options: FeedOptions,
    turn: Turn,
    owner: UpstreamOwner,
  ) {
    this.host = host;
    this.port = port;
    this.address = address;
    this.owner = owner;
    this.turn = turn;
    this.feed = new Feed(host, port, options, turn, this);
  }

  get ready(): boolean {
    return this.feed.ready;
  }

  get problem(): string {
    return this.feed.problem;
  }

  /** Asks for a subscription, now or when the node is there. */
  take(subscription: Subscription): void {
    this.subscriptions.add(subscription);
    subscription.upstreams.set(this, false);
    this.idleSince = 0;
    if (this.ready) this.askFor(subscription);
  }

  private askFor(subscription: Subscription): void {
    this.takes.set(subscription, this.ask('take', subscription));
  }

  /** Gives a subscription back. */
  give(subscription: Subscription): void {
    subscription.upstreams.delete(this);
    this.takes.delete(subscription);
    if (!this.subscriptions.delete(subscription) || !this.ready) return;
    if (subscription.kind === SHARD) {
      this.ask('give', subscription);
      this.returned = this.fence();
    } else
      this.returned = new Promise((passed) => {
        this.ask('give', subscription, passed);
      });
  }

  /** Resolves when all that the node says before it answers has been heard, or it is lost. */
  fence(): Promise<void> {
    if (!this.ready) return Promise.resolve();
    return new Promise((passed) => {
      this.asked.push({ what: 'fence', subscription: undefined, passed });
      this.send(command(['PING', String(++this.fences)]));
    });
  }

  /** The node has said nothing for a while. */
  get silent(): boolean {
    return this.feed.silent;
  }

  /** It is lost, whatever comes from it yet. */
  fail(reason: string): void {
    this.feed.fail(reason);
  }

  close(): void {
    this.feed.close();
    this.forgetAsked();
  }

  flush(): void {
    const { unsent } = this;
    this.unsent = [];
    if (this.ready) this.feed.write(Buffer.concat(unsent));
  }

  private ask(what: 'take' | 'give', subscription: Subscription, passed?: () => void): Asked {
    const asked: Asked = { what, subscription, passed };
    this.asked.push(asked);
    const verbs = what === 'take' ? TAKE : GIVE;
    this.send(command([verbs[subscription.kind], subscription.name]));
    return asked;
  }

  private send(words: Buffer): void {
    if (this.unsent.push(words) === 1) this.turn.markLink(this);
  }

  // ---- what the node says

  opened(): void {
    for (const subscription of this.subscriptions) this.askFor(subscription);
    this.owner.upstreamOpened(this);
  }

  lost(reason: string): void {
    this.forgetAsked();
    this.owner.upstreamLost(this, reason);
  }

  private forgetAsked(): void {
    const { asked } = this;
    this.asked = [];
    this.unsent = [];
    this.takes.clear();
    for (const { passed } of asked) passed?.();
  }

  heard(bytes: Buffer, from: number, to: number): void {
    if (bytes[from] === MINUS) return this.error(bytes.toString('latin1', from + 1, to - 2));
    // A fence's answer, while nothing is subscribed.
    if (bytes[from] !== STAR) return this.passed();
    const kindFrom = bulkFrom(bytes, lineEnd(bytes, from));
    const kindTo = bulkTo;
    const nameFrom = bulkFrom(bytes, kindTo + 2);
    const nameTo = bulkTo;
    const first = bytes[kindFrom];
    switch (kindTo - kindFrom) {
      case 7:
        if (first === LETTER_M) this.message(CHANNEL, bytes, from, to, nameFrom, nameTo);
        return;
      case 8:
        if (first === LETTER_P) this.message(PATTERN, bytes, from, to, nameFrom, nameTo);
        else if (first === LETTER_S) this.message(SHARD, bytes, from, to, nameFrom, nameTo);
        return;
      case 4:
        return this.passed();
      case 9:
      case 10:
        return this.taken();
      case 11:
        return this.given(CHANNEL, bytes, nameFrom, nameTo);
      case 12:
        return this.given(first === LETTER_P ? PATTERN : SHARD, bytes, nameFrom, nameTo);
    }
    if (first === LETTER_U) this.feed.fail('the node said what nobody understands');
  }

  private message(
    kind: Kind,
    bytes: Buffer,
    from: number,
    to: number,
    nameFrom: number,
    nameTo: number,
  ): void {
    const subscription = this.owner.find(kind, bytes, nameFrom, nameTo);
    if (subscription === undefined) return;
    if (kind !== PATTERN) return this.owner.message(this, subscription, bytes, from, to, nameFrom, nameTo);
    const channelFrom = bulkFrom(bytes, nameTo + 2);
    this.owner.message(this, subscription, bytes, from, to, channelFrom, bulkTo);
  }

  private taken(): void {
    const asked = this.asked.shift();
    if (asked?.what !== 'take') return this.feed.fail('the node confirmed what nobody asked for');
    // Else given back meanwhile, and perhaps asked for once more: that counts.
    const subscription = asked.subscription!;
    if (this.takes.get(subscription) === asked) this.owner.confirmed(this, subscription);
  }

  private given(kind: Kind, bytes: Buffer, nameFrom: number, nameTo: number): void {
    const asked = this.asked[0];
    const own = asked?.what === 'give' && asked.subscription!.kind === kind;
    if (own && kind !== SHARD) {
      this.asked.shift()!.passed?.();
      return;
    }
    if (kind !== SHARD) return this.feed.fail('the node gave back what nobody gave it');
    if (own && asked.subscription!.name.equals(bytes.subarray(nameFrom, nameTo))) return;
    const subscription = this.owner.find(SHARD, bytes, nameFrom, nameTo);
    if (subscription?.upstreams.get(this) !== true) return;
    this.forget(subscription);
    this.owner.moved(this, subscription);
  }

  private forget(subscription: Subscription): void {
    this.takes.delete(subscription);
    this.subscriptions.delete(subscription);
    subscription.upstreams.delete(this);
  }

  private error(text: string): void {
    const asked = this.asked[0];
    if (asked?.what === 'give') {
      if (asked.subscription!.kind !== SHARD) this.asked.shift()!.passed?.();
      return;
    }
    if (asked?.what !== 'take') return this.feed.fail(text);
    this.asked.shift();
    const subscription = asked.subscription!;
    if (this.takes.get(subscription) !== asked) return;
    this.forget(subscription);
    this.owner.refused(this, subscription, text);
  }

  /** A fence is answered, and with it what was asked right before it. */
  private passed(): void {
    for (let asked = this.asked.shift(); asked !== undefined; asked = this.asked.shift()) {
      if (asked.what !== 'fence') continue;
      asked.passed?.();
      return;
    }
  }
}

/** Where the bulk ends that `bulkFrom` was last asked about. */
let bulkTo = 0;

/** Where the bytes of a bulk begin whose head, `$<length>\r\n`, stands at `at`. A null has none. */
function bulkFrom(bytes: Buffer, at: number): number {
  let length = 0;
  let i = at + 1;
  for (let byte = bytes[i]!; byte !== CR && i < bytes.length; byte = bytes[++i]!)
    length = length * 10 + byte - 48;
  bulkTo = i + 2 + length;
  return i + 2;
}

/** Behind the line that begins at `at`. */
function lineEnd(bytes: Buffer, at: number): number {
  let i = at;
  while (bytes[i] !== CR) i++;
  return i + 2;
}
