// Stands between a client's reader and its commands while something is to be minded: a pause, a monitor, a
// reply that is to be left out, keys that it reads and is to be told of, a subscription.
//
//   reader --> client                  as a rule
//   reader --> checkpoint --> client   while one of these is there
//
// So what nobody uses costs nothing. What a checkpoint asks of a command, whether it is one at all, the client asks
// again; both must know it before the command is executed.

import { type Command, FLAG, ROUTE } from '../command/command.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import type { Attentive } from './attention.ts';
import type { Context } from './context.ts';
import type { Taker } from './reader.ts';
import type { Replies } from './replies.ts';
import type { Session } from './session.ts';
import { AT_ONCE } from './transaction.ts';

/** The client behind it. */
export interface Guarded extends Taker, Attentive {
  readonly context: Context;
  readonly replies: Replies;
  /** A command is being worked out. */
  readonly busy: boolean;
  /** Too much of it is under way, or unread by it. */
  readonly full: boolean;
  refuse(command: Command, reply: Buffer): true;
}

/** In RESP2 a reply could be taken for a message, and the reverse (server.c processCommand). */
const WHILE_SUBSCRIBED = new Set([
  'ping',
  'subscribe',
  'unsubscribe',
  'psubscribe',
  'punsubscribe',
  'ssubscribe',
  'sunsubscribe',
  'quit',
  'reset',
]);

/** What a monitor may not do, being a kind of replica to the server. */
const KEYSPACE = FLAG.write | FLAG.readonly | FLAG.mayReplicate;

export class Checkpoint implements Taker {
  private readonly client: Guarded;

  constructor(client: Guarded) {
    this.client = client;
  }

  execute(f: Frame): boolean {
    const { client } = this;
    const { session } = client;
    const { attention } = client.context;
    const command = this.valid(f);
    if (command !== undefined && attention.postpones(command, session)) {
      session.postponed = true;
      return false;
    }
    session.postponed = false;
    const queued = session.queued >= 0 && command !== undefined && !AT_ONCE.has(command.name);
    const skips = session.skipNext;
    session.skipNext = false;
    const wrong = command === undefined ? undefined : refusal(session, command);
    const taken =
      wrong === undefined ? client.execute(f) : !client.full && client.refuse(command!, wrong(command!.name));
    if (!taken) session.skipNext = skips;
    if (!taken) return false;
    // An EXEC that is being worked out is shown behind the commands of its transaction.
    const later = command?.name === 'exec' && client.busy;
    if (
      attention.monitored &&
      !queued &&
      wrong === undefined &&
      !later &&
      command !== undefined &&
      isShown(command)
    )
      attention.show(session, command, f);
    if (session.tracking !== undefined && command !== undefined && !queued && wrong === undefined)
      client.context.tracking.seen(client, command, f);
    if (session.skipNext) client.replies.mute(true);
    else if (skips) this.skipped();
    return true;
  }

  /** While somebody looks on, or waits, a command is kept until it is whole. */
  uploads(): undefined {
    return undefined;
  }

  /** An empty line, too, is what CLIENT REPLY SKIP skips. */
  passOver(): void {
    if (!this.client.session.skipNext) return;
    this.client.session.skipNext = false;
    this.skipped();
  }

  /** A client that is paused and leaves is gone, with what it has sent. */
  listens(kept: number): boolean {
    const { session, context } = this.client;
    return this.client.listens(kept) || (session.postponed && kept < context.config.streamAbove);
  }

  /** The command whose reply was left out is done. */
  private skipped(): void {
    const { session, replies } = this.client;
    if (!session.replyOff) replies.mute(false);
    this.client.look();
  }

  /** The command, unless the client is told at once that it is none or that it may give none. */
  private valid(f: Frame): Command | undefined {
    const { context, session } = this.client;
    const command = context.table.find(f);
    if (command === undefined || !command.takes(f.argc)) return undefined;
    if (command.subcommands !== undefined && f.argc > 1) return undefined;
    return session.authenticated || (command.flags & FLAG.noAuth) !== 0 ? command : undefined;
  }
}

/** Why a client that looks on, or hears messages in RESP2, may not give a command. */
function refusal(session: Session, { name, flags }: Command): ((name: string) => Buffer) | undefined {
  if (session.subscribed !== undefined && session.resp === 2 && !WHILE_SUBSCRIBED.has(name))
    return errors.subscribed;
  return session.monitoring && (flags & KEYSPACE) !== 0 ? errors.replicaKeyspace : undefined;
}

/** Whether a monitor sees it: not what administrators do, nor what is refused. */
export function isShown(command: Command): boolean {
  if (command.route === ROUTE.refused) return false;
  return (command.flags & FLAG.admin) === 0;
}
