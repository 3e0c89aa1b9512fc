/**
 * What the load talks to: this proxy, or another where it is in PATH. Each with two worker threads (predixy: one).
 *
 * With this proxy an error says whether the write's outcome is open; with the others only Redis's own errors are
 * known to be a refusal.
 */

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.ts';
import type { Cluster } from '../support/cluster.ts';
import { freePort } from '../support/ports.ts';
import { predixyConfig } from '../support/predixy.ts';
import { startProxy } from '../support/proxy.ts';
import { adopt, end } from '../support/reaper.ts';
import { which } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import type { InFlight } from './caller.ts';
import type { Fault } from './faults.ts';
import type { Relay } from './relay.ts';

export interface Endpoint {
  readonly port: number;
  readonly inFlight: InFlight;
  /** Clients that wait for a replica behind each write. */
  readonly waits: boolean;
  readonly log: readonly string[];
  stop(): Promise<void>;
}

/** Rounds in which replicas are read from: none, each second, all. */
export type Reads = 'never' | 'half' | 'always';

export const KINDS = ['slotless', 'predixy', 'redis-cluster-proxy'] as const;
export type Kind = (typeof KINDS)[number];

const WORKERS = 2;
const PREFER_REPLICA = { 'reads.from': 'prefer-replica' } as const;
const IN_FLIGHT: InFlight = {
  write: /outcome of this write is unknown/,
  read: /this read was not asked again/,
};
const NOT_REFUSED = /^(?!MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|MASTERDOWN|READONLY)/;

/** Whether an endpoint of this kind can be started here, for this fault. */
export function available(kind: Kind, fault?: Fault): boolean {
  if (kind === 'slotless') return true;
  return which(kind) !== undefined && fault?.relayed !== true;
}

/** One endpoint, or two, of which the second reads from replicas. */
export async function openEndpoints(
  kind: Kind,
  cluster: Cluster,
  options: { reads: Reads; relay: Relay | undefined; settings: Record<string, string> },
): Promise<Endpoint[]> {
  if (kind === 'predixy') return [await startPredixy(cluster)];
  if (kind === 'redis-cluster-proxy') return [await startRedisClusterProxy(cluster)];
  const { reads, relay, settings } = options;
  const ways = { never: [{}], half: [{}, PREFER_REPLICA], always: [PREFER_REPLICA] }[reads];
  const [node] = cluster.nodes;
  const nat = relay && { natMap: `127.0.0.1:${node!.port}=127.0.0.1:${relay.port}` };
  return Promise.all(ways.map((way) => startSlotless(cluster, { ...settings, ...nat, ...way })));
}

async function startSlotless(cluster: Cluster, settings: Record<string, string>): Promise<Endpoint> {
  const proxy = await startProxy({ cluster, settings: { workers: WORKERS, ...settings } });
  const { port, log } = proxy;
  return { port, log, inFlight: IN_FLIGHT, waits: true, stop: () => proxy.stop() };
}

async function startPredixy(cluster: Cluster): Promise<Endpoint> {
  const port = await freePort();
  const file = join(cluster.folder, 'predixy.conf');
  writeFileSync(file, predixyConfig(port, cluster.seeds));
  return startPeer('predixy', [file], port);
}

async function startRedisClusterProxy(cluster: Cluster): Promise<Endpoint> {
  const port = await freePort();
  const args = [
    '--port',
    String(port),
    '--threads',
    String(WORKERS),
    '--bind',
    '127.0.0.1',
    ...cluster.seeds,
  ];
  return startPeer('redis-cluster-proxy', args, port);
}

async function startPeer(kind: Kind, args: string[], port: number): Promise<Endpoint> {
  const child = adopt(spawn(which(kind)!, args, { stdio: 'ignore' }));
  const stop = () => end(child, 'SIGTERM', 3000);
  const answers = async () => {
    const client = await connect(port);
    const reply = await client.ask('GET', 'key').finally(() => client.destroy());
    return reply === null;
  };
  await until(`${kind} to answer`, answers, 15_000).catch(async (error) => {
    await stop();
    throw error;
  });
  return { port, log: [], inFlight: { write: NOT_REFUSED }, waits: false, stop };
}
