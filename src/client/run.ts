// A transaction on its way: MULTI, its commands and EXEC as one unbroken run on a link. Hot for who uses them.
//
//   link   ... | MULTI | SET | INCR | EXEC | ...      replies   +OK | +QUEUED | +QUEUED | *2 ...
//              '------- one write --------'                     '--- Before ---'         '- the run's own
//
// The invariant: an EXEC that is answered with an error has executed nothing. So a redirect of any of its
// commands, or of EXEC, sends the whole run again; and where the node refused a command for good, the client is
// told why the transaction was discarded, since it had been told QUEUED.

import type { Link, Pending } from '../cluster/link.ts';
import type { Slab } from '../cluster/slab.ts';
import type { Command } from '../command/command.ts';
import * as errors from '../resp/errors.ts';
import { type Downstream, Request } from './request.ts';

const MINUS = 45;

/** Takes the replies that come before EXEC's. */
export class Before implements Pending {
  /** The first error among them, without its `-` and CRLF, one character per byte; '' when there is none. */
  refusal = '';
  /** MULTI itself was refused, and what followed was executed command by command. */
  notBegun = false;
  private seen = 0;

  reply(bytes: Buffer, from: number, to: number): void {
    if (bytes[from] === MINUS && this.refusal === '') {
      this.refusal = textOf(bytes, from, to);
      this.notBegun = this.seen === 0;
    }
    this.seen++;
  }

  /** A reply longer than a +QUEUED: it is no error, those are always whole. */
  piece(_bytes: Buffer, _from: number, _to: number, last: boolean): void {
    if (last) this.seen++;
  }

  lost(): void {}
}

/** A run on its way, and what the reply to its EXEC means. */
export class Course {
  private before = new Before();
  private link: Link | undefined = undefined;

  /** Sends a run; `count`: its commands, MULTI and EXEC included. */
  send(pending: Pending, link: Link, count: number, bytes: Buffer, from: number, to: number): Slab {
    this.before = new Before();
    this.link = link;
    return link.sendRun(pending, this.before, count, bytes, from, to);
  }

  /** What was refused when it was queued, as the server said it; '' when nothing was. */
  get refusal(): string {
    return this.before.refusal;
  }

  /** The error to follow for one that EXEC was answered with; undefined where that would execute something twice. */
  redirect(bytes: Buffer, from: number, to: number): Buffer | undefined {
    const { refusal, notBegun } = this.before;
    return notBegun ? undefined : errors.asServerSaid(refusal === '' ? textOf(bytes, from, to) : refusal);
  }

  /** What the client is told of that error. */
  discarded(bytes: Buffer, from: number, to: number): Buffer {
    return discardedBy(this.before, bytes, from, to);
  }

  /** Called last. */
  end(bytes: Buffer, from: number, to: number): void {
    if (leavesOpen(bytes, from, to))
      this.link!.breakOff('EXEC was refused, so the transaction is still open');
  }
}

export interface RunOptions {
  /** MULTI and EXEC included. */
  readonly count: number;
  readonly loose: boolean;
  readonly reads: boolean;
  /** It is a part of what a command does: not to be counted as one. */
  readonly part: boolean;
}

export class Run extends Request {
  private readonly options: RunOptions;
  private readonly course = new Course();

  constructor(client: Downstream, command: Command, slot: number, options: RunOptions) {
    super(client, command, slot, options.loose, options.reads);
    this.options = options;
  }

  protected override sendOn(link: Link, bytes: Buffer, from: number, to: number): Slab {
    return this.course.send(this, link, this.options.count, bytes, from, to);
  }

  override reply(bytes: Buffer, from: number, to: number): void {
    if (bytes[from] !== MINUS) return this.conclude(bytes, from, to);
    const { course } = this;
    const error = course.redirect(bytes, from, to);
    if (error !== undefined && this.bounce(error, 0, error.length)) return;
    const discarded = course.discarded(bytes, from, to);
    this.conclude(discarded, 0, discarded.length);
    course.end(bytes, from, to);
  }

  protected override answer(bytes: Buffer, from: number, to: number): void {
    if (!this.options.part) return super.answer(bytes, from, to);
    if (this.caller.closed) return;
    this.caller.replies.answer(this, bytes, from, to);
    this.caller.gathering(0);
  }
}

/** What the client is told of an EXEC that was answered with an error. */
export function discardedBy(before: Before, bytes: Buffer, from: number, to: number): Buffer {
  if (before.notBegun) return errors.notBegun(before.refusal);
  if (before.refusal !== '') return errors.execAbortBecause(before.refusal);
  return Buffer.from(bytes.subarray(from, to));
}

/** A user who may use MULTI and not EXEC: what came next on the link would be queued. */
export function leavesOpen(bytes: Buffer, from: number, to: number): boolean {
  return textOf(bytes, from, to).startsWith('NOPERM');
}

/** An error reply without its `-` and CRLF, one character per byte. */
export function textOf(bytes: Buffer, from: number, to: number): string {
  return bytes.toString('latin1', from + 1, to - 2);
}
