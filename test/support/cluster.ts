/**
 * Real clusters for tests, bench and demo, started in about three seconds.
 *
 * The nodes are formed by hand instead of by `redis-cli --cluster create`: slots and config epochs are given
 * while each node is still alone, then all meet, then the replicas follow. Two seconds of the time is the
 * servers' own: a primary that has just started waits that long before it says `cluster_state:ok`.
 * Nothing is kept on disk beyond a temporary folder, and no process outlives the one that started it.
 */

import { join } from 'node:path';
import type { Argument, Value } from './client.ts';
import { Process, type ProcessOptions } from './process.ts';
import { remove, temporary } from './reaper.ts';
import { isPrimary, type Seen, seenIn, wrongIn } from './seen.ts';
import { findServer, type Server } from './servers.ts';
import { until } from './wait.ts';

export const SLOTS = 16384;
/** After this a node gives up a manual failover, by itself. */
const MANUAL_FAILOVER_MS = 5000;

/** `config` and `password` are every node's. */
export interface ClusterOptions extends ProcessOptions {
  /** Default: Redis. */
  server?: Server;
  primaries?: number;
  /** Replicas of each primary. */
  replicas?: number;
}

export interface Node {
  readonly host: string;
  readonly port: number;
  readonly id: string;
  /** The role it had when the cluster was formed, or when `settled`, `moveSlot` or `failover` last asked. */
  role: 'primary' | 'replica';
  pid: number;
}

export interface Lone {
  readonly server: Server;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  ask(...args: Argument[]): Promise<Value>;
  stop(): Promise<void>;
}

/** One lone server (no cluster): the oracle of what a client should see. */
export async function startLone(options: ProcessOptions & { server?: Server } = {}): Promise<Lone> {
  const folder = temporary('slotless-lone');
  const server = options.server ?? (await findServer());
  const process = await Process.start(server, folder, options, false);
  return {
    server,
    host: process.host,
    port: process.port,
    pid: process.pid,
    ask: (...args) => process.ask(...args),
    stop: async () => {
      await process.kill();
      remove(folder);
    },
  };
}

