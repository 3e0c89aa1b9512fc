// The cluster, as commands across slots reach it: see gather/reach.ts. Cold.
//
// The steps are the proxy's own, with the proxy's rights: a user of one key pattern could not name a copy of his own
// keys. Whether he may give the command itself, the servers have been asked before.

import type { Pieces } from '../cluster/apart.ts';
import type { Link } from '../cluster/link.ts';
import type { Slab } from '../cluster/slab.ts';
import type { Command } from '../command/command.ts';
import { probeKey } from '../command/reserved.ts';
import { type Held, type Queued, type Reach, Refusal, type Words } from '../gather/reach.ts';
import * as errors from '../resp/errors.ts';
import { command as encode, type Resp } from '../resp/write.ts';
import { Asker, ownUser } from './asker.ts';
import { keyByKey } from './bykey.ts';
import type { Client } from './client.ts';
import { Flow } from './flow.ts';
import { Holding, isWords, repliesOf, runOf } from './held.ts';
import { askOwner, type Owner } from './owner.ts';
import { Question } from './request.ts';
import { Course } from './run.ts';

const MINUS = 45;

/** To be closed. */
export class ClientReach implements Reach {
  readonly resp: Resp;
  readonly asker: Asker;
  private readonly client: Client;

  constructor(client: Client) {
    const { session, cluster, context } = client;
    this.client = client;
    this.resp = session.resp;
    this.asker = Asker.speaking(cluster, session.resp, { ...ownUser(context.config), db: session.db });
  }

  close(): void {
    this.asker.close();
  }

  ask(slot: number, words: Words, reads: boolean): Promise<Buffer> {
    if (!reads) this.wrote(slot);
    const mget = words[0] === 'MGET' ? this.client.context.table.byName('mget') : undefined;
    if (mget !== undefined) return KeysAsked.askKeys(this.asker, slot, encode(words), mget);
    return this.asker.raw(slot, words, reads);
  }

  get pourAbove(): number {
    return this.client.context.config.streamAbove;
  }

  async atomically(
    slot: number,
    commands: readonly Queued[],
    again: boolean,
    leaves = false,
  ): Promise<Buffer[]> {
    this.wrote(slot);
    if (!commands.every(isWords)) return this.atomicallyAside(slot, commands, leaves);
    const run = runOf(commands);
    if (run.length > this.pourAbove) return this.atomicallyAside(slot, commands, leaves);
    const count = commands.length + 2;
    const reply = await AskedRun.askRun(this.asker, slot, { run, count, again, leaves });
    return repliesOf(reply, commands.length);
  }

  async hold(slot: number, question: Words): Promise<Held> {
    return new Holding(await this.find(slot, question), {
      lane: this.asker.lane,
      wrote: () => this.wrote(slot),
      flow: (from, key) => this.flow(from, key),
    });
  }

  private async flow(slot: number, key: Buffer): Promise<Flow | undefined> {
    for (let tries = 1; ; tries++) {
      const owner = await this.find(slot, ['EXISTS', key]);
      try {
        return await Flow.open(owner, key);
      } catch (error) {
        const hasMoved = error instanceof Refusal && error.message.startsWith('EXECABORT');
        if (!hasMoved || tries === TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY));
      }
    }
  }

  private async find(slot: number, question: Words): Promise<Owner> {
    const { client, asker } = this;
    const seeker = { cluster: asker.cluster, lane: asker.lane, context: client.context };
    const owner = await askOwner(seeker, slot, encode(question), () => true);
    if (Buffer.isBuffer(owner)) throw new Refusal(owner);
    return owner;
  }

  get links(): number {
    return this.client.context.config.node.dedicated;
  }

  ownerOf(slot: number): string {
    return this.client.cluster.ownerOf(slot)?.address ?? '';
  }

  replicasOf(slot: number): number {
    const { cluster } = this.client;
    const inShard = cluster.slots[slot];
    return cluster.allNodes().filter(({ primary, shard }) => !primary && shard === inShard).length;
  }

  within<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    return this.client.context.copying.within(bytes, work);
  }

  /** For WAIT, and for reads of what was written. */
  wrote(slot: number): void {
    this.client.wrote |= 1 << (slot >>> 9);
  }

  /** What is long would hold up those who share a link. */
  private async atomicallyAside(
    slot: number,
    commands: readonly Queued[],
    leaves: boolean,
  ): Promise<Buffer[]> {
    const { holdFor } = this.client.context.config.failover;
    const deadline = performance.now() + holdFor;
    let tries = 0;
    do {
      // A slot that has moved is found the second time.
      if (leaves && tries++ === 2) throw new Refusal(errors.tryAgain());
      const held = await this.hold(slot, ['EXISTS', probeKey(slot)]);
      try {
        const replies = await held.exec(commands);
        if (replies !== undefined) return replies;
      } finally {
        held.release();
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY));
    } while (performance.now() < deadline);
    throw new Refusal(errors.notServed(this.client.cluster.whyHeld(slot)));
  }
}

/** Between two attempts at a slot that is on the move, ms. */
const RETRY = 50;
const TRIES = 10;

/** MGET as a question of the proxy's own: key by key where a move of the slot has them at two nodes. */
class KeysAsked extends Question {
  private command: Command | undefined;

  static askKeys(asker: Asker, slot: number, request: Buffer, command: Command): Promise<Buffer> {
    return new Promise((resolve) => {
      const asked = new KeysAsked(asker, slot, true, resolve);
      asked.command = command;
      asked.start(request, 0, request.length);
    });
  }

  protected override cut(bytes: Buffer, from: number, to: number): Pieces | undefined {
    return keyByKey(this.command!, this.slot, [bytes, from, to], () => {});
  }
}

interface RunOptions {
  readonly run: Buffer;
  /** Commands, MULTI and EXEC included. */
  readonly count: number;
  readonly again: boolean;
  /** That its slot is on the move ends it. */
  readonly leaves: boolean;
}

/** A run as a question of the proxy's own: its promise is of EXEC's reply, or of what stood in its way. */
class AskedRun extends Question {
  private readonly course = new Course();
  private count = 0;
  private leaves = false;

  static askRun(asker: Asker, slot: number, options: RunOptions): Promise<Buffer> {
    const { run, count, again, leaves } = options;
    return new Promise((resolve) => {
      const asked = new AskedRun(asker, slot, again, resolve);
      asked.count = count;
      asked.leaves = leaves;
      asked.start(run, 0, run.length);
    });
  }

  protected override sendOn(link: Link, bytes: Buffer, from: number, to: number): Slab {
    return this.course.send(this, link, this.count, bytes, from, to);
  }

  override reply(bytes: Buffer, from: number, to: number): void {
    if (bytes[from] !== MINUS) return this.conclude(bytes, from, to);
    const { course } = this;
    const error = course.redirect(bytes, from, to);
    const told = this.leaves && error?.equals(errors.tryAgain());
    if (error !== undefined && !told && this.bounce(error, 0, error.length)) return;
    const plain = error ?? course.discarded(bytes, from, to);
    this.conclude(plain, 0, plain.length);
    course.end(bytes, from, to);
  }
}
