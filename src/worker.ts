// A worker thread: its own door on the shared port, its own clients and links. Talks with the main thread about
// the map, about clients that other workers have, and about its end.

import type { Server } from 'node:net';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { ownUser } from './client/asker.ts';
import { Attention, type Signal } from './client/attention.ts';
import { clientLine, matches } from './client/clients.ts';
import type {
  ClientFilter,
  Connection,
  Context,
  HowToUnblock,
  Peers,
  ServerFacts,
} from './client/context.ts';
import { Drain } from './client/drain.ts';
import { closeDoor, type Door, listen } from './client/listener.ts';
import { policiesOf } from './client/reading.ts';
import { Scripts } from './client/repertoire.ts';
import { Revoked } from './client/revoked.ts';
import { Tracking } from './client/tracking.ts';
import { Cluster } from './cluster/cluster.ts';
import { Hedges } from './cluster/hedges.ts';
import { Offsets } from './cluster/offsets.ts';
import { REFUSED_LOGIN } from './cluster/redirect.ts';
import type { Topology } from './cluster/topology.ts';
import { Turn } from './cluster/turn.ts';
import { CommandTable } from './command/table.ts';
import type { Config } from './config.ts';
import { Functions, type Libraries } from './functions/functions.ts';
import type { Held, Keep } from './functions/holdings.ts';
import type { Library } from './functions/library.ts';
import { Pool } from './functions/pool.ts';
import { Budget } from './gather/budget.ts';
import { createLog } from './log.ts';
import { PubSub } from './pubsub/pubsub.ts';
import { Roll } from './pubsub/roll.ts';
import { Counters } from './telemetry/counters.ts';
import { startVitals } from './telemetry/vitals.ts';

/** What a worker is started with. */
export interface WorkerStart {
  readonly index: number;
  readonly config: Config;
  readonly server: ServerFacts;
  /** The COMMAND reply of the servers. */
  readonly commands: unknown;
  readonly counters: SharedArrayBuffer;
  /** What all workers count together: the next client's id, and clients. */
  readonly shared: SharedArrayBuffer;
  readonly topology: Topology;
  readonly held: Held;
  readonly doors: readonly Door[];
  /** It takes the place of one that has died: others have told each other what it has not heard. */
  readonly newcomer: boolean;
}

/** From the main thread to a worker. */
export type ToWorker =
  | { readonly type: 'topology'; readonly topology: Topology }
  | { readonly type: 'ask'; readonly id: number; readonly what: Inquiry }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  /** A worker has died. */
  | { readonly type: 'gone'; readonly index: number }
  | { readonly type: 'drain' };

/** From a worker to the main thread. */
export type FromWorker =
  | { readonly type: 'listening'; readonly doors: readonly Door[] }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'stale'; readonly why: string; readonly news: boolean }
  | { readonly type: 'ask'; readonly id: number; readonly what: Inquiry }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  /** Answered with why it was not done, if it was not. */
  | { readonly type: 'keep'; readonly id: number; readonly what: Keep }
  | { readonly type: 'drained' };

/** What one worker, or the main thread, asks of all others. */
export type Inquiry =
  | { readonly about: 'libraries'; readonly held: Held }
  | { readonly about: 'newcomer' }
  | { readonly about: 'clients' }
  | { readonly about: 'totals' }
  | { readonly about: 'signal'; readonly signal: Signal }
  | { readonly about: 'script'; readonly sha: string }
  | { readonly about: 'forget scripts' }
  | { readonly about: 'kill'; readonly filter: ClientFilter }
  | { readonly about: 'unblock'; readonly id: number; readonly how: HowToUnblock };

/** The longest bulk that a server takes, and a channel with it. Who hears it has limits of its own. */
const LONGEST_MESSAGE = 640 * 1024 * 1024;
/** Pings that a node may leave unanswered within `pubsub.silence`, at least, and the longest time between two, ms. */
const PINGS = 3;
const PING_EVERY = 1000;
/** Indexes into the shared BigInt64Array. */
const NEXT_ID = 0;
export const CLIENTS = 1;

