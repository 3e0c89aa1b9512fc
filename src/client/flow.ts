// The dump of a large key on its way from its node: handed on as it comes, and asked for no faster than it is taken,
// so that no more of it is ever in memory than a little. Cold.
//
//   MULTI, PEXPIRETIME k, DUMP k, EXEC   -->   *2 :1785432000000 $52428800 <pieces> ...
//
// Its time to live is of the same instant. The link is one of its own.

import { READY } from '../cluster/connection.ts';
import type { Link, Pending } from '../cluster/link.ts';
import { Refusal, type Words } from '../gather/reach.ts';
import * as errors from '../resp/errors.ts';
import { command as encode } from '../resp/write.ts';
import { ASKING, type Owner, SWALLOW } from './owner.ts';
import { Before } from './run.ts';
import { EXEC, MULTI } from './transaction.ts';

/** Bytes that wait to be taken, above which no more are read. */
const AHEAD = 1024 * 1024;
/** Longer than any head. */
const LONGEST_HEAD = 64;
/** When it expires, and how long the dump is. The last is a null of either version where there is no such key. */
const HEAD = /^\*2\r\n:(-?\d+)\r\n(?:\$(-?\d+)|_)\r\n/;

export class Flow implements Pending {
  /** When the key expires, ms since 1970; -1: never. */
  expires = -1;
  /** Bytes of the dump. */
  length = 0;

  private readonly owner: Owner;
  private pieces: Buffer[] = [];
  /** Bytes in them. */
  private waiting = 0;
  private begun = false;
  /** All of the reply is here. */
  private ended = false;
  private over: Error | undefined = undefined;
  private wake: () => void = () => {};

  private constructor(owner: Owner) {
    this.owner = owner;
  }

  /**
   * Begins to dump a key of the node that was found; the link is given up with the flow. Undefined: there is no such key.
   * @throws Refusal, with EXECABORT where the slot has moved just then
   */
  static async open(owner: Owner, key: Buffer): Promise<Flow | undefined> {
    const flow = new Flow(owner);
    if (owner.asking) owner.link.send(SWALLOW, ASKING, 0, ASKING.length).release();
    const question: Words[] = [
      ['PEXPIRETIME', key],
      ['DUMP', key],
    ];
    const run = Buffer.concat([MULTI, ...question.map((words) => encode(words)), EXEC]);
    owner.link.sendRun(flow, new Before(), question.length + 2, run, 0, run.length).release();
    if (await flow.begin()) return flow;
    flow.close();
    return undefined;
  }

  /** Writes all of it. Once. @throws Refusal when either link is lost in the middle */
  async pour(into: Link): Promise<void> {
    for (let left = this.length; left > 0; ) {
      const piece = await this.next();
      const bytes = piece.subarray(0, left);
      left -= bytes.length;
      if (into.writeThrough(bytes)) continue;
      if (into.state !== READY) throw new Refusal(errors.notServed('the link was lost'));
      await new Promise<void>((resolve) => into.whenRoom(resolve));
    }
  }

  close(): void {
    const { node, link } = this.owner;
    this.over ??= new Error('closed');
    node.discard(link);
  }

  // ---- what its node sends

  reply(bytes: Buffer, from: number, to: number): void {
    this.ended = true;
    this.take(bytes, from, to);
  }

  piece(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.ended = last;
    this.take(bytes, from, to);
  }

  lost(_sent: boolean, _begun: boolean, reason: string): void {
    this.over ??= new Refusal(errors.notServed(reason));
    this.wake();
  }

  private take(bytes: Buffer, from: number, to: number): void {
    this.pieces.push(Buffer.from(bytes.subarray(from, to)));
    this.waiting += to - from;
    if (this.begun && this.waiting > AHEAD) this.owner.link.rest(true);
    this.wake();
  }

  /** Reads the head. False: there is no such key. */
  private async begin(): Promise<boolean> {
    let head = Buffer.alloc(0);
    for (;;) {
      head = Buffer.concat([head, await this.next()]);
      const [all, expires, length] = HEAD.exec(head.toString('latin1', 0, LONGEST_HEAD)) ?? [];
      if (all !== undefined) {
        this.expires = Math.max(-1, Number(expires));
        this.length = Math.max(0, Number(length ?? 0));
        this.begun = true;
        this.putBack(head.subarray(all.length));
        return this.length > 0;
      }
      if (head.length >= LONGEST_HEAD || (this.ended && this.pieces.length === 0)) break;
    }
    this.close();
    throw new Refusal(head[0] === MINUS ? head : errors.notServed('a key could not be dumped'));
  }

  private putBack(rest: Buffer): void {
    this.pieces.unshift(rest);
    this.waiting += rest.length;
  }

  private async next(): Promise<Buffer> {
    for (;;) {
      const piece = this.pieces.shift();
      if (piece !== undefined) {
        this.waiting -= piece.length;
        if (this.waiting <= AHEAD / 2) this.owner.link.rest(false);
        return piece;
      }
      if (this.over !== undefined) throw this.over;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

const MINUS = 45;
