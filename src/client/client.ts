// One downstream connection: reads, frames, dispatches, and writes replies in order. Hot.
//
//   socket --chunk--> frame --> execute --> Request, Gathered --> cluster ... --> answer --> Replies --> Outbox
//
// A client holds no buffer while it is idle: ten thousand of them cost a few kilobytes each.

import type { Socket } from 'node:net';
import type { Call } from '../cluster/call.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Lane } from '../cluster/lanes.ts';
import type { Node } from '../cluster/node.ts';
import { elapsed, type Flushable } from '../cluster/turn.ts';
import { type Command, FLAG, ROUTE, SCRIPT } from '../command/command.ts';
import { dispatch, severalKeys, singleKey } from '../dispatch.ts';
import type { Batch, Subscriber } from '../pubsub/audience.ts';
import type { Area } from '../resp/copy.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { BUCKETS, bucketOf } from '../telemetry/buckets.ts';
import { TOTAL } from '../telemetry/counters.ts';
import { ServerError } from './asker.ts';
import { Checkpoint } from './checkpoint.ts';
import type { Blocked, Connection, Context, Repertoire } from './context.ts';
import { Order } from './order.ts';
import { Outbox } from './outbox.ts';
import { Reader, type Sink } from './reader.ts';
import { type Piece, type Place, Replies } from './replies.ts';
import { onlyReads, Request, Spoken } from './request.ts';
import { Session } from './session.ts';
import { Spool } from './spool.ts';
import type { Transaction } from './transaction.ts';

/** Unread output above which a client is not read from. */
const OUTPUT_PAUSE = 1048576;
const MINUS = 45;

/** What is done with a command that is not simply sent to one slot: see routes.ts. */
export interface Routes {
  /** It goes to no one slot. False: not now. */
  elsewhere(client: Client, command: Command, f: Frame, where: number): boolean;
  /** It stands between MULTI and EXEC. False: it is executed all the same. */
  queue(client: Client, transaction: Transaction, command: Command, f: Frame): boolean;
}

export class Client implements Sink, Connection, Flushable, Subscriber {
  readonly context: Context;
  readonly cluster: Cluster;
  readonly session: Session;
  replies: Replies;
  /** Those that its socket gets; `replies` are others while a command executes some for itself. */
  private readonly own: Replies;
  closed = false;
  /** Nothing more is read; close when all replies are out. */
  private ending = false;
  /** The client has said all it will. */
  private said = false;

  private readonly routes: Routes;
  private readonly woken = () => this.wake();
  private readonly socket: Socket;
  private readonly outbox: Outbox;

  private readonly reader: Reader;
  private readonly order: Order;
  private dirty = false;
  /** Commands that are being worked out, one inside the other. */
  private working = 0;
  /** Asked at the end of each turn in which something was answered while a command is worked out. */
  private onProgress: (() => void) | undefined = undefined;
  /** The command that is being worked out blocks. */
  blocked: Blocked | undefined = undefined;
  /** Where it has written, for WAIT: a bit for each 512 slots. */
  wrote = 0;
  private congested = false;
  /** Since when too much is unread for a while, in the turn's milliseconds; 0: it is not. */
  private softSince = 0;
  /** Has given its lane back. */
  private left = false;

  constructor(context: Context, socket: Socket, routes: Routes) {
    this.context = context;
    this.routes = routes;
    this.cluster = context.cluster;
    this.socket = socket;
    this.outbox = new Outbox(socket, context.turn, context.counters.totals);
    this.replies = this.own = new Replies(this.outbox);
    this.order = new Order(this.cluster, this.replies);
    this.reader = new Reader(this, socket);
    const { username, password } = context.user;
    const id = context.nextId();
    const lane = this.cluster.enterLane({
      resp: 2,
      username,
      password,
      readOnly: false,
      copy: this.copy(id),
    });
    this.session = new Session(id, socket, lane, context.openToAll, context.turn.now);
    this.session.username = username;
    this.session.password = password;
    socket.on('drain', () => this.wake());
    socket.on('end', () => this.finish());
    socket.on('error', () => this.close());
    socket.on('close', () => this.close());
  }

  get lane(): Lane {
    return this.session.lane;
  }

