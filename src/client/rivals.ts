// Pops whose keys lie in several slots: BLPOP BRPOP BLMPOP BZPOPMIN BZPOPMAX BZMPOP.
//
//   BRPOP a b c 5      in the order of the keys: a's slot, b's, c's, each asked for what is there now
//                      nothing: all slots at once, each on a link of its own
//                         a's slot --element--> the reply; the others are unblocked
//                         b's slot --element--> in the same instant: it goes back where it was
//
// Within a slot the server keeps the order of the keys. The slots are not asked in one instant: of two elements
// that come while they are being asked, the one behind may be served before the one in front. Nothing is lost,
// and nothing is done twice. The reply waits until all slots have spoken, so what the client does next comes
// behind whatever went back. Cold.

import { isNil, undoOf, withKeys } from '../command/blocking.ts';
import { slotOf } from '../command/slot.ts';
import type { Blocking } from './blocked.ts';
import { putBack } from './putback.ts';
import { endedReply, type Seat } from './seat.ts';

/** Keys that lie in one slot, by where they stand in the call. */
export interface Group {
  readonly slot: number;
  readonly keys: number[];
}

const MINUS = 45;

export async function inSeveralSlots(call: Blocking): Promise<Buffer> {
  for (const { slot, keys } of runs(call)) {
    const reply = await call.sit(slot, wordsFor(call, keys), true).run();
    if (!isNil(reply)) return call.conclude(reply, false);
    if (call.how !== undefined) return call.conclude(endedReply(call.how, call.lane.resp), true);
  }
  const replies = await race(
    call,
    groups(call).map(({ slot, keys }) => call.sit(slot, wordsFor(call, keys))),
  );
  const popped = replies.filter((reply) => undoOf(call.command, call.words, reply) !== undefined);
  const [first, ...late] = popped;
  for (const reply of late)
    await putBack(call.client, call.command, undoOf(call.command, call.words, reply)!);
  return call.conclude(first ?? empty(call, replies), true);
}

/** All replies, as they came. The first ends the others. */
export async function race(call: Blocking, seats: readonly Seat[]): Promise<readonly Buffer[]> {
  const replies: Buffer[] = [];
  const sit = async (seat: Seat) => {
    replies.push(await seat.run());
    if (replies.length > 1) return;
    for (const other of seats) if (other !== seat) other.end(call.how ?? 'TIMEOUT');
  };
  await Promise.all(seats.map(sit));
  return replies;
}

/** The reply when no slot had anything. */
export function empty({ how, lane }: Blocking, replies: readonly Buffer[]): Buffer {
  if (how !== undefined) return endedReply(how, lane.resp);
  return replies.find((reply) => reply[0] === MINUS) ?? replies[0]!;
}

/** By slot, in the order in which the slots come first. */
export function groups({ words, keys }: Pick<Blocking, 'words' | 'keys'>): Group[] {
  const found = new Map<number, Group>();
  for (const at of keys) {
    const key = words[at]!;
    const slot = slotOf(key, 0, key.length);
    const group = found.get(slot) ?? { slot, keys: [] };
    group.keys.push(at);
    found.set(slot, group);
  }
  return [...found.values()];
}

/** Keys that follow each other and lie in one slot. */
function runs({ words, keys }: Blocking): Group[] {
  const found: Group[] = [];
  for (const at of keys) {
    const key = words[at]!;
    const slot = slotOf(key, 0, key.length);
    const last = found.at(-1);
    if (last?.slot === slot) last.keys.push(at);
    else found.push({ slot, keys: [at] });
  }
  return found;
}

function wordsFor(call: Blocking, keys: readonly number[]): Buffer[] {
  return withKeys(call.command, call.words, call.keys, keys);
}
