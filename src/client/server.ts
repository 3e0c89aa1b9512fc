// What the servers say of themselves, asked of all of them and said as one: INFO, SLOWLOG, LATENCY, MEMORY,
// FUNCTION STATS, RANDOMKEY. Cold.
//
// The questions have the client's rights, so that what its rules deny it is denied here too. A node that does
// not answer makes the whole an error: half a sum would be a wrong one.

import { toInteger } from '../command/arguments.ts';
import {
  mergeFunctionStats,
  mergeHistograms,
  mergeHistory,
  mergeLatest,
  mergeLogs,
  mergeMemoryStats,
  mergeTexts,
  type Reply,
  type Stat,
} from '../command/reports.ts';
import { isReserved } from '../command/reserved.ts';
import * as errors from '../resp/errors.ts';
import { bulk, bulkString, double, encode, integer, map, nil, type Resp, verbatim } from '../resp/write.ts';
import { Asker, askAside, ServerError } from './asker.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { info } from './info.ts';
import { parseReply, SavedArguments } from './saved.ts';
import { scan } from './scan.ts';

/** One question to many. */
interface Inquest {
  readonly client: Client;
  readonly asker: Asker;
  readonly args: SavedArguments;
  /** The command as it came. */
  readonly words: readonly Buffer[];
  readonly resp: Resp;
}

export const SERVER_COMMANDS: Readonly<Record<string, Handler>> = {
  scan,
  info: worked(async ({ client, asker, words }) => info(client, asker, words)),
  randomkey: worked(randomKey),
  'slowlog|get': worked(log),
  'commandlog|get': worked(log),
  'latency|latest': worked(async (inquest) => encode(inquest.resp, mergeLatest(await ofNodes(inquest)))),
  'latency|history': worked(async (inquest) => encode(inquest.resp, mergeHistory(await ofNodes(inquest)))),
  // Of the primaries alone: replicas count again what they are sent.
  'latency|histogram': worked(async (inquest) =>
    encode(inquest.resp, mergeHistograms(await ofShards(inquest))),
  ),
  'latency|doctor': worked(async (inquest) => text(inquest, await ofNodes(inquest), nodeNames(inquest))),
  'latency|graph': worked(graph),
  'memory|doctor': worked(async (inquest) => text(inquest, await ofShards(inquest), shardNames(inquest))),
  'memory|malloc-stats': worked(async (inquest) =>
    text(inquest, await ofShards(inquest), shardNames(inquest)),
  ),
  'memory|stats': worked(async (inquest) => stats(inquest.resp, mergeMemoryStats(await ofShards(inquest)))),
  'function|stats': worked(functionStats),
};

/** A handler that asks, and then answers. */
function worked(work: (inquest: Inquest) => Promise<Buffer>): Handler {
  return (client, command, f) => {
    const args = new SavedArguments(f);
    const words = args.words();
    if (client.cluster.shardSlots().length === 0)
      return client.refuse(command, errors.notReady('no shard is known'));
    return client.workOut(command, () =>
      Asker.with(client, (asker) => work({ client, asker, args, words, resp: client.session.resp })),
    );
  };
}

async function ofShards({ asker, words }: Inquest): Promise<Reply[]> {
  return (await asker.ofShards(words)) as Reply[];
}

async function ofNodes({ asker, words }: Inquest): Promise<Reply[]> {
  return (await asker.ofNodes(words)) as Reply[];
}

function shardNames({ asker: { cluster } }: Inquest): string[] {
  return cluster.shardSlots().map((slot) => `# node ${cluster.primaries[cluster.slots[slot]!]!.address}`);
}

function nodeNames({ asker: { cluster } }: Inquest): string[] {
  return cluster
    .allNodes()
    .map(({ node, primary }) => `# node ${node.address}${primary ? '' : ' (replica)'}`);
}

function text({ resp }: Inquest, replies: readonly Reply[], names: readonly string[]): Buffer {
  return verbatim(resp, mergeTexts(replies.map(String), names));
}

