// One downstream connection: reads, frames, dispatches, and ends. Hot.
//
//   socket --chunk--> Reader --frame--> execute --> one slot: a Request    (conversation.ts: what becomes of it)
//                                               '-> all else: routes.ts
//
// A client holds no buffer while it is idle: ten thousand of them cost a few kilobytes each.

import type { Socket } from 'node:net';
import type { Choice } from '../cluster/attempt.ts';
import type { Node } from '../cluster/node.ts';
import type { Flushable } from '../cluster/turn.ts';
import { type Command, FLAG, ROUTE, SCRIPT } from '../command/command.ts';
import { dispatch, severalKeys, singleKey } from '../dispatch.ts';
import type { Batch, Subscriber } from '../pubsub/audience.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { TOTAL } from '../telemetry/counters.ts';
import { Checkpoint } from './checkpoint.ts';
import type { Blocked, Connection, Context } from './context.ts';
import { Conversation, OUTPUT_PAUSE } from './conversation.ts';
import { Reader, type Sink } from './reader.ts';
import { onlyReads, Request } from './request.ts';
import { laneOf, Session } from './session.ts';
import type { Transaction } from './transaction.ts';
import { UnreadLimit } from './unread.ts';

/** What is done with a command that is not simply sent to one slot: see routes.ts. */
export interface Routes {
  /** It goes to no one slot. False: not now. */
  elsewhere(client: Client, command: Command, f: Frame, where: number): boolean;
  /** No server has it. */
  unknown(client: Client, f: Frame): boolean;
  /** It stands between MULTI and EXEC. False: it is executed all the same. */
  queue(client: Client, transaction: Transaction, command: Command, f: Frame): boolean;
}

export class Client extends Conversation implements Sink, Connection, Flushable, Subscriber {
  readonly session: Session;
  /** Nothing more is read; close when all replies are out. */
  private ending = false;
  /** The client has said all it will. */
  private said = false;

  readonly routes: Routes;
  private readonly woken = () => this.wake();
  private readonly socket: Socket;

  private readonly reader: Reader;
  private dirty = false;
  /** The command that is being worked out blocks. */
  blocked: Blocked | undefined = undefined;
  private readonly limit: UnreadLimit;
  /** Has given its lane back. */
  private left = false;

  constructor(context: Context, socket: Socket, routes: Routes) {
    super(context, socket);
    this.routes = routes;
    this.socket = socket;
    this.limit = new UnreadLimit(context.config);
    this.reader = new Reader(this, socket);
    const { username, password } = context.user;
    const id = context.nextId();
    const lane = this.cluster.enterLane(laneOf(this.cluster, { id, resp: 2, username, password }));
    this.session = new Session(id, socket, lane, context.openToAll, context.turn.now);
    this.session.username = username;
    this.session.password = password;
    this.readBy(context.policies.byDefault);
    socket.on('drain', () => this.wake());
    socket.on('end', () => this.finish());
    socket.on('error', () => this.close());
    socket.on('close', () => this.close());
  }

  // ---- what comes in

  /** The next bytes from the socket; they are valid during the call only. */
  read(chunk: Buffer, length: number): void {
    if (this.deaf) return;
    const { context } = this;
    this.session.activeAt = context.turn.tick();
    context.counters.totals[TOTAL.bytesFromClients]! += length;
    this.reader.read(chunk, length);
  }

  protected get stalled(): boolean {
    return this.reader.stalled;
  }

  get deaf(): boolean {
    return this.closed || this.ending;
  }

  uploads(f: Frame): Command | undefined {
    const { context, session } = this;
    const command = context.table.find(f);
    if (command === undefined || command.route !== ROUTE.oneSlot || !singleKey(command)) return undefined;
    if (f.argc <= command.keyFirst || !f.canonical || !command.takes(f.expected)) return undefined;
    if (!session.authenticated || session.transaction !== undefined) return undefined;
    session.lastCommand = command;
    // It is no call, so it is counted here, for all slots.
    this.wrote = -1;
    return command;
  }

