// PUBSUB: who is subscribed to what, at all nodes and here. Cold.
//
// The nodes count the proxy's own subscriptions, one for each worker; in their place its clients are counted. What
// others have subscribed to at the nodes without this proxy is in the sums as the nodes say it.

import type { Node } from '../cluster/node.ts';
import type { Command } from '../command/command.ts';
import { matchesGlob } from '../command/glob.ts';
import { CHANNEL, type Kind, PATTERN, SHARD } from '../pubsub/names.ts';
import * as errors from '../resp/errors.ts';
import { array, bulk, integer } from '../resp/write.ts';
import { Asker, ServerError } from './asker.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { denialOfOther } from './rights.ts';
import { parseReply, SavedArguments } from './saved.ts';

/** To which the nodes tell the proxy itself of changed keys. */
const OWN_CHANNEL = '__redis__:invalidate';

export const PUBSUB_COMMANDS: Readonly<Record<string, Handler>> = {
  'pubsub|channels': listed(CHANNEL),
  'pubsub|shardchannels': listed(SHARD),
  'pubsub|numsub': asked((client, args) => counts(client, CHANNEL, args)),
  'pubsub|shardnumsub': asked((client, args) => counts(client, SHARD, args)),
  'pubsub|numpat': asked(patterns),
};

function asked(work: (client: Client, args: SavedArguments) => Promise<Buffer>): Handler {
  return (client, command: Command, f) => {
    const args = new SavedArguments(f);
    return client.workOut(command, async () => (await denialOfOther(client, args)) ?? work(client, args));
  };
}

/** PUBSUB CHANNELS [pattern], PUBSUB SHARDCHANNELS [pattern] */
function listed(kind: Kind): Handler {
  const work = asked((client, args) => channels(client, kind, args));
  return (client, command, f) =>
    f.argc > 3 ? client.refuse(command, errors.subcommandSyntax(f)) : work(client, command, f);
}

async function channels(client: Client, kind: Kind, args: SavedArguments): Promise<Buffer> {
  const { roll } = client.context.pubsub;
  const pattern = args.argc > 2 ? args.word(2) : undefined;
  const replies = await ofNodes(client, ['PUBSUB', kind === SHARD ? 'SHARDCHANNELS' : 'CHANNELS']);
  const names = new Set(
    replies.flatMap((reply) => ((reply ?? []) as Buffer[]).map((name) => name.toString('latin1'))),
  );
  const own = new Set(roll.keys(kind));
  for (const key of own) if (roll.clients(kind, key) > 0) names.add(key);
  const doubtful = [...names].filter(
    (key) => roll.clients(kind, key) === 0 && (own.has(key) || key === OWN_CHANNEL),
  );
  const numbers = await numbersOf(client, kind, doubtful);
  doubtful.forEach((key, i) => {
    if (numbers[i] === 0) names.delete(key);
  });
  const shown = [...names].map((key) => Buffer.from(key, 'latin1'));
  return array(shown.filter((name) => pattern === undefined || matchesGlob(pattern, name)).map(bulk));
}

/** PUBSUB NUMSUB [channel ...], PUBSUB SHARDNUMSUB [channel ...] */
async function counts(client: Client, kind: Kind, args: SavedArguments): Promise<Buffer> {
  const keys = args.texts(2);
  const numbers = await numbersOf(client, kind, keys);
  return array(keys.flatMap((key, i) => [bulk(Buffer.from(key, 'latin1')), integer(numbers[i]!)]));
}

/** How many clients have subscribed to each channel. */
async function numbersOf(client: Client, kind: Kind, keys: readonly string[]): Promise<number[]> {
  if (keys.length === 0) return [];
  const { roll } = client.context.pubsub;
  const names = keys.map((key) => Buffer.from(key, 'latin1'));
  const replies = await ofNodes(client, ['PUBSUB', kind === SHARD ? 'SHARDNUMSUB' : 'NUMSUB', ...names]);
  return keys.map((key, i) => {
    // Each worker has one subscription at each node for itself, if any of its clients tracks keys.
    if (key === OWN_CHANNEL) return roll.clients(kind, key);
    const atNodes = replies.reduce(
      (sum: number, reply) => sum + Number((reply as unknown[] | undefined)?.[2 * i + 1] ?? 0),
      0,
    );
    return Math.max(0, atNodes - roll.subscriptions(kind, key)) + roll.clients(kind, key);
  });
}

/** PUBSUB NUMPAT: patterns of this proxy's clients, and those that others have at the nodes. */
async function patterns(client: Client): Promise<Buffer> {
  const { roll } = client.context.pubsub;
  const replies = await ofNodes(client, ['PUBSUB', 'NUMPAT']);
  const others = client.cluster.allNodes().map(({ node }, i) => {
    const own = roll.keys(PATTERN).filter((key) => roll.subscriptions(PATTERN, key, node.address) > 0).length;
    return Math.max(0, Number(replies[i] ?? 0) - own);
  });
  return integer(others.reduce((sum, count) => sum + count, roll.keys(PATTERN).length));
}

/** What each node says; undefined for one that can't be reached: nobody is subscribed there. */
function ofNodes(client: Client, words: readonly (string | Buffer)[]): Promise<unknown[]> {
  const ask = async (asker: Asker, node: Node) => {
    const reply = parseReply(await asker.raw(node, words));
    if (!(reply instanceof Error)) return reply;
    if (reply.message.startsWith('CLUSTERDOWN slotless:')) return undefined;
    throw new ServerError(reply.message);
  };
  return Asker.asProxy(client, (asker) =>
    Promise.all(client.cluster.allNodes().map(({ node }) => ask(asker, node))),
  );
}
