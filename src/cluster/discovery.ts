// Finds the map: asks several nodes how they see the cluster, reconciles their views, and does so again when
// something is stale, and every so often. Cold; runs once for all workers.
//
// Whom to ask: nodes of the last map first, picked by chance, and the configured seeds when those do not
// answer. A question comes no sooner than `minGap` after the last one, whatever the cause and however many
// ask, and causes that come meanwhile share the next; those that bring nothing new become rarer (pace.ts). A node
// that can't be asked is left alone for a while, as long as others can.

import { Backoff } from './breaker.ts';
import { type ControlOptions, Controls } from './control.ts';
import { addressOf } from './node.ts';
import { Pace } from './pace.ts';
import { isHost, isPort } from './redirect.ts';
import { EMPTY, type NodeInfo, reconcile, sameTopology, type Topology, type View } from './topology.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** A node that has not answered after so long, ms, has another asked beside it. */
const HEDGE_AFTER = 200;
/** Without a map of all slots it is asked for no more often, ms. */
const WHILE_BROKEN = 250;
/** For how long a node that could not be asked is left alone. */
const LEFT_ALONE = { backoffMin: 100, backoffMax: 2000 };

export interface DiscoveryOptions {
  readonly seeds: readonly HostPort[];
  readonly natMap: Readonly<Record<string, HostPort>>;
  readonly username: string;
  readonly password: string;
  readonly timeout: number;
  readonly every: number;
  readonly jitter: number;
  readonly minGap: number;
  /** Nodes asked at a time. */
  readonly ask: number;
}

export interface DiscoveryEvents {
  /** A map that differs from the last one. */
  changed(topology: Topology): void;
  /** All slots have an owner, or why not; told only when that changes. */
  health(problem: string | undefined): void;
  /** A question was asked. */
  asked(): void;
}

export class Discovery {
  topology: Topology = EMPTY;
  /** Why the cluster can't be served, or undefined when it can. */
  problem: string | undefined = 'the cluster has not been asked yet';

  /** What the problem is without its details; empty: none. */
  private problemKind = 'not asked';
  private readonly options: DiscoveryOptions;
  private readonly events: DiscoveryEvents;
  private timer: NodeJS.Timeout | undefined;
  /** Nodes that were asked and have not answered yet. */
  private readonly owing = new Set<string>();
  /** Nodes that could not be asked, and until when they are left alone. */
  private readonly failing = new Map<string, { readonly backoff: Backoff; until: number }>();
  private readonly controls = new Controls();
  private readonly pace: Pace;
  private asking = false;
  private again = false;
  private lastAsked = Number.NEGATIVE_INFINITY;
  private closed = false;

  constructor(options: DiscoveryOptions, events: DiscoveryEvents) {
    this.options = options;
    this.events = events;
    this.pace = new Pace(options.minGap);
  }

  /** Asks now, or as soon as it may. `news`: for a reason that there was not before. */
  refresh(news = true): void {
    if (this.closed) return;
    this.pace.want(news);
    if (this.asking) {
      this.again = true;
      return;
    }
    this.schedule(Math.max(0, this.lastAsked + this.pace.pause - performance.now()));
  }

  close(): void {
    this.closed = true;
    this.controls.close();
    clearTimeout(this.timer);
  }

