// XREADGROUP of streams in several slots, with and without BLOCK. Cold.
//
// What is delivered is delivered: it stands in the group's list of what its consumer has not acknowledged, and can't
// be taken back. So all is checked before anything is delivered, as one server does:
//
//     are the arguments sound?                    asked with a stream that is never there
//     each stream: is it one, has it the group?   XINFO GROUPS, in the order of the streams
//     each id that is not `>`                     asked with that stream alone: it reads what was delivered before
//     then all slots at once                      their replies in one, in the order of the streams
//
// A slot that fails only then can't undo what others have delivered: the reply is what there is, and the failure is
// logged. With BLOCK, when no slot has anything, the first that gets something ends the others; what these have
// delivered in the same instant is in the reply, too.

import { isNil, keysOf, withKeys, wordsOf } from '../command/blocking.ts';
import type { Command } from '../command/command.ts';
import { xreadOptions } from '../command/keys.ts';
import { probeKey } from '../command/reserved.ts';
import { slotOf } from '../command/slot.ts';
import { mergeStreams } from '../command/streams.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { command as encodeCommand } from '../resp/write.ts';
import { Asker } from './asker.ts';
import type { Blocking } from './blocked.ts';
import type { Client } from './client.ts';
import { Question } from './request.ts';
import { denialOfOther } from './rights.ts';
import { empty, type Group, groups } from './rivals.ts';
import { parseReply, SavedArguments, textOf } from './saved.ts';
import type { Seat } from './seat.ts';

const MINUS = 45;
/** What any server takes for an id. */
const PLAIN_ID = /^(>|\d{1,18}(-\d{1,18})?)$/;

/** A call of XREADGROUP. */
interface GroupCall {
  readonly client: Client;
  readonly command: Command;
  readonly args: SavedArguments;
  readonly words: readonly Buffer[];
  /** Where the streams stand. */
  readonly keys: readonly number[];
}

/** XREADGROUP without BLOCK. False: not now. */
export function readGroups(client: Client, command: Command, f: Frame): boolean {
  if (!client.settled || client.pending > 0) return false;
  const args = new SavedArguments(f);
  const call = { client, command, args, words: wordsOf(args), keys: keysOf(command, args) };
  return client.workOut(command, async () => {
    const refusal = await check(call);
    if (refusal !== undefined) return refusal;
    const all = groups(call);
    const replies = all.map(({ slot, keys }) => {
      client.wrote |= 1 << (slot >>> 9);
      return Question.ask(client, slot, encodeCommand(wordsFor(call, keys)), false);
    });
    return delivered(call, all, await Promise.all(replies));
  });
}

/** XREADGROUP with BLOCK. */
export async function blockOnGroups(call: Blocking): Promise<Buffer> {
  const refusal = await check(call);
  if (refusal !== undefined) return call.conclude(refusal, false);
  const all = groups(call);
  const there = await Promise.all(
    all.map(({ slot, keys }) => call.sit(slot, wordsFor(call, keys), true).run()),
  );
  const now = delivered(call, all, there);
  if (!isNil(now) || call.how !== undefined)
    return call.conclude(isNil(now) ? empty(call, there) : now, false);
  const replies = await race(
    call,
    all.map(({ slot, keys }) => call.sit(slot, wordsFor(call, keys))),
  );
  const reply = delivered(call, all, replies);
  return call.conclude(isNil(reply) ? empty(call, replies) : reply, true);
}

/** All replies, in the order of the seats. The first ends the others. */
async function race(call: Blocking, seats: readonly Seat[]): Promise<Buffer[]> {
  let first: Seat | undefined;
  return Promise.all(
    seats.map(async (seat) => {
      const reply = await seat.run();
      first ??= seat;
      if (first === seat) for (const other of seats) if (other !== seat) other.end(call.how ?? 'TIMEOUT');
      return reply;
    }),
  );
}

function wordsFor({ command, words, keys }: GroupCall, some: readonly number[]): Buffer[] {
  return withKeys(command, words, keys, some);
}

/** What the slots have delivered; an error only where there is nothing. */
function delivered({ client, words }: GroupCall, all: readonly Group[], replies: readonly Buffer[]): Buffer {
  const slots = all.map(({ slot, keys }, i) => ({
    slot,
    asked: keys.map((at) => ({ at, name: words[at]! })),
    reply: replies[i]!,
  }));
  const failed = slots.filter(({ reply }) => reply[0] === MINUS);
  const merged = mergeStreams(
    client.session.resp,
    slots.filter((each) => !failed.includes(each)),
  );
  if (failed.length === 0) return merged;
  if (isNil(merged)) return failed[0]!.reply;
  for (const { slot, reply } of failed)
    client.context.log.warn({ slot, error: textOf(reply) }, 'XREADGROUP: a slot failed that others did not');
  return merged;
}

/** What one server would say before it delivers anything; undefined: nothing. */
async function check(call: GroupCall): Promise<Buffer | undefined> {
  const { client, args, words, keys } = call;
  const denied = await denialOfOther(client, args);
  if (denied !== undefined) return denied;
  return Asker.asProxy(client, async (asker) => {
    const streams = keys.map((at) => ({ key: words[at]!, id: words[at + keys.length]! }));
    const noGroup = await probe(call, asker);
    if (!isNoGroup(noGroup)) return noGroup;
    const group = words[xreadOptions(args).group + 1]!;
    const slotOfKey = (key: Buffer) => slotOf(key, 0, key.length);
    const known = await Promise.all(
      streams.map(({ key }) => asker.raw(slotOfKey(key), ['XINFO', 'GROUPS', key])),
    );
    for (const [i, { key, id }] of streams.entries()) {
      const found = hasGroup(known[i]!, group);
      if (Buffer.isBuffer(found)) return found;
      if (!found) return naming(noGroup, probeKey(slotOfKey(streams[0]!.key)), key);
      if (PLAIN_ID.test(id.toString('latin1'))) continue;
      const reply = await asker.raw(slotOfKey(key), wordsFor(call, [keys[i]!]), false);
      if (reply[0] === MINUS) return reply;
    }
    return undefined;
  });
}

/** What a server says to the call with streams that are not there: the error for that, if the arguments are sound. */
function probe({ words, keys }: GroupCall, asker: Asker): Promise<Buffer> {
  const first = words[keys[0]!]!;
  const slot = slotOf(first, 0, first.length);
  const instead = words.map((word, i) => {
    if (keys.includes(i)) return probeKey(slot);
    return keys.includes(i - keys.length) ? '>' : word;
  });
  return asker.raw(slot, instead);
}

/** Whether a stream has a group, by XINFO GROUPS; or the error for what is none. */
function hasGroup(reply: Buffer, group: Buffer): boolean | Buffer {
  const listed = parseReply(reply);
  if (!Array.isArray(listed)) return /^-ERR no such key/.test(reply.toString('latin1')) ? false : reply;
  return (listed as unknown[][]).some((each) => {
    const name = each[each.findIndex((field, i) => i % 2 === 0 && String(field) === 'name') + 1];
    return Buffer.isBuffer(name) && name.equals(group);
  });
}

function isNoGroup(reply: Buffer): boolean {
  return reply.toString('latin1', 0, 9) === '-NOGROUP ';
}

/** The error with the name of another key: in the server's words, and up to a NUL as it does. */
function naming(error: Buffer, probe: string, key: Buffer): Buffer {
  const name = key.toString('latin1').split('\0', 1)[0]!;
  return errors.asServerSaid(textOf(error).replace(probe, () => name));
}