class Worker implements Peers, Libraries {
  private readonly start: WorkerStart;
  private readonly port: MessagePort;
  private readonly context: Context;
  private readonly pubsub: PubSub;
  private readonly functions: Functions;
  private readonly offsets: Offsets;
  private readonly servers: Server[] = [];
  private readonly answers = new Map<number, (value: unknown) => void>();
  private asked = 0;
  private draining: Drain | undefined = undefined;
  private closed = false;

  constructor(start: WorkerStart, port: MessagePort) {
    this.start = start;
    this.port = port;
    const { config } = start;
    const log = createLog(config.log.level, { worker: start.index });
    const table = CommandTable.parse(start.commands, config.allow);
    const counters = Counters.attach(
      start.counters,
      table.commands.map(({ name }) => name),
    );
    const turn = new Turn();
    const cluster = new Cluster(clusterOptions(config, start.server), turn, counters, {
      stale: (why, news) => this.post({ type: 'stale', why, news }),
      linkLost: (node, reason, failures) => {
        // One line per change of state: a node that stays away is mentioned once.
        if (failures === 1) log.warn({ node, reason }, 'a link was lost');
        if (!REFUSED_LOGIN.test(reason)) this.pubsub.avoid(node);
        this.post({ type: 'stale', why: `a link to ${node} was lost`, news: failures === 1 });
      },
      turned: (node, reason) => {
        if (reason === undefined) log.info({ node }, 'a node is sent commands again');
        else log.warn({ node, reason }, 'a node is sent nothing for now');
      },
    });
    cluster.adopt(start.topology);
    const ownLane = cluster.enterLane({ resp: 2, ...ownUser(config), readOnly: false, copy: 0 });
    const { reads } = config;
    this.offsets = new Offsets(cluster.copies, ownLane, turn, {
      every: reads.check,
      silence: reads.silence,
      zones: config.zones,
      fine: reads.hedgeAfter !== 'off',
    });
    const hedges = new Hedges(cluster.copies, turn, counters, {
      silence: reads.silence,
      hedgeAfter: reads.hedgeAfter,
      budget: reads.hedgeBudget,
    });
    this.offsets.onTick = (now) => hedges.tick(now);
    const shared = new BigInt64Array(start.shared);
    const clients = new Map<number, Connection>();
    const feed = feedOptions(config);
    const worker = config.workers > 1 ? start.index : -1;
    const pings = Math.max(PINGS, Math.ceil(config.pubsub.silence / PING_EVERY));
    this.pubsub = new PubSub(cluster, new Roll({ worker, signal: (claims) => this.signal(claims) }), log, {
      feed: { ...feed, pingEvery: Math.ceil(config.pubsub.silence / pings), pings },
      replicas: config.pubsub.from === 'any',
      disconnect: config.pubsub.onGap === 'disconnect',
      holdFor: config.failover.holdFor,
    });
    const settings = {
      remoteTaskTimeout: config.functions.remoteTaskTimeout,
      lockTimeout: config.functions.lockTimeout,
    };
    const runner = new Pool({ ...config.functions, lockTimeout: () => settings.lockTimeout });
    this.functions = new Functions(runner, this, settings);
    this.functions.adopt(start.held.libraries, start.held.carriers);
    this.context = {
      config,
      cluster,
      turn,
      counters,
      table,
      server: start.server,
      policies: policiesOf(reads, table, start.server.replicasKnowMoves),
      clients,
      peers: this,
      attention: new Attention(clients, {
        worker: start.index,
        outputLimit: config.clientOutputLimit,
        signal: (signal) => this.signal(signal),
      }),
      repertoire: new Scripts(config, cluster, this),
      tracking: new Tracking(cluster, clients, {
        timeout: config.link.connectTimeout,
        feed: { ...feed, pingEvery: config.link.connectTimeout, pings: 1 },
        most: config.limits.trackedKeys,
        signal: (signal) => this.signal(signal),
      }),
      pubsub: this.pubsub,
      functions: this.functions,
      copying: new Budget(config.crossSlot.atOnce),
      revoked: new Revoked(clients, {
        cluster,
        context: { config },
        every: config.refresh.every,
        signal: (signal) => this.signal(signal),
      }),
      log,
      user: config.clientAuth === 'proxy' ? ownUser(config) : { username: '', password: '' },
      openToAll: config.clientAuth === 'proxy' || !start.server.authRequired,
      admit: () => {
        if (Atomics.add(shared, CLIENTS, 1n) < BigInt(config.limits.clients)) return true;
        Atomics.sub(shared, CLIENTS, 1n);
        return false;
      },
      dismiss: () => {
        Atomics.sub(shared, CLIENTS, 1n);
      },
      nextId: () => Number(Atomics.add(shared, NEXT_ID, 1n)),
    };
    startVitals(counters);
    port.on('message', (message: ToWorker) => this.receive(message));
  }

