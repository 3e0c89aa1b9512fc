/**
 * Replicas that are behind: what a primary replicates goes through a relay, and comes late.
 *
 *   primary <----------- the proxy, directly (natMap)
 *      '---> relay, 0 to `most` ms ---> replica <--- the proxy
 *
 * A primary announces its relay's port as its own, so that its replicas connect there. How late it comes changes all
 * the time, so that replicas catch up and fall behind.
 */

import type { Cluster } from '../support/cluster.ts';
import { until } from '../support/wait.ts';
import { Relay } from './relay.ts';

const CHANGE_MS = 50;

export class Lag {
  /** The proxy's setting that leads it past the relays. */
  readonly natMap: string;
  private readonly relays: readonly Relay[];
  private timer: NodeJS.Timeout | undefined;

  /** Resolves when all replicas follow their primaries through a relay. */
  static async open(cluster: Cluster): Promise<Lag> {
    const relays: Relay[] = [];
    for (const { port } of cluster.primaries) {
      const relay = await Relay.open(port);
      relays.push(relay);
      await cluster.cli(port, 'CONFIG', 'SET', 'cluster-announce-port', relay.port);
    }
    for (const { port, role } of cluster.nodes) {
      if (role === 'primary') continue;
      await until(`${port} to follow through a relay`, async () => {
        const info = String(await cluster.cli(port, 'INFO', 'replication'));
        const through = relays.some((relay) => info.includes(`master_port:${relay.port}\r`));
        return through && info.includes('master_link_status:up');
      });
    }
    const pairs = cluster.primaries.map(({ port }, i) => `127.0.0.1:${relays[i]!.port}=127.0.0.1:${port}`);
    return new Lag(relays, pairs.join(','));
  }

  private constructor(relays: readonly Relay[], natMap: string) {
    this.relays = relays;
    this.natMap = natMap;
  }

  /** From now on replicas are up to `most` ms behind. */
  begin(most: number): void {
    this.timer = setInterval(() => {
      for (const relay of this.relays) relay.delay = Math.ceil(Math.random() * most);
    }, CHANGE_MS);
  }

  close(): void {
    clearInterval(this.timer);
    for (const relay of this.relays) relay.close();
  }
}
