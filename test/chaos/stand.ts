/**
 * A cluster with what stands in front of it, for one row of the table, and what can be done to its nodes.
 *
 * Its nodes keep an append-only file: data outlives a restart, and what a lost primary had acknowledged can be
 * read there.
 */

import { Mover } from '../cluster/moves.ts';
import { type Cluster, type Node, startCluster } from '../support/cluster.ts';
import type { Server } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { type Endpoint, type Kind, openEndpoints, type Reads } from './endpoints.ts';
import { Evidence } from './evidence.ts';
import { Relay } from './relay.ts';

const CONFIG = ['--appendonly', 'yes', '--appendfsync', 'no', '--auto-aof-rewrite-percentage', '0'];

export interface StandOptions {
  /** How much of each fault is done, 0..1. */
  readonly scale?: number;
  /** The first node is reached through a relay. */
  readonly relayed?: boolean;
  /** In which rounds the proxy reads from replicas. */
  readonly reads?: Reads;
  /** More settings of the proxy. */
  readonly settings?: Record<string, string>;
}

type Parts = Pick<Stand, 'cluster' | 'endpoints' | 'relay' | 'nodeTimeout' | 'scale'>;

export class Stand {
  readonly cluster: Cluster;
  readonly mover: Mover;
  /** More settings of its nodes. */
  readonly config: readonly string[] = CONFIG;
  /** Rounds take them in turn. */
  readonly endpoints: readonly Endpoint[];
  readonly relay: Relay | undefined;
  /** How long a node may be silent before the others hold it for dead, ms. */
  readonly nodeTimeout: number;
  readonly scale: number;
  /** In the names of this round's keys. */
  round = '';
  evidence = new Evidence();
  /** How long the cluster itself needed in this round until all slots were served again, ms. */
  took = 0;
  private readonly folders: ReadonlyMap<number, string>;

  static async open(server: Server, kind: Kind, options: StandOptions = {}): Promise<Stand> {
    const { scale = 1, relayed = false, reads = 'never', settings = {} } = options;
    const cluster = await startCluster({ server, config: CONFIG });
    const [first] = cluster.nodes;
    let relay: Relay | undefined;
    try {
      relay = relayed ? await Relay.open(first!.port) : undefined;
      const endpoints = await openEndpoints(kind, cluster, { reads, relay, settings });
      const config = async (port: number, name: string) => {
        return ((await cluster.cli(port, 'CONFIG', 'GET', name)) as string[])[1]!;
      };
      const nodeTimeout = Number(await config(first!.port, 'cluster-node-timeout'));
      const folders = new Map<number, string>();
      for (const { port } of cluster.nodes) folders.set(port, await config(port, 'dir'));
      return new Stand({ cluster, endpoints, relay, nodeTimeout, scale }, folders);
    } catch (error) {
      relay?.close();
      await cluster.stop();
      throw error;
    }
  }

  private constructor(parts: Parts, folders: ReadonlyMap<number, string>) {
    this.cluster = parts.cluster;
    this.mover = new Mover(parts.cluster);
    this.endpoints = parts.endpoints;
    this.relay = parts.relay;
    this.nodeTimeout = parts.nodeTimeout;
    this.scale = parts.scale;
    this.folders = folders;
  }

  /** A whole cluster without a key. */
  async begin(round: string): Promise<void> {
    this.round = round;
    this.evidence = new Evidence();
    this.took = 0;
    await this.mover.agreed();
    for (const { port } of this.cluster.nodes) {
      // Replicas refuse.
      await this.cluster.cli(port, 'FLUSHALL').catch(() => {});
    }
  }

  async lose(node: Node, how: 'kill' | 'freeze' | 'end'): Promise<void> {
    const { cluster } = this;
    if (how === 'freeze') return cluster.pause(node.port);
    if (how === 'end') {
      process.kill(node.pid, 'SIGTERM');
      await until(`${node.port} to end`, () => !lives(node.pid));
    }
    await cluster.kill(node.port);
  }

  /** Resolves when the cluster is whole again. */
  async comeBack(node: Node, how: 'kill' | 'freeze'): Promise<void> {
    if (how === 'freeze') this.cluster.resume(node.port);
    else await this.cluster.restart(node.port);
    await this.mover.agreed();
  }

  /** Notes what a node had executed before it was lost. */
  witness(node: Node): void {
    this.evidence.read(this.folders.get(node.port)!, this.round);
  }

  /** What a primary had is served again after so many ms. */
  tookOver(ms: number): void {
    this.took = Math.max(this.took, ms);
  }

  /** One node's line of another, in CLUSTER NODES. */
  async sees(asked: Node, other: Node): Promise<string> {
    const lines = String(await this.cluster.cli(asked.port, 'CLUSTER', 'NODES')).split('\n');
    return lines.find((line) => line.startsWith(other.id)) ?? '';
  }

  async close(): Promise<void> {
    for (const endpoint of this.endpoints) await endpoint.stop();
    this.relay?.close();
    await this.cluster.stop();
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