  private schedule(delay: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), delay);
  }

  private async ask(): Promise<void> {
    this.asking = true;
    this.again = false;
    this.lastAsked = performance.now();
    this.events.asked();
    const { views, failures } = await this.views();
    if (this.closed) return;
    if (views.length > 0) this.take(reconcile(views, this.topology.version + 1));
    this.judge(views.length === 0 ? failures : []);
    this.asking = false;
    const { every, jitter } = this.options;
    if (this.problem !== undefined) {
      this.pace.want(false);
      this.schedule(Math.max(this.pace.pause, WHILE_BROKEN));
    } else if (this.again) this.schedule(this.pace.pause);
    else this.schedule(every * (1 + jitter * (2 * Math.random() - 1)));
  }

  private take(next: Topology): void {
    if (sameTopology(this.topology, next)) return;
    this.topology = next;
    this.events.changed(next);
  }

  private judge(failures: readonly Failure[]): void {
    const unowned = this.topology.slots.filter((shard) => shard === 0xffff).length;
    const [first] = failures;
    let problem: string | undefined;
    let kind = '';
    if (first !== undefined) {
      problem = `no node answers: ${first.address}: ${first.reason}`;
      // It is by chance whose reason comes first, and how many slots are missing just now.
      kind = [...new Set(failures.map((failure) => failure.kind))].sort().join();
    } else if (unowned > 0) {
      problem = `${unowned} slots have no owner`;
      kind = 'unowned';
    }
    const news = kind !== this.problemKind;
    this.problem = problem;
    this.problemKind = kind;
    if (news) this.events.health(problem);
  }

  /**
   * Views of up to `ask` nodes, those of the map first. Each that fails is replaced by another; one that lets itself be
   * waited for has another beside it, and nobody waits for it when there are views enough, or more than half of them
   * and no other node to ask.
   */
  private async views(): Promise<{ views: View[]; failures: Failure[] }> {
    const known = this.topology.shards.flatMap(({ primary, replicas }) => [primary, ...replicas]);
    const queue: HostPort[] = [...shuffled(known), ...shuffled(this.options.seeds)];
    const addresses = new Set(queue.map(({ host, port }) => addressOf(host, port)));
    for (const address of this.failing.keys()) if (!addresses.has(address)) this.failing.delete(address);
    const views: View[] = [];
    const failures: Failure[] = [];
    const tried = new Set<string>();
    const late: HostPort[] = [];
    let desperate = false;
    const askNext = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const address = addressOf(next.host, next.port);
        if (tried.has(address)) continue;
        tried.add(address);
        // One that has failed, or owes an answer to an earlier question, is left alone as long as others say something.
        if ((this.owing.has(address) || this.isLeftAlone(address)) && !desperate) {
          late.push(next);
          continue;
        }
        this.owing.add(address);
        try {
          const options = { ...this.options, host: next.host, port: next.port };
          const view = await viewOf(this.controls, options, this.pace.busy);
          views.push(view);
          this.failing.delete(address);
          // From a seed alone the others are not known yet: they are asked as well, not only the seeds.
          if (known.length === 0) for (const { nodes } of view.ranges) queue.push(...nodes);
          return;
        } catch (error) {
          failures.push(failureOf(address, error as NodeJS.ErrnoException));
          this.leaveAlone(address);
        } finally {
          this.owing.delete(address);
        }
      }
    };
    const { ask } = this.options;
    await new Promise<void>((resolve) => {
      let waiting = 0;
      const timer = setInterval(() => {
        if (queue.length > 0) one();
        else if (views.length * 2 > ask) done();
      }, HEDGE_AFTER);
      const done = () => {
        clearInterval(timer);
        resolve();
      };
      const one = () => {
        waiting++;
        void askNext().then(() => {
          waiting--;
          if (views.length >= ask) return done();
          more();
          if (waiting > 0) return;
          if (views.length > 0 || late.length === 0) return done();
          desperate = true;
          for (const node of late.splice(0)) {
            tried.delete(addressOf(node.host, node.port));
            queue.push(node);
          }
          more();
        });
      };
      const more = () => {
        while (waiting + views.length < ask && queue.length > 0) one();
      };
      // From one seed the others become known.
      if (known.length === 0 && queue.length > 0) one();
      else more();
      if (waiting === 0) done();
    });
    return { views: [...views], failures };
  }

  private isLeftAlone(address: string): boolean {
    const failing = this.failing.get(address);
    return failing !== undefined && performance.now() < failing.until;
  }

  private leaveAlone(address: string): void {
    const failing = this.failing.get(address) ?? { backoff: new Backoff(LEFT_ALONE), until: 0 };
    failing.until = performance.now() + failing.backoff.next();
    this.failing.set(address, failing);
  }
}

interface Failure {
  readonly address: string;
  readonly reason: string;
  /** The reason without addresses, to be compared. */
  readonly kind: string;
}

