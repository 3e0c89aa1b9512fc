// Nodes that were lost a moment ago: what others can do as well is not asked of them for a while.

import { addressOf } from '../cluster/node.ts';
import type { NodeInfo } from '../cluster/topology.ts';
import type { Turn } from '../cluster/turn.ts';

/** For so long, ms. */
const AVOID = 5000;

export class Lost {
  private readonly turn: Pick<Turn, 'now'>;
  /** By address: when. */
  private readonly since = new Map<string, number>();

  constructor(turn: Pick<Turn, 'now'>) {
    this.turn = turn;
  }

  add(address: string): void {
    this.since.set(address, this.turn.now);
  }

  /** It answers again. */
  delete(address: string): void {
    this.since.delete(address);
  }

  has(address: string): boolean {
    const since = this.since.get(address);
    if (since === undefined) return false;
    if (this.turn.now - since < AVOID) return true;
    this.since.delete(address);
    return false;
  }

  /** None is. */
  get isEmpty(): boolean {
    return this.since.size === 0;
  }

  /** The first of some nodes that is not lost; else the first. */
  best(nodes: readonly NodeInfo[]): NodeInfo | undefined {
    return nodes.find(({ host, port }) => !this.has(addressOf(host, port))) ?? nodes[0];
  }
}
