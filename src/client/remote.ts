// runOnKey and runOnShards: cluster functions, run at the shards on behalf of a function. Cold.
//
//   runOnShards --> a run for each primary, on a thread of its own, side by side --> [[results], [errors]]
//
// Nothing of them depends on how the others do: each has the time of remote-task-default-timeout from when it has a
// thread, and what comes later is dropped. A name that begins with `fcall:` is a Redis Function, which the shard itself runs beside its data.

import { setTimeout as delay } from 'node:timers/promises';
import type { Node } from '../cluster/node.ts';
import { slotOf } from '../command/slot.ts';
import type { Host, Sent } from '../functions/job.ts';
import type { Library } from '../functions/library.ts';
import { BigNumber, type Decoded, decode, Failure, Members, Pairs, Status, Verbatim } from '../resp/value.ts';
import { Asker } from './asker.ts';
import type { Client } from './client.ts';

/** Of a host: for whom, and of which library. */
export interface Origin {
  readonly client: Client;
  readonly library: Library;
  /** Of a cluster function at a node; `started` is told when it has a thread. To be closed. */
  atShard(node: Node, started: () => void): Host & { close(): void };
}

const FCALL = 'fcall:';
/** Until it is asked again who has a slot, ms. */
const LOOK_AGAIN = 10;

class Late extends Error {}

/** @throws (rejects) with the text that the function's promise is rejected with */
export async function onKey(
  origin: Origin,
  key: Uint8Array,
  name: string,
  args: readonly Sent[],
): Promise<Sent> {
  const { cluster } = origin.client;
  const slot = slotOf(key, 0, key.length);
  const work = async (time: Time) => {
    for (;;) {
      const node = cluster.ownerOf(slot);
      if (node !== undefined) return run(origin, node, name, args, key, time);
      time.begin();
      if (time.isOver) throw new Late();
      await delay(LOOK_AGAIN);
    }
  };
  try {
    return await inTime(origin, work);
  } catch (error) {
    throw error instanceof Late ? new Error('Remote task timeout') : error;
  }
}

/** At every shard; results and errors in the order in which they came. */
export async function onShards(
  origin: Origin,
  name: string,
  args: readonly Sent[],
): Promise<{ results: Sent[]; errors: string[] }> {
  const { cluster } = origin.client;
  const results: Sent[] = [];
  const errors: string[] = [];
  const work = async (slot: number, time: Time) => {
    const node = cluster.primaryOf(slot);
    if (node === undefined) throw new Error(`slotless: ${cluster.whyHeld(slot)}`);
    return run(origin, node, name, args, undefined, time);
  };
  await Promise.all(
    cluster.shardSlots().map((slot) =>
      inTime(origin, (time) => work(slot, time)).then(
        (result) => results.push(result),
        (error: Error) => errors.push(error instanceof Late ? 'Timeout' : error.message),
      ),
    ),
  );
  return { results, errors };
}

/** Rejects with Late when it takes longer than a remote task may. */
async function inTime<T>({ client }: Origin, work: (time: Time) => Promise<T>): Promise<T> {
  const time = new Time(client.context.functions.settings.remoteTaskTimeout);
  try {
    return await Promise.race([time.late, work(time)]);
  } finally {
    time.end();
  }
}

/** Of one remote task. */
class Time {
  isOver = false;
  /** Rejects when the time is over. */
  readonly late: Promise<never>;
  private readonly ms: number;
  private timer: NodeJS.Timeout | undefined = undefined;
  private pass: () => void = () => {};

  constructor(ms: number) {
    this.ms = ms;
    this.late = new Promise((_, reject) => {
      this.pass = () => {
        this.isOver = true;
        reject(new Late());
      };
    });
  }

  /** It runs from now on, or from when this was first told. */
  begin(): void {
    this.timer ??= setTimeout(this.pass, this.ms);
  }

  end(): void {
    clearTimeout(this.timer);
  }
}

async function run(
  origin: Origin,
  node: Node,
  name: string,
  args: readonly Sent[],
  key: Uint8Array | undefined,
  time: Time,
): Promise<Sent> {
  const { client, library } = origin;
  if (name.startsWith(FCALL)) {
    time.begin();
    return callBeside(client, node, name.slice(FCALL.length), args, key);
  }
  const { functions } = client.context;
  if (functions.library(library.name) === undefined)
    throw new Error(`Library ${library.name} does not exists on remote shard`);
  if (!library.registrations.clusterFunctions.includes(name))
    throw new Error(`Remote function ${name} does not exists on library ${library.name}`);
  const host = origin.atShard(node, () => time.begin());
  try {
    const maxRunTime = functions.settings.remoteTaskTimeout;
    const outcome = await functions.runner.run({ kind: 'cluster', library, name, args, maxRunTime }, host);
    if (!('result' in outcome)) throw new Error('a cluster function gave a reply');
    return outcome.result;
  } finally {
    host.close();
  }
}

// ---- Redis Functions

/** FCALL_RO at a node. What it replies becomes JSON, as far as that can be said in JSON. */
async function callBeside(
  client: Client,
  node: Node,
  name: string,
  args: readonly Sent[],
  key: Uint8Array | undefined,
): Promise<Sent> {
  const asker = Asker.speaking(client.cluster, 3, client.session);
  try {
    const keys = key === undefined ? ['0'] : ['1', Buffer.from(key)];
    const reply = decode(await asker.raw(node, ['FCALL_RO', name, ...keys, ...args.map(argumentOf)]));
    if (reply instanceof Failure) throw new Error(reply.text);
    return { json: JSON.stringify(plain(reply)) };
  } finally {
    asker.close();
  }
}

/** Texts and numbers as they are, what else there is in JSON. */
function argumentOf(sent: Sent): Buffer {
  if ('raw' in sent) return Buffer.from(sent.raw);
  const value: unknown = JSON.parse(sent.json);
  return Buffer.from(typeof value === 'string' ? value : sent.json);
}

type Plain = string | number | boolean | null | Plain[] | { [field: string]: Plain };

function plain(value: Decoded): Plain {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (Buffer.isBuffer(value)) return value.toString();
  if (value instanceof Status || value instanceof Failure) return value.text;
  if (value instanceof Verbatim) return value.bytes.toString();
  if (value instanceof BigNumber) return value.digits;
  if (value instanceof Members) return value.items.map(plain);
  if (value instanceof Pairs)
    return Object.fromEntries(value.entries.map(([field, item]) => [String(plain(field)), plain(item)]));
  return (value as readonly Decoded[]).map(plain);
}
