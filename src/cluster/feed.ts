// A connection on which a node tells things unasked: messages of channels, keys that were changed.
//
//   connect -> AUTH, PING -> open: frames are heard, words may be written
//      ^                        |
//      '------ back-off <-------'  lost, or silent for too long although it was pinged
//
// A node that says nothing may have nothing to say, so it is pinged; what it answers to that is swallowed here.
// In RESP2: what is told there in arrays is told in RESP3 in pushes, which differ in their first byte alone.
//
// A node that is only busy (a slow script, KEYS, a huge message) is silent as well, and nothing is missed if it is waited
// for. So the limit is long; a node that the cluster has replaced meanwhile is given up by who uses this: see `silent`.
//
// Silence is counted in ticks and not by the clock: when this process itself was held up, what the node has said
// lies unread, and each tick lets the socket be read before the next.

import type { Socket } from 'node:net';
import { command, PONG } from '../resp/write.ts';
import { delayAfter } from './breaker.ts';
import { Receiver } from './receiver.ts';
import { connectTo } from './socket.ts';
import type { Turn } from './turn.ts';

export interface FeedOptions {
  readonly username: string;
  readonly password: string;
  /** For connecting and logging in, ms. */
  readonly connectTimeout: number;
  /** How often a node that says nothing is pinged, ms, and how many pings it may leave unanswered. */
  readonly pingEvery: number;
  readonly pings: number;
  readonly backoffMin: number;
  readonly backoffMax: number;
  readonly keepAlive: number;
  /** The longest frame. */
  readonly frameBytes: number;
}

/** Who hears. */
export interface Hearer {
  /** Words may be written from now on. */
  opened(): void;
  /** One frame. The bytes are valid during the call only. */
  heard(bytes: Buffer, from: number, to: number): void;
  /** Nothing is heard any more; it connects anew by itself. Called once for each time it was open, and for each attempt. */
  lost(reason: string): void;
}

const PING = command(['PING']);
/** What a connection that is subscribed to something answers to a PING. */
const SUBSCRIBED_PONG = Buffer.from('*2\r\n$4\r\npong\r\n$0\r\n\r\n');
/** A message, its keys, and no deeper. */
const DEEPEST = 4;
const MINUS = 45;

export class Feed {
  /** It is up and logged in. */
  ready = false;
  /** Why it is not. */
  problem = 'not connected yet';
  readonly host: string;
  readonly port: number;

  private readonly options: FeedOptions;
  private readonly turn: Turn;
  private readonly hearer: Hearer;
  private readonly receiver: Receiver;
  private socket: Socket | undefined = undefined;
  private timer: NodeJS.Timeout | undefined = undefined;
  /** Replies that are still to come before it is ready. */
  private greetings = 0;
  private failures = 0;
  private closed = false;
  /** Pings since the node has said anything. */
  private unanswered = 0;

  constructor(host: string, port: number, options: FeedOptions, turn: Turn, hearer: Hearer) {
    this.host = host;
    this.port = port;
    this.options = options;
    this.turn = turn;
    this.hearer = hearer;
    this.receiver = new Receiver(this, turn, DEEPEST, options.frameBytes);
    this.open();
  }

  /** The node has let pings pass: it is busy, or not there any more. */
  get silent(): boolean {
    return this.unanswered > 1;
  }

  /** Sends words to the node. Only while it is ready. */
  write(bytes: Buffer): void {
    this.socket?.write(bytes);
  }

  /** The connection is of no use: it is made anew. */
  fail(reason: string): void {
    this.lose(reason);
  }

  /** Ends it for good; nobody is told. */
  close(): void {
    this.closed = true;
    this.drop(this.problem);
  }

  private open(): void {
    const { username, password, connectTimeout } = this.options;
    this.receiver.reset();
    this.unanswered = 0;
    const { host, port, options, receiver } = this;
    let socket: Socket;
    try {
      socket = connectTo({ host, port, keepAlive: options.keepAlive }, receiver, (chunk, length) =>
        this.read(chunk, length),
      );
    } catch (error) {
      // A port that is none. Not at once: whoever made this has not come to its end.
      this.timer = setTimeout(() => this.again((error as Error).message), options.backoffMin);
      return;
    }
    this.socket = socket;
    this.timer = setTimeout(() => this.lose(`no connection within ${connectTimeout} ms`), connectTimeout);
    socket.on('error', (error) => this.lose(error.message, socket));
    socket.on('close', () => this.lose('the node closed the connection', socket));
    const words = [PING];
    if (username !== '') words.unshift(command(['AUTH', username, password]));
    else if (password !== '') words.unshift(command(['AUTH', password]));
    this.greetings = words.length;
    socket.write(Buffer.concat(words));
  }

  private read(chunk: Buffer, length: number): void {
    this.unanswered = 0;
    this.turn.tick();
    this.receiver.read(chunk, length);
  }

  private watch(): void {
    const { pingEvery, pings } = this.options;
    if (this.unanswered >= pings) return this.lose(`silent for ${pingEvery * pings} ms`);
    this.unanswered++;
    this.socket?.write(PING);
  }

  private lose(problem: string, from = this.socket): void {
    if (this.socket === undefined || from !== this.socket) return;
    this.drop(problem);
    this.again(problem);
  }

  private again(problem: string): void {
    this.problem = problem;
    const wait = delayAfter(Math.min(this.failures++, 20), this.options);
    if (!this.closed) this.timer = setTimeout(() => this.open(), wait);
    this.hearer.lost(problem);
  }

  private drop(problem: string): void {
    const { socket } = this;
    this.socket = undefined;
    this.ready = false;
    this.problem = problem;
    clearTimeout(this.timer);
    socket?.destroy();
  }

  // ---- what is received

  get whole(): boolean {
    return true;
  }

  get expecting(): boolean {
    return true;
  }

  get gone(): boolean {
    return this.socket === undefined;
  }

  received(bytes: Buffer, from: number, to: number): void {
    if (this.ready) {
      if (!isPong(bytes, from, to)) this.hearer.heard(bytes, from, to);
      return;
    }
    // LOADING is no reason to wait: subscriptions are taken all the same.
    const text = bytes[from] === MINUS ? bytes.toString('latin1', from + 1, to - 2) : '';
    if (text !== '' && !(this.greetings === 1 && /^(LOADING|MASTERDOWN) /.test(text))) return this.lose(text);
    if (--this.greetings > 0) return;
    clearTimeout(this.timer);
    this.ready = true;
    this.problem = '';
    this.failures = 0;
    this.timer = setInterval(() => this.watch(), this.options.pingEvery);
    this.hearer.opened();
  }

  receivedPiece(): void {}

  broken(reason: string): void {
    this.lose(reason);
  }
}

function isPong(bytes: Buffer, from: number, to: number): boolean {
  const length = to - from;
  if (length === PONG.length) return bytes.compare(PONG, 0, length, from, to) === 0;
  if (length !== SUBSCRIBED_PONG.length) return false;
  return bytes.compare(SUBSCRIBED_PONG, 0, length, from, to) === 0;
}
