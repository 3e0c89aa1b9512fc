// One channel, pattern or shard channel that clients of this worker are subscribed to: who they are, and at which
// nodes it is heard for them.

import { slotOf } from '../command/slot.ts';
import { Audience, type Subscriber, type TurnEnd } from './audience.ts';
import type { Gap, Gapped } from './gap.ts';
import { type Kind, type Scope, scopeOf } from './names.ts';

/** A node at which subscriptions are heard: see upstream.ts. */
export interface Place {
  readonly address: string;
  /** The map says that it is a primary. */
  readonly primary: boolean;
  /** Why nothing is heard there. */
  readonly problem: string;
  /** Gives a subscription back. */
  give(subscription: Subscription): void;
  /** Resolves when all that the node has said up to now is heard. */
  fence(): Promise<void>;
}

export class Subscription implements Gapped {
  readonly kind: Kind;
  readonly name: Buffer;
  /** The name's bytes, written as Latin-1. */
  readonly key: string;
  readonly scope: Scope;
  /** By which its node is chosen. */
  readonly slot: number;
  /** By protocol version: RESP2, RESP3. */
  readonly audiences: readonly [Audience, Audience];
  /** Of a shard channel: who is subscribed to the plain channel of this name (`pubsub.mode: sharded`). */
  readonly legacy: readonly [Audience, Audience];
  /** How many clients have it or are about to. At 0 it is given back. */
  users = 0;
  /** How many clients are counted as receivers. */
  clients = 0;
  /** Where it has been asked for; true where the node has confirmed it. */
  readonly upstreams = new Map<Place, boolean>();
  /** The node at which what all nodes pass on is heard, once it is confirmed there. */
  home: Place | undefined = undefined;
  gap: Gap | undefined = undefined;
  /** Of a shard channel: nodes that have given up its slot, as far as the map does not say so yet. */
  readonly left = new Set<string>();
  /** Redirects since it was last heard. */
  redirects = 0;
  private waiting: ((problem: string | undefined) => void)[] = [];

  constructor(kind: Kind, name: Buffer, turn: TurnEnd) {
    this.kind = kind;
    this.name = name;
    this.key = name.toString('latin1');
    this.scope = scopeOf(kind, name);
    this.slot = slotOf(name, 0, name.length);
    this.audiences = [new Audience(turn), new Audience(turn)];
    this.legacy = [new Audience(turn), new Audience(turn)];
  }

  /** Every client that hears it. */
  *members(): Iterable<Subscriber> {
    for (const { members } of [...this.audiences, ...this.legacy]) yield* members;
  }

  /** Resolves when `settle` says so, with the reason if it can't be had. */
  wait(): Promise<string | undefined> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** What was waited for is there, or will not be. */
  settle(problem: string | undefined): void {
    for (const resolve of this.waiting.splice(0)) resolve(problem);
  }
}
