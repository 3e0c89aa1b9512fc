/** One server alone, and a cluster of the same servers behind the proxy: what is asked of both. */

import { connect, type RawClient } from '../support/client.ts';
import { type Cluster, type ClusterOptions, type Lone, startCluster, startLone } from '../support/cluster.ts';
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts';
import type { Server } from '../support/servers.ts';

export interface Stand {
  readonly lone: Lone;
  readonly cluster: Cluster;
  readonly proxy: RunningProxy;
}

export interface Both<T> {
  readonly lone: T;
  readonly proxy: T;
}

/** Three primaries and, for the commands that go to every node, their replicas. */
export async function openStand(
  options: Omit<ClusterOptions, 'primaries'> & { server: Server },
  settings: NonNullable<ProxyOptions['settings']> = {},
): Promise<Stand> {
  const [lone, cluster] = await Promise.all([startLone(options), startCluster(options)]);
  try {
    return { lone, cluster, proxy: await startProxy({ cluster, settings }) };
  } catch (error) {
    await Promise.all([cluster.stop(), lone.stop()]);
    throw error;
  }
}

export async function closeStand(stand: Stand | undefined): Promise<void> {
  await stand?.proxy.stop();
  await Promise.all([stand?.cluster.stop(), stand?.lone.stop()]);
}

/** A connection to each. */
export async function connectBoth(stand: Stand, resp: 2 | 3 = 2): Promise<Both<RawClient>> {
  const [lone, proxy] = await Promise.all([connect(stand.lone.port), connect(stand.proxy.port)]);
  if (resp === 3) await Promise.all([lone.call('HELLO', 3), proxy.call('HELLO', 3)]);
  return { lone, proxy };
}

/** Empties both keyspaces. */
export async function empty(control: Both<RawClient>): Promise<void> {
  await Promise.all([control.lone.call('FLUSHALL'), control.proxy.call('FLUSHALL')]);
}

/** A reply for a person to read. */
export function show(reply: Buffer): string {
  const text = JSON.stringify(reply.toString('latin1'));
  return text.length > 400 ? `${text.slice(0, 400)}... (${reply.length} bytes)` : text;
}
