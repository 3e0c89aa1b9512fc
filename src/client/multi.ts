// MULTI, EXEC, DISCARD, WATCH and UNWATCH: what they do to a client's session.
//
// MULTI and what is queued behind it stay here (see transaction.ts). EXEC of the common kind, all keys in one slot
// and nothing watched, is one run on a shared link, and what the client sends next does not wait for it; every
// other kind is worked out (see exec.ts).

import type { Lane } from '../cluster/lanes.ts';
import { equalsIgnoreCase } from '../command/arguments.ts';
import { type Command, FLAG, ROUTE } from '../command/command.ts';
import { CROSS, slotOfKeys } from '../command/keys.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { EMPTY_ARRAY, OK, QUEUED } from '../resp/write.ts';
import type { Client } from './client.ts';
import { conclude, equip, show, tally } from './exec.ts';
import type { Handler } from './handler.ts';
import { sharded } from './publish.ts';
import { Run } from './run.ts';
import { SavedArguments } from './saved.ts';
import { KEYLESS_SLOT } from './scripts.ts';
import { ANYWHERE, AT_ONCE, EXEC, MULTI, placeOf, Transaction, UNKNOWN } from './transaction.ts';
import { Watch } from './watch.ts';

/**
 * What becomes of a command between MULTI and EXEC: it is queued or refused. False when it is executed at once,
 * or is not served at all, of which the client is told as ever.
 */
export function queue(client: Client, transaction: Transaction, command: Command, f: Frame): boolean {
  if ((command.flags & FLAG.noMulti) !== 0) return client.refuse(command, errors.notInMulti());
  if (AT_ONCE.has(command.name)) return false;
  if (command.route === ROUTE.refused) return false;
  // Its replies are the elements of one reply.
  if (command.name === 'client|reply')
    return client.refuse(command, errors.unsupported(command.name, 'not in a transaction'));
  // A change of libraries is one of all nodes and all proxies.
  if (command.name === 'tfunction' && !equalsIgnoreCase(f, 1, 'list'))
    return client.refuse(command, errors.notInMulti());
  if (transaction.spoiled) return client.say(undefined, QUEUED);
  if (command.name === 'publish' && client.context.config.pubsub.mode === 'sharded') {
    const spublish = client.context.table.byName('spublish');
    if (spublish !== undefined) return queue(client, transaction, spublish, sharded(f));
  }
  const where = placeOf(command, f);
  if (where === UNKNOWN)
    return client.refuse(command, errors.unsupported(command.name, 'in a transaction only its keys as such'));
  const { transactionCommands, transactionBytes } = client.context.config.limits;
  if (transaction.entries.length >= transactionCommands)
    return client.refuse(command, errors.limit('limits.transactionCommands', transactionCommands));
  if (transaction.length + f.to - f.from > transactionBytes)
    return client.refuse(command, errors.limit('limits.transactionBytes', transactionBytes));
  transaction.add(command, f, where);
  return client.say(undefined, QUEUED);
}

/** Users that may use MULTI and EXEC, as far as a node has said: see `mayTransact`. */
const allowed = new WeakSet<Lane>();

export const TRANSACTION_COMMANDS: Readonly<Record<string, Handler>> = {
  multi: (client, command) => {
    const { session } = client;
    if (session.transaction !== undefined) return client.say(command, errors.nestedMulti());
    if (allowed.has(session.lane)) {
      session.transaction = new Transaction();
      return client.say(command, OK);
    }
    return client.workOut(command, () => mayTransact(client, command));
  },

  exec: (client, command, f) => {
    const { session, cluster, context } = client;
    const { transaction, watch } = session;
    if (transaction === undefined) return client.say(command, errors.execWithoutMulti());
    if (transaction.spoiled) {
      client.session.endTransaction();
      return client.say(command, errors.execAbort());
    }
    const { entries, slot, simple } = transaction;
    if (watch !== undefined || !simple) {
      session.transaction = session.watch = undefined;
      const args = new SavedArguments(f);
      const work = async () => {
        const reply = await conclude(client, command, transaction, watch);
        // Behind the commands of the transaction, as a server shows it.
        if (context.attention.monitored) context.attention.show(session, command, args);
        return reply;
      };
      if (client.workOut(command, work)) return true;
      session.transaction = transaction;
      session.watch = watch;
      return false;
    }
    if (entries.length > 0) {
      const goal = slot === ANYWHERE ? KEYLESS_SLOT : slot;
      if (client.mustWait(goal, transaction.reads) || !client.roomFor(goal)) return false;
      const wait = equip(client, transaction, cluster.ownerOf(goal));
      if (wait !== undefined) {
        void wait.then(() => client.wake());
        return false;
      }
      const { loose, reads } = transaction;
      const run = new Run(client, command, goal, { count: entries.length + 2, loose, reads, part: false });
      client.replies.push(run);
      transaction.close();
      run.start(transaction.bytes, 0, transaction.length);
      tally(client, entries);
      show(client, transaction);
      transaction.forget();
    } else client.say(command, EMPTY_ARRAY);
    session.transaction = undefined;
    return true;
  },

  discard: (client, command) => {
    if (client.session.transaction === undefined) return client.say(command, errors.discardWithoutMulti());
    client.session.endTransaction();
    return client.say(command, OK);
  },

  watch: (client, command, f) => {
    const { session } = client;
    if (session.transaction !== undefined) return client.say(command, errors.watchInMulti());
    const slot = slotOfKeys(command, f);
    if (slot === CROSS || (session.watch !== undefined && session.watch.slot !== slot))
      return client.say(command, errors.crossSlotWatch());
    const request = new SavedArguments(f);
    return client.workOut(command, async () => {
      if (session.watch !== undefined) return session.watch.more(request, OK);
      const begun = await Watch.begin(client, slot, request);
      if (Buffer.isBuffer(begun)) return begun;
      session.watch = begun;
      return OK;
    });
  },

  unwatch: (client, command) => {
    client.session.endWatch();
    return client.say(command, OK);
  },
};

/**
 * Begins a transaction if the client's user may have one. A node is asked with an empty one: MULTI refused in the
 * middle of a run would leave the commands behind it to be executed one by one, after the client was told QUEUED.
 */
async function mayTransact(client: Client, command: Command): Promise<Buffer> {
  const { session, cluster } = client;
  const { lane } = session;
  const probe = Buffer.concat([MULTI, EXEC]);
  const reply = await client.aside(() => {
    const run = new Run(client, command, cluster.anySlot(session.id), {
      count: 2,
      loose: false,
      reads: true,
      part: true,
    });
    client.replies.push(run);
    run.start(probe, 0, probe.length);
    return true;
  });
  if (reply.toString('latin1', 0, 8) === '-NOPERM ') return errors.asServerSaid(refusalOf(reply));
  if (reply.equals(EMPTY_ARRAY)) allowed.add(lane);
  session.transaction = new Transaction();
  return OK;
}

/** What the node said of MULTI, without what `Run` adds. */
function refusalOf(reply: Buffer): string {
  return reply.toString('latin1', 1, reply.length - 2).split(';', 1)[0]!;
}
