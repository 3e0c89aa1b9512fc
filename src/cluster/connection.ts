// One connection to a node and its life: when it is made, how it is greeted, how it ends. What is sent and what is
// pending on it is link.ts.
//
//            something is to be sent          the breaker lets it                 the last greeting is answered
//   IDLE ------------------------> WAITING -------------------> CONNECTING --> GREETING --> READY
//    ^ ^                              |                              |            |  |         |
//    | '--- the breaker refuses ------'------- it fails -------------'------------'  |         |
//    '------------ after a while ----------- BACKING_OFF <-- its login is refused ---'---------' it is lost
//
// Whether the node can be reached is the affair of the breaker, which knows what all links to it have met. Lost
// connections and refused logins are each link's own.

import type { Socket } from 'node:net';
import { TOTAL } from '../telemetry/counters.ts';
import { Backoff, type BackoffOptions, type Breaker, type Trying } from './breaker.ts';

/** One command of the handshake. An error to a `must` ends the attempt, one to a `may` is passed over. */
export interface Greeting {
  readonly bytes: Buffer;
  readonly onError: 'must' | 'may' | 'ready';
}

export interface ConnectionOptions extends BackoffOptions {
  readonly host: string;
  readonly port: number;
  /** Commands sent first on every new connection, encoded, each with what an error to it means. */
  readonly handshake: readonly Greeting[];
  readonly connectTimeout: number;
  readonly keepAlive: number;
}

export const IDLE = 0;
export const CONNECTING = 1;
export const GREETING = 2;
export const READY = 3;
export const BACKING_OFF = 4;
export const CLOSED = 5;
/** For the breaker's word. */
export const WAITING = 6;

const MINUS = 45;
const COLON = 58;

/** Errors to the handshake that say something of the node, and not of who has come. */
const OF_THE_NODE = /^(LOADING |MASTERDOWN |BUSY |DENIED |ERR max number of clients)/;

export abstract class Connection implements Trying {
  state = IDLE;
  /** How many it has had: what the node remembers of one it has forgotten with the next. */
  connections = 0;
  /** What CLIENT ID says of it; empty: unknown. */
  id = '';
  abstract readonly options: ConnectionOptions;

  protected readonly breaker: Breaker;
  protected readonly totals: Float64Array;
  protected socket: Socket | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Of what is this link's own affair. */
  private readonly backoff: Backoff;
  private greeted = 0;

  constructor(options: BackoffOptions, breaker: Breaker, totals: Float64Array) {
    this.breaker = breaker;
    this.backoff = new Backoff(options);
    this.totals = totals;
  }

  /** Something waits to be sent. */
  protected abstract get wanted(): boolean;
  /** A connection is being made: its socket. Throws for an address that is none. */
  protected abstract makeSocket(): Socket;
  /** It is up and greeted. */
  protected abstract opened(): void;
  /** The kernel takes more. */
  protected abstract drained(): void;
  /** What is pending is told that the connection is gone, or can't be made. */
  protected abstract drop(reason: string): void;
  /** `failures`: in a row, this one counted. */
  protected abstract lost(reason: string, failures: number): void;

  /** Ends the connection, whose state at the node is not what it should be. What is pending is told. */
  breakOff(reason: string): void {
    this.fail(reason);
  }

  /** Ends the link for good. What is pending is told. */
  close(reason = 'closed'): void {
    if (this.state === CLOSED) return;
    clearTimeout(this.timer);
    this.notReady(CLOSED);
    this.breaker.leave(this);
    this.drop(reason);
  }

  protected open(): void {
    this.state = WAITING;
    if (this.breaker.ask(this)) this.connect();
  }

  connect(): void {
    if (!this.resting) return;
    clearTimeout(this.timer);
    this.state = CONNECTING;
    const { connectTimeout } = this.options;
    let socket: Socket;
    try {
      socket = this.makeSocket();
    } catch (error) {
      // Not at once: whoever is sending has not come to its end.
      setImmediate(() => this.fail((error as Error).message));
      return;
    }
    this.socket = socket;
    this.timer = setTimeout(() => this.fail(`no connection within ${connectTimeout} ms`), connectTimeout);
    socket.on('connect', () => this.greet());
    socket.on('drain', () => this.drained());
    const end = (reason: string) => {
      if (this.socket === socket) this.fail(reason);
    };
    socket.on('error', (error) => end(error.message));
    socket.on('close', () => end('the node closed the connection'));
  }

  refuse(reason: string): void {
    if (this.state !== WAITING) return;
    this.state = IDLE;
    this.drop(reason);
  }

  private greet(): void {
    this.state = GREETING;
    this.greeted = 0;
    if (this.options.handshake.length === 0) this.ready();
    else this.socket!.write(Buffer.concat(this.options.handshake.map((greeting) => greeting.bytes)));
  }

  /** A reply to the handshake. */
  protected greeting(bytes: Buffer, from: number, to: number): void {
    const { onError } = this.options.handshake[this.greeted++]!;
    if (bytes[from] === MINUS && onError !== 'may') {
      const text = bytes.toString('latin1', from + 1, to - 2);
      // A node that is loading would refuse now and execute a moment later: commands in flight would change
      // places. So it is not ready before it says so.
      const passes = onError === 'ready' && !text.startsWith('LOADING') && !text.startsWith('MASTERDOWN');
      if (!passes) return this.fail(text, onError === 'must' && !OF_THE_NODE.test(text));
    }
    if (bytes[from] === COLON) this.id = bytes.toString('latin1', from + 1, to - 2);
    if (this.greeted === this.options.handshake.length) this.ready();
  }

  private ready(): void {
    clearTimeout(this.timer);
    this.state = READY;
    this.connections++;
    this.backoff.failures = 0;
    this.totals[TOTAL.links]! += 1;
    this.breaker.connected();
    this.opened();
  }

  /** `refused`: the node is there, and refuses this link. */
  protected fail(reason: string, refused = false): void {
    const { state, breaker } = this;
    if (state === CLOSED || this.resting) return;
    clearTimeout(this.timer);
    this.totals[state === READY ? TOTAL.linkDrops : TOTAL.linkFailures]! += 1;
    if (state === READY || refused) {
      this.notReady(BACKING_OFF);
      this.timer = setTimeout(() => this.again(), this.backoff.next());
      if (refused) breaker.answered();
    } else {
      this.state = IDLE;
      breaker.failed(this, reason);
    }
    this.drop(reason);
    this.lost(reason, this.backoff.failures + breaker.failures);
  }

  private notReady(state: number): void {
    if (this.state === READY) {
      this.totals[TOTAL.links]! -= 1;
      this.breaker.lost();
    }
    this.state = state;
  }

  /** Neither connected nor about to be. */
  protected get resting(): boolean {
    return this.state === IDLE || this.state === BACKING_OFF || this.state === WAITING;
  }

  private again(): void {
    if (this.state !== BACKING_OFF) return;
    this.state = IDLE;
    if (this.wanted) this.open();
  }
}
