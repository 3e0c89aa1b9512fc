// EXEC of a transaction that is more than one run: watched, with keys in several slots, or with commands that are
// not for one slot's node to answer. Worked out while nothing else of the client is under way. Cold.
//
//   MULTI, SCRIPT LOAD s, SET a 1, CLIENT ID, SET b 2, EXEC      with `transactions: per-slot`, or `crossSlot: all`
//
//     before        SCRIPT LOAD                                   asked of all nodes, before the first run
//     runs          MULTI SET a 1 EXEC | MULTI SET b 2 EXEC       one for each slot, all sent at once
//     after         CLIENT ID                                     executed as ever, each after the other
//     the reply     *4: their replies in the order of the commands
//
// What all shards are asked has no place between two commands of a run, which nothing can come between: there it
// is refused. A run that fails takes the whole transaction with it where it is the only one; else each of its
// commands has that error for a reply. Where keys are watched, the run of their slot comes first, empty if need be: the
// others are sent when it has been executed.

import type { Link } from '../cluster/link.ts';
import type { Node } from '../cluster/node.ts';
import { type Command, SCRIPT } from '../command/command.ts';
import { headOf } from '../command/head.ts';
import { mergeSplit } from '../command/merge.ts';
import { type Plan, split } from '../command/split.ts';
import * as errors from '../resp/errors.ts';
import { skip } from '../resp/reply.ts';
import { COMMAND, Frame, frame } from '../resp/request.ts';
import { array, EMPTY_ARRAY, nilArray } from '../resp/write.ts';
import { permits } from './across.ts';
import { isShown } from './checkpoint.ts';
import type { Client } from './client.ts';
import { onlyReads } from './request.ts';
import { Run } from './run.ts';
import { KEYLESS_SLOT } from './scripts.ts';
import type { Watched } from './session.ts';
import {
  ANYWHERE,
  CROSSES,
  CUT,
  type Entry,
  EVERYWHERE,
  EXEC,
  LOCAL,
  MULTI,
  type Transaction,
} from './transaction.ts';

const ASTERISK = 42;

/** What goes to one slot, and where its replies belong: `owners[i]` has the i-th element of EXEC's reply. */
interface SlotRun {
  readonly slot: number;
  readonly pieces: Buffer[];
  readonly owners: Owner[];
  reads: boolean;
}

/** A command's place in the reply: its own number, or a part of one that was cut. */
interface Owner {
  readonly entry: number;
  readonly part: number;
}

/** A command that was cut by slot, and its parts' replies so far. */
interface Cut {
  readonly plan: Plan;
  readonly replies: Buffer[];
}

/** Counts the commands of a transaction that a node executes. */
export function tally(client: Client, entries: readonly Entry[]): void {
  const { calls } = client.context.counters;
  for (const { command, where } of entries)
    if (where !== LOCAL && where !== EVERYWHERE) calls[command.id]! += 1;
}

/**
 * Sees to it that a node has the scripts and functions that a transaction calls there: in the middle of one they
 * could not be made good any more. What has to be waited for before this is asked again, if anything.
 */
export function equip(
  client: Client,
  transaction: Transaction,
  node: Node | undefined,
  link: Link | undefined = node?.link(client.lane),
): Promise<unknown> | undefined {
  if (!transaction.scripts || node === undefined || link === undefined) return undefined;
  const { repertoire } = client;
  const waits: Promise<unknown>[] = [];
  transaction.entries.forEach(({ command }, i) => {
    if (command.script === SCRIPT.none) return;
    const f = frameOf(client, transaction, i);
    const bytes = f.bytes as Buffer;
    if (command.script === SCRIPT.source) {
      repertoire.learn(bytes, f.starts[1]!, f.ends[1]!);
      return;
    }
    const name = bytes.toString('latin1', f.starts[1], f.ends[1]);
    const wait = repertoire.prepare(command.script, name, node, link);
    if (wait !== undefined) waits.push(wait);
  });
  return waits.length === 0 ? undefined : Promise.all(waits);
}

/** Waits until there is nothing to be waited for. */
async function settled(ask: () => Promise<unknown> | undefined): Promise<void> {
  for (let wait = ask(); wait !== undefined; wait = ask()) await wait;
}

/** Runs a transaction: the reply to EXEC. */
export async function conclude(
  client: Client,
  exec: Command,
  transaction: Transaction,
  watch: Watched | undefined,
): Promise<Buffer> {
  const refusal = refused(client, exec, transaction, watch);
  if (refusal !== undefined) {
    watch?.release();
    return refusal;
  }
  return new Conclusion(client, exec, transaction).run(watch);
}

