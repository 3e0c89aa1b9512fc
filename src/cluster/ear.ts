// Hears which keys a node changes: a connection that the node tells of every change (CLIENT TRACKING, BCAST). Cold
// but for what it hears.
//
//   connect -> AUTH, CLIENT ID, CLIENT TRACKING ON REDIRECT id BCAST, SUBSCRIBE __redis__:invalidate -> hears
//       ^                                                                                               |
//       '------------------------- back-off <--------------------- lost, or silent for too long <-------'
//
// In RESP2, redirected to itself, so that redis-parser can read it. A node that says nothing may have nothing to
// say, so it is pinged: an ear hears, or is known to be deaf, within two `timeout`s.

import { connect, type Socket } from 'node:net';
import RedisParser from 'redis-parser';
import { ReplyFramer } from '../resp/reply.ts';
import { command } from '../resp/write.ts';

export interface EarOptions {
  readonly username: string;
  readonly password: string;
  /** For connecting, for the handshake, and for each ping, ms. */
  readonly timeout: number;
  readonly backoffMin: number;
  readonly backoffMax: number;
}

export interface Listener {
  /** It hears from now on: what was changed before is not known. */
  began(): void;
  /** It hears no more. */
  ended(): void;
  /** These keys have changed; undefined: all. */
  changed(keys: readonly Buffer[] | undefined): void;
}

const CHANNEL = '__redis__:invalidate';
/** A message, its keys, and no deeper. */
const DEEPEST = 4;

export class Ear {
  /** It hears. */
  ready = false;
  /** Why it does not. */
  problem = 'not connected yet';

  private readonly host: string;
  private readonly port: number;
  private readonly options: EarOptions;
  private readonly listener: Listener;
  private socket: Socket | undefined = undefined;
  private timer: NodeJS.Timeout | undefined = undefined;
  private failures = 0;
  private closed = false;
  /** The node has said something since it was last asked. */
  private alive = false;

  constructor(host: string, port: number, options: EarOptions, listener: Listener) {
    this.host = host;
    this.port = port;
    this.options = options;
    this.listener = listener;
    this.open();
  }

  close(): void {
    this.closed = true;
    this.lose('closed');
  }

  private open(): void {
    const { host, port, options } = this;
    const { username, password, timeout } = options;
    const socket = connect({ host, port, noDelay: true });
    this.socket = socket;
    const parser = new RedisParser({
      returnBuffers: true,
      returnReply: (reply: unknown) => this.take(reply),
      returnError: (error: Error) => this.lose(error.message),
      returnFatalError: (error: Error) => this.lose(error.message),
    });
    const framer = new ReplyFramer(DEEPEST);
    let parts: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => {
      this.alive = true;
      for (let at = 0; at < chunk.length && socket === this.socket; ) {
        const end = framer.measure(chunk, at, chunk.length);
        if (end === -2) return this.lose('the node sent what is no reply');
        parts.push(end < 0 ? chunk.subarray(at) : chunk.subarray(at, end));
        if (end < 0) return;
        const whole = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
        parts = [];
        at = end;
        parser.execute(whole);
      }
    });
    socket.on('error', (error) => this.lose(error.message, socket));
    socket.on('close', () => this.lose('the node closed the connection', socket));
    if (username !== '') socket.write(command(['AUTH', username, password]));
    else if (password !== '') socket.write(command(['AUTH', password]));
    socket.write(command(['CLIENT', 'ID']));
    this.timer = setTimeout(() => this.lose(`no reply within ${timeout} ms`), timeout);
  }

  private take(reply: unknown): void {
    if (typeof reply === 'number') {
      this.socket?.write(command(['CLIENT', 'TRACKING', 'ON', 'REDIRECT', reply, 'BCAST']));
      this.socket?.write(command(['SUBSCRIBE', CHANNEL]));
      return;
    }
    if (!Array.isArray(reply)) return;
    const [kind, , what] = reply as [Buffer, Buffer, unknown];
    if (String(kind) === 'subscribe') this.begin();
    else if (String(kind) === 'message') this.listener.changed(Array.isArray(what) ? what : undefined);
  }

  private begin(): void {
    const { timeout } = this.options;
    clearTimeout(this.timer);
    this.ready = true;
    this.failures = 0;
    this.alive = true;
    this.timer = setInterval(() => {
      if (!this.alive) return this.lose(`silent for ${timeout} ms`);
      this.alive = false;
      this.socket?.write(command(['PING']));
    }, timeout);
    this.listener.began();
  }

  private lose(problem: string, from = this.socket): void {
    const { socket } = this;
    if (socket === undefined || from !== socket) return;
    this.socket = undefined;
    socket.destroy();
    clearTimeout(this.timer);
    this.problem = problem;
    const heard = this.ready;
    this.ready = false;
    if (!this.closed) {
      const { backoffMin, backoffMax } = this.options;
      const wait = Math.min(backoffMax, backoffMin * 2 ** Math.min(this.failures++, 20));
      this.timer = setTimeout(() => this.open(), wait);
    }
    if (heard) this.listener.ended();
  }
}
