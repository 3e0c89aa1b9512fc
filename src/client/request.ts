// What a client's commands are while they are under way. Hot.
//
//   Request    one command at one slot: a call that is its own place in the order of replies
//   Spoken     a place that the proxy itself answers, now or when it knows

import type { Pieces } from '../cluster/apart.ts';
import type { Choice } from '../cluster/attempt.ts';
import { Call } from '../cluster/call.ts';
import type { Node } from '../cluster/node.ts';
import { type Caller, FIXED } from '../cluster/sending.ts';
import type { Slab } from '../cluster/slab.ts';
import type { Command } from '../command/command.ts';
import { FLAG, SCRIPT } from '../command/command.ts';
import type { Area } from '../resp/copy.ts';
import { keyByKey } from './bykey.ts';
import type { Piece, Place, Replies } from './replies.ts';

/** What sees to it that nodes have the scripts and functions that are called: see repertoire.ts. */
export interface Equipment {
  /** As Call.ready and Call.lacks, for a command with one of SCRIPT. */
  ready(request: Request, node: Node): boolean;
  lacks(request: Request, bytes: Buffer, from: number, to: number): boolean;
}

/** The client's side of a command: what takes its replies. */
export interface Downstream extends Caller {
  readonly closed: boolean;
  readonly replies: Replies;
  readonly repertoire: Equipment;
  /** The whole reply for a place. `since` in `turn.micros`. */
  answer(place: Place, command: Command, since: number, bytes: Buffer, from: number, to: number): void;
  /** The whole reply for the place in front: a head and what lies in several areas. */
  answerJoined(command: Command, since: number, head: Area, pieces: readonly Piece[]): void;
  /** The next bytes of a long one. */
  answerPiece(
    place: Place,
    command: Command,
    since: number,
    bytes: Buffer,
    from: number,
    to: number,
    last: boolean,
  ): void;
  /** Bytes of parts that wait for the others; negative when they have been merged. */
  gathering(bytes: number): void;
  /** A command that touches every slot has begun (1) or is done (-1). */
  touchesAll(change: 1 | -1, reads: boolean): void;
  close(reason: string): void;
}

export function onlyReads(command: Command): boolean {
  return (command.flags & (FLAG.readonly | FLAG.mayReplicate)) === FLAG.readonly;
}

export class Request extends Call implements Place {
  next: Place | undefined = undefined;
  done = false;
  held: Slab | undefined = undefined;
  heldFrom = 0;
  heldTo = 0;
  pieces: Buffer[] | undefined = undefined;

  declare readonly caller: Downstream;
  readonly command: Command;

  constructor(
    client: Downstream,
    command: Command,
    slot: number,
    loose: boolean,
    reads: boolean = onlyReads(command),
    choice?: Choice,
  ) {
    super(client, slot, reads, loose, choice);
    this.command = command;
  }

  protected override ready(node: Node): boolean {
    return this.command.script === SCRIPT.none || this.caller.repertoire.ready(this, node);
  }

  protected override lacks(bytes: Buffer, from: number, to: number): boolean {
    return this.command.script !== SCRIPT.none && this.caller.repertoire.lacks(this, bytes, from, to);
  }

  protected override cut(bytes: Buffer, from: number, to: number): Pieces | undefined {
    return keyByKey(this.command, this.slot, [bytes, from, to], (more) => {
      if (!this.caller.closed) this.caller.gathering(more);
    });
  }

  protected override answer(bytes: Buffer, from: number, to: number): void {
    this.caller.answer(this, this.command, this.since, bytes, from, to);
  }

  protected override answerPiece(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.caller.answerPiece(this, this.command, this.since, bytes, from, to, last);
  }

  protected override answerBroken(reason: string): void {
    this.caller.close(`a reply broke off: ${reason}`);
  }
}

export function copy(bytes: Buffer, from: number, to: number): Buffer {
  const reply = Buffer.allocUnsafe(to - from);
  bytes.copy(reply, 0, from, to);
  return reply;
}

export class Spoken implements Place {
  next: Place | undefined = undefined;
  done = false;
  held: Slab | undefined = undefined;
  heldFrom = 0;
  heldTo = 0;
  pieces: Buffer[] | undefined = undefined;
}

/** A question of the proxy's own to the cluster: a promise of the raw reply. Cold. */
export class Question extends Call {
  private pieces: Buffer[] = [];
  private readonly resolve: (reply: Buffer) => void;

  constructor(caller: Caller, slot: number, reads: boolean, resolve: (reply: Buffer) => void) {
    super(caller, slot, reads, false);
    this.resolve = resolve;
  }

  /** Asks one node, or the owner of a slot; resolves with the raw reply, an error reply too. */
  static ask(caller: Caller, whom: number | Node, request: Buffer, reads: boolean): Promise<Buffer> {
    return new Promise((resolve) => {
      if (typeof whom === 'number')
        new Question(caller, whom, reads, resolve).start(request, 0, request.length);
      else new Question(caller, FIXED, reads, resolve).startAt(whom, request, 0, request.length);
    });
  }

  protected override answer(bytes: Buffer, from: number, to: number): void {
    this.resolve(copy(bytes, from, to));
  }

  protected override answerPiece(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.pieces.push(copy(bytes, from, to));
    if (last) this.resolve(Buffer.concat(this.pieces));
  }

  protected override answerBroken(reason: string): void {
    this.resolve(Buffer.from(`-ERR slotless: a reply broke off: ${reason}\r\n`));
  }
}
