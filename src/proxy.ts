// Builds the rooms, opens the door, and closes them in order. Runs in the main thread, which carries no
// commands: it knows the map, starts the workers (crew.ts), and answers the admin.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { type Admin, openAdmin } from './admin/server.ts';
import type { ServerFacts } from './client/context.ts';
import type { Door } from './client/listener.ts';
import { unknownGroups } from './client/reading.ts';
import { withControl } from './cluster/control.ts';
import { Discovery, type HostPort } from './cluster/discovery.ts';
import type { Topology } from './cluster/topology.ts';
import { withOwn } from './command/own.ts';
import { CommandTable } from './command/table.ts';
import { addressText, type Config } from './config.ts';
import { Crew } from './crew.ts';
import { Holdings } from './functions/holdings.ts';
import type { Log } from './log.ts';
import { TOTAL } from './telemetry/counters.ts';
import { type Metrics, openMetrics } from './telemetry/metrics.ts';

/** Beyond the times of `drain`, for closing itself. */
const CLOSING = 1000;
/** Of the run id, enough to tell the proxies of a cluster apart. */
const ID_DIGITS = 16;

// What is done with a command is a chain of small functions, longer than what the engine inlines into one by
// default (920 bytes of bytecode). With room for it a worker needs a tenth less CPU from pipeline 16 on.
setFlagsFromString('--max-inlined-bytecode-size-cumulative=2000');

export class Slotless {
  private readonly config: Config;
  private readonly log: Log;
  private readonly discovery: Discovery;
  private crew: Crew | undefined;
  private holdings: Holdings | undefined;
  private admin: Admin | undefined;
  private readonly metrics: Metrics;
  private opened = false;
  private closed: Promise<void> | undefined;
  private refreshes = 0;
  private opening: Promise<void> | undefined;
  /** Told why the proxy can't be opened. */
  private failed: (error: Error) => void = () => {};
  constructor(config: Config, log: Log) {
    this.config = config;
    this.log = log;
    const { cluster, natMap, username, password, link, refresh } = config;
    this.discovery = new Discovery(
      { seeds: cluster, natMap, username, password, timeout: link.connectTimeout, ...refresh },
      {
        changed: (topology) => this.spread(topology),
        health: (problem) => this.health(problem),
        asked: () => {
          this.refreshes++;
          const first = this.crew?.counters[0];
          if (first !== undefined) first.totals[TOTAL.refreshes] = this.refreshes;
        },
      },
    );
    this.metrics = openMetrics({
      counters: () => this.crew?.counters ?? [],
      nodes: () => this.nodes(),
      ready: () => this.problem() === undefined,
    });
  }

  /** Opens the admin door, then the clients' door when the cluster is there. Rejects when it can't go on. */
  async open(): Promise<void> {
    const { admin, file } = this.config;
    if (file !== '') this.log.info({ file }, 'settings read');
    if (admin !== 'off') {
      this.admin = await openAdmin(admin, {
        ready: () => this.problem(),
        metrics: () => this.metrics.text(),
        log: this.log,
      });
      this.log.info({ admin: this.admin.address }, 'admin door open');
    }
    const done = new Promise<void>((resolve, reject) => {
      this.failed = reject;
      this.whenOpen = resolve;
    });
    this.discovery.refresh();
    await done;
  }

  /** Stops accepting, takes leave of the clients (client/drain.ts), and closes. Called again, it waits for them no more. */
  close(): Promise<void> {
    if (this.closed !== undefined) this.crew?.hurry();
    this.closed ??= this.drain();
    return this.closed;
  }

  private async drain(): Promise<void> {
    const { grace, timeout } = this.config.drain;
    this.log.info('draining');
    await this.crew?.drain(grace + timeout + CLOSING);
    this.holdings?.close();
    this.discovery.close();
    await this.admin?.close();
    await this.metrics.close();
    this.log.info('closed');
  }

  private whenOpen: () => void = () => {};

  private problem(): string | undefined {
    if (this.closed !== undefined) return 'draining';
    if (this.discovery.problem !== undefined) return this.discovery.problem;
    return this.opened ? this.crew?.problem : 'the door is not open yet';
  }

  private nodes(): Record<string, number> {
    const { shards } = this.discovery.topology;
    return {
      primary: shards.length,
      replica: shards.reduce((count, { replicas }) => count + replicas.length, 0),
    };
  }

  private health(problem: string | undefined): void {
    if (problem !== undefined) {
      this.log.warn({ problem }, 'not ready: the cluster can not be served');
      return;
    }
    if (this.opened) this.log.info('the cluster can be served again');
    else this.opening ??= this.build().catch((error: Error) => this.failed(error));
  }

