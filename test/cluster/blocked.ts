/**
 * Clients blocked on lists over all shards, while slots move and a primary is killed: every element that was
 * pushed is popped exactly once. blocked.test.ts plays it short, blocked-stress.ts long.
 *
 * A server acknowledges before its replica has heard, so a primary that is killed takes the last pushes with it
 * and brings the last pops back: that is the cluster's own loss. So before the kill, and only then, nothing is
 * pushed until the replicas are in step.
 */

import { slotOf } from '../../src/command/slot.ts';
import { type RawClient, connect as toNode } from '../support/client.ts';
import type { Cluster, Node } from '../support/cluster.ts';
import type { RunningProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';
import { Mover } from './moves.ts';

const WRITERS = 4;
const SLOTS_MOVED = 6;
const ALL_POPPED_WITHIN = 90_000;

export interface Tally {
  pushed: number;
  /** Pushes whose outcome is unknown: popped once or never. */
  unknown: number;
}

export class Crowd {
  readonly tally: Tally = { pushed: 0, unknown: 0 };
  private readonly cluster: Cluster;
  private readonly clients: RawClient[];
  private readonly writers: RawClient[];
  private readonly missing = new Set<string>();
  private readonly unsure = new Set<string>();
  private failure: string | undefined;
  private over = false;

  static async gather(cluster: Cluster, proxy: RunningProxy, clients: number): Promise<Crowd> {
    const several = (count: number) => Promise.all(Array.from({ length: count }, () => toNode(proxy.port)));
    return new Crowd(cluster, await several(clients), await several(WRITERS));
  }

  private constructor(cluster: Cluster, clients: RawClient[], writers: RawClient[]) {
    this.cluster = cluster;
    this.clients = clients;
    this.writers = writers;
    clients.forEach((client, i) => {
      this.pop(client, i).catch((error: Error) => this.fail(error.message));
    });
  }

  /** Everybody gets something; then while slots move; then while a primary is killed and slots move back. */
  async round(): Promise<void> {
    await this.pushAll();
    await this.allPopped();
    const [first, second, third] = (await this.primaries()) as [Node, Node, Node];
    const slots = await this.slotsOf(second);
    await Promise.all([this.move(slots, third), this.pushAll(), this.pushAll()]);
    await this.allPopped();
    await this.inStep(first);
    await this.cluster.kill(first.port);
    await Promise.all([this.move(slots, second), this.pushAll()]);
    await this.allPopped();
    await this.cluster.restart(first.port);
    await new Mover(this.cluster).agreed();
    await this.pushAll();
    await this.allPopped();
  }

  close(): void {
    this.over = true;
    for (const client of [...this.clients, ...this.writers]) client.destroy();
  }

  private async pop(client: RawClient, i: number): Promise<void> {
    const key = `list:${i}`;
    while (!this.over) {
      const reply = await client.ask('BLPOP', key, 0).catch((error: Error) => error);
      if (this.over) return;
      if (!Array.isArray(reply) || reply[0] !== key) return this.fail(`BLPOP ${key}: ${reply}`);
      const element = String(reply[1]);
      if (!this.missing.delete(element) && !this.unsure.delete(element))
        this.fail(`${element} was popped twice, or never pushed`);
    }
  }

  /** One element for each list, over several connections at a time. */
  private async pushAll(): Promise<void> {
    const { clients, writers, tally } = this;
    const push = async (writer: RawClient, i: number) => {
      const element = `${i}:${tally.pushed++}`;
      this.missing.add(element);
      const reply = await writer.ask('RPUSH', `list:${i}`, element);
      if (typeof reply === 'number') return;
      if (!/outcome of this write is unknown/.test(String(reply))) this.fail(`RPUSH: ${reply}`);
      tally.unknown++;
      if (this.missing.delete(element)) this.unsure.add(element);
    };
    const each = async (writer: RawClient, w: number) => {
      for (let i = w; i < clients.length && this.failure === undefined; i += WRITERS) await push(writer, i);
    };
    await Promise.all(writers.map(each));
  }

  private async allPopped(): Promise<void> {
    const done = () => this.failure !== undefined || this.missing.size === 0;
    await until('all elements to be popped', done, ALL_POPPED_WITHIN).catch((error: Error) =>
      this.fail(`${error.message}: ${this.missing.size} were not, as ${[...this.missing].slice(0, 5)}`),
    );
    if (this.failure !== undefined) throw new Error(this.failure);
  }

  private fail(failure: string): void {
    this.failure ??= failure;
  }

  private async primaries(): Promise<Node[]> {
    await new Mover(this.cluster).agreed();
    const nodes: Node[] = [];
    for (const node of this.cluster.nodes) {
      const role = String(await this.cluster.cli(node.port, 'INFO', 'replication'));
      node.role = role.includes('role:master') ? 'primary' : 'replica';
      if (node.role === 'primary') nodes.push(node);
    }
    return nodes;
  }

  /** Some slots of a node with lists in them. */
  private async slotsOf(node: Node): Promise<number[]> {
    const found = new Set<number>();
    for (let i = 0; i < this.clients.length && found.size < SLOTS_MOVED; i++) {
      const key = Buffer.from(`list:${i}`);
      const slot = slotOf(key, 0, key.length);
      if ((await this.cluster.ownerOf(slot)).port === node.port) found.add(slot);
    }
    return [...found];
  }

  private async move(slots: readonly number[], to: Node): Promise<void> {
    for (const slot of slots) await this.cluster.moveSlot(slot, to.port);
  }

  private async inStep(primary: Node): Promise<void> {
    await until('the replica to be in step', async () => {
      const text = String(await this.cluster.cli(primary.port, 'INFO', 'replication'));
      const offset = /^master_repl_offset:(\d+)/m.exec(text)?.[1];
      return text.includes(`,offset=${offset},`);
    });
  }
}
