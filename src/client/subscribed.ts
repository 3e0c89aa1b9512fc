// What one client is subscribed to. Made with its first subscription, and forgotten with the last.
//
// With `pubsub.mode: sharded` a plain channel is heard as a shard channel as well: this proxy's clients publish there,
// others perhaps not.

import type { Subscriber } from '../pubsub/audience.ts';
import { CHANNEL, type Kind, PATTERN, SHARD } from '../pubsub/names.ts';
import type { PubSub } from '../pubsub/pubsub.ts';
import type { Subscription } from '../pubsub/subscription.ts';
import { TOTAL } from '../telemetry/counters.ts';

/** One name that a client is subscribed to. */
export interface Held {
  readonly subscription: Subscription;
  /** Of a plain channel that is heard as a shard channel, too. */
  readonly shard: Subscription | undefined;
}

/** The subscriptions that it is. */
export function partsOf({ subscription, shard }: Held): Subscription[] {
  return shard === undefined ? [subscription] : [subscription, shard];
}

export class Subscribed {
  /** By kind: by key. */
  private readonly names: readonly Map<string, Held>[] = [new Map(), new Map(), new Map()];
  private readonly client: Subscriber;
  private readonly pubsub: PubSub;
  private resp: 2 | 3;

  constructor(client: Subscriber, pubsub: PubSub, resp: 2 | 3) {
    this.client = client;
    this.pubsub = pubsub;
    this.resp = resp;
    pubsub.totals[TOTAL.subscribers]! += 1;
  }

  /** It is subscribed to nothing any more. */
  end(): void {
    for (const kind of [CHANNEL, PATTERN, SHARD] as const)
      for (const key of this.keys(kind)) this.part(kind, key);
    this.pubsub.totals[TOTAL.subscribers]! -= 1;
  }

  count(kind: Kind): number {
    return this.names[kind]!.size;
  }

  /** What a confirmation of this kind counts: channels and patterns together, or shard channels. */
  counted(kind: Kind): number {
    return kind === SHARD ? this.count(SHARD) : this.count(CHANNEL) + this.count(PATTERN);
  }

  get total(): number {
    return this.count(CHANNEL) + this.count(PATTERN) + this.count(SHARD);
  }

  has(kind: Kind, key: string): boolean {
    return this.names[kind]!.has(key);
  }

  /** All names of a kind, in the order in which they were subscribed to. */
  keys(kind: Kind): string[] {
    return [...this.names[kind]!.keys()];
  }

  *held(): Iterable<Held> {
    for (const names of this.names) yield* names.values();
  }

  /** It hears a subscription that has been taken for it, from now on. */
  join(held: Held): void {
    const { kind, key } = held.subscription;
    this.names[kind]!.set(key, held);
    this.enter(held);
  }

  /** It hears it no more. False: it did not. */
  part(kind: Kind, key: string): boolean {
    const held = this.names[kind]!.get(key);
    if (held === undefined) return false;
    this.names[kind]!.delete(key);
    this.quit(held);
    giveBack(this.pubsub, held);
    return true;
  }

  /** From now on it is told in this version of the protocol. */
  turnTo(resp: 2 | 3): void {
    if (resp === this.resp) return;
    const all = [...this.held()];
    for (const held of all) this.quit(held);
    this.resp = resp;
    for (const held of all) this.enter(held);
  }

  private enter(held: Held): void {
    enter(held, this.client, this.resp);
  }

  private quit(held: Held): void {
    quit(held, this.client, this.resp);
  }
}

/** From now on it is told what comes. */
export function enter({ subscription, shard }: Held, client: Subscriber, resp: 2 | 3): void {
  subscription.audiences[resp === 3 ? 1 : 0].add(client);
  shard?.legacy[resp === 3 ? 1 : 0].add(client);
}

/** It is told no more. */
export function quit({ subscription, shard }: Held, client: Subscriber, resp: 2 | 3): void {
  subscription.audiences[resp === 3 ? 1 : 0].remove(client);
  shard?.legacy[resp === 3 ? 1 : 0].remove(client);
}

/** Gives up what has been taken, and counted, for a client. */
export function giveBack(pubsub: PubSub, { subscription, shard }: Held): void {
  subscription.clients--;
  pubsub.release(subscription);
  if (shard !== undefined) pubsub.release(shard);
}
