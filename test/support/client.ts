/**
 * A client of raw bytes: it sends what it is given and hands back each reply as the bytes it came in.
 *
 * It frames RESP2 and RESP3 by itself, by plain recursion over what has arrived, so that a mistake in the
 * proxy's own framing cannot hide here. It knows nothing of commands: what comes is counted, in order. A
 * push (`>`) is a reply like any other here unless `onPush` is set.
 */

import { type NetConnectOpts, connect as open, type Socket } from 'node:net';

export type Argument = string | number | Buffer;

export interface ConnectOptions {
  host?: string;
  /** A unix socket, instead of a port. */
  path?: string;
  /** Takes the pushes, which then don't count as replies. */
  onPush?: (push: Buffer) => void;
}

interface Waiting {
  resolve(reply: Buffer): void;
  reject(error: Error): void;
}

/** Opens a connection; rejects if nobody listens. */
export function connect(port: number, options: ConnectOptions = {}): Promise<RawClient> {
  const where: NetConnectOpts = options.path
    ? { path: options.path }
    : { port, host: options.host ?? '127.0.0.1' };
  return new Promise((resolve, reject) => {
    const socket = open(where);
    socket.setNoDelay(true);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(new RawClient(socket, options.onPush));
    });
  });
}

export class RawClient {
  readonly socket: Socket;
  /** Settles when the connection is closed, from either side; with the error, if it was one. */
  readonly closed: Promise<Error | undefined>;
  private readonly onPush: ((push: Buffer) => void) | undefined;
  private input: Buffer = Buffer.alloc(0);
  private chunks: Buffer[] = [];
  private held = 0;
  private missing = 1;
  private readonly replies: Buffer[] = [];
  private readonly waiting: Waiting[] = [];
  private ended = false;

  constructor(socket: Socket, onPush?: (push: Buffer) => void) {
    this.socket = socket;
    this.onPush = onPush;
    let failure: Error | undefined;
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('data', (chunk: Buffer) => this.take(chunk));
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.ended = true;
        const error = failure ?? new Error('connection closed');
        for (const one of this.waiting.splice(0)) one.reject(error);
        resolve(failure);
      });
    });
  }

  /** Sends bytes as they are, or arguments as one RESP command. Resolves when they are handed to the kernel. */
  send(what: string | Buffer | Argument[]): Promise<void> {
    const bytes = Array.isArray(what) ? encode(what) : what;
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Sends a command; resolves with the raw bytes of its reply. Calls may overlap: that is a pipeline. */
  call(...args: Argument[]): Promise<Buffer> {
    this.send(args).catch(() => {});
    return this.next();
  }

  /** Sends commands in one write; resolves with their raw replies. */
  pipeline(commands: Argument[][]): Promise<Buffer[]> {
    this.send(Buffer.concat(commands.map(encode))).catch(() => {});
    return this.read(commands.length);
  }

  /** A command's reply as a plain value: text, number, array, null, or an Error object for an error reply. */
  async ask(...args: Argument[]): Promise<Value> {
    return decode(await this.call(...args));
  }

  /** The next `count` replies, raw. */
  read(count = 1): Promise<Buffer[]> {
    return Promise.all(Array.from({ length: count }, () => this.next()));
  }

  /** What has arrived and belongs to no whole reply yet. */
  get rest(): Buffer {
    this.join();
    return this.input;
  }

  /** Ends the connection in the ordinary way. */
  async close(): Promise<void> {
    this.socket.end();
    this.socket.resume();
    await this.closed;
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.socket.destroy();
  }

  private next(): Promise<Buffer> {
    const ready = this.replies.shift();
    if (ready) return Promise.resolve(ready);
    if (this.ended) return Promise.reject(new Error('connection closed'));
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  private take(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.held += chunk.length;
    // A big reply in many chunks is joined when it can be whole, not at every chunk.
    if (this.held < this.missing) return;
    this.join();
    let at = 0;
    for (;;) {
      const end = at < this.input.length ? skip(this.input, at) : -1;
      if (end < 0) {
        this.missing = at < this.input.length ? -end : 1;
        break;
      }
      const reply = this.input.subarray(at, end);
      at = end;
      if (reply[0] === 62 && this.onPush) this.onPush(reply);
      else {
        const first = this.waiting.shift();
        if (first) first.resolve(reply);
        else this.replies.push(reply);
      }
    }
    this.input = this.input.subarray(at);
    this.held = 0;
  }

  private join(): void {
    if (this.chunks.length === 0) return;
    this.input = Buffer.concat([this.input, ...this.chunks]);
    this.chunks = [];
  }
}

/** Arguments as one RESP command. */
export function encode(args: Argument[]): Buffer {
  const parts: (Buffer | string)[] = [`*${args.length}\r\n`];
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));
    parts.push(`$${bytes.length}\r\n`, bytes, '\r\n');
  }
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
}

