// Commands that become several: cut by slot, or asked of every shard or node. Their replies are merged.
//
// All parts are sent at once, on the links that the client's other commands take, so that what was sent
// before them comes before them at every node.

import type { Node } from '../cluster/node.ts';
import { FIXED } from '../cluster/sending.ts';
import { type Command, RESPONSE, ROUTE } from '../command/command.ts';
import { Keys, slotOfAll } from '../command/keys.ts';
import { mergeFanOut, mergeSplit } from '../command/merge.ts';
import { withoutReserved } from '../command/reserved.ts';
import { type Plan, split } from '../command/split.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { command as encodeCommand } from '../resp/write.ts';
import { askAside } from './asker.ts';
import type { Client } from './client.ts';
import { Gathered } from './gathered.ts';
import { EVERY_SLOT } from './order.ts';
import { onlyReads, Question } from './request.ts';
import { parseReply, type SavedArguments, savedArguments } from './saved.ts';

/** MGET, MSET, DEL ... with keys in several slots. */
export function splitBySlot(client: Client, command: Command, f: Frame): boolean {
  const plan = split(command, f);
  if (plan === undefined) return client.refuse(command, errors.wrongArity(command.name));
  const reads = onlyReads(command);
  if (!client.settled)
    for (let p = 0; p < plan.count; p++) if (client.mustWait(plan.slot[p]!, reads)) return false;
  for (let p = 0; p < plan.count; p++) if (!client.roomFor(plan.slot[p]!)) return false;
  const alone = plan.keys === plan.count;
  const whole = new Gathered(client, command, {
    wide: false,
    joined: alone && command.response === RESPONSE.none,
    merge: (replies) => mergeSplit(plan, command, replies),
  });
  const several = alone ? undefined : severalKeys(plan);
  for (let p = 0; p < plan.count; p++) {
    const loose = several !== undefined && several[p]! > 1;
    whole.add(plan.slot[p]!, loose, client.reading?.choice(command, plan.slot[p]!, loose));
  }
  client.replies.push(whole);
  const { bytes, from, to } = plan;
  for (let p = 0; p < plan.count; p++) whole.parts[p]!.start(bytes, from[p]!, to[p]!);
  return true;
}

/** Of each part: how many keys it has. */
function severalKeys(plan: Plan): Int32Array {
  const keys = new Int32Array(plan.count);
  for (let k = 0; k < plan.keys; k++) keys[plan.part[k]!]!++;
  return keys;
}

/** DBSIZE, FLUSHALL, CONFIG SET ...: every primary, or every node. */
export function fanOut(client: Client, command: Command, f: Frame): boolean {
  if (KILLS.has(command.name)) return kill(client, command, f);
  if (client.mustWait(EVERY_SLOT, onlyReads(command))) return false;
  const { cluster } = client;
  const bytes = f.bytes as Buffer;
  const slots = cluster.shardSlots();
  for (const slot of slots) if (!client.roomFor(slot)) return false;
  const replicas =
    command.route === ROUTE.allNodes ? cluster.allNodes().filter(({ primary }) => !primary) : [];
  const names = [
    ...slots.map((slot) => cluster.primaries[cluster.slots[slot]!]!.address),
    ...replicas.map(({ node }) => node.address),
  ];
  if (names.length === 0) return client.refuse(command, errors.notReady('no shard is known'));
  const whole = new Gathered(client, command, {
    wide: true,
    joined: false,
    merge: (replies) => {
      const merged = mergeFanOut(command, replies, names);
      return command.name === 'keys' ? withoutReserved(merged) : merged;
    },
  });
  for (let i = 0; i < names.length; i++) whole.add(slots[i] ?? FIXED, true);
  client.replies.push(whole);
  slots.forEach((_, i) => {
    whole.parts[i]!.start(bytes, f.from, f.to);
  });
  replicas.forEach(({ node }, i) => {
    whole.parts[slots.length + i]!.startAt(node, bytes, f.from, f.to);
  });
  return true;
}

/** They end a script that runs for long, and every shared link may be waiting for just that script. */
const KILLS = new Set(['script|kill', 'function|kill']);

/** SCRIPT KILL, FUNCTION KILL: asked of every primary over a link of its own. */
function kill(client: Client, command: Command, f: Frame): boolean {
  const args = savedArguments(f);
  return client.workOut(command, async () => {
    const { primaries } = client.cluster;
    const { dedicated } = client.context.config.node;
    const ask = (node: Node) => askAside(node, client.lane, args.request, dedicated);
    return mergeFanOut(
      command,
      await Promise.all(primaries.map(ask)),
      primaries.map(({ address }) => address),
    );
  });
}

/** The slot of a command's keys, as a server says; any where it has none. The error where they have several. */
export async function askSlot(client: Client, args: SavedArguments): Promise<number | Buffer> {
  const any = client.cluster.anySlot(client.session.id);
  const words = args.words();
  const found = parseReply(
    await Question.ask(client, any, encodeCommand(['COMMAND', 'GETKEYS', ...words]), true),
  );
  if (!Array.isArray(found)) return any;
  const slot = slotOfFound(found as Buffer[]);
  return slot < 0 ? errors.crossSlot() : slot;
}

function slotOfFound(keys: Buffer[]): number {
  const bytes = Buffer.concat(keys);
  const at = new Int32Array(keys.length);
  const starts = new Int32Array(keys.length);
  const ends = new Int32Array(keys.length);
  let offset = 0;
  keys.forEach((key, i) => {
    at[i] = i;
    starts[i] = offset;
    offset += key.length;
    ends[i] = offset;
  });
  const list = new Keys();
  list.count = keys.length;
  list.at = at;
  return slotOfAll({ bytes, starts, ends, argc: keys.length }, list);
}
