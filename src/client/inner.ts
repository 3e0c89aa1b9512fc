// A client inside the proxy: what a remote function asks goes the way of any client's commands, so that it is routed,
// split, held and followed alike. It has the rights of the client on whose behalf it asks, speaks RESP3, and reads from
// primaries: what that client has just written is there.
//
//   words --> InnerClient.read --> ... as from a socket ... --> Wire.write --cut--> one promise after the other
//
// It is none of the proxy's clients: it is not counted and not listed. But a CLIENT PAUSE holds what it writes, and
// MONITOR shows it.

import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { limit } from '../resp/errors.ts';
import { ReplyFramer } from '../resp/reply.ts';
import { command } from '../resp/write.ts';
import { Client } from './client.ts';
import { enter } from './identity.ts';

export class InnerClient extends Client {
  private readonly wire: Wire;

  constructor(outer: Client) {
    const { limits, functions } = outer.context.config;
    const wire = new Wire(limits.replyDepth, functions.maxReplyBytes);
    super(outer.context, wire as unknown as Socket, outer.routes);
    this.wire = wire;
    const { username, password, db, address, localAddress } = outer.session;
    Object.assign(this.session, { db, address, localAddress, authenticated: true });
    this.readBy(undefined);
    enter(this, 3, username, password);
    this.context.attention.heed(this);
  }

  /** The raw reply, an error reply too. Asked several at once, they are a pipeline. Rejects when it is closed before. */
  ask(words: readonly (string | Uint8Array | number)[]): Promise<Buffer> {
    const reply = this.wire.next();
    const bytes = command(words);
    this.read(bytes, bytes.length);
    return reply;
  }

  protected override discharge(): void {}
}

interface Waiter {
  resolve(reply: Buffer): void;
  reject(error: Error): void;
}

/** The part of a socket that a client uses. Nothing waits to be written: all is taken at once. */
class Wire extends EventEmitter {
  readonly writableLength = 0;
  destroyed = false;

  private readonly framer: ReplyFramer;
  /** Bytes of one reply. */
  private readonly most: number;
  private readonly waiting: Waiter[] = [];
  /** A reply so far. */
  private parts: Buffer[] = [];
  private length = 0;

  constructor(depth: number, most: number) {
    super();
    this.framer = new ReplyFramer(depth);
    this.most = most;
  }

  next(): Promise<Buffer> {
    if (this.destroyed) return Promise.reject(new Error('the call has been given up'));
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  /** The bytes are valid during the call only. */
  write(bytes: Buffer): boolean {
    for (let at = 0; at < bytes.length && !this.destroyed; ) {
      const end = this.framer.measure(bytes, at, bytes.length);
      const to = end < 0 ? bytes.length : end;
      this.length += to - at;
      if (this.length <= this.most) this.parts.push(Buffer.from(bytes.subarray(at, to)));
      at = to;
      if (end >= 0) this.whole();
    }
    return true;
  }

  destroySoon(): void {
    this.destroy();
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    for (const { reject } of this.waiting.splice(0)) reject(new Error('the call has been given up'));
    this.emit('close');
    return this;
  }

  pause(): this {
    return this;
  }

  resume(): this {
    return this;
  }

  private whole(): void {
    const reply =
      this.length > this.most ? limit('functions.maxReplyBytes', this.most) : Buffer.concat(this.parts);
    this.parts = [];
    this.length = 0;
    this.waiting.shift()?.resolve(reply);
  }
}
