// Hears which keys a node changes: a feed that the node tells of every change (CLIENT TRACKING, BCAST). Cold but
// for what it hears.
//
//   CLIENT ID, CLIENT TRACKING ON REDIRECT id BCAST, SUBSCRIBE __redis__:invalidate -> hears
//
// Redirected to itself, since in RESP2 that is how a node tells of keys. An ear hears, or is known to be deaf,
// within two `timeout`s.

import RedisParser from 'redis-parser';
import { command } from '../resp/write.ts';
import { Feed, type FeedOptions, type Hearer } from './feed.ts';
import type { Turn } from './turn.ts';

export interface Listener {
  /** It hears from now on: what was changed before is not known. */
  began(): void;
  /** It hears no more. */
  ended(): void;
  /** These keys have changed; undefined: all. */
  changed(keys: readonly Buffer[] | undefined): void;
}

const CHANNEL = '__redis__:invalidate';

export class Ear implements Hearer {
  /** It hears. */
  ready = false;

  private readonly feed: Feed;
  private readonly listener: Listener;
  private readonly parser: RedisParser;
  /** What the node said when it was last asked, until it agrees. */
  private refusal = '';

  constructor(host: string, port: number, options: FeedOptions, turn: Turn, listener: Listener) {
    this.listener = listener;
    this.parser = new RedisParser({
      returnBuffers: true,
      returnReply: (reply: unknown) => this.take(reply),
      returnError: (error: Error) => this.refuse(error.message),
      returnFatalError: (error: Error) => this.refuse(error.message),
    });
    this.feed = new Feed(host, port, options, turn, this);
  }

  /** Why it does not hear. */
  get problem(): string {
    return this.refusal === '' ? this.feed.problem : this.refusal;
  }

  close(): void {
    this.feed.close();
    this.lost();
  }

  opened(): void {
    this.feed.write(command(['CLIENT', 'ID']));
  }

  heard(bytes: Buffer, from: number, to: number): void {
    // The parser keeps what it is given.
    this.parser.execute(Buffer.from(bytes.subarray(from, to)));
  }

  lost(): void {
    if (!this.ready) return;
    this.ready = false;
    this.listener.ended();
  }

  private take(reply: unknown): void {
    if (typeof reply === 'number') {
      this.feed.write(command(['CLIENT', 'TRACKING', 'ON', 'REDIRECT', reply, 'BCAST']));
      this.feed.write(command(['SUBSCRIBE', CHANNEL]));
      return;
    }
    if (!Array.isArray(reply)) return;
    const [kind, , what] = reply as [Buffer, Buffer, unknown];
    if (String(kind) === 'subscribe') {
      this.ready = true;
      this.refusal = '';
      this.listener.began();
    } else if (String(kind) === 'message') {
      if (Array.isArray(what)) this.listener.changed(what);
      // A string has been published by somebody.
      else if (what === null) this.listener.changed(undefined);
    }
  }

  private refuse(message: string): void {
    this.refusal = message;
    this.feed.fail(message);
  }
}