/** Asked aside: it is wanted most when a function runs for long. */
async function functionStats({ client, asker, args, resp }: Inquest): Promise<Buffer> {
  const { dedicated } = client.context.config.node;
  const replies = await Promise.all(
    asker.cluster.primaries.map(async (node) =>
      parseReply(await askAside(node, asker.lane, args.request, dedicated)),
    ),
  );
  const failed = replies.find((reply) => reply instanceof Error);
  if (failed !== undefined) throw new ServerError(failed.message);
  return encode(resp, mergeFunctionStats(replies as Reply[], client.context.functions.carriers));
}

/** LATENCY GRAPH event: of the nodes that have samples of it; without any, the error that all give. */
async function graph(inquest: Inquest): Promise<Buffer> {
  const { asker, words } = inquest;
  const nodes = asker.cluster.allNodes();
  const replies = await Promise.all(nodes.map(async ({ node }) => parseReply(await asker.raw(node, words))));
  const failed = replies.filter((reply) => reply instanceof Error);
  const real = failed.find(({ message }) => !message.startsWith('ERR No samples'));
  if (real !== undefined || failed.length === replies.length)
    throw new ServerError((real ?? failed[0]!).message);
  const names = nodeNames(inquest).filter((_, i) => !(replies[i] instanceof Error));
  return text(inquest, replies.filter((reply) => !(reply instanceof Error)) as Reply[], names);
}

/** SLOWLOG GET [count], COMMANDLOG GET count type */
async function log({ asker, args, words, resp }: Inquest): Promise<Buffer> {
  const nodes = asker.cluster.allNodes().map(({ node }) => node);
  const logs = await Promise.all(
    nodes.map(async (node) => ({ name: node.address, entries: (await asker.value(node, words)) as Reply[] })),
  );
  const count = args.argc > 2 ? (toInteger(args, 2) ?? DEFAULT_LOG) : DEFAULT_LOG;
  return encode(resp, mergeLogs(logs, count));
}

const DEFAULT_LOG = 10;
/** As often as a server draws where it meets keys that have expired. */
const MOST_DRAWS = 100;

/** A shard is drawn by how many keys it has; where that one's turn out to be gone, the others are asked. */
async function randomKey({ client, asker, resp }: Inquest): Promise<Buffer> {
  const sizes = (await Asker.asProxy(client, (own) => own.ofShards(['DBSIZE']))).map(Number);
  const slots = asker.cluster.shardSlots();
  const drawn = draw(sizes);
  const rest = [...slots.keys()].filter((shard) => shard !== drawn && sizes[shard]! > 0);
  for (const shard of [drawn, ...rest]) {
    const key = await randomOf(asker, slots[shard]!);
    if (key !== null) return bulk(key);
  }
  return nil(resp);
}

/** One of a shard's keys that is not the proxy's own; null where there is none to be found. */
async function randomOf(asker: Asker, slot: number): Promise<Buffer | null> {
  for (let tries = 0; tries < MOST_DRAWS; tries++) {
    const key = (await asker.value(slot, ['RANDOMKEY'])) as Buffer | null;
    if (key === null || !isReserved(key)) return key;
  }
  return null;
}

function stats(resp: Resp, fields: ReadonlyMap<string, Stat>): Buffer {
  const value = (stat: Stat): Buffer => {
    if ('sum' in stat) return integer(stat.sum);
    return 'ratio' in stat ? double(resp, stat.ratio) : stats(resp, stat);
  };
  return map(
    resp,
    [...fields].map(([field, stat]) => [bulkString(field), value(stat)] as const),
  );
}

/** An index by chance, each as likely as its size is large. */
function draw(sizes: readonly number[]): number {
  let left = Math.random() * sizes.reduce((sum, size) => sum + size, 0);
  for (const [i, size] of sizes.entries()) {
    if (left < size) return i;
    left -= size;
  }
  return 0;
}
