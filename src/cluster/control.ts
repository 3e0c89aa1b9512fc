// Connections for the proxy's own questions about the cluster: in RESP2, one question at a time on each. Cold.
//
// Those that ask a node again and again, as for the map in bad times, keep a connection for a moment.

import { connect } from 'node:net';
import RedisParser from 'redis-parser';
import { ReplyFramer } from '../resp/reply.ts';
import { command } from '../resp/write.ts';

export interface ControlOptions {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  /** For connecting and for each reply, ms. */
  readonly timeout: number;
}

/** Asks one node a few questions over a connection of their own, and closes it. Rejects on the first error. */
export async function withControl<T>(
  options: ControlOptions,
  work: (control: Control) => Promise<T>,
): Promise<T> {
  const control = new Control(options);
  try {
    await control.login(options);
    return await work(control);
  } finally {
    control.close();
  }
}

/** How long a connection is kept for the next question, ms, unless told otherwise. */
const KEEP = 1500;

interface Kept {
  readonly control: Control;
  readonly timer: NodeJS.Timeout;
}

/** Connections to nodes that are asked again and again, all by the same user. */
export class Controls {
  private readonly kept = new Map<string, Kept>();
  private readonly keepFor: number;
  private closed = false;

  /** @param keepFor ms */
  constructor(keepFor = KEEP) {
    this.keepFor = keepFor;
  }

  /** As withControl, over a connection that was kept if there is one. `keep`: it is likely to be needed again soon. */
  async with<T>(options: ControlOptions, keep: boolean, work: (control: Control) => Promise<T>): Promise<T> {
    const key = `${options.host} ${options.port}`;
    const kept = this.kept.get(key);
    this.kept.delete(key);
    clearTimeout(kept?.timer);
    const control = kept === undefined || kept.control.failed ? new Control(options) : kept.control;
    try {
      if (control !== kept?.control) await control.login(options);
      const result = await work(control);
      if (keep) this.keep(key, control);
      else control.close();
      return result;
    } catch (error) {
      control.close();
      throw error;
    }
  }

  /** Closes what is kept to other nodes than these. */
  keepOnly(nodes: readonly { readonly host: string; readonly port: number }[]): void {
    const keys = new Set(nodes.map(({ host, port }) => `${host} ${port}`));
    for (const [key, { control, timer }] of this.kept) {
      if (keys.has(key)) continue;
      clearTimeout(timer);
      control.close();
      this.kept.delete(key);
    }
  }

  close(): void {
    this.closed = true;
    this.keepOnly([]);
  }

  private keep(key: string, control: Control): void {
    if (this.closed || this.kept.has(key)) return control.close();
    const end = () => {
      this.kept.delete(key);
      control.close();
    };
    this.kept.set(key, { control, timer: setTimeout(end, this.keepFor) });
  }
}

function login({ username, password }: ControlOptions): string[] {
  return username === '' ? ['AUTH', password] : ['AUTH', username, password];
}

/** A map of a thousand nodes has a few hundred kilobytes; this much is an attack or a mistake. */
const MOST_BYTES = 67_108_864;
/** COMMAND, the deepest reply there is, has eight. */
const DEEPEST = 32;

export class Control {
  private readonly socket;
  private readonly timeout: number;
  private received = 0;
  private readonly framer = new ReplyFramer(DEEPEST);
  /** A reply so far. */
  private parts: Buffer[] = [];
  private readonly waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = [];
  private failure: Error | undefined;

  constructor({ host, port, timeout }: ControlOptions) {
    const parser = new RedisParser({
      returnReply: (reply: unknown) => this.waiting.shift()?.resolve(reply),
      returnError: (error: Error) => this.waiting.shift()?.reject(error),
      returnFatalError: (error: Error) => this.fail(error),
    });
    this.socket = connect({ host, port, noDelay: true });
    this.timeout = timeout;
    this.socket.on('data', (chunk: Buffer) => {
      try {
        this.take(chunk, parser);
      } catch (error) {
        this.fail(error as Error);
      }
    });
    this.socket.on('error', (error) => this.fail(error));
    this.socket.on('close', () => this.fail(new Error('the node closed the connection')));
  }

  /** The reply as nested arrays of strings and numbers; rejects with the server's error. */
  ask(...words: (string | number)[]): Promise<unknown> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.received = 0;
    const late = () => this.fail(new Error(`no reply within ${this.timeout} ms`));
    const timer = setTimeout(late, this.timeout);
    const reply = new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.socket.write(command(words));
    });
    return reply.finally(() => clearTimeout(timer));
  }

  /** Logs in, where there is a user to log in as. */
  async login(options: ControlOptions): Promise<void> {
    if (options.password !== '' || options.username !== '') await this.ask(...login(options));
  }

  /** It is of no use any more. */
  get failed(): boolean {
    return this.failure !== undefined;
  }

  close(): void {
    this.socket.destroy();
  }

  /** Hands over whole replies alone: the parser would make room for whatever length is announced. */
  private take(chunk: Buffer, parser: RedisParser): void {
    this.received += chunk.length;
    if (this.received > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes of reply`);
    for (let at = 0; at < chunk.length && this.failure === undefined; ) {
      const end = this.framer.measure(chunk, at, chunk.length);
      if (end === -2) throw new Error('the node sent what is no reply');
      this.parts.push(end < 0 ? chunk.subarray(at) : chunk.subarray(at, end));
      if (end < 0) return;
      parser.execute(Buffer.concat(this.parts));
      this.parts = [];
      at = end;
    }
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.socket.destroy();
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }
}