  async open(): Promise<void> {
    const { doors, config, newcomer } = this.start;
    // The door opens when it has heard what the others had told each other before.
    if (newcomer) await this.inquire({ about: 'newcomer' });
    const opened: Door[] = [];
    for (const door of doors) {
      const server = await listen(door, this.context, config.workers > 1);
      this.servers.push(server);
      const address = server.address();
      opened.push(
        'path' in door || address === null || typeof address === 'string'
          ? door
          : { host: door.host, port: address.port },
      );
    }
    this.post({ type: 'listening', doors: opened });
  }

  /**
   * Tells all others once more what they know of this worker, since one of them is new. By signals, so that it comes
   * in its order with what is told besides.
   */
  private async introduce(): Promise<void> {
    const { attention, pubsub } = this.context;
    const pause = attention.pauseSignal;
    const { remoteTaskTimeout, lockTimeout } = this.functions.settings;
    const signals: Signal[] = [
      attention.monitorsSignal,
      pubsub.roll.own,
      { about: 'setting', key: 'remoteTaskTimeout', value: remoteTaskTimeout },
      { about: 'setting', key: 'lockTimeout', value: lockTimeout },
      ...(pause === undefined ? [] : [pause]),
    ];
    await Promise.all(signals.map((signal) => this.signal(signal)));
  }

  async clientLines(): Promise<string[]> {
    return (await this.inquire({ about: 'clients' })).flat() as string[];
  }

  async killClients(filter: ClientFilter): Promise<number> {
    return (await this.inquire({ about: 'kill', filter })).reduce(
      (sum: number, count) => sum + Number(count),
      0,
    );
  }

  async unblockClient(id: number, how: HowToUnblock): Promise<boolean> {
    return (await this.inquire({ about: 'unblock', id, how })).includes(true);
  }

  async totals(): Promise<number[][]> {
    return (await this.inquire({ about: 'totals' })) as number[][];
  }

  signal(signal: Signal): Promise<unknown[]> {
    return this.inquire({ about: 'signal', signal });
  }

  async findScript(sha: string): Promise<Buffer | undefined> {
    const found = (await this.inquire({ about: 'script', sha })).find((text) => text instanceof Uint8Array);
    return found === undefined ? undefined : Buffer.from(found);
  }

  async forgetScripts(): Promise<void> {
    await this.inquire({ about: 'forget scripts' });
  }

  // ---- libraries of remote functions: the main thread keeps them

  load(library: Omit<Library, 'version' | 'origin'>, replace: boolean): Promise<void> {
    return this.keep({ about: 'load', library, replace });
  }

  delete(name: string): Promise<void> {
    return this.keep({ about: 'delete', name });
  }

  restore(): Promise<void> {
    return this.keep({ about: 'restore' });
  }

  private async keep(what: Keep): Promise<void> {
    const problem = await this.answered((id) => this.post({ type: 'keep', id, what }));
    if (typeof problem === 'string') throw new Error(problem);
  }

  private inquire(what: Inquiry): Promise<unknown[]> {
    return this.answered((id) => this.post({ type: 'ask', id, what })) as Promise<unknown[]>;
  }

  private answered(ask: (id: number) => void): Promise<unknown> {
    const id = this.asked++;
    return new Promise((resolve) => {
      this.answers.set(id, resolve);
      ask(id);
    });
  }

  private post(message: FromWorker): void {
    this.port.postMessage(message);
  }

