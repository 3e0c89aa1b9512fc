// A command with a huge argument (`streamAbove`), passed on while it still comes.
//
//   settling --> finding --> passing --> (confirming) --> waiting for the reply --> done
//                   |           | the link is lost, or the reply comes early
//                   '-----------+-> discarding -----------------------------------> done, with an error
//
// A shared link would keep all others waiting for this one client, so it has a link of its own. When a client
// uploads, nothing else of it is under way: that keeps its order. The bytes are not kept, so the command can't
// be sent again after a redirect; therefore the owner of its key is asked for first, with an EXISTS that
// follows redirects. When the slot moves all the same while the bytes come, the client gets a TRYAGAIN: its
// command was not executed. A node that imports the slot keeps the ASKING in mind until the command is whole, and
// by then the slot may have gone on and come back: so its last bytes wait until the owner has confirmed it.
//
// The client's own lengths and line ends are not trusted on the way (see resp/request.ts): they are written anew.

import type { Link, Pending } from '../cluster/link.ts';
import type { Node } from '../cluster/node.ts';
import { NONE, redirectOf } from '../cluster/redirect.ts';
import type { Command } from '../command/command.ts';
import * as errors from '../resp/errors.ts';
import { COMMAND, type Frame, frame, VIOLATION } from '../resp/request.ts';
import type { Context } from './context.ts';
import type { Input } from './input.ts';
import { ASKING, findOwner, type Owner, SWALLOW } from './owner.ts';
import type { Replies } from './replies.ts';
import { type Downstream, Spoken } from './request.ts';
import type { Session } from './session.ts';

const MINUS = 45;
const CRLF = Buffer.from('\r\n');

/** The client that uploads. */
export interface Uploader extends Downstream {
  readonly context: Context;
  readonly session: Session;
  readonly replies: Replies;
  /** Nothing of it is under way. */
  readonly settled: boolean;
  readonly reading: { wroteAnywhere(): void } | undefined;
  /** Look again whether the upload is ready. */
  wake(): void;
}

/** Its reader. */
export interface Passage {
  readonly input: Input;
  /** Read no more before the upload is ready. */
  wait(): void;
  /** All of the command is there; what follows waits for its reply. */
  waitForReply(): void;
  /** The command is answered. */
  uploaded(): void;
  /** The client has broken the protocol, and been told. */
  violated(): void;
}

type Phase = 'settling' | 'finding' | 'passing' | 'confirming' | 'discarding' | 'waiting' | 'done';

export class Upload implements Pending {
  private readonly client: Uploader;
  private readonly passage: Passage;
  private readonly command: Command;
  private readonly frame: Frame;
  private readonly place = new Spoken();
  private readonly since: number;
  private phase: Phase = 'settling';
  private node: Node | undefined;
  private link: Link | undefined;
  /** The node imports the slot: the last bytes are held back. */
  private asking = false;
  private heldBack: Buffer | undefined;
  private key: Buffer | undefined;
  private congested = false;
  /** Arguments that are written, which one is being passed on, and how many bytes of it are written. */
  private written = 0;
  private passing = -1;
  private passed = 0;
  private early: Buffer | undefined;

  constructor(client: Uploader, passage: Passage, command: Command, f: Frame) {
    this.client = client;
    this.passage = passage;
    this.command = command;
    this.frame = f;
    this.since = client.context.turn.micros;
    client.wake();
  }

  /** Asked at the end of each turn while the client is stalled: may it go on? */
  ready(): boolean {
    if (this.phase === 'settling' && this.client.settled && this.client.replies.count === 0) {
      this.phase = 'finding';
      this.client.replies.push(this.place);
      this.find().catch((error: Error) => this.failed(error));
    }
    return this.phase === 'discarding' || (this.phase === 'passing' && !this.congested);
  }

  /** Passes on what is there; returns where the next command begins, or -1 when this one goes on. */
  pass(bytes: Buffer, end: number): number {
    const { frame: f, client, passage } = this;
    const { input } = passage;
    if (this.written === 0 && this.passing < 0) this.begin();
    this.passContent(bytes, end);
    const status = frame(f, bytes, end, client.context.config.limits, true);
    if (status === VIOLATION) {
      this.abandon();
      const error = errors.protocol(f.error);
      client.answer(this.place, this.command, this.since, error, 0, error.length);
      passage.violated();
      return -1;
    }
    // Not `bytes`: an irregular command that lies whole in the input has been written anew elsewhere.
    this.passArguments(f.bytes as Buffer);
    if (status === COMMAND) {
      this.finish();
      input.frame = undefined;
      return f.consumed;
    }
    if (f.partLength < 0) input.from = f.at;
    else {
      if (this.passing !== f.argc) {
        this.passing = f.argc;
        this.passed = 0;
        this.write(Buffer.from(`$${f.partLength}\r\n`));
      }
      this.passContent(bytes, end);
      input.from = end;
    }
    if (this.congested) passage.wait();
    return -1;
  }

  /** The client is gone. */
  abandon(): void {
    this.phase = 'done';
    this.discard();
  }

  // ---- the reply

  reply(bytes: Buffer, from: number, to: number): void {
    const reply = Buffer.from(bytes.subarray(from, to));
    if (this.phase === 'waiting') {
      this.giveBack();
      const moved = reply[0] === MINUS && redirectOf(reply, 0, reply.length) !== NONE;
      this.done(moved ? errors.asServerSaid(MOVED_AWAY) : reply);
    } else this.fail(reply);
  }