/** Functions of the proxy are run behind what the nodes execute, each by itself. */
const FUNCTIONS = new Set(['tfcall', 'tfcallasync']);

/** Why a transaction can't be run, or undefined. */
function refused(
  client: Client,
  exec: Command,
  { entries }: Transaction,
  watch: Watched | undefined,
): Buffer | undefined {
  const { transactions, crossSlot } = client.context.config;
  const perSlot = transactions === 'per-slot' || permits(crossSlot, exec, 'all');
  const slots = new Set(entries.flatMap(({ where }) => (where >= 0 ? [where] : [])));
  if (watch !== undefined) slots.add(watch.slot);
  if (!perSlot && (slots.size > 1 || entries.some(({ where }) => where === CUT || where === CROSSES)))
    return errors.crossSlotTransaction();
  const inRun = ({ where }: Entry) => where >= ANYWHERE || where === CUT;
  const isFunction = ({ command }: Entry) => FUNCTIONS.has(command.name);
  const called = entries.find(isFunction);
  if (called !== undefined && watch !== undefined)
    return errors.unsupported(called.command.name, 'what it does cannot depend on watched keys');
  const runsBefore = entries.find((entry, i) => isFunction(entry) && entries.findLastIndex(inRun) > i);
  if (runsBefore !== undefined)
    return errors.unsupported(
      runsBefore.command.name,
      'in a transaction it stands behind the commands of the servers',
    );
  const first = entries.findIndex(inRun);
  const last = entries.findLastIndex(inRun);
  const between = entries.find(
    ({ where }, i) => where === EVERYWHERE && (watch === undefined ? i > first : true) && i < last,
  );
  if (between === undefined) return undefined;
  return errors.unsupported(
    between.command.name,
    'it goes to all shards, and cannot do so between commands of one transaction',
  );
}

class Conclusion {
  private readonly client: Client;
  private readonly exec: Command;
  private readonly transaction: Transaction;
  private readonly results: Buffer[] = [];
  private readonly runs = new Map<number, SlotRun>();
  private readonly cuts = new Map<number, Cut>();

  constructor(client: Client, exec: Command, transaction: Transaction) {
    this.client = client;
    this.exec = exec;
    this.transaction = transaction;
  }

  async run(watch: Watched | undefined): Promise<Buffer> {
    const { entries } = this.transaction;
    this.plan(watch);
    const first = entries.findIndex(({ where }) => where !== LOCAL && where !== EVERYWHERE);
    for (const [i, { where }] of entries.entries())
      if (where === EVERYWHERE && i < first) this.results[i] = await this.alone(i);
    const failure = watch === undefined ? await this.sendRuns() : await this.guarded(watch);
    if (failure !== undefined) return failure;
    show(this.client, this.transaction);
    tally(this.client, entries);
    const { session } = this.client;
    session.executing = true;
    try {
      for (const [i] of entries.entries()) this.results[i] ??= await this.alone(i);
    } finally {
      session.executing = false;
    }
    return entries.length === 0 ? EMPTY_ARRAY : array(this.results);
  }

  private plan(watch: Watched | undefined): void {
    const { entries, bytes, slot } = this.transaction;
    const anywhere = watch?.slot ?? (slot === ANYWHERE ? KEYLESS_SLOT : slot);
    if (watch !== undefined) this.runOf(watch.slot);
    entries.forEach(({ command, where, from, to }, entry) => {
      if (where === CROSSES) this.results[entry] = errors.crossSlot();
      else if (where === CUT) this.cut(entry);
      else if (where >= ANYWHERE) {
        const run = this.runOf(where === ANYWHERE ? anywhere : where);
        run.pieces.push(bytes.subarray(from, to));
        run.owners.push({ entry, part: 0 });
        run.reads &&= onlyReads(command);
      }
    });
  }

  private cut(entry: number): void {
    const { command } = this.transaction.entries[entry]!;
    const plan = split(command, this.frameOf(entry));
    if (plan === undefined) {
      this.results[entry] = errors.wrongArity(command.name);
      return;
    }
    this.cuts.set(entry, { plan, replies: [] });
    for (let part = 0; part < plan.count; part++) {
      const run = this.runOf(plan.slot[part]!);
      run.pieces.push(Buffer.from(plan.bytes.subarray(plan.from[part], plan.to[part])));
      run.owners.push({ entry, part });
      run.reads &&= onlyReads(command);
    }
  }

