// EVAL, EVALSHA, FCALL and their kin, and SCRIPT: scripts that are known to one server are known to all.
//
// A script without keys goes to the owner of one slot, the same for every client: what such scripts keep in
// keys that they do not name is then in one place, and what the server remembers of them too. (Which slot does
// not matter; it only has to be one, and not to depend on how many shards there are.)
//
// SCRIPT LOAD must be taken by all primaries. Replicas get it as well, for the day when one of them is promoted,
// but nobody waits for them: what they miss is made good at the first call. SCRIPT FLUSH first empties what all
// workers remember, so that nobody loads again what the nodes are about to forget.

import { equalsIgnoreCase, toInteger } from '../command/arguments.ts';
import { type Command, SCRIPT } from '../command/command.ts';
import { allSucceeded, isError, oneSucceeded } from '../command/merge.ts';
import { ANY, severalKeys } from '../dispatch.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { array, bulk, integer } from '../resp/write.ts';
import { askOnce } from './asker.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { onlyReads, Question } from './request.ts';
import { parseReply, SavedArguments } from './saved.ts';

/** Where scripts without keys run. */
export const KEYLESS_SLOT = 0;

/** Sends a command with one of SCRIPT. `where`: a slot, or ANY where it has no keys. False: not now. */
export function runScript(client: Client, command: Command, f: Frame, where: number): boolean {
  const keyless = where === ANY;
  const slot = keyless ? KEYLESS_SLOT : where;
  if (client.mustWait(slot, onlyReads(command))) return false;
  const several = !keyless && severalKeys(command, f);
  const bytes = f.bytes as Buffer;
  const { repertoire, cluster, lane } = client;
  const choice = keyless ? undefined : client.reading?.choice(command, slot, several);
  if (choice?.aside !== true && !client.roomFor(slot)) return false;
  if (command.script === SCRIPT.source) {
    // With a wrong number of keys it is not evaluated, nor remembered.
    if (!keyless || toInteger(f, 2) === 0) repertoire.learn(bytes, f.starts[1]!, f.ends[1]!);
  } else if (choice?.aside) {
    // A replica has its primary's functions; scripts are not replicated.
    if (command.script === SCRIPT.sha && choice.copy !== undefined) {
      const sha = bytes.toString('latin1', f.starts[1], f.ends[1]);
      const { node } = choice.copy;
      void repertoire.prepare(SCRIPT.sha, sha, node, node.link(choice.reads.lane));
    }
  } else {
    const node = cluster.ownerOf(slot);
    const name = bytes.toString('latin1', f.starts[1], f.ends[1]);
    const wait = node && repertoire.prepare(command.script, name, node, node.link(lane));
    if (wait !== undefined) {
      void wait.then(() => client.wake());
      return false;
    }
  }
  return client.give(command, f, slot, several, choice);
}

export const SCRIPT_COMMANDS: Readonly<Record<string, Handler>> = {
  'script|load': asked(async (client, args) => {
    const reply = await ofShards(client, args.request);
    if (isError(reply)) return reply;
    const source = args.word(2);
    client.repertoire.learn(source, 0, source.length);
    for (const { node, primary } of client.cluster.allNodes()) {
      const link = primary ? undefined : node.link(client.lane);
      if (link !== undefined && !link.full) void askOnce(link, args.request);
    }
    return reply;
  }),
  'script|flush': asked(async (client, args) => {
    const how = args.argc === 2 || equalsIgnoreCase(args, 2, 'sync') || equalsIgnoreCase(args, 2, 'async');
    if (how && args.argc < 4) await client.repertoire.forgetEverywhere();
    const replicas = client.cluster.allNodes().flatMap(({ node, primary }) => (primary ? [] : [node]));
    const names = [...shardNames(client), ...replicas.map(({ address }) => address)];
    const [shards, others] = await Promise.all([
      fromShards(client, args.request),
      Promise.all(replicas.map((node) => Question.ask(client, node, args.request, false))),
    ]);
    return allSucceeded([...shards, ...others], names);
  }),
  'script|exists': asked(exists),
  'script|show': asked(async (client, args) => {
    const reply = oneSucceeded(await fromShards(client, args.request));
    if (!isError(reply) || !reply.toString('latin1').startsWith('-NOSCRIPT')) return reply;
    const script = await client.repertoire.find(args.text(2).toLowerCase());
    return script === undefined ? reply : bulk(script.source);
  }),
};

/** A handler that asks shards while nothing else of the client is under way. */
export function asked(work: (client: Client, args: SavedArguments) => Promise<Buffer>): Handler {
  return (client, command, f) => {
    if (client.cluster.shardSlots().length === 0)
      return client.refuse(command, errors.notReady('no shard is known'));
    const args = new SavedArguments(f);
    return client.workOut(command, () => work(client, args));
  };
}

/** The replies of all primaries, by lowest slot. */
export function fromShards(client: Client, request: Buffer): Promise<Buffer[]> {
  return Promise.all(client.cluster.shardSlots().map((slot) => Question.ask(client, slot, request, false)));
}

export function shardNames({ cluster }: Client): string[] {
  return cluster.shardSlots().map((slot) => cluster.primaryOf(slot)!.address);
}

/** What all primaries say, or an error that names those that say otherwise. */
async function ofShards(client: Client, request: Buffer): Promise<Buffer> {
  const names = shardNames(client);
  return allSucceeded(await fromShards(client, request), names);
}

/** 1 for a script that every shard has, or has now: one that is missing somewhere is loaded there. */
async function exists(client: Client, args: SavedArguments): Promise<Buffer> {
  const names = shardNames(client);
  const slots = client.cluster.shardSlots();
  const replies = await fromShards(client, args.request);
  if (replies.some(isError)) return allSucceeded(replies, names);
  const columns = replies.map((reply) => parseReply(reply) as number[]);
  const flags = Array.from({ length: args.argc - 2 }, async (_, i) => {
    const lacking = slots.filter((_, shard) => columns[shard]![i] !== 1);
    if (lacking.length === 0) return 1;
    const { repertoire, cluster } = client;
    const script = await repertoire.find(args.text(i + 2).toLowerCase());
    if (script === undefined) return 0;
    const loaded = await Promise.all(
      lacking.map(async (slot) => {
        const node = cluster.primaryOf(slot);
        return node !== undefined && (await repertoire.load(node, script));
      }),
    );
    return loaded.every(Boolean) ? 1 : 0;
  });
  return array((await Promise.all(flags)).map(integer));
}
