// The cluster, as commands across slots reach it: see gather/reach.ts. Cold.
//
// The steps are the proxy's own, with the proxy's rights: a user of one key pattern could not name a copy of his own
// keys. Whether he may give the command itself, the servers have been asked before.

import type { Pieces } from '../cluster/apart.ts';
import { READY } from '../cluster/connection.ts';
import type { Link } from '../cluster/link.ts';
import { DOWN, NONE, redirectOf } from '../cluster/redirect.ts';
import type { Slab } from '../cluster/slab.ts';
import type { Command } from '../command/command.ts';
import { headOf } from '../command/head.ts';
import { probeKey } from '../command/reserved.ts';
import {
  GONE,
  type Held,
  type Pouring,
  type Queued,
  type Reach,
  Refusal,
  type Words,
} from '../gather/reach.ts';
import * as errors from '../resp/errors.ts';
import { skip } from '../resp/reply.ts';
import { bulk, command as encode, type Resp } from '../resp/write.ts';
import { Asker, askOnce, ownUser } from './asker.ts';
import { keyByKey } from './bykey.ts';
import type { Client } from './client.ts';
import { collect, type Lost } from './collect.ts';
import { Flow } from './flow.ts';
import { ASKING, askOwner, type Owner, SWALLOW } from './owner.ts';
import { Question } from './request.ts';
import { Before, Course, leavesOpen } from './run.ts';
import { EXEC, MULTI } from './transaction.ts';

