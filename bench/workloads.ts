// What is asked of an endpoint: the workloads, as bytes made before the clock starts.
//
// Every key holds a value that follows from its name, so the reply to every command is known in advance, to the
// byte. The loader sends prebuilt requests and compares what comes back with prebuilt replies: this costs less
// than parsing, and no wrong or misplaced reply can pass for a fast one.
// Keys are drawn with a seeded generator: all endpoints get the same commands in the same order.
// The same goes for what is published: see fanout.ts.

import slotOf from 'cluster-key-slot';

export interface Workload {
  /** As given to --workload. */
  readonly name: string;
  readonly title: string;
  /** Of PUBLISH: subscribers. */
  readonly connections: number;
  /**
   * Commands in one pipeline: they are sent together, and the next pipeline goes when all are answered. Of PUBLISH:
   * messages that not all have heard yet.
   */
  readonly pipeline: number;
  /** Bytes of a value or a message. */
  readonly size: number;
  /** How many different keys, or channels, there are. */
  readonly keys: number;
  /** MULTI: a transaction of three GETs of one key, counted as one command. PUBLISH: what counts is deliveries. */
  readonly command: 'GET' | 'SET' | 'MGET' | 'MULTI' | 'PUBLISH';
}

const COMMON = { connections: 50, pipeline: 1, size: 32, keys: 1000 };
const PUBLISH = { command: 'PUBLISH', pipeline: 16, size: 64, keys: 1 } as const;

export const WORKLOADS: readonly Workload[] = [
  { ...COMMON, name: 'get-1', title: 'GET, pipeline 1', command: 'GET' },
  { ...COMMON, name: 'get-16', title: 'GET, pipeline 16', command: 'GET', pipeline: 16 },
  { ...COMMON, name: 'get-64', title: 'GET, pipeline 64', command: 'GET', pipeline: 64 },
  { ...COMMON, name: 'set-16', title: 'SET, pipeline 16', command: 'SET', pipeline: 16 },
  { ...COMMON, name: 'get-64k', title: 'GET of 64 KiB, pipeline 1', command: 'GET', size: 65536, keys: 100 },
  { ...COMMON, name: 'mget-10', title: 'MGET of 10 slots, pipeline 1', command: 'MGET' },
  { ...COMMON, name: 'get-500', title: 'GET, pipeline 1, 500 connections', command: 'GET', connections: 500 },
  { ...COMMON, name: 'get-5', title: 'GET, pipeline 5', command: 'GET', pipeline: 5 },
  { ...COMMON, name: 'multi-3', title: 'MULTI, three GETs, EXEC; per transaction', command: 'MULTI' },
  { ...PUBLISH, name: 'publish-1', title: 'PUBLISH to 1 subscriber', connections: 1 },
  { ...PUBLISH, name: 'publish-100', title: 'PUBLISH to 100 subscribers', connections: 100 },
  { ...PUBLISH, name: 'publish-5000', title: 'PUBLISH to 5,000 subscribers', connections: 5000 },
  {
    ...PUBLISH,
    name: 'publish-100x1',
    title: 'PUBLISH to 100 channels of 1 subscriber',
    connections: 100,
    keys: 100,
    pipeline: 100,
  },
  {
    ...PUBLISH,
    name: 'publish-500x10',
    title: 'PUBLISH to 500 channels of 10 subscribers',
    connections: 5000,
    keys: 500,
    pipeline: 100,
  },
];

/** Keys of one MGET, each in a slot of its own. */
export const MGET_KEYS = 10;

/** Prebuilt pipelines of one workload; connections walk through them in a ring, each from another start. */
const VARIANTS = 128;
const SEED = 20260401;

/** Commands sent together, and the bytes that must come back. */
export interface Pipeline {
  readonly request: Buffer;
  readonly reply: Buffer;
  readonly commands: number;
}

/** The key with this ordinal. The digits are those that redis-benchmark puts in place of `__rand_int__`. */
export function keyName(workload: Workload, ordinal: number | '__rand_int__'): string {
  return `bench:${workload.size}:${ordinal === '__rand_int__' ? ordinal : String(ordinal).padStart(12, '0')}`;
}

/** The value of a key: `size` bytes that follow from its name. */
export function keyValue(workload: Workload, key: string): Buffer {
  return Buffer.alloc(workload.size, `${key.slice(-12)}.`);
}