  violate(f: Frame): void {
    this.say(undefined, errors.protocol(f.error));
    this.violated();
  }

  violated(): void {
    this.context.counters.totals[TOTAL.protocolErrors]! += 1;
    this.end();
  }

  tooLong(): void {
    const { clientQuery } = this.context.config.limits;
    this.refuse(undefined, errors.limit('limits.clientQuery', clientQuery));
    this.end();
  }

  // ---- what is done with a command

  /** A command may have to wait or to be seen on its way: see checkpoint.ts. */
  look(): void {
    const { reader, session, context } = this;
    const { skipNext, tracking, subscribed } = session;
    const needed = context.attention.on || skipNext || tracking !== undefined || subscribed !== undefined;
    if (needed !== (reader.taker !== this)) reader.taker = needed ? new Checkpoint(this) : this;
    if (!session.postponed) return;
    session.postponed = false;
    this.wake();
  }

  /** Too much of this client is under way, or unread by it. */
  get full(): boolean {
    return this.congested || this.replies.count >= this.context.config.limits.clientPending;
  }

  passOver(): void {}

  listens(kept: number): boolean {
    return this.blocked !== undefined && kept < this.context.config.streamAbove;
  }

  execute(f: Frame): boolean {
    const { context, session } = this;
    if (this.congested || this.replies.count >= context.config.limits.clientPending) return false;
    const command = context.table.find(f);
    if (command === undefined) return this.routes.unknown(this, f);
    if (command.subcommands !== undefined && f.argc > 1)
      return this.refuse(command, errors.unknownSubcommand(f));
    if (!command.takes(f.argc)) return this.refuse(command, errors.wrongArity(command.name));
    if (!session.authenticated && (command.flags & FLAG.noAuth) === 0)
      return this.refuse(command, errors.noAuth());
    session.lastCommand = command;
    if (session.transaction !== undefined && this.routes.queue(this, session.transaction, command, f))
      return true;
    const where = dispatch(command, f);
    if (where >= 0) {
      if (singleKey(command)) return this.toSlot(command, f, where, false);
      if (command.script === SCRIPT.none) return this.toSlot(command, f, where, severalKeys(command, f));
    }
    return this.routes.elsewhere(this, command, f, where);
  }

  /** Sends a command whole to the owner of a slot, or to another node that may answer it. */
  toSlot(command: Command, f: Frame, slot: number, loose: boolean): boolean {
    if (this.order.mustWait(slot, onlyReads(command))) return false;
    const choice = this.reading?.choice(command, slot, loose);
    if (choice?.aside !== true && !this.roomFor(slot)) return false;
    return this.give(command, f, slot, loose, choice);
  }

  /** Sends a command that nothing holds back. */
  give(command: Command, f: Frame, slot: number, loose: boolean, choice: Choice | undefined): true {
    const request = new Request(this, command, slot, loose, onlyReads(command), choice);
    this.replies.push(request);
    request.start(f.bytes as Buffer, f.from, f.to);
    return true;
  }

  /** False when the owner of a slot has enough to do for now: the client is woken when that changes. */
  roomFor(slot: number): boolean {
    return this.roomAt(this.cluster.ownerOf(slot));
  }

  /** The same of one node. */
  roomAt(node: Node | undefined): boolean {
    const link = node?.link(this.session.lane);
    if (link === undefined || !link.full) return true;
    link.whenRoom(this.woken);
    return false;
  }