/** A name with several addresses fails with an error that has a code and no message. */
function failureOf(address: string, error: NodeJS.ErrnoException): Failure {
  const { message, code = '' } = error;
  return { address, reason: message || code, kind: code || message };
}

/** How one node sees the cluster. Rejects when it does not answer or knows no cluster. */
async function viewOf(
  controls: Controls,
  options: ControlOptions & Pick<DiscoveryOptions, 'natMap'>,
  keep: boolean,
): Promise<View> {
  const { natMap } = options;
  return controls.with(options, keep, async (control) => {
    const info = String(await control.ask('CLUSTER', 'INFO'));
    const epoch = Number(/cluster_current_epoch:(\d+)/.exec(info)?.[1] ?? 0);
    const nat = (host: string, port: number) => natMap[addressOf(host, port)] ?? { host, port };
    try {
      return { epoch, ranges: rangesOfShards(await control.ask('CLUSTER', 'SHARDS'), options.host, nat) };
    } catch (error) {
      if (!/unknown subcommand/i.test((error as Error).message)) throw error;
      return { epoch, ranges: rangesOfSlots(await control.ask('CLUSTER', 'SLOTS'), options.host, nat) };
    }
  });
}

type Nat = (host: string, port: number) => HostPort;
type Range = View['ranges'][number];

/** CLUSTER SHARDS: [[slots, [from, to, ...], nodes, [[id, ..., endpoint, ..., role, ..., health, ...], ...]], ...] */
export function rangesOfShards(reply: unknown, asked: string, nat: Nat): Range[] {
  return (reply as unknown[][]).flatMap((shard) => {
    const fields = pairs(shard);
    const slots = fields.get('slots') as number[];
    const all = (fields.get('nodes') as unknown[][])
      .map(pairs)
      .filter((node) => node.get('health') !== 'fail' || node.get('role') === 'master');
    // After a failover Valkey lists the old primary in the same shard, as a master that fails, until it is back.
    const isPrimary = (node: Map<string, unknown>) => node.get('role') === 'master';
    const byRole = [
      ...all.filter((node) => isPrimary(node) && node.get('health') !== 'fail'),
      ...all.filter((node) => isPrimary(node) && node.get('health') === 'fail'),
      ...all.filter((node) => !isPrimary(node)),
    ];
    const healthy = byRole.filter((node, i) => i === 0 || node.get('health') === 'online');
    const nodes = healthy.map((node) =>
      nodeInfo(
        String(node.get('id')),
        hostOf(node.get('endpoint'), asked),
        Number(node.get('port') ?? node.get('tls-port')),
        String(node.get('hostname') ?? ''),
        nat,
      ),
    );
    return Array.from({ length: slots.length / 2 }, (_, i) => ({
      from: Number(slots[2 * i]),
      to: Number(slots[2 * i + 1]),
      nodes,
    }));
  });
}

/** CLUSTER SLOTS: [[from, to, [host, port, id, [extra]], ...], ...] */
export function rangesOfSlots(reply: unknown, asked: string, nat: Nat): Range[] {
  return (reply as unknown[][]).map(([from, to, ...nodes]) => ({
    from: Number(from),
    to: Number(to),
    nodes: (nodes as unknown[][]).map(([host, port, id, extra]) =>
      nodeInfo(
        String(id),
        hostOf(host, asked),
        Number(port),
        String(pairs((extra ?? []) as unknown[]).get('hostname') ?? ''),
        nat,
      ),
    ),
  }));
}

function nodeInfo(id: string, host: string, port: number, hostname: string, nat: Nat): NodeInfo {
  if (!isPort(port) || host === '' || !isHost(host))
    throw new Error(`a node is said to be at ${host}:${port}`);
  return { id, ...nat(host, port), hostname };
}

/** An empty, null or `?` endpoint is the host that was asked. */
function hostOf(endpoint: unknown, asked: string): string {
  return typeof endpoint === 'string' && endpoint !== '' && endpoint !== '?' ? endpoint : asked;
}

function pairs(flat: unknown[]): Map<string, unknown> {
  const map = new Map<string, unknown>();
  for (let i = 0; i + 1 < flat.length; i += 2) map.set(String(flat[i]), flat[i + 1]);
  return map;
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}
