// A link of one's own for a command across slots: what the server remembers on it, and transactions into which keys are
// poured (see flow.ts). Cold.
//
//   write MULTI | SET .. | *5 RESTORE k 0 $52428800 <as it comes from its node> REPLACE | EXEC
//
// A link that was lost is never taken up again: what was watched on it is forgotten, and a transaction that was not
// written to its end was not executed.

import { READY } from '../cluster/connection.ts';
import type { Lane } from '../cluster/lanes.ts';
import type { Pending } from '../cluster/link.ts';
import { DOWN, NONE, redirectOf } from '../cluster/redirect.ts';
import { headOf } from '../command/head.ts';
import { GONE, type Held, type Pouring, type Queued, Refusal, type Words } from '../gather/reach.ts';
import { step } from '../gather/steps.ts';
import * as errors from '../resp/errors.ts';
import { skip } from '../resp/reply.ts';
import { bulk, command as encode } from '../resp/write.ts';
import { askOnce } from './asker.ts';
import { collect, type Lost } from './collect.ts';
import type { Flow } from './flow.ts';
import { ASKING, type Owner, SWALLOW } from './owner.ts';
import { Before, leavesOpen } from './run.ts';
import { EXEC, MULTI } from './transaction.ts';

const MINUS = 45;
const ASTERISK = 42;
const CRLF = Buffer.from('\r\n');
const UNWATCH = encode(['UNWATCH']);
const LOST = 'the link was lost';

export interface HoldingOptions {
  /** The link's. */
  readonly lane: Lane;
  /** Something may be written. */
  wrote(): void;
  /** A key's dump, as it comes; undefined where there is no such key. @throws Refusal */
  flow(slot: number, key: Buffer): Promise<Flow | undefined>;
}

export class Holding implements Held {
  readonly reply: Buffer;
  private readonly owner: Owner;
  private readonly options: HoldingOptions;
  private readonly connection: number;
  /** Settles when what is being poured has all been written: nothing else may come between. */
  private pouring: Promise<unknown> | undefined = undefined;
  private released = false;

  constructor(owner: Owner, options: HoldingOptions) {
    this.owner = owner;
    this.options = options;
    this.reply = owner.reply;
    this.connection = owner.link.connections;
  }

  async ask(words: Words): Promise<Buffer> {
    if (this.pouring !== undefined) await this.pouring;
    if (!this.holds) return errors.notServed(LOST);
    this.beforeKeys();
    return askOnce(this.owner.link, encode(words));
  }

  async exec(commands: readonly Queued[]): Promise<Buffer[] | undefined> {
    if (!this.holds) return undefined;
    const { link } = this.owner;
    this.options.wrote();
    this.beforeKeys();
    const before = new Before();
    if (!commands.every(isWords)) return this.execPouring(commands, before);
    const run = runOf(commands);
    return this.conclude(
      before,
      await new Promise<Buffer | Lost>((resolve) => {
        link.sendRun(collect(resolve, resolve), before, commands.length + 2, run, 0, run.length).release();
      }),
      commands.length,
    );
  }

  /** The same where keys are poured: command by command, as they come. */
  private async execPouring(commands: readonly Queued[], before: Before): Promise<Buffer[] | undefined> {
    const { node, link } = this.owner;
    const written = this.pour(commands, before);
    this.pouring = written.catch(() => {});
    try {
      const { gone, reply } = await written;
      const replies = this.conclude(before, await reply, commands.length - gone.length);
      for (const i of gone) replies?.splice(i, 0, GONE);
      return replies;
    } catch (error) {
      // Perhaps in the middle of a transaction, which is never executed then.
      node.discard(link);
      throw error;
    } finally {
      this.pouring = undefined;
    }
  }

  /** Writes it all. `gone`: the places of keys that are not there any more, and were left out. */
  private async pour(commands: readonly Queued[], before: Before) {
    const { link } = this.owner;
    const gone: number[] = [];
    // It owes replies to commands that it has not got whole, and is not silent.
    link.patient = true;
    try {
      this.write(MULTI, before);
      for (const [i, command] of commands.entries()) {
        if (isWords(command)) this.write(encode(command), before);
        else if (!(await this.pourOne(command, before))) gone.push(i);
      }
    } finally {
      link.patient = false;
    }
    const reply = new Promise<Buffer | Lost>((resolve) => this.write(EXEC, collect(resolve, resolve)));
    // Not awaited here: others may ask as soon as all is written.
    return { gone, reply };
  }

  /** Begins a command, whose reply goes to `pending`. @throws Refusal when the link was lost */
  private write(bytes: Buffer, pending: Pending): void {
    const { link } = this.owner;
    if (!this.holds) throw new Refusal(errors.notServed(LOST));
    link.expect(pending);
    link.writeThrough(bytes);
  }

  /** False: there is no such key. */
  private async pourOne(pouring: Pouring, before: Before): Promise<boolean> {
    const { name, slot, as, replace, lifetime, most } = pouring;
    const { link } = this.owner;
    const flow = await this.options.flow(slot, name);
    if (flow === undefined) return false;
    try {
      if (flow.length > most) throw new Refusal(errors.tooMuchToCopy(flow.length, most));
      const keeps = lifetime === undefined && flow.expires >= 0;
      const words = ['RESTORE', as, String(keeps ? flow.expires : (lifetime ?? 0))];
      const last = [...(replace ? ['REPLACE'] : []), ...(keeps ? ['ABSTTL'] : [])];
      const head = `*${words.length + 1 + last.length}\r\n`;
      this.write(
        Buffer.concat([Buffer.from(head), ...words.map(bulkOf), Buffer.from(`$${flow.length}\r\n`)]),
        before,
      );
      step('copy: pour');
      await flow.pour(link);
      step('copy: pour');
      link.writeThrough(Buffer.concat([CRLF, ...last.map(bulkOf)]));
      return true;
    } finally {
      flow.close();
    }
  }

  /** `expected`: commands between MULTI and EXEC. */
  private conclude(before: Before, reply: Buffer | Lost, expected: number): Buffer[] | undefined {
    const { link } = this.owner;
    if (!Buffer.isBuffer(reply)) {
      if (reply.sent) throw new Refusal(errors.outcomeUnknown(reply.reason), true);
      return undefined;
    }
    if (reply[0] !== MINUS) return isNilArray(reply) ? undefined : repliesOf(reply, expected);
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
    if (!this.holds || !link.quiet) return node.discard(link);
    void askOnce(link, UNWATCH).then((reply) => {
      if (reply[0] === MINUS) node.discard(link);
      else node.giveBack(this.options.lane, link);
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

/** A command, and no key that is poured. */
export function isWords(step: Queued): step is Words {
  return Array.isArray(step);
}

function bulkOf(word: string | Buffer): Buffer {
  return bulk(Buffer.from(word));
}

/** MULTI, commands and EXEC, as they are sent. */
export function runOf(commands: readonly Words[]): Buffer {
  return Buffer.concat([MULTI, ...commands.map((words) => encode(words)), EXEC]);
}

/** The elements of EXEC's reply to so many commands. @throws Refusal with an error, or where there are others */
export function repliesOf(reply: Buffer, expected: number): Buffer[] {
  const { type, count, end } = headOf(reply);
  if (reply[0] === MINUS) throw new Refusal(reply);
  if (type !== ASTERISK || count !== expected) throw new Refusal(errors.senseless(), true);
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
