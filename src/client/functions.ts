// FUNCTION over all shards. A library is on every primary or on none: what changes them must be taken by all.
//
// A change that some shards took and others did not is never hidden: the error names both. Where it can be taken
// back (a LOAD without REPLACE has put what was not there) it is. What a lone server would say decides: one that
// has joined since and lacks a library neither hides the library from the others' replies nor fails its DELETE.
//
// The libraries in which the proxies keep remote functions (functions/record.ts) are not there for clients: not to be
// listed, loaded or deleted by their names, and they outlive FLUSH and RESTORE.

import { equalsIgnoreCase } from '../command/arguments.ts';
import { withoutLibraries } from '../command/dump.ts';
import { errorText, isError, prefixOf } from '../command/merge.ts';
import { isReserved, RESERVED } from '../functions/record.ts';
import { asServerSaid, partFailed } from '../resp/errors.ts';
import { type Decoded, decode, encodeValue, Pairs } from '../resp/value.ts';
import { bulk, command } from '../resp/write.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { Question } from './request.ts';
import type { SavedArguments } from './saved.ts';
import { asked, fromShards, shardNames } from './scripts.ts';

const ALREADY_THERE = /^-ERR Library '\w+' already exists/;
const NOT_THERE = /^-ERR Library not found/;
/** The first line of a library has its name within so many bytes. */
const LONGEST_HEADER = 256;

export const FUNCTION_COMMANDS: Readonly<Record<string, Handler>> = {
  'function|load': asked(load),
  'function|delete': asked(async (client, args) => {
    if (args.argc === 3 && isReserved(args.text(2))) return asServerSaid('ERR Library not found');
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
  'function|list': asked(async (client, args) => longest(client, args, (reply) => visible(client, reply))),
  'function|dump': asked((client, args) => longest(client, args, portable)),
};

/** What may have emptied the servers of more than it should. */
async function change(client: Client, args: SavedArguments): Promise<Buffer> {
  const names = shardNames(client);
  const reply = agreed(await fromShards(client, args.request), names);
  await client.context.functions.libraries.restore();
  return reply;
}

/** A FUNCTION LIST without what is there for the proxies' sake. */
function visible({ session }: Client, reply: Buffer): Buffer {
  if (!reply.includes(RESERVED)) return reply;
  const libraries = decode(reply) as readonly Decoded[];
  return encodeValue(
    session.resp,
    libraries.filter((library) => !isReserved(String(nameOf(library)))),
  );
}

/** A FUNCTION DUMP without that: it can be restored here as well as at another cluster. */
function portable(reply: Buffer): Buffer {
  const payload = decode(reply);
  if (!Buffer.isBuffer(payload)) return reply;
  const rest = withoutLibraries(payload, LONGEST_HEADER, isOurs);
  return rest === undefined ? reply : bulk(rest);
}

/** Whether a library's code, or its beginning, is named as the proxy's own are. */
function isOurs(code: string): boolean {
  const [header = ''] = code.split('\n', 1);
  return header.toLowerCase().includes(RESERVED);
}

/** Of a library in FUNCTION LIST, in either version. */
function nameOf(library: Decoded): Decoded | undefined {
  const flat = library instanceof Pairs ? library.entries.flat() : (library as readonly Decoded[]);
  return flat[flat.findIndex((each, i) => i % 2 === 0 && String(each) === 'library_name') + 1];
}

async function load(client: Client, args: SavedArguments): Promise<Buffer> {
  if (isOurs(args.text(args.argc - 1)))
    return asServerSaid(`ERR slotless: libraries whose names begin with ${RESERVED} are the proxy's own`);
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

async function longest(
  client: Client,
  args: SavedArguments,
  shown: (reply: Buffer) => Buffer,
): Promise<Buffer> {
  const names = shardNames(client);
  const replies = (await fromShards(client, args.request)).map((reply) =>
    isError(reply) ? reply : shown(reply),
  );
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