/** Pipelines that write every key of the workload. */
export function population(workload: Workload): Pipeline[] {
  const chunk = workload.size > 1024 ? 1 : 50;
  const pipelines: Pipeline[] = [];
  for (let from = 0; from < workload.keys; from += chunk) {
    const ordinals = Array.from({ length: Math.min(chunk, workload.keys - from) }, (_, i) => from + i);
    pipelines.push(join(ordinals.map((ordinal) => set(workload, keyName(workload, ordinal)))));
  }
  return pipelines;
}

/** The pipelines of the workload itself. */
export function pipelines(workload: Workload): Pipeline[] {
  const draw = generator(SEED);
  const key = () => keyName(workload, Math.floor(draw() * workload.keys));
  return Array.from({ length: VARIANTS }, () =>
    join(Array.from({ length: workload.pipeline }, () => one(workload, key))),
  );
}

/** All that is to be sent and to come when messages are published. Every one has the same length. */
export interface FanOutBytes {
  readonly channels: readonly { readonly subscribe: Buffer; readonly confirmation: Buffer }[];
  /** How many different messages there are; the same number to each channel, to the channels in turn. */
  readonly variants: number;
  /** PUBLISH of each, behind each other. */
  readonly requests: Buffer;
  readonly requestLength: number;
  /** By channel: what a subscriber hears, behind each other. */
  readonly frames: readonly Buffer[];
  readonly frameLength: number;
}

export function fanOutBytes(workload: Workload): FanOutBytes {
  const { keys, size } = workload;
  const names = Array.from({ length: keys }, (_, i) => `bench:channel:${String(i).padStart(6, '0')}`);
  const variants = keys * Math.ceil((8 * VARIANTS) / keys);
  const all = Array.from({ length: variants }, (_, k) => {
    const message = Buffer.alloc(size, `${String(k).padStart(12, '0')}.`);
    const channel = names[k % keys]!;
    return { request: command('PUBLISH', channel, message), frame: command('message', channel, message) };
  });
  return {
    channels: names.map((name) => ({
      subscribe: command('SUBSCRIBE', name),
      confirmation: Buffer.concat([
        Buffer.from('*3\r\n'),
        bulk(Buffer.from('subscribe')),
        bulk(Buffer.from(name)),
        Buffer.from(':1\r\n'),
      ]),
    })),
    variants,
    requests: Buffer.concat(all.map(({ request }) => request)),
    requestLength: all[0]!.request.length,
    frames: names.map((_, i) =>
      Buffer.concat(all.filter((_, k) => k % keys === i).map(({ frame }) => frame)),
    ),
    frameLength: all[0]!.frame.length,
  };
}

function one(workload: Workload, key: () => string): Pipeline {
  if (workload.command === 'SET') return set(workload, key());
  if (workload.command === 'MGET') return mget(workload, key);
  if (workload.command === 'MULTI') return transaction(workload, key());
  const name = key();
  return { request: command('GET', name), reply: bulk(keyValue(workload, name)), commands: 1 };
}

function set(workload: Workload, key: string): Pipeline {
  return {
    request: command('SET', key, keyValue(workload, key)),
    reply: Buffer.from('+OK\r\n'),
    commands: 1,
  };
}

function mget(workload: Workload, key: () => string): Pipeline {
  const keys = new Map<number, string>();
  while (keys.size < MGET_KEYS) {
    const name = key();
    if (!keys.has(slotOf(name))) keys.set(slotOf(name), name);
  }
  const names = [...keys.values()];
  const values = names.map((name) => bulk(keyValue(workload, name)));
  return {
    request: command('MGET', ...names),
    reply: Buffer.concat([Buffer.from(`*${values.length}\r\n`), ...values]),
    commands: 1,
  };
}

function transaction(workload: Workload, key: string): Pipeline {
  const [get, value] = [command('GET', key), bulk(keyValue(workload, key))];
  return {
    request: Buffer.concat([command('MULTI'), get, get, get, command('EXEC')]),
    reply: Buffer.concat([
      Buffer.from('+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n'),
      value,
      value,
      value,
    ]),
    commands: 1,
  };
}

function join(parts: Pipeline[]): Pipeline {
  return {
    request: Buffer.concat(parts.map((part) => part.request)),
    reply: Buffer.concat(parts.map((part) => part.reply)),
    commands: parts.length,
  };
}

function command(...args: (string | Buffer)[]): Buffer {
  return Buffer.concat([
    Buffer.from(`*${args.length}\r\n`),
    ...args.map((argument) => bulk(Buffer.from(argument))),
  ]);
}

function bulk(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
}

/** Marsaglia's xorshift, 32 bits: a small generator with a seed, good enough to spread keys. Gives 0 <= n < 1. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}
