// XREAD of streams in several slots, with and without BLOCK. Cold.
//
// Reading takes nothing away, so all slots are asked at once, and what they give is merged in the order of the
// streams asked for. With BLOCK `$` is made an id first, once; when no slot has anything, the first that gets
// something answers, with that stream alone, as one server would.

import { isNil, keysOf, withKeys, wordsOf } from '../command/blocking.ts';
import type { Command } from '../command/command.ts';
import { slotOf } from '../command/slot.ts';
import { mergeStreams } from '../command/streams.ts';
import type { Frame } from '../resp/request.ts';
import { command as encodeCommand } from '../resp/write.ts';
import { Asker, ServerError } from './asker.ts';
import type { Blocking } from './blocked.ts';
import type { Client } from './client.ts';
import { Question } from './request.ts';
import { empty, type Group, groups, race } from './rivals.ts';
import { parseReply, SavedArguments } from './saved.ts';

const MINUS = 45;

/** XREAD without BLOCK. False: not now. */
export function readStreams(client: Client, command: Command, f: Frame): boolean {
  if (!client.settled || client.pending > 0) return false;
  const args = new SavedArguments(f);
  const words = wordsOf(args);
  const keys = keysOf(command, args);
  return client.workOut(command, () => {
    const ask = ({ slot, keys: some }: Group) =>
      Question.ask(client, slot, encodeCommand(withKeys(command, words, keys, some)), true);
    return merged(client.session.resp, words, groups({ words, keys }), ask);
  });
}

/** XREAD with BLOCK. `only`: the one slot its streams lie in; -1: they lie in several. */
export async function blockOnStreams(call: Blocking, only: number): Promise<Buffer> {
  const { command, keys, lane } = call;
  const words = await withIds(call);
  if (only >= 0) {
    const seat = call.sit(only, words);
    return call.conclude(await seat.run(), seat.wasBlocked);
  }
  const all = groups(call);
  const wordsFor = (some: readonly number[]) => withKeys(command, words, keys, some);
  const there = await merged(lane.resp, words, all, ({ slot, keys: some }) =>
    call.sit(slot, wordsFor(some), true).run(),
  );
  if (call.how === undefined && isNil(there)) {
    const replies = await race(
      call,
      all.map(({ slot, keys: some }) => call.sit(slot, wordsFor(some))),
    );
    const found = replies.find((reply) => isData(reply));
    return call.conclude(found ?? empty(call, replies), true);
  }
  return call.conclude(isData(there) ? there : empty(call, [there]), false);
}

function isData(reply: Buffer): boolean {
  return reply[0] !== MINUS && !isNil(reply);
}

/** Asks all slots; their replies in one, or the first error. */
async function merged(
  resp: 2 | 3,
  words: readonly Buffer[],
  all: readonly Group[],
  ask: (group: Group) => Promise<Buffer>,
): Promise<Buffer> {
  const slots = await Promise.all(
    all
      .flatMap((group) => apart(words, group))
      .map(async (group) => ({
        asked: group.keys.map((at) => ({ at, name: words[at]! })),
        reply: await ask(group),
      })),
  );
  const failed = slots.find(({ reply }) => reply[0] === MINUS);
  return failed?.reply ?? mergeStreams(resp, slots);
}

/** A stream that stands twice is asked for twice: of one answer nobody could tell for which id it is. */
function apart(words: readonly Buffer[], { slot, keys }: Group): Group[] {
  const parts: Group[] = [];
  const seen = new Map<string, number>();
  for (const at of keys) {
    const name = words[at]!.toString('latin1');
    const nth = seen.get(name) ?? 0;
    seen.set(name, nth + 1);
    if (nth === parts.length) parts.push({ slot, keys: [] });
    parts[nth]!.keys.push(at);
  }
  return parts;
}

/**
 * The call's words with an id for each `$`: that of the stream's last entry. Entries that come later have
 * higher ones, also where the last one that was ever there has been deleted. So nothing is missed while the call
 * goes from one node to another. A user who may not give XREVRANGE keeps the `$`.
 */
async function withIds({ client, words, keys }: Blocking): Promise<Buffer[]> {
  const ids = new Map<number, Buffer>();
  await Asker.with(client, async (asker) => {
    const find = async (at: number) => {
      const id = at + keys.length;
      if (words[id]!.toString('latin1') !== '$') return;
      const key = words[at]!;
      const slot = slotOf(key, 0, key.length);
      const entries = parseReply(await asker.raw(slot, ['XREVRANGE', key, '+', '-', 'COUNT', 1]));
      if (entries instanceof Error) {
        if (entries.message.startsWith('NOPERM')) return;
        throw new ServerError(entries.message);
      }
      const [last] = entries as [Buffer, unknown][];
      ids.set(id, last?.[0] ?? Buffer.from('0-0'));
    };
    await Promise.all(keys.map(find));
  });
  return words.map((each, i) => ids.get(i) ?? each);
}