/** A cluster whose nodes all know each other, own all slots, and whose replicas are in step. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { primaries = 3, replicas = 1 } = options;
  const server = options.server ?? (await findServer());
  const folder = temporary('slotless-cluster');
  const count = primaries * (1 + replicas);
  const processes = await Promise.all(
    Array.from({ length: count }, (_, i) => Process.start(server, join(folder, String(i)), options, true)),
  );
  const cluster = new Cluster(server, folder, processes, options.password);
  try {
    await cluster.form(primaries);
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

export class Cluster {
  readonly server: Server;
  readonly folder: string;
  readonly password: string | undefined;
  nodes: Node[] = [];
  private processes: Process[];
  private started: number;

  constructor(server: Server, folder: string, processes: Process[], password?: string) {
    this.server = server;
    this.folder = folder;
    this.processes = processes;
    this.started = processes.length;
    this.password = password;
  }

  /** `host:port` of every node, as the proxy's setting `cluster` wants them. */
  get seeds(): string[] {
    return this.nodes.map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`));
  }

  get primaries(): Node[] {
    return this.nodes.filter((node) => node.role === 'primary');
  }

  /** One command to one node, as a plain value; an error reply rejects. */
  async cli(port: number, ...args: Argument[]): Promise<Value> {
    const value = await this.process(port).ask(...args);
    if (value instanceof Error) throw new Error(`${args.join(' ')} at ${port}: ${value.message}`);
    return value;
  }

  /** The primary that owns a slot now, as the nodes themselves say. */
  async ownerOf(slot: number): Promise<Node> {
    type Shard = [from: number, to: number, primary: [host: string, port: number]];
    const shards = (await this.cli(this.running(), 'CLUSTER', 'SLOTS')) as Shard[];
    const port = shards.find(([from, to]) => from <= slot && slot <= to)?.[2][1];
    const owner = this.nodes.find((node) => node.port === port);
    if (!owner) throw new Error(`slot ${slot} has no owner`);
    return owner;
  }

  /** Moves a slot with its keys to a node's shard, as redis-cli does it: the destination learns of it first. */
  async moveSlot(slot: number, toPort: number): Promise<void> {
    await this.learnRoles();
    const [source, target] = [await this.ownerOf(slot), await this.primaryOf(toPort)];
    if (source === target) return;
    await this.beginMove(slot, target.port);
    while ((await this.moveKeys(slot, source.port, target.port)) > 0);
    const others = this.primaries.filter((node) => node !== target && node !== source);
    for (const { port } of [target, source, ...others]) {
      if (this.process(port).running) await this.cli(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', target.id);
    }
  }

  /** The first half of a move: the slot stays open between the two nodes until `moveSlot` or SETSLOT ends it. */
  async beginMove(slot: number, toPort: number): Promise<void> {
    const [source, target] = [await this.ownerOf(slot), this.node(toPort)];
    await this.cli(target.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id);
    await this.cli(source.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id);
  }

  /** Moves up to `most` keys of an open slot; returns how many were found. */
  async moveKeys(slot: number, fromPort: number, toPort: number, most = 100): Promise<number> {
    const keys = (await this.cli(fromPort, 'CLUSTER', 'GETKEYSINSLOT', slot, most)) as string[];
    if (keys.length === 0) return 0;
    const auth = this.password ? ['AUTH', this.password] : [];
    const { host } = this.node(toPort);
    await this.cli(fromPort, 'MIGRATE', host, toPort, '', 0, 5000, ...auth, 'KEYS', ...keys);
    return keys.length;
  }

  /** Makes a replica the primary of its shard; given a primary, one of its replicas. Waits until all agree. */
  async failover(port: number, how?: 'FORCE' | 'TAKEOVER'): Promise<Node> {
    const node = await this.heirOf(port);
    let asked = -MANUAL_FAILOVER_MS;
    await until(`${node.port} to be a primary`, async () => {
      const old = await this.primaryOf(node.port);
      // A wish that comes before its primary knows the replica is dropped, and so is one that takes long: silently.
      const known = how !== undefined || (await this.primarySeenBy(old, node)) === old.id;
      if (old !== node && known && performance.now() - asked > MANUAL_FAILOVER_MS) {
        asked = performance.now();
        await this.cli(node.port, 'CLUSTER', 'FAILOVER', ...(how ? [how] : []));
      }
      for (const one of this.nodes)
        if (this.process(one.port).running && (await this.primarySeenBy(one, node)) !== '-') return false;
      return true;
    });
    await this.learnRoles();
    return node;
  }

  /** Kills a node's process at once. */
  async kill(port: number): Promise<void> {
    await this.process(port).kill();
  }

  /** Starts a killed node again, with what its configuration file remembers. */
  async restart(port: number): Promise<void> {
    await this.process(port).launch();
    this.node(port).pid = this.process(port).pid;
  }

  /** A killed node comes back at another port, as a pod that has moved; the others are not told. */
  async relocate(port: number): Promise<Node> {
    const process = this.process(port);
    await process.move();
    await process.launch();
    const moved = { ...this.node(port), port: process.port, pid: process.pid };
    this.nodes = this.nodes.map((node) => (node.port === port ? moved : node));
    return moved;
  }

  /** Halts a node: its connections stay open and say nothing. `resume` ends that. */
  pause(port: number): void {
    process.kill(this.process(port).pid, 'SIGSTOP');
  }

  resume(port: number): void {
    process.kill(this.process(port).pid, 'SIGCONT');
  }

  /** Starts one more primary, without slots, that all others know. `config` as in startCluster. */
  async join(options: ProcessOptions = {}): Promise<Node> {
    const node = await this.start(options);
    for (const other of this.nodes) {
      if (other !== node) await this.cli(other.port, 'CLUSTER', 'MEET', node.host, node.port);
    }
    await this.settled();
    return node;
  }

  /** Starts one more node, which nobody knows yet. */
  async start(options: ProcessOptions = {}): Promise<Node> {
    const folder = join(this.folder, String(this.started++));
    const one = await Process.start(this.server, folder, options, true);
    this.processes.push(one);
    const { host, port, pid } = one;
    const node: Node = { host, port, pid, id: String(await one.ask('CLUSTER', 'MYID')), role: 'primary' };
    this.nodes.push(node);
    return node;
  }

  /** Ends a node that the others have forgotten, when no proxy is connected to it any more. */
  async leave(port: number): Promise<void> {
    const gone = this.process(port);
    await until(`the proxies to have left ${port}`, async () => {
      return !String(await gone.ask('CLIENT', 'LIST')).includes('name=slotless');
    });
    await gone.kill();
    this.nodes = this.nodes.filter((node) => node.port !== port);
    this.processes = this.processes.filter((one) => one !== gone);
  }

  /** Waits until every running node sees a whole cluster, with its replicas in step. */
  async settled(): Promise<void> {
    const whole = async () => {
      const running = this.processes.filter((one) => one.running);
      const ports = running.map(({ port }) => port);
      for (const one of running) {
        const info = String(await one.ask('CLUSTER', 'INFO'));
        const replication = String(await one.ask('INFO', 'replication'));
        const nodes = await this.nodesSeenBy(one.port);
        const wrong = wrongIn({ info, replication, nodes }, this.nodes.length, ports);
        if (wrong !== undefined) throw new Error(`${one.port} says ${wrong}`);
      }
      return true;
    };
    await until('the cluster to be whole', whole, 30_000, 50);
    await this.learnRoles();
  }

  /** Ends every node and removes the folder. */
  async stop(): Promise<void> {
    await Promise.all(this.processes.map((one) => one.kill()));
    remove(this.folder);
  }

  /** Turns the started processes into a cluster: see the head of the file. */
  async form(primaries: number): Promise<void> {
    const all = this.processes;
    const ids = (await Promise.all(all.map((one) => one.ask('CLUSTER', 'MYID')))) as string[];
    this.nodes = all.map(({ host, port, pid }, i) => {
      return { host, port, pid, id: ids[i] ?? '', role: i < primaries ? 'primary' : 'replica' };
    });
    for (const [i, { port }] of this.nodes.entries()) {
      await this.cli(port, 'CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
      if (i >= primaries) continue;
      const [from, to] = [Math.ceil((SLOTS * i) / primaries), Math.ceil((SLOTS * (i + 1)) / primaries) - 1];
      await this.cli(port, 'CLUSTER', 'ADDSLOTSRANGE', from, to);
    }
    for (const [i, { port }] of this.nodes.entries()) {
      for (const other of this.nodes.slice(i + 1))
        await this.cli(port, 'CLUSTER', 'MEET', other.host, other.port);
    }
    await Promise.all(
      this.nodes.slice(primaries).map(({ port }, i) =>
        until(`${port} to follow its primary`, async () => {
          return (await this.cli(port, 'CLUSTER', 'REPLICATE', ids[i % primaries] ?? '')) === 'OK';
        }),
      ),
    );
    const roles = this.nodes.map(({ id }, i) => [id, i < primaries ? '-' : ids[(i - primaries) % primaries]]);
    await this.settled();
    await until('all nodes to agree on the roles', async () => {
      for (const { port } of this.nodes) {
        const lines = await this.nodesSeenBy(port);
        if (!roles.every(([id, primary]) => lines.some((l) => l.id === id && l.primary === primary)))
          return false;
        // A replica is shown to clients only when it has been heard to have got something of its primary.
        const shown = (await this.cli(port, 'CLUSTER', 'SLOTS')) as Value[][];
        if (shown.reduce((sum, range) => sum + range.length - 2, 0) !== this.nodes.length) return false;
      }
      return true;
    });
    await this.learnRoles();
  }

  private async nodesSeenBy(port: number): Promise<Seen[]> {
    return seenIn(String(await this.cli(port, 'CLUSTER', 'NODES')));
  }

  /** Asks a node who is primary now. */
  private async learnRoles(): Promise<void> {
    for (const seen of await this.nodesSeenBy(this.running())) {
      const node = this.nodes.find(({ id }) => id === seen.id);
      if (node) node.role = isPrimary(seen, this.process(node.port).running) ? 'primary' : 'replica';
    }
  }

  /** The primary of a node's shard, as the node itself says if it can. */
  private async primaryOf(port: number): Promise<Node> {
    const node = this.node(port);
    const asked = this.process(port).running ? node : this.node(this.running());
    const primary = await this.primarySeenBy(asked, node);
    return this.nodes.find(({ id }) => id === primary) ?? node;
  }

  private async primarySeenBy(asked: Node, node: Node): Promise<string | undefined> {
    return (await this.nodesSeenBy(asked.port)).find(({ id }) => id === node.id)?.primary;
  }

  /** A replica is its own; of a primary, it is one that runs. */
  private async heirOf(port: number): Promise<Node> {
    const node = this.node(port);
    if ((await this.primaryOf(port)) !== node) return node;
    const lines = (await this.nodesSeenBy(this.running(port))).filter((line) => line.primary === node.id);
    const heir = this.nodes.find(
      ({ id, port }) => lines.some((l) => l.id === id) && this.process(port).running,
    );
    if (!heir) throw new Error(`${port} has no replica to take over`);
    return heir;
  }

  private running(except = 0): number {
    return this.nodes.find(({ port }) => port !== except && this.process(port).running)?.port ?? except;
  }

  private node(port: number): Node {
    const node = this.nodes.find((one) => one.port === port);
    if (!node) throw new Error(`no node at port ${port}`);
    return node;
  }

  private process(port: number): Process {
    const found = this.processes.find((one) => one.port === port);
    if (!found) throw new Error(`no node at port ${port}`);
    return found;
  }
}