  private spread(topology: Topology): void {
    const first = this.crew?.counters[0];
    if (first !== undefined) first.totals[TOTAL.topologyChanges]! += 1;
    this.log.info(
      {
        shards: topology.shards.map(({ primary }) => `${primary.host}:${primary.port}`),
        epoch: topology.epoch,
      },
      'the map has changed',
    );
    this.crew?.tell({ type: 'topology', topology });
    this.holdings?.follow(topology);
  }

  /** The cluster is there for the first time: learns what its servers are, and starts the workers. */
  private async build(): Promise<void> {
    const { server, commands } = await this.learn();
    const table = CommandTable.parse(commands, this.config.allow);
    const names = table.commands.map(({ name }) => name);
    const groups = unknownGroups(this.config.reads, table);
    if (groups.length > 0)
      this.log.warn(
        { groups },
        'the servers have no such commands or categories: reads.groups says nothing of them',
      );
    // The next client's id, and how many clients there are: see worker.ts.
    const shared = new SharedArrayBuffer(16);
    new BigInt64Array(shared)[0] = 1n;
    if (this.config.workers > 1) await mustBeFree(this.config.listen);
    const holdings = new Holdings(this.discovery.topology, {
      config: this.config,
      table,
      id: server.runId.slice(0, ID_DIGITS),
      log: this.log,
      spread: async () => this.crew?.ask({ about: 'libraries', held: holdings.held() }),
      stale: () => this.discovery.refresh(false),
    });
    this.holdings = holdings;
    await holdings.open();
    this.crew = new Crew({
      start: { config: this.config, server, commands, shared },
      names,
      topology: () => this.discovery.topology,
      held: () => holdings.held(),
      keep: (what) => holdings.keep(what),
      stale: (news) => this.discovery.refresh(news),
      log: this.log,
    });
    const doors = await this.crew.open(this.config.listen);
    this.opened = true;
    this.log.info(
      { listen: doors.map(addressText), workers: this.config.workers },
      `ready on ${doors.map(addressText).join(', ')}`,
    );
    this.whenOpen();
  }

  /** Asks a primary what it is and which commands it has. */
  private async learn(): Promise<{ server: ServerFacts; commands: unknown }> {
    const primaries: HostPort[] = this.discovery.topology.shards.map(({ primary }) => primary);
    let last = new Error('no primary is known');
    for (const { host, port } of primaries) {
      const { username, password, link } = this.config;
      const timeout = link.connectTimeout;
      try {
        const authRequired = await withControl(
          { host, port, username: '', password: '', timeout },
          needsPassword,
        );
        return await withControl({ host, port, username, password, timeout }, async (control) => {
          const commands = withOwn((await control.ask('COMMAND')) as unknown[]);
          const info = String(await control.ask('INFO', 'server'));
          const hello = (await control.ask('HELLO', '2')) as unknown[];
          const field = (name: string) => new RegExp(`^${name}:(.*)\r?$`, 'm').exec(info)?.[1]?.trim();
          const version = field('valkey_version') ?? field('redis_version') ?? '0';
          const [major = 0, minor = 0] = version.split('.').map(Number);
          const valkey = field('valkey_version') !== undefined;
          const facts = {
            helloName: String(hello[1]),
            helloVersion: String(hello[3]),
            version,
            slotCursors: valkey ? major >= 8 : major > 7 || (major === 7 && minor >= 4),
            replicasKnowMoves: valkey && major >= 8,
            pushesLast: valkey || major > 7 || (major === 7 && minor >= 2),
            authRequired,
            runId: randomBytes(20).toString('hex'),
            startedAt: Date.now(),
          };
          return { server: facts, commands };
        });
      } catch (error) {
        last = error as Error;
      }
    }
    throw last;
  }
}

async function needsPassword(control: { ask(...words: string[]): Promise<unknown> }): Promise<boolean> {
  try {
    await control.ask('PING');
    return false;
  } catch (error) {
    return (error as Error).message.startsWith('NOAUTH');
  }
}

/** Ports that workers share would also be shared with a stranger: they are tried alone first. */
async function mustBeFree(doors: readonly Door[]): Promise<void> {
  for (const door of doors) {
    if ('path' in door || door.port === 0) continue;
    await new Promise<void>((resolve, reject) => {
      const server = createServer();
      server.once('error', reject);
      server.listen({ host: door.host, port: door.port, exclusive: true }, () =>
        server.close(() => resolve()),
      );
    });
  }
}
