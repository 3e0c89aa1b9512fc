// FUNCTION over all shards. A library is on every primary or on none: what changes them must be taken by all.
//
// A change that some shards took and others did not is never hidden: the error names both. Where it can be taken
// back (a LOAD without REPLACE has put what was not there) it is. What a lone server would say decides: one that
// has joined since and lacks a library neither hides the library from the others' replies nor fails its DELETE.

import { equalsIgnoreCase } from '../command/arguments.ts';
import { errorText, isError, prefixOf } from '../command/merge.ts';
import { partFailed } from '../resp/errors.ts';
import { command } from '../resp/write.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { Question } from './request.ts';
import type { SavedArguments } from './saved.ts';
import { asked, fromShards, shardNames } from './scripts.ts';

const ALREADY_THERE = /^-ERR Library '\w+' already exists/;
const NOT_THERE = /^-ERR Library not found/;

export const FUNCTION_COMMANDS: Readonly<Record<string, Handler>> = {
  'function|load': asked(load),
  'function|delete': asked(async (client, args) => {
    const names = shardNames(client);
    const replies = await fromShards(client, args.request);
    // Where it is not there, it need not be deleted; but somewhere it must have been.
    const others = replies.filter((reply) => !NOT_THERE.test(reply.toString('latin1')));
    if (others.length > 0 && !others.some(isError)) return others[0]!;
    return agreed(replies, names);
  }),
  'function|flush': asked(change),
  'function|restore': asked(change),
  // The longest: of a shard that has them all.
  'function|list': asked(longest),
  'function|dump': asked(longest),
};

async function change(client: Client, args: SavedArguments): Promise<Buffer> {
  const names = shardNames(client);
  return agreed(await fromShards(client, args.request), names);
}

async function load(client: Client, args: SavedArguments): Promise<Buffer> {
  const names = shardNames(client);
  const slots = client.cluster.shardSlots();
  const replies = await fromShards(client, args.request);
  const done = replies.find((reply) => !isError(reply));
  if (done === undefined || !replies.some(isError)) return agreed(replies, names);
  if (equalsIgnoreCase(args, 2, 'replace')) return agreed(replies, names);
  const undo = command(['FUNCTION', 'DELETE', done.subarray(done.indexOf('\n') + 1, -2)]);
  const undone = await Promise.all(
    replies.map(async (reply, i) => {
      if (isError(reply)) return true;
      return !isError(await Question.ask(client, slots[i]!, undo, false));
    }),
  );
  if (undone.includes(false)) return agreed(replies, names);
  // Nothing has changed: what a shard says that had it before is what one server would say.
  const told = replies.find((reply) => ALREADY_THERE.test(reply.toString('latin1')));
  return told ?? agreed(replies, names, 'taken back');
}

async function longest(client: Client, args: SavedArguments): Promise<Buffer> {
  const names = shardNames(client);
  const replies = await fromShards(client, args.request);
  const said = replies.filter((reply) => !isError(reply));
  if (said.length === 0) return agreed(replies, names);
  return said.reduce((best, reply) => (reply.length > best.length ? reply : best));
}

/** The reply of all, or an error that names the nodes that failed, and what has become of it at the others. */
function agreed(replies: readonly Buffer[], names: readonly string[], elsewhere = 'done'): Buffer {
  const failed = replies.flatMap((reply, i) => (isError(reply) ? [i] : []));
  const first = failed[0];
  if (first === undefined) return replies[0]!;
  const texts = failed.map((i) => errorText(replies[i]!));
  const same = texts.every((text) => text === texts[0]);
  if (same && failed.length === replies.length) return replies[first]!;
  const done = names.filter((_, i) => !failed.includes(i));
  const others = done.length > 0 ? ` (${elsewhere} at ${done.join(', ')})` : '';
  const where = `node ${failed.map((i) => names[i]).join(', ')}${others}`;
  const prefix = prefixOf(texts[0]!);
  return partFailed(where, texts[0]!, prefix === 'MOVED' || prefix === 'ASK' ? 'ERR' : prefix);
}
