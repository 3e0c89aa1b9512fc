/** One server alone, and a cluster of the same servers behind the proxy: what is asked of both. */

import { type Cluster, type Lone, startCluster, startLone } from '../support/cluster.ts';
import { connect, type RawClient } from '../support/client.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
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

/** Three primaries, and their replicas: some commands go to those as well. */
export async function openStand(server: Server, password?: string): Promise<Stand> {
  const options = { server, ...(password && { password }) };
  const [lone, cluster] = await Promise.all([startLone(options), startCluster(options)]);
  return { lone, cluster, proxy: await startProxy({ cluster }) };
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
