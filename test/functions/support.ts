/** A pool with a library on it, and a scripted host: what a test of remote functions without a cluster needs. */

import type { Host, Job } from '../../src/functions/job.ts';
import type { Library } from '../../src/functions/library.ts';
import { Pool, type PoolOptions } from '../../src/functions/pool.ts';

const MB = 1024 * 1024;

/** A pool that ends with the test. */
export function startPool(t: { after(end: () => void): void }, options: Partial<PoolOptions> = {}): Pool {
  const pool = new Pool({
    threads: 2,
    memory: 32 * MB,
    maxReplyBytes: 8 * MB,
    lockTimeout: () => 200,
    ...options,
  });
  t.after(() => pool.close());
  return pool;
}

let versions = 0;

/** A library as `inspect` finds it. */
export async function load(pool: Pool, body: string, name = 'lib', config?: string): Promise<Library> {
  const source = { name, apiVersion: '1.1', code: `#!js api_version=1.1 name=${name}\n${body}`, config };
  const registrations = await pool.inspect(source);
  return { ...source, registrations, user: 'default', version: String(++versions), origin: 'cluster' };
}

/** Answers `echo` with its arguments, other commands with what `replies` has for their first word. */
export function scripted(replies: Readonly<Record<string, string | Buffer>> = {}, more: Partial<Host> = {}) {
  const asked: string[] = [];
  const logged: string[] = [];
  const toReply = (words: readonly Uint8Array[]) => {
    const [name = '', ...rest] = words.map((word) => Buffer.from(word).toString('latin1'));
    const reply = replies[name] ?? `$${rest.join(' ').length}\r\n${rest.join(' ')}\r\n`;
    return typeof reply === 'string' ? Buffer.from(reply, 'latin1') : reply;
  };
  const line = (words: readonly Uint8Array[]) =>
    words.map((word) => Buffer.from(word).toString('latin1')).join(' ');
  const refuse = () => Promise.reject(new Error('not scripted'));
  const host: Host = {
    call(words) {
      asked.push(line(words));
      return Promise.resolve(toReply(words));
    },
    calls(commands) {
      asked.push(commands.map(line).join(' | '));
      return Promise.resolve(commands.map(toReply));
    },
    runOnKey: refuse,
    runOnShards: refuse,
    map: refuse,
    fanout: refuse,
    log: (level, text) => void logged.push(`${level} ${text}`),
    ...more,
  };
  return { host, asked, logged };
}

export interface Call {
  readonly args?: readonly (string | Uint8Array)[];
  readonly blockAllowed?: boolean;
  readonly resp?: 2 | 3;
  readonly maxRunTime?: number;
  readonly host?: Host;
}

/** Runs a function, and gives its reply as it is on the wire. */
export async function call(pool: Pool, library: Library, name: string, options: Call = {}): Promise<string> {
  const { args = [], blockAllowed = true, resp = 3, maxRunTime = 5000, host = scripted().host } = options;
  const bytes = args.map((arg) => Buffer.from(arg));
  const job: Job = { kind: 'function', library, name, args: bytes, blockAllowed, resp, maxRunTime };
  const outcome = await pool.run(job, host);
  return 'reply' in outcome ? Buffer.from(outcome.reply).toString('latin1') : 'no reply';
}
