// How many clients of each worker are subscribed to what, and where their worker hears it: so that PUBLISH and PUBSUB
// can count clients, on whichever worker they are, instead of the workers' own subscriptions at the nodes.
//
// Each worker tells all others of every change, in one message a turn; a subscription is confirmed to its client
// only when they have heard, so that whoever publishes after that counts it.

import { type Kind, PATTERN } from './names.ts';

/** What a worker says of one subscription. */
export interface Claim {
  readonly kind: Kind;
  /** The name's bytes, written as Latin-1. */
  readonly key: string;
  /** Clients that are counted as receivers, and all that hear it. */
  readonly clients: number;
  readonly users: number;
  /** Addresses of the nodes at which the worker is subscribed. */
  readonly at: readonly string[];
}

/** Claims of one worker that have changed. */
export interface Claims {
  readonly about: 'subscriptions';
  readonly worker: number;
  readonly claims: readonly Claim[];
}

export interface RollOptions {
  /** Which worker this is; -1 where it is alone. */
  readonly worker: number;
  /** Tells all other workers; resolves when they have heard. */
  readonly signal: (claims: Claims) => Promise<unknown>;
}

/** What is published waits so long for those who can't hear it yet, ms. */
const DOUBT = 1000;
const NOBODY: readonly Claim[] = [];

export class Roll {
  /** Resolves when all other workers know what has been claimed so far; undefined where there are none. */
  told: Promise<unknown> | undefined = undefined;
  /** Every pattern that any worker claims, by its key. */
  readonly patterns = new Map<string, Buffer>();

  private readonly options: RollOptions;
  /** By kind and key: by worker. */
  private readonly names = [new Map(), new Map(), new Map()] as const satisfies readonly Map<
    string,
    Map<number, Claim>
  >[];
  /** Claims of workers that hear a name nowhere now. */
  silent = 0;
  /** Claims that others wait for: since when. */
  private readonly doubts = new WeakMap<Claim, number>();
  private changed = new Map<string, Claim>();

  constructor(options: RollOptions) {
    this.options = options;
  }

  /** This worker's own claim is another. */
  claim(claim: Claim): void {
    const { worker } = this.options;
    this.write(worker, claim);
    if (worker < 0) return;
    if (this.changed.size === 0) this.told = Promise.resolve().then(() => this.tell());
    this.changed.set(`${claim.kind}${claim.key}`, claim);
  }

  private async tell(): Promise<void> {
    const claims = [...this.changed.values()];
    this.changed = new Map();
    await this.options.signal({ about: 'subscriptions', worker: this.options.worker, claims });
  }

  /** All that this worker claims. */
  get own(): Claims {
    const { worker } = this.options;
    const claims = this.names.flatMap((names) =>
      [...(names.values() as Iterable<Map<number, Claim>>)].flatMap((byWorker) => byWorker.get(worker) ?? []),
    );
    return { about: 'subscriptions', worker, claims };
  }

  /** A worker is gone, with all that it has claimed. */
  forget(worker: number): void {
    for (const names of this.names)
      for (const claims of [...(names.values() as Iterable<Map<number, Claim>>)]) {
        const claim = claims.get(worker);
        if (claim !== undefined) this.write(worker, { ...claim, clients: 0, users: 0, at: [] });
      }
  }

  /** What another worker has told. */
  hear({ worker, claims }: Claims): void {
    for (const claim of claims) this.write(worker, claim);
  }

  /** All workers' claims on one name, to be gone through once. */
  of(kind: Kind, key: string): Iterable<Claim> {
    const claims: Map<number, Claim> | undefined = this.names[kind].get(key);
    return claims === undefined ? NOBODY : claims.values();
  }

  /** All names of a kind that any worker claims. */
  keys(kind: Kind): string[] {
    return [...(this.names[kind].keys() as Iterable<string>)];
  }

  /** True when nobody is subscribed to anything of a kind. */
  isEmpty(kind: Kind): boolean {
    return this.names[kind].size === 0;
  }

  /** Clients of all workers. */
  clients(kind: Kind, key: string): number {
    let count = 0;
    for (const { clients } of this.of(kind, key)) count += clients;
    return count;
  }

  /** Subscriptions of all workers at one node, or at all. */
  subscriptions(kind: Kind, key: string, node?: string): number {
    let count = 0;
    for (const { at } of this.of(kind, key)) {
      if (node === undefined) count += at.length;
      else if (at.includes(node)) count++;
    }
    return count;
  }

  /**
   * True while some worker could not hear what is published, as `hears` says of the nodes at which it is. For a while
   * only: a subscription that is refused holds nobody up for ever. `now` in ms.
   */
  unsettled(kind: Kind, key: string, now: number, hears: (at: readonly string[]) => boolean): boolean {
    for (const claim of this.of(kind, key)) {
      if (hears(claim.at)) continue;
      const since = this.doubts.get(claim) ?? now;
      this.doubts.set(claim, since);
      if (now - since < DOUBT) return true;
    }
    return false;
  }

  private write(worker: number, claim: Claim): void {
    const names = this.names[claim.kind] as Map<string, Map<number, Claim>>;
    let claims = names.get(claim.key);
    if (claims?.get(worker)?.at.length === 0) this.silent--;
    if (claim.users > 0 && claim.at.length === 0) this.silent++;
    if (claim.users === 0) {
      if (!claims?.delete(worker) || claims.size > 0) return;
      names.delete(claim.key);
      if (claim.kind === PATTERN) this.patterns.delete(claim.key);
      return;
    }
    if (claims === undefined) {
      claims = new Map();
      names.set(claim.key, claims);
      if (claim.kind === PATTERN) this.patterns.set(claim.key, Buffer.from(claim.key, 'latin1'));
    }
    claims.set(worker, claim);
  }
}
