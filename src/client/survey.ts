// Finding out who holds a slot's keys, for what has no key to be redirected by.
//
// Two kinds of questions: for data, with the client's rights, and about the cluster, with the proxy's own, as
// a client's rules need not allow it to ask about nodes. Both go to one node and no other, so that it is known
// who answered. Where a node is gone, or is no longer who the map says, the map is corrected and the work is
// done again, for as long as commands are held for a failover. Cold.

import type { Node } from '../cluster/node.ts';
import type { Topology } from '../cluster/topology.ts';
import { probeKey } from '../command/reserved.ts';
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
   * Asks for data while the cluster is watched: both in one write where they go over the same link, so that nothing
   * comes between them; else with the cluster looked at before and after. Throws Again where that differs.
   */
  async watch<T, C>(
    work: () => Promise<T>,
    look: () => Promise<C>,
    same: (before: C, after: C) => boolean,
  ): Promise<[T, C]> {
    if (this.asker.lane === this.own.lane) return Promise.all([work(), look()]);
    const before = await look();
    const result = await work();
    const after = await look();
    if (!same(before, after)) throw new Again('slots have moved');
    return [result, after];
  }

  /** Asks one node for data, with the standing it has meanwhile. */
  withStanding<T>(node: Node, work: () => Promise<T>): Promise<[T, Standing]> {
    return this.watch(
      work,
      () => this.standingOf(node),
      (before, after) => before.equals(after),
    );
  }

  /** Asks one node for data of a slot; true when it is the process and has the slot wholly, false when unsure. */
  ifWhole<T>(node: Node, process: string, slot: number, work: () => Promise<T>): Promise<[T, boolean]> {
    return this.watch(
      work,
      () => this.isWhole(node, process, slot),
      (before, after) => before === after,
    );
  }

  /** Cheaper than the node's standing. */
  private async isWhole(node: Node, process: string, slot: number): Promise<boolean> {
    try {
      const [info, size] = await Promise.all([
        this.own.value(node, ['INFO', 'server']),
        this.own.value(node, ['MEMORY', 'USAGE', probeKey(slot)]),
      ]);
      return process.endsWith(` ${runIdOf(String(info))}`) && size === null;
    } catch (error) {
      if (error instanceof ServerError) return false;
      throw error;
    }
  }

  /** The node must own the slot by its standing: else the map is corrected and Again thrown. */
  mustOwn(node: Node, slot: number, standing: Standing): void {
    if (standing.owned[slot] === 1) return;
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
