/**
 * What is done to a real cluster while clients write to it: slots are moved from node to node in the steps
 * that redis-cli takes, and replicas become primaries. It keeps its own account of who owns what, since the
 * nodes need a moment to agree.
 */

import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { slotOf } from '../../src/command/slot.ts';
import type { Cluster, Node } from '../support/cluster.ts';
import { until } from '../support/wait.ts';

const run = promisify(execFile);
/** All nodes are asked each time. */
const POLL_MS = 50;

/** One thing that is done to the cluster. Delays in ms. */
export type Move =
  /** A slot goes to another primary, `few` keys at a time, with a pause after each. */
  | { readonly what: 'slot'; readonly slot: number; readonly few: number; readonly pause: number }
  /** A replica of the slot's owner takes its place, as CLUSTER FAILOVER does it. */
  | { readonly what: 'failover'; readonly slot: number }
  | { readonly what: 'wait'; readonly pause: number };

export class Mover {
  private readonly cluster: Cluster;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  async make(move: Move): Promise<void> {
    if (move.what === 'wait') return delay(move.pause);
    if (move.what === 'failover') {
      return this.failover(await this.owner(move.slot));
    }
    await this.slot(move.slot, move.few, move.pause);
  }

  /** A planned failover. A server gives one up after five seconds, as may happen under load: it is asked again. */
  private async failover(primary: Node): Promise<void> {
    const { cluster } = this;
    await this.agreed();
    const heir = await this.heirOf(primary);
    await until(
      `${heir.port} to be a primary`,
      async () => {
        await cluster.cli(heir.port, 'CLUSTER', 'FAILOVER').catch(() => {});
        return until(
          'it to be one',
          async () => (await this.lines(heir.port)).some((line) => /myself,master/.test(line)),
          6000,
        );
      },
      60_000,
    );
    await this.agreed();
  }

  /**
   * Waits for a replica that could take a primary's place. After a failover a server may come to follow another
   * primary than its heir, and goes back after a while.
   */
  async heirOf(primary: Node): Promise<Node> {
    return until(`${primary.port} to have a replica`, async () => {
      const followers = (await this.lines(primary.port)).filter((line) => line.split(' ')[3] === primary.id);
      return this.cluster.nodes.find(({ id }) => followers.some((line) => line.startsWith(id)));
    });
  }

  private async lines(port: number): Promise<string[]> {
    return String(await this.cluster.cli(port, 'CLUSTER', 'NODES'))
      .trim()
      .split('\n');
  }

  /**
   * Waits until all nodes say the same of who owns what and who follows whom: a move begun before would be undone by
   * old news, and a failover get no votes.
   */
  async agreed(): Promise<void> {
    const { cluster } = this;
    await cluster.settled();
    const agree = async () => {
      const views = await Promise.all(
        cluster.nodes.map(async ({ port }) => {
          const owned = (await this.lines(port)).map((line) => {
            const [id, , , primary] = line.split(' ');
            return [id, primary, ...rangesOf(line)].join(' ');
          });
          return owned.sort().join('\n');
        }),
      );
      return views.every((view) => view === views[0]);
    };
    // After a failover on a busy machine the news may take half a minute to come round.
    await until('all nodes to agree on the slots', agree, 60_000, POLL_MS);
  }

  /** A primary that is replaced in the middle of a move takes the half-done move with it: it is begun anew. */
  private async slot(slot: number, few: number, pause: number): Promise<void> {
    for (;;) {
      // News of an earlier move that come late can take a slot from both nodes.
      await this.agreed();
      const { source, target } = await this.open(slot);
      if (pause > 0) await delay(pause);
      try {
        return await this.finish(slot, source, target, few, pause);
      } catch (error) {
        if (!/: MOVED /.test((error as Error).message)) throw error;
      }
    }
  }