  piece(bytes: Buffer, from: number, to: number, last: boolean): void {
    const { client, command, place, since } = this;
    if (this.phase === 'done' || this.phase === 'discarding') return;
    // A node that answers before it has all is in no state to be given to anybody else.
    if (this.phase !== 'waiting') return this.fail(errors.notServed('the node answered before its time'));
    client.answerPiece(place, command, since, bytes, from, to, last);
    if (!last) return;
    this.giveBack();
    this.end();
  }

  lost(_sent: boolean, begun: boolean, reason: string): void {
    if (this.phase === 'done' || this.phase === 'discarding') return;
    this.discard();
    if (begun) return this.client.close(`a reply broke off: ${reason}`);
    // What the node has not got whole, it has not executed.
    this.fail(this.phase === 'waiting' ? errors.outcomeUnknown(reason) : errors.notServed(reason));
  }

  // ---- the way there

  private async find(): Promise<void> {
    const { client, frame: f, command } = this;
    this.key = Buffer.from(f.bytes.subarray(f.starts[command.keyFirst], f.ends[command.keyFirst]));
    const found = await findOwner(client, this.key, () => this.phase === 'finding');
    if (Buffer.isBuffer(found)) this.fail(found);
    else this.found(found);
  }

  private found({ node, link, asking }: Owner): void {
    if (this.phase !== 'finding') return node.discard(link);
    this.node = node;
    this.link = link;
    this.asking = asking;
    if (asking) {
      link.expect(SWALLOW);
      link.writeThrough(ASKING);
    }
    link.expect(this);
    this.phase = 'passing';
    this.client.wake();
  }

  /** Sends the last bytes if the key still belongs to where the others have gone. */
  private async confirm(): Promise<void> {
    const found = await findOwner(this.client, this.key!, () => this.phase === 'confirming');
    if (!Buffer.isBuffer(found)) found.node.giveBack(this.client.lane, found.link);
    if (this.phase !== 'confirming') return;
    if (Buffer.isBuffer(found)) return this.fail(found);
    if (found.node !== this.node) return this.fail(errors.asServerSaid(MOVED_AWAY));
    this.phase = 'waiting';
    this.link!.writeThrough(this.heldBack!);
  }

  private begin(): void {
    this.write(Buffer.from(`*${this.frame.expected}\r\n`));
    this.passArguments(this.frame.bytes as Buffer);
    this.passing = this.frame.argc;
    this.write(Buffer.from(`$${this.frame.partLength}\r\n`));
  }

  /** Writes the arguments that are complete and not yet written; of the one being passed on only its end. */
  private passArguments(bytes: Buffer): void {
    const { frame: f } = this;
    for (; this.written < f.argc; this.written++) {
      const i = this.written;
      if (i === this.passing) {
        this.write(CRLF);
        continue;
      }
      const argument = bytes.subarray(f.starts[i], f.ends[i]);
      this.write(Buffer.concat([Buffer.from(`$${argument.length}\r\n`), argument, CRLF]));
    }
  }

  private passContent(bytes: Buffer, end: number): void {
    const { frame: f } = this;
    if (f.partLength < 0 || this.passing !== f.argc) return;
    const from = f.partStart + this.passed;
    const to = Math.min(end, f.partStart + f.partLength);
    if (to <= from) return;
    this.write(Buffer.from(bytes.subarray(from, to)));
    this.passed += to - from;
  }

  private write(bytes: Buffer): void {
    if (this.phase !== 'passing') return;
    if (!this.asking) return this.send(bytes);
    const { heldBack } = this;
    this.heldBack = bytes;
    if (heldBack !== undefined) this.send(heldBack);
  }

  private send(bytes: Buffer): void {
    const { link } = this;
    if (link === undefined || link.writeThrough(bytes) || this.congested) return;
    this.congested = true;
    link.whenRoom(() => {
      this.congested = false;
      this.client.wake();
    });
  }

  /** All of the command is here. */
  private finish(): void {
    const { early } = this;
    if (early !== undefined) return this.done(early);
    this.passage.waitForReply();
    this.phase = this.asking ? 'confirming' : 'waiting';
    if (this.asking) this.confirm().catch((error: Error) => this.failed(error));
  }

  /** Answers with an error, when the rest of the command has come and is thrown away. */
  private fail(reply: Buffer): void {
    if (this.phase === 'done') return;
    const whole = this.phase === 'waiting' || this.phase === 'confirming';
    this.phase = 'discarding';
    this.discard();
    if (whole) return this.done(reply);
    this.early = reply;
    this.congested = false;
    this.client.wake();
  }

  private failed(error: Error): void {
    this.fail(errors.asServerSaid(`ERR slotless: ${error.message}`));
  }

  /** Nobody may use the link again; it is taken off the count of those that are lent. */
  private discard(): void {
    const { link } = this;
    this.link = undefined;
    if (link !== undefined) this.node!.discard(link);
  }

  private giveBack(): void {
    if (this.link !== undefined) this.node!.giveBack(this.client.lane, this.link);
    this.link = undefined;
  }

  private done(reply: Buffer): void {
    const { client, command, place, since } = this;
    this.end();
    client.answer(place, command, since, reply, 0, reply.length);
  }

  /** It is answered. */
  private end(): void {
    this.phase = 'done';
    this.client.reading?.wroteAnywhere();
    this.passage.uploaded();
    this.client.wake();
  }
}

const MOVED_AWAY =
  'TRYAGAIN slotless: the slot has moved while the command was being passed on; it was not executed';