  /** For CLIENT LIST. */
  get fd(): number {
    return (this.socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
  }

  get inputBytes(): number {
    return this.reader.input.length;
  }

  /** It says nothing more: a command that blocks would be answered to nobody. */
  get leaving(): boolean {
    return this.said || this.ending || this.closed;
  }

  // ---- what goes out

  /** Writes what is no reply, behind the replies that are still to come. */
  tell(bytes: Buffer): void {
    if (!this.deaf) this.say(undefined, bytes);
  }

  push(bytes: Buffer): void {
    if (this.deaf) return;
    this.replies.sayAloud(bytes);
    this.touch();
  }

  // ---- messages that it has subscribed to

  /** From everything. */
  unsubscribe(): void {
    if (this.session.subscribed === undefined) return;
    this.session.subscribed.end();
    this.session.subscribed = undefined;
    if (!this.closed) this.look();
  }

  attach(batch: Batch): boolean {
    if (this.closed || this.own.midway || !this.outbox.attach(batch, this)) return false;
    this.touch();
    return true;
  }

  detach(batch: Batch): void {
    this.outbox.detach(batch);
  }

  hear(batch: Batch, from: number, to: number): void {
    if (this.closed) return;
    this.own.interject(batch, from, to);
    if (this.socket.writableLength > 0) batch.kept = true;
    this.touch();
  }

  /** Messages wait until the command that is being worked out is answered. */
  holdMessages(): void {
    this.own.midway = true;
  }

  /** Something that the client may have waited for has happened. */
  wake(): void {
    if (this.closed) return;
    this.congested = false;
    this.touch();
  }

  protected touch(): void {
    if (this.dirty) return;
    this.dirty = true;
    this.context.turn.markClient(this);
  }

  flush(): void {
    this.dirty = false;
    if (this.closed) return;
    this.outbox.flush();
    const unread = this.socket.writableLength;
    if (unread > 0 || this.replies.heldBytes > 0) {
      const { session, context } = this;
      const bytes = unread + this.replies.heldBytes;
      const limit = this.limit.passed(bytes, session.subscribed !== undefined, context.turn.now);
      if (limit !== undefined) return this.dropSlow(unread, limit);
      this.congested = unread > OUTPUT_PAUSE;
    }
    if (this.working > 0) this.onProgress?.();
    if (this.reader.stalled && !this.congested) {
      this.reader.retry();
      if (!this.dirty) this.outbox.flush();
    }
    const idle = this.working === 0 && this.replies.front === undefined && !this.reader.stalled;
    const over = (this.ending || this.said) && idle;
    // Dirty again: what it was just answered goes out in the next turn, and then it is closed.
    if (over && !this.dirty) this.socket.destroySoon();
  }

  private dropSlow(unread: number, limit: string): void {
    this.context.counters.totals[TOTAL.slowClientsDropped]! += 1;
    this.context.log.warn(
      { client: this.session.address, unread },
      `a client that does not read what it is sent was dropped (${limit})`,
    );
    this.close();
  }

  // ---- its end

  /** The client has said all it will: what it has asked is still answered. */
  private finish(): void {
    // As with a server, what was postponed is then never executed.
    if (this.reader.uploading || this.session.postponed) return this.close();
    this.said = true;
    this.blocked?.leave();
    this.touch();
  }

  /** Answers what is under way, then closes. Nothing more is read. */
  end(): void {
    // Half a command can't be answered.
    if (this.reader.uploading) return this.close();
    this.ending = true;
    this.reader.stop(false);
    this.blocked?.leave();
    this.touch();
  }

  close(reason?: string): void {
    if (this.closed) return;
    this.closed = true;
    if (reason !== undefined)
      this.context.log.warn({ client: this.session.address, reason }, 'a client was disconnected');
    this.replies.clear();
    this.own.clear();
    this.session.watch?.abandon();
    this.reader.stop(true);
    this.blocked?.leave();
    this.context.clients.delete(this.session.id);
    this.context.attention.leave(this);
    this.context.tracking.leave(this);
    this.unsubscribe();
    this.discharge();
    // What is still under way needs the lane.
    if (this.order.inFlight === 0) this.leaveLane();
    this.socket.destroy();
  }

  /** It is none of the proxy's clients any more. */
  protected discharge(): void {
    this.context.dismiss();
    this.context.counters.totals[TOTAL.clients]! -= 1;
  }

  protected leaveLane(): void {
    if (this.left) return;
    this.left = true;
    this.cluster.leaveLane(this.session.lane);
    this.reading?.leave();
  }
}
