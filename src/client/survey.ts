// Finding out who holds a slot's keys, for what has no key to be redirected by.
//
// Two kinds of questions: for data, with the client's rights, and about the cluster, with the proxy's own, as
// a client's rules need not allow it to ask about nodes. Both go to one node and no other, so that it is known
// who answered. Where a node is gone, or is no longer who the map says, the map is corrected and the work is
// done again, for as long as commands are held for a failover. Cold.

import type { Node } from '../cluster/node.ts';
import type { Topology } from '../cluster/topology.ts';
import { probeKey } from '../command/probe.ts';
import * as errors from '../resp/errors.ts';
import { Asker, ServerError } from './asker.ts';
import type { Client } from './client.ts';
import { runIdOf, Standing } from './standing.ts';

/** Thrown by work that is to be done again, the map having been found wrong. */
export class Again extends Error {}

const PAUSE = 10;
/** Errors that pass: the node is not ready, or could not be reached. */
const PASSING = /^(CLUSTERDOWN|LOADING|MASTERDOWN) /;

export class Survey {
  /** With the client's rights. */
  readonly asker: Asker;
  /** With the proxy's own. */
  readonly own: Asker;
  private readonly holdFor: number;
  private deadline = 0;

  private constructor(client: Client, asker: Asker, own: Asker) {
    this.asker = asker;
    this.own = own;
    this.holdFor = client.context.config.failover.holdFor;
  }

  static with<T>(client: Client, work: (survey: Survey) => Promise<T>): Promise<T> {
    return Asker.with(client, (asker) =>
      Asker.asProxy(client, (own) => work(new Survey(client, asker, own))),
    );
  }

  get topology(): Topology {
    return this.own.cluster.topology;
  }

  /** Does the work, again and again while it throws Again or an error that passes. Throws the last of these. */
  async persist<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const passing =
          error instanceof Again || (error instanceof ServerError && PASSING.test(error.message));
        if (!passing) throw error;
        const now = performance.now();
        if (this.deadline === 0) this.deadline = now + this.holdFor;
        if (now > this.deadline)
          throw error instanceof Again ? new ServerError(unsettled(error.message)) : error;
        this.own.cluster.ask(error.message);
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  /** The owner of a slot by the map. */
  ownerOf(slot: number): Node {
    const { cluster } = this.own;
    const node = cluster.primaries[cluster.slots[slot]!];
    if (node === undefined) throw new Again(`slot ${slot} has no owner`);
    return node;
  }

  async standingOf(node: Node): Promise<Standing> {
    const [nodes, info] = await Promise.all([
      this.own.value(node, ['CLUSTER', 'NODES']),
      this.own.value(node, ['INFO', 'server']),
    ]);
    const standing = Standing.read(String(nodes), String(info));
    if (standing === undefined) throw new ServerError('ERR slotless: a node does not say which slots it has');
    return standing;
  }

  /**
   * Whether the node is still the same process, and has the slots wholly: cheaper than its standing, where they
   * are few. False where that is not certain.
   */
  async isWhole(node: Node, process: string, from: number, to: number): Promise<boolean> {
    const probes = Array.from({ length: to - from + 1 }, (_, i) => ['MEMORY', 'USAGE', probeKey(from + i)]);
    try {
      const [info, ...sizes] = await Promise.all(
        [['INFO', 'server'], ...probes].map((words) => this.own.value(node, words)),
      );
      return process.endsWith(` ${runIdOf(String(info))}`) && sizes.every((size) => size === null);
    } catch (error) {
      if (error instanceof ServerError) return false;
      throw error;
    }
  }

  /** The node's standing, which must have it own the slot: else the map is corrected and Again thrown. */
  async ownerStanding(node: Node, slot: number): Promise<Standing> {
    const standing = await this.standingOf(node);
    if (standing.owned[slot] === 1) return standing;
    const { cluster } = this.own;
    const owner = this.find(standing.ownerOf(slot));
    if (owner !== undefined && owner !== node) cluster.moved(slot, owner.host, owner.port);
    throw new Again(`slot ${slot} is not at ${node.address}`);
  }

  /** The node of an id. */
  nodeOf(id: string): Node {
    const node = this.find(id);
    if (node === undefined) throw new Again(`node ${id} is not known`);
    return node;
  }

  private find(id: string | undefined): Node | undefined {
    const infos = this.topology.shards.flatMap(({ primary, replicas }) => [primary, ...replicas]);
    const place = infos.findIndex((info) => info.id === id);
    return this.own.cluster.allNodes()[place]?.node;
  }
}

function unsettled(reason: string): string {
  return errors.notReady(reason).toString('latin1', 1).trimEnd();
}