/** The offset just past the reply at `from`, or minus the number of bytes that are missing at the least. */
function skip(bytes: Buffer, from: number): number {
  const line = bytes.indexOf('\r\n', from);
  if (line < 0) return -1;
  const type = String.fromCharCode(bytes[from] ?? 0);
  if ('+-:_#,('.includes(type)) return line + 2;
  const count = Number(bytes.toString('latin1', from + 1, line));
  if (!Number.isInteger(count))
    throw new Error(`not RESP: ${JSON.stringify(bytes.toString('latin1', from, line))}`);
  if ('$=!'.includes(type)) {
    const end = count < 0 ? line + 2 : line + 2 + count + 2;
    return end <= bytes.length ? end : bytes.length - end;
  }
  // An attribute is its own pairs and the reply they belong to.
  const parts =
    type === '|' ? count * 2 + 1 : type === '%' ? count * 2 : '*~>'.includes(type) ? count : Number.NaN;
  if (Number.isNaN(parts))
    throw new Error(`not RESP: ${JSON.stringify(bytes.toString('latin1', from, line))}`);
  let at = line + 2;
  for (let i = 0; i < parts; i++) {
    at = at < bytes.length ? skip(bytes, at) : -1;
    // Each part still to come has three bytes or more: so a long array is not scanned anew for every chunk.
    if (at < 0) return at - (parts - i - 1) * 3;
  }
  return at;
}

export type Value =
  | string
  | number
  | bigint
  | boolean
  | null
  | Error
  | Value[]
  | Map<Value, Value>
  | Set<Value>;

/** A raw reply as a plain value. Bulks are taken as UTF-8; doubles are numbers; attributes are dropped. */
export function decode(reply: Buffer): Value {
  let at = 0;
  const line = () => {
    const end = reply.indexOf('\r\n', at);
    const text = reply.toString('utf8', at, end);
    at = end + 2;
    return text;
  };
  const several = (count: number) => Array.from({ length: count }, value);
  const pairs = (count: number) => Array.from({ length: count }, () => [value(), value()] as const);
  function value(): Value {
    const head = line();
    const rest = head.slice(1);
    const count = Number(rest);
    switch (head[0]) {
      case '+':
        return rest;
      case '-':
        return new Error(rest);
      case ':':
        return Number.isSafeInteger(count) ? count : BigInt(rest);
      case '(':
        return BigInt(rest);
      case ',':
        return rest === 'inf' ? Number.POSITIVE_INFINITY : rest === '-inf' ? Number.NEGATIVE_INFINITY : count;
      case '#':
        return rest === 't';
      case '_':
        return null;
      case '$':
      case '=':
      case '!': {
        if (count < 0) return null;
        const text = reply.toString('utf8', at, at + count);
        at += count + 2;
        return head[0] === '!' ? new Error(text) : head[0] === '=' ? text.slice(4) : text;
      }
      case '%':
        return new Map(pairs(count));
      case '~':
        return new Set(several(count));
      case '|':
        pairs(count);
        return value();
      default:
        return count < 0 ? null : several(count);
    }
  }
  return value();
}