  /** Begins to move a slot to the next primary. */
  async open(slot: number): Promise<{ source: Node; target: Node }> {
    const { cluster } = this;
    const source = await this.owner(slot);
    const primaries = (await this.primaries()).map(({ node }) => node);
    const target = primaries[(primaries.indexOf(source) + 1) % primaries.length]!;
    await cluster.cli(target.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id);
    await cluster.cli(source.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id);
    return { source, target };
  }

  /** Moves what is left of an open slot, and gives it to its new owner. */
  async finish(slot: number, source: Node, target: Node, few: number, pause: number): Promise<void> {
    const { cluster } = this;
    while ((await this.moveKeys(slot, source, target, few)) > 0) if (pause > 0) await delay(pause);
    const others = (await this.primaries())
      .map(({ node }) => node)
      .filter((one) => one !== target && one !== source);
    // The destination first: else nobody would own the slot if this ended here.
    for (const { port } of [target, source, ...others]) {
      await cluster.cli(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', target.id);
    }
  }

  /** As redis-cli does; a MIGRATE that broke off, as after a failover, is made again over what it may have left. */
  private async moveKeys(slot: number, source: Node, target: Node, few: number): Promise<number> {
    try {
      return await this.cluster.moveKeys(slot, source.port, target.port, few);
    } catch (error) {
      if (!/IOERR|CLUSTERDOWN/.test((error as Error).message)) throw error;
      const keys = (await this.cluster.cli(source.port, 'CLUSTER', 'GETKEYSINSLOT', slot, few)) as string[];
      const { host, port } = target;
      const words = ['MIGRATE', host, port, '', 0, 5000, 'REPLACE', 'KEYS', ...keys];
      let replaced: Error | undefined;
      const migrate = async () => {
        const failed = await this.cluster.cli(source.port, ...words).catch((error: Error) => error);
        if (failed instanceof Error && !/: MOVED /.test(failed.message)) return false;
        if (failed instanceof Error) replaced = failed;
        return true;
      };
      await until('MIGRATE to do it', migrate);
      if (replaced !== undefined) throw replaced;
      return 1;
    }
  }

  /** The primary that says of itself that the slot is its own. */
  private async owner(slot: number): Promise<Node> {
    const owns = (range: string) => {
      const [from = -1, to = from] = range.split('-').map(Number);
      return from <= slot && slot <= to;
    };
    const owner = (await this.primaries()).find(({ ranges }) => ranges.some(owns));
    if (owner === undefined) throw new Error(`no primary says that slot ${slot} is its own`);
    return owner.node;
  }

  /** Who says of itself that it is a primary, and of which slots: `0-5460`, `7`. */
  private async primaries(): Promise<{ node: Node; ranges: string[] }[]> {
    const all = await Promise.all(
      this.cluster.nodes.map(async (node) => {
        const own = (await this.lines(node.port)).find((line) => /myself,master/.test(line));
        return own === undefined ? [] : [{ node, ranges: rangesOf(own) }];
      }),
    );
    return all.flat().filter(({ ranges }) => ranges.length > 0);
  }
}

/** The slots in a line of CLUSTER NODES, without those that are open. */
function rangesOf(line: string): string[] {
  return line
    .split(' ')
    .slice(8)
    .filter((part) => !part.startsWith('['));
}

/** Moves a primary's lowest slots to another with redis-cli itself, which refuses as long as nodes disagree. */
export async function reshard(cluster: Cluster, fromId: string, toId: string, slots: number): Promise<void> {
  await new Mover(cluster).agreed();
  const { cli, env } = cluster.server;
  const seed = cluster.seeds[0]!;
  const which = ['--cluster-from', fromId, '--cluster-to', toId, '--cluster-slots', String(slots)];
  await run(cli, ['--cluster', 'reshard', seed, ...which, '--cluster-yes'], { env, timeout: 60_000 });
}

/** A hash tag that lies in a slot. */
export function tagOf(slot: number): string {
  for (let n = 0; ; n++) {
    const tag = `t${n}`;
    if (slotOf(Buffer.from(tag), 0, tag.length) === slot) return tag;
  }
}
