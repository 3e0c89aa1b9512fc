// What is between one client and the commands it has given: which are under way, what is worked out, and what is
// answered, in its order. Hot.
//
//   command --> Request, Gathered --> cluster ... --> answer --> Replies --> Outbox
//
// The connection itself, what is read and when it ends, is in client.ts.

import type { Socket } from 'node:net';
import type { Call } from '../cluster/call.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Lane } from '../cluster/lanes.ts';
import { elapsed } from '../cluster/turn.ts';
import { type Command, FLAG, SCRIPT } from '../command/command.ts';
import type { Area } from '../resp/copy.ts';
import * as errors from '../resp/errors.ts';
import { BUCKETS, bucketOf } from '../telemetry/buckets.ts';
import { TOTAL } from '../telemetry/counters.ts';
import { ServerError } from './asker.ts';
import type { Context, Repertoire } from './context.ts';
import { Order } from './order.ts';
import { Outbox } from './outbox.ts';
import { type Policy, Reading } from './reading.ts';
import { type Piece, type Place, Replies } from './replies.ts';
import { type Downstream, Spoken } from './request.ts';
import type { Session } from './session.ts';
import { Spool } from './spool.ts';

/** Unread output above which a client is not read from. */
export const OUTPUT_PAUSE = 1048576;
const MINUS = 45;

/** Of a command that is worked out: its calls are not all known as such. */
function mayWrite({ name, flags, script }: Command): boolean {
  return (flags & FLAG.write) !== 0 || script !== SCRIPT.none || name === 'exec';
}

export abstract class Conversation implements Downstream {
  readonly context: Context;
  readonly cluster: Cluster;
  abstract readonly session: Session;
  replies: Replies;
  closed = false;
  /** Where it has written, for WAIT: a bit for each 512 slots. */
  wrote = 0;
  /** By what its reads go to replicas; undefined: they don't. */
  reading: Reading | undefined = undefined;

  /** The replies that its socket gets; `replies` are others while a command executes some for itself. */
  protected readonly own: Replies;
  protected readonly outbox: Outbox;
  protected readonly order: Order;
  protected congested = false;
  /** Commands that are being worked out, one inside the other. */
  protected working = 0;
  /** Asked at the end of each turn in which something was answered while a command is worked out. */
  protected onProgress: (() => void) | undefined = undefined;

  constructor(context: Context, socket: Socket) {
    this.context = context;
    this.cluster = context.cluster;
    this.outbox = new Outbox(socket, context.turn, context.counters.totals);
    this.replies = this.own = new Replies(this.outbox);
    this.order = new Order(this.cluster, this.replies);
  }

  /** Something is to be done at the end of the turn. */
  protected abstract touch(): void;
  /** Its next command waits. */
  protected abstract get stalled(): boolean;
  /** Nothing that is under way needs its lane any more. */
  protected abstract leaveLane(): void;
  abstract close(reason?: string): void;

  get lane(): Lane {
    return this.session.lane;
  }

  get repertoire(): Repertoire {
    return this.context.repertoire;
  }

  /** True when nothing of this client is under way. */
  get settled(): boolean {
    return this.order.inFlight === 0;
  }

  get pending(): number {
    return this.replies.count;
  }

  get outputBytes(): number {
    return this.replies.heldBytes + this.outbox.backlog;
  }

  /** A command is being worked out that nothing may overtake. */
  get busy(): boolean {
    return this.working > 0;
  }

  /** From now on its reads go where a policy says; undefined: to primaries. Nothing is under way. */
  readBy(policy: Policy | undefined): void {
    const { reading, session, context } = this;
    if (policy === undefined) {
      reading?.leave();
      this.reading = undefined;
    } else if (reading === undefined)
      this.reading = new Reading(this.cluster, session, policy, context.config.reads.ownWrites);
    else reading.policy = policy;
  }

  /** True while a command for `slot` (or EVERY_SLOT) could overtake one that is under way. */
  mustWait(slot: number, reads: boolean): boolean {
    return this.order.mustWait(slot, reads);
  }

  // ---- what the proxy itself says

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
      if (mayWrite(command)) this.reading?.wroteAnywhere();
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

  // ---- what calls tell

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

  touchesAll(change: 1 | -1, reads: boolean): void {
    this.order.touchesAll(change);
    if (!reads) this.reading?.wroteAnywhere();
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
    if (this.reading !== undefined && !call.reads) this.reading.writing(call.slot);
  }

  callLoose(call: Call): void {
    this.order.loosened(call);
    if (this.stalled) this.touch();
  }

  callHeld(call: Call, change: 1 | -1): void {
    this.order.held(call, change);
  }

  holdsMore(call: Call): boolean {
    return this.order.holdsMore(call);
  }

  writesBehind(call: Call): boolean {
    return this.order.writesBehind(call);
  }

  callSettled(call: Call): void {
    this.order.settled(call);
    if (!call.reads) {
      this.wrote |= 1 << (call.slot >>> 9);
      this.reading?.wrote(call.slot);
    }
    if (this.closed && this.order.inFlight === 0) this.leaveLane();
    if (this.stalled) this.touch();
  }
}