  private receive(message: ToWorker): void {
    switch (message.type) {
      case 'topology':
        if (this.closed) return;
        this.context.cluster.adopt(message.topology);
        return this.pubsub.adopt(message.topology);
      case 'ask':
        Promise.resolve(this.reply(message.what)).then((value) =>
          this.post({ type: 'answer', id: message.id, value }),
        );
        return;
      case 'answer':
        this.answers.get(message.id)?.(message.value);
        this.answers.delete(message.id);
        return;
      case 'gone':
        this.context.attention.hear({ about: 'monitors', worker: message.index, count: 0 });
        return this.pubsub.roll.forget(message.index);
      case 'drain':
        this.drain();
    }
  }

  /** Or a promise of it. */
  private reply(what: Inquiry): unknown {
    const { context } = this;
    if (what.about === 'unblock') return context.clients.get(what.id)?.blocked?.unblock(what.how) ?? false;
    if (what.about === 'libraries') return this.functions.adopt(what.held.libraries, what.held.carriers);
    const clients = [...context.clients.values()];
    if (what.about === 'newcomer') return this.introduce();
    if (what.about === 'signal') return this.hear(what.signal);
    if (what.about === 'totals') return [...context.counters.totals];
    if (what.about === 'script') return context.repertoire.sourceOf(what.sha);
    if (what.about === 'forget scripts') return context.repertoire.forgetAll();
    if (what.about === 'clients') return clients.map((client) => clientLine(client, context.turn.tick()));
    const named = clients.filter((client) => matches(client, what.filter));
    for (const client of named) client.close();
    return named.length;
  }

  private hear(signal: Signal): unknown {
    const { attention, clients, tracking, pubsub } = this.context;
    if (signal.about === 'setting') {
      this.functions.settings[signal.key] = signal.value;
      return undefined;
    }
    if (signal.about === 'rights') return this.context.revoked.look();
    if (signal.about === 'subscriptions') return pubsub.roll.hear(signal);
    if (signal.about === 'client') return clients.has(signal.id);
    if (signal.about === 'push') return tracking.deliver(signal.id, signal.message);
    return attention.hear(signal);
  }

  /** Accepts nobody more, waits for the clients' end, and closes. Told again: their end comes at once. */
  private drain(): void {
    if (this.draining !== undefined) return this.draining.hurry();
    const { clients, config } = this.context;
    this.draining = new Drain(clients, config.drain, () => {
      this.closed = true;
      this.pubsub.close();
      this.context.revoked.close();
      this.offsets.close();
      this.functions.runner.close();
      this.context.cluster.close();
      this.post({ type: 'drained' });
    });
    void Promise.all(this.servers.map(closeDoor)).then(() => this.draining!.begin());
  }
}

function feedOptions({ username, password, link }: Config) {
  return {
    username,
    password,
    connectTimeout: link.connectTimeout,
    backoffMin: link.backoffMin,
    backoffMax: link.backoffMax,
    keepAlive: link.keepAlive,
    frameBytes: LONGEST_MESSAGE,
  };
}

function clusterOptions(config: Config, { replicasKnowMoves }: ServerFacts) {
  const { link, node, limits, redirects, failover, natMap, requestTimeout, reads, zone } = config;
  const { username, password } = config;
  return {
    username,
    password,
    connectTimeout: link.connectTimeout,
    requestTimeout,
    silence: link.timeout,
    keepAlive: link.keepAlive,
    backoffMin: link.backoffMin,
    backoffMax: link.backoffMax,
    replyDepth: limits.replyDepth,
    maxPending: node.maxPending,
    maxPendingBytes: node.maxPendingBytes,
    dedicated: node.dedicated,
    blocked: node.blocked,
    redirects: redirects.max,
    holdFor: failover.holdFor,
    natMap,
    linkName: link.name,
    links: node.links,
    reads: { maxLag: reads.maxLag, silence: reads.silence, zone },
    replicasKnowMoves,
  };
}

if (parentPort !== null) {
  const port = parentPort;
  const worker = new Worker(workerData as WorkerStart, port);
  worker
    .open()
    .catch((error: Error) =>
      port.postMessage({ type: 'failed', reason: error.message } satisfies FromWorker),
    );
}