  get repertoire(): Repertoire {
    return this.context.repertoire;
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

  /** A command is being worked out that nothing may overtake. */
  get busy(): boolean {
    return this.working > 0;
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
    if (command === undefined) return this.refuse(undefined, errors.unknownCommand(f));
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

  /** Sends a command whole to the owner of a slot. */
  toSlot(command: Command, f: Frame, slot: number, loose: boolean): boolean {
    if (this.order.mustWait(slot, onlyReads(command))) return false;
    if (!this.roomFor(slot)) return false;
    const request = new Request(this, command, slot, loose);
    this.replies.push(request);
    request.start(f.bytes as Buffer, f.from, f.to);
    return true;
  }

  /** False when the owner of a slot has enough to do for now: the client is woken when that changes. */
  roomFor(slot: number): boolean {
    const { cluster } = this;
    if (cluster.gates.full) {
      cluster.gates.whenRoom(this.woken);
      return false;
    }
    return this.roomAt(cluster.ownerOf(slot));
  }

  /** The same of one node. */
  roomAt(node: Node | undefined): boolean {
    const link = node?.link(this.session.lane);
    if (link === undefined || !link.full) return true;
    link.whenRoom(this.woken);
    return false;
  }

  /** True while a command for `slot` (or EVERY_SLOT) could overtake one that is under way. */
  mustWait(slot: number, reads: boolean): boolean {
    return this.order.mustWait(slot, reads);
  }

  /** For CLIENT LIST. */
  get fd(): number {
    return (this.socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
  }

  get inputBytes(): number {
    return this.reader.input.length;
  }

  get pending(): number {
    return this.replies.count;
  }

  get outputBytes(): number {
    return this.replies.heldBytes + this.outbox.backlog;
  }

  /** It says nothing more: a command that blocks would be answered to nobody. */
  get leaving(): boolean {
    return this.said || this.ending || this.closed;
  }

  /** True when nothing of this client is under way. */
  get settled(): boolean {
    return this.order.inFlight === 0;
  }

  /** Answers a command with what the proxy itself says. Always true: the command is done. */
  say(command: Command | undefined, reply: Buffer): true {
    const { replies } = this;
    if (command !== undefined) this.count(command, this.context.turn.micros, reply[0]!);
    if (replies.front === undefined) {
      replies.say(reply);
      if (this.outbox.backlog > OUTPUT_PAUSE) this.congested = true;
    } else {
      const place = new Spoken();
      replies.push(place);
      replies.answer(place, reply, 0, reply.length);
    }
    this.touch();
    return true;
  }

  /** As `say`, for what the proxy refuses by itself. */
  refuse(command: Command | undefined, reply: Buffer): true {
    this.context.counters.totals[TOTAL.rejected]! += 1;
    const { session } = this;
    session.transaction?.spoil();
    if (command?.name !== 'exec') return this.say(command, reply);
    // A refused EXEC is the end of its transaction (server.c rejectCommand).
    session.endTransaction();
    return this.say(command, errors.execAbortBecause(reply.toString('latin1', 1, reply.length - 2)));
  }

  /** Works a reply out, while nothing else of this client is under way. False: not yet. */
  workOut(command: Command, work: () => Promise<Buffer>): boolean {
    if (this.order.inFlight > 0 || this.replies.count > 0) return false;
    const place = new Spoken();
    const since = this.context.turn.micros;
    this.replies.push(place);
    this.working++;
    const done = (reply: Buffer) => {
      this.working--;
      this.answer(place, command, since, reply, 0, reply.length);
    };
    work().then(done, (error: Error) => {
      if (error instanceof ServerError) return done(errors.asServerSaid(error.message));
      this.context.log.error(
        { command: command.name, error: error.stack },
        'a command failed inside the proxy',
      );
      done(Buffer.from(`-ERR slotless: ${error.message.replace(/[\r\n]+/g, ' ')}\r\n`));
    });
    return true;
  }

  /**
   * Has commands executed whose replies are not sent: a promise of the replies. For a command that is worked out.
   * @param begin executes them; false when it must be called again, since not all could be executed
   */
  async aside(begin: () => boolean): Promise<Buffer> {
    const { replies } = this;
    const spool = new Spool();
    this.useReplies(new Replies(spool));
    try {
      let begun = false;
      await new Promise<void>((resolve) => {
        this.onProgress = () => {
          begun ||= begin();
          if (begun && this.replies.front === undefined) resolve();
        };
        this.onProgress();
      });
      return spool.bytes();
    } finally {
      this.onProgress = undefined;
      this.useReplies(replies);
    }
  }

  private useReplies(replies: Replies): void {
    this.replies = this.order.replies = replies;
  }

  /** From now on commands run as this user, in this protocol. Nothing is under way. */
  enter(resp: 2 | 3, username: string, password: string): void {
    // Gone while its login was under way: its lane has been left.
    if (this.closed) return;
    const { session, cluster } = this;
    const old = session.lane;
    session.resp = resp;
    session.subscribed?.turnTo(resp);
    session.username = username;
    session.password = password;
    session.lane = cluster.enterLane({
      resp,
      username,
      password,
      readOnly: false,
      copy: this.copy(session.id),
      db: session.db,
      noTouch: session.noTouch,
    });
    cluster.leaveLane(old);
  }

  /** RESET: as the connection was when it was accepted. Nothing is under way. */
  resetSession(): void {
    const { session, context } = this;
    session.name = '';
    session.readOnly = false;
    session.endTransaction();
    session.noTouch = false;
    // Servers that know NO-TOUCH forget both.
    if (context.table.byName('client|no-touch') !== undefined) session.noEvict = false;
    session.db = 0;
    if (session.replyOff) this.replies.mute(false);
    session.replyOff = false;
    context.attention.leave(this);
    context.tracking.leave(this);
    this.unsubscribe();
    this.look();
    session.authenticated = context.openToAll;
    this.enter(2, context.user.username, context.user.password);
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

  answer(place: Place, command: Command, since: number, bytes: Buffer, from: number, to: number): void {
    if (this.closed) return;
    this.count(command, since, bytes[from]!);
    this.replies.answer(place, bytes, from, to);
    this.touch();
  }

  answerJoined(command: Command, since: number, head: Area, pieces: readonly Piece[]): void {
    this.count(command, since, 0);
    this.replies.answerJoined(head, pieces);
    this.touch();
  }

  answerPiece(
    place: Place,
    command: Command,
    since: number,
    bytes: Buffer,
    from: number,
    to: number,
    last: boolean,
  ): void {
    if (this.closed) return;
    if (last) this.count(command, since, 0);
    this.replies.answerPiece(place, bytes, from, to, last);
    this.touch();
  }

  gathering(bytes: number): void {
    this.replies.heldBytes += bytes;
    this.touch();
  }

  touchesAll(change: 1 | -1): void {
    this.order.touchesAll(change);
  }

  private count(command: Command, since: number, first: number): void {
    const { counters, turn } = this.context;
    const { id } = command;
    const micros = elapsed(since, turn.micros);
    counters.calls[id]! += 1;
    counters.micros[id]! += micros;
    counters.histogram[id * BUCKETS + bucketOf(micros)]! += 1;
    if (first === MINUS) counters.errors[id]! += 1;
  }

  callStarted(call: Call): void {
    this.order.started(call);
  }

  callLoose(call: Call): void {
    this.order.loosened(call);
    if (this.reader.stalled) this.touch();
  }

  callHeld(call: Call, change: 1 | -1): void {
    this.order.held(call, change);
  }

  writesBehind(call: Call): boolean {
    return this.order.writesBehind(call);
  }

  callSettled(call: Call): void {
    this.order.settled(call);
    if (!call.reads) this.wrote |= 1 << (call.slot >>> 9);
    if (this.closed && this.order.inFlight === 0) this.leaveLane();
    if (this.reader.stalled) this.touch();
  }

  /** Something that the client may have waited for has happened. */
  wake(): void {
    if (this.closed) return;
    this.congested = false;
    this.touch();
  }

  private touch(): void {
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
      const limit = this.exceeded(unread + this.replies.heldBytes);
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

  /** The limit that is passed with so many bytes unread. */
  private exceeded(unread: number): string | undefined {
    const { clientOutputLimit, pubsub } = this.context.config;
    const { session, context } = this;
    if (session.subscribed === undefined) return unread > clientOutputLimit ? 'clientOutputLimit' : undefined;
    const { hard, soft, softFor } = pubsub.outputLimit;
    if (hard > 0 && unread > hard) return 'pubsub.outputLimit, hard';
    if (soft === 0 || unread <= soft) this.softSince = 0;
    else if (this.softSince === 0) this.softSince = context.turn.now;
    else if (context.turn.now - this.softSince > softFor) return 'pubsub.outputLimit, soft';
    return undefined;
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
    this.session.watch?.abandon();
    this.reader.stop(true);
    this.blocked?.leave();
    this.context.clients.delete(this.session.id);
    this.context.attention.leave(this);
    this.context.tracking.leave(this);
    this.unsubscribe();
    this.context.dismiss();
    this.context.counters.totals[TOTAL.clients]! -= 1;
    // What is still under way needs the lane.
    if (this.order.inFlight === 0) this.leaveLane();
    this.socket.destroy();
  }

  /** Which of a node's equal links. */
  private copy(id: number): number {
    return id % this.cluster.options.links;
  }

  private leaveLane(): void {
    if (this.left) return;
    this.left = true;
    this.cluster.leaveLane(this.session.lane);
  }
}