const MINUS = 45;
const ASTERISK = 42;
const CRLF = Buffer.from('\r\n');
const UNWATCH = encode(['UNWATCH']);

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

  async atomically(slot: number, commands: readonly Queued[], again: boolean): Promise<Buffer[]> {
    this.wrote(slot);
    if (!commands.every(isWords)) return this.atomicallyAside(slot, commands);
    const run = runOf(commands);
    if (run.length > this.pourAbove) return this.atomicallyAside(slot, commands);
    return repliesOf(await AskedRun.askRun(this.asker, slot, run, commands.length + 2, again));
  }

  async hold(slot: number, question: Words): Promise<Held> {
    return new Holding(this, slot, await this.find(slot, question));
  }

  /** A key's dump, as it comes; undefined where there is no such key. @throws Refusal */
  async flow(slot: number, key: Buffer): Promise<Flow | undefined> {
    return Flow.open(await this.find(slot, ['EXISTS', key]), key);
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
  private async atomicallyAside(slot: number, commands: readonly Queued[]): Promise<Buffer[]> {
    const { holdFor } = this.client.context.config.failover;
    const deadline = performance.now() + holdFor;
    do {
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

/** A run as a question of the proxy's own: its promise is of EXEC's reply, or of what stood in its way. */
class AskedRun extends Question {
  private readonly course = new Course();
  private count = 0;

  static askRun(asker: Asker, slot: number, run: Buffer, count: number, again: boolean): Promise<Buffer> {
    return new Promise((resolve) => {
      const asked = new AskedRun(asker, slot, again, resolve);
      asked.count = count;
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
    if (error !== undefined && this.bounce(error, 0, error.length)) return;
    const plain = error ?? course.discarded(bytes, from, to);
    this.conclude(plain, 0, plain.length);
    course.end(bytes, from, to);
  }
}

class Holding implements Held {
  readonly reply: Buffer;
  private readonly reach: ClientReach;
  private readonly slot: number;
  private readonly owner: Owner;
  private readonly connection: number;
  private released = false;

  constructor(reach: ClientReach, slot: number, owner: Owner) {
    this.reach = reach;
    this.slot = slot;
    this.owner = owner;
    this.reply = owner.reply;
    this.connection = owner.link.connections;
  }

  ask(words: Words): Promise<Buffer> {
    if (!this.holds) return Promise.resolve(errors.notServed('the link was lost'));
    this.beforeKeys();
    return askOnce(this.owner.link, encode(words));
  }

  async exec(commands: readonly Queued[]): Promise<Buffer[] | undefined> {
    if (!this.holds) return undefined;
    const { link } = this.owner;
    this.reach.wrote(this.slot);
    this.beforeKeys();
    const before = new Before();
    if (!commands.every(isWords)) return this.pour(commands, before);
    const run = runOf(commands);
    return this.conclude(
      before,
      await new Promise<Buffer | Lost>((resolve) => {
        link.sendRun(collect(resolve, resolve), before, commands.length + 2, run, 0, run.length).release();
      }),
    );
  }

  /** The same where keys are poured: command by command, as they come. */
  private async pour(commands: readonly Queued[], before: Before): Promise<Buffer[] | undefined> {
    const { node, link } = this.owner;
    const gone: number[] = [];
    const write = (bytes: Buffer) => {
      link.expect(before);
      link.writeThrough(bytes);
    };
    // It owes replies to commands that it has not got whole, and is not silent.
    link.patient = true;
    try {
      write(MULTI);
      for (const [i, command] of commands.entries()) {
        if (isWords(command)) write(encode(command));
        else if (!(await this.pourOne(command, before))) gone.push(i);
      }
    } catch (error) {
      // In the middle of a transaction that is never executed.
      node.discard(link);
      throw error;
    } finally {
      link.patient = false;
    }
    const replies = this.conclude(
      before,
      await new Promise<Buffer | Lost>((resolve) => {
        link.expect(collect(resolve, resolve));
        link.writeThrough(EXEC);
      }),
    );
    for (const i of gone) replies?.splice(i, 0, GONE);
    return replies;
  }

  /** False: there is no such key. */
  private async pourOne(pouring: Pouring, before: Before): Promise<boolean> {
    const { name, slot, as, lifetime, most } = pouring;
    const { link } = this.owner;
    const flow = await this.reach.flow(slot, name);
    if (flow === undefined) return false;
    try {
      if (flow.length > most) throw new Refusal(errors.tooMuchToCopy(flow.length, most));
      const keeps = lifetime === undefined && flow.expires >= 0;
      const words = ['RESTORE', as, String(keeps ? flow.expires : (lifetime ?? 0))];
      const last = keeps ? ['REPLACE', 'ABSTTL'] : ['REPLACE'];
      const head = `*${words.length + 1 + last.length}\r\n`;
      link.expect(before);
      link.writeThrough(
        Buffer.concat([Buffer.from(head), ...words.map(bulkOf), Buffer.from(`$${flow.length}\r\n`)]),
      );
      await flow.pour(link);
      link.writeThrough(Buffer.concat([CRLF, ...last.map(bulkOf)]));
      return true;
    } finally {
      flow.close();
    }
  }

  private conclude(before: Before, reply: Buffer | Lost): Buffer[] | undefined {
    const { link } = this.owner;
    if (!Buffer.isBuffer(reply)) {
      if (reply.sent) throw new Refusal(errors.outcomeUnknown(reply.reason), true);
      return undefined;
    }
    if (reply[0] !== MINUS) return isNilArray(reply) ? undefined : repliesOf(reply);
    if (leavesOpen(reply, 0, reply.length))
      link.breakOff('EXEC was refused, so the transaction is still open');
    const decisive = before.refusal === '' ? reply : errors.asServerSaid(before.refusal);
    const kind = redirectOf(decisive, 0, decisive.length);
    if (kind !== NONE && kind !== DOWN) return undefined;
    throw new Refusal(before.notBegun ? errors.notBegun(before.refusal) : decisive);
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    const { node, link } = this.owner;
    const { lane } = this.reach.asker;
    if (!this.holds || !link.quiet) return node.discard(link);
    void askOnce(link, UNWATCH).then((reply) => {
      if (reply[0] === MINUS) node.discard(link);
      else node.giveBack(lane, link);
    });
  }

  /** The server still knows what was watched. */
  private get holds(): boolean {
    const { link } = this.owner;
    return link.state === READY && link.connections === this.connection;
  }

  private beforeKeys(): void {
    if (this.owner.asking) this.owner.link.send(SWALLOW, ASKING, 0, ASKING.length).release();
  }
}

function isWords(step: Queued): step is Words {
  return Array.isArray(step);
}

function bulkOf(word: string | Buffer): Buffer {
  return bulk(Buffer.from(word));
}

function runOf(commands: readonly Words[]): Buffer {
  return Buffer.concat([MULTI, ...commands.map((words) => encode(words)), EXEC]);
}

/** The elements of EXEC's reply. */
function repliesOf(reply: Buffer): Buffer[] {
  const { type, count, end } = headOf(reply);
  if (type !== ASTERISK || count < 0) throw new Refusal(reply);
  const replies: Buffer[] = [];
  for (let i = 0, at = end; i < count; i++) {
    const next = skip(reply, at, reply.length);
    replies.push(reply.subarray(at, next));
    at = next;
  }
  return replies;
}

function isNilArray(reply: Buffer): boolean {
  const { type, count } = headOf(reply);
  return type === ASTERISK && count < 0;
}