  private runOf(slot: number): SlotRun {
    let run = this.runs.get(slot);
    if (run === undefined) {
      run = { slot, pieces: [], owners: [], reads: true };
      this.runs.set(slot, run);
    }
    return run;
  }

  /** Sends all runs; the reply to EXEC when the only one has failed. */
  private async sendRuns(): Promise<Buffer | undefined> {
    const runs = [...this.runs.values()];
    const alone = runs.length === 1 && this.cuts.size === 0;
    const failed = await this.send(runs);
    return alone ? failed : undefined;
  }

  /** Sends runs, all at once; the last reply that says that nothing was executed. */
  private async send(runs: readonly SlotRun[]): Promise<Buffer | undefined> {
    const { client, exec } = this;
    for (const { slot } of runs)
      await settled(() => equip(client, this.transaction, client.cluster.ownerOf(slot)));
    let sent = 0;
    const replies = await client.aside(() => {
      for (; sent < runs.length; sent++) {
        const { slot, owners, reads } = runs[sent]!;
        if (!client.roomFor(slot)) return false;
        const count = owners.length + 2;
        const run = new Run(client, exec, slot, { count, loose: true, reads, part: true });
        client.replies.push(run);
        const bytes = bytesOf(runs[sent]!);
        run.start(bytes, 0, bytes.length);
      }
      return true;
    });
    let at = 0;
    let failed: Buffer | undefined;
    for (const run of runs) {
      const end = skip(replies, at, replies.length);
      const reply = replies.subarray(at, end);
      at = end;
      if (!this.distribute(run, reply)) failed = reply;
    }
    return failed;
  }

  /** Runs the run of the watched slot, then the others; the reply to EXEC when it was not executed. */
  private async guarded(watch: Watched): Promise<Buffer | undefined> {
    const { client } = this;
    const nil = nilArray(client.session.resp);
    const run = this.runOf(watch.slot);
    await settled(() => equip(client, this.transaction, watch.node, watch.link));
    if (!watch.holds(client.lane)) {
      watch.release();
      return nil;
    }
    // It is no call, so it is counted here.
    if (!run.reads) client.wrote |= 1 << (watch.slot >>> 9);
    const reply = await watch.exec(bytesOf(run), run.owners.length + 2, run.reads, nil);
    if (!this.distribute(run, reply)) return reply;
    await this.send([...this.runs.values()].filter((other) => other !== run));
    return undefined;
  }

  /** Gives each command its element of a run's reply, or the run's error. False: nothing was executed. */
  private distribute({ owners }: SlotRun, reply: Buffer): boolean {
    const { type, count, end } = headOf(reply);
    const executed = type === ASTERISK && count === owners.length;
    let at = end;
    for (const owner of owners) {
      const next = executed ? skip(reply, at, reply.length) : 0;
      this.settle(owner, executed ? reply.subarray(at, next) : reply);
      at = next;
    }
    return executed;
  }

  private settle({ entry, part }: Owner, reply: Buffer): void {
    const cut = this.cuts.get(entry);
    if (cut === undefined) {
      this.results[entry] = reply;
      return;
    }
    cut.replies[part] = reply;
    if (cut.replies.filter(Buffer.isBuffer).length < cut.plan.count) return;
    this.results[entry] = mergeSplit(cut.plan, this.transaction.entries[entry]!.command, cut.replies);
  }

  /** Executes one command as if it stood alone. */
  private alone(entry: number): Promise<Buffer> {
    const { client } = this;
    const { name } = this.transaction.entries[entry]!.command;
    if (name === 'monitor') return Promise.resolve(errors.monitorInTransaction());
    if (name === 'ssubscribe') return Promise.resolve(errors.shardInTransaction());
    const f = this.frameOf(entry);
    return client.aside(() => client.execute(f));
  }

  private frameOf(entry: number): Frame {
    return frameOf(this.client, this.transaction, entry);
  }
}

/** Shows the commands of a transaction to those who look on. */
export function show(client: Client, transaction: Transaction): void {
  const { attention } = client.context;
  if (!attention.monitored) return;
  transaction.entries.forEach(({ command }, i) => {
    if (isShown(command)) attention.show(client.session, command, frameOf(client, transaction, i));
  });
}

function frameOf(client: Client, { entries, bytes }: Transaction, entry: number): Frame {
  const { from, to } = entries[entry]!;
  const f = new Frame();
  f.reset(from);
  if (frame(f, bytes, to, client.context.config.limits, true) !== COMMAND)
    throw new Error('a queued command is not whole');
  return f;
}

function bytesOf({ pieces }: SlotRun): Buffer {
  return Buffer.concat([MULTI, ...pieces, EXEC]);
}
