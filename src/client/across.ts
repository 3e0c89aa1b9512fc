// Commands whose keys lie in several slots: permitted or refused, and worked out (see gather) while nothing else of
// the client is under way. Cold.

import { type Key, keysAcross, keysTold, LEVELS, type Level, levelOf, wayAcross } from '../command/across.ts';
import { type Command, SCRIPT } from '../command/command.ts';
import { allIn, parseSort } from '../command/sort.ts';
import type { Config } from '../config.ts';
import type { Crossing, Texts } from '../gather/crossing.ts';
import { gather } from '../gather/gather.ts';
import { Refusal } from '../gather/reach.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { Asker } from './asker.ts';
import type { Client } from './client.ts';
import { askSlot } from './fanout.ts';
import { readGroups } from './groups.ts';
import { toAny } from './nodes.ts';
import { ClientReach } from './reach.ts';
import { denialOfPatterns } from './reads-all.ts';
import { Question } from './request.ts';
import { denialOfOther, denialOfScript } from './rights.ts';
import { SavedArguments } from './saved.ts';
import { readStreams } from './streams.ts';

/** False: not now, something of the client is still under way. */
export function goAcross(client: Client, command: Command, f: Frame): boolean {
  if (!client.settled || client.pending > 0) return false;
  const args = new SavedArguments(f);
  const keys = keysAcross(command, args);
  // Arguments that make no sense: any server says what is wrong.
  if (keys.length === 0) return toAny(client, command, f);
  const refusal = refusalOf(client.context.config.crossSlot, command, keys);
  if (refusal !== undefined) {
    const slot = onlySlot(keys, args);
    return slot < 0 ? client.refuse(command, refusal) : client.toSlot(command, f, slot, keys.length > 1);
  }
  const way = wayAcross(command, keys);
  if (way === 'streams') return readStreams(client, command, f);
  if (way === 'groups') return readGroups(client, command, f);
  return client.workOut(command, () => across(client, command, args, keys));
}

/** Commands whose keys the server alone can find: it is asked, and then the command goes to their slots. */
export function askKeys(client: Client, command: Command, f: Frame): boolean {
  const args = new SavedArguments(f);
  return client.workOut(command, async () => {
    const slot = await askSlot(client, args);
    if (typeof slot === 'number') return Question.ask(client, slot, args.request, false);
    const keys = keysTold(args, await askFlags(client, args));
    if (keys === undefined) return slot;
    return refusalOf(client.context.config.crossSlot, command, keys) ?? across(client, command, args, keys);
  });
}

/** The keys of a command, and what is done to each (`RO`, `OW` ...). */
async function askFlags(client: Client, args: SavedArguments): Promise<[Buffer, string[]][]> {
  const any = client.cluster.anySlot(client.session.id);
  const words = ['COMMAND', 'GETKEYSANDFLAGS', ...args.words()];
  const found = await Asker.asProxy(client, (asker) => asker.value(any, words));
  return (found as [Buffer, Buffer[]][]).map(([name, flags]) => [name, flags.map(String)]);
}

async function across(
  client: Client,
  command: Command,
  args: SavedArguments,
  keys: readonly Key[],
): Promise<Buffer> {
  if (command.script === SCRIPT.source) client.repertoire.learn(args.request, args.starts[1]!, args.ends[1]!);
  const denied =
    (await denialOfOther(client, args)) ??
    (command.script === SCRIPT.none
      ? await denialOfPatterns(client, command, args)
      : await denialOfScript(client));
  if (denied !== undefined) return denied;
  const way = wayAcross(command, keys);
  return withReach(client, (reach) => gather(way, crossingOf(client, command, args, keys, reach)));
}

/**
 * The slot of all that a call of SORT can read or write, which is no command across slots then: one that is refused as
 * such is given to the server, which may execute it. -1 where there is none.
 */
function onlySlot(keys: readonly Key[], args: SavedArguments): number {
  const { slot } = keys[0]!;
  if (keys.some((key) => key.slot !== slot)) return -1;
  const wanted = parseSort(args.words());
  return Buffer.isBuffer(wanted) || allIn(slot, wanted) ? slot : -1;
}

/** The error for a call that the settings do not permit, or that nothing permits. */
export function refusalOf(
  settings: Config['crossSlot'],
  command: Command,
  keys: readonly Key[],
): Buffer | undefined {
  const way = wayAcross(command, keys);
  if (way === 'never') return errors.crossSlot();
  const needed = levelOf(way, keys);
  return permits(settings, command, needed) ? undefined : errors.crossSlotRefused(command.name, needed);
}

/** Whether the settings permit a command what needs a level. */
export function permits({ level, commands }: Config['crossSlot'], command: Command, needed: Level): boolean {
  const { name, categories } = command;
  const named = [name, ...categories].find((each) => Object.hasOwn(commands, each));
  return LEVELS.indexOf(named === undefined ? level : commands[named]!) >= LEVELS.indexOf(needed);
}

/** Runs work that reaches the cluster; a Refusal is its reply. */
export async function withReach(
  client: Client,
  work: (reach: ClientReach) => Promise<Buffer>,
): Promise<Buffer> {
  const reach = new ClientReach(client);
  try {
    return await work(reach);
  } catch (error) {
    if (error instanceof Refusal) return error.reply;
    throw error;
  } finally {
    reach.close();
  }
}

export function crossingOf(
  client: Client,
  command: Command,
  args: SavedArguments,
  keys: readonly Key[],
  reach: ClientReach,
): Crossing {
  const { crossSlot } = client.context.config;
  return { command, words: args.words(), keys, reach, limits: crossSlot, texts: textsFor(client) };
}

function textsFor({ repertoire, cluster, lane }: Client): Texts {
  return {
    scriptOf: async (sha) => (await repertoire.find(sha))?.source,
    equip: async (slot, name) => {
      const node = cluster.ownerOf(slot);
      const link = node?.link(lane);
      if (node !== undefined && link !== undefined)
        await repertoire.prepare(SCRIPT.function, name, node, link);
    },
  };
}
