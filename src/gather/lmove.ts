// LMOVE, RPOPLPUSH and their blocking forms from slot to slot: the element at the source's end is pushed there, and
// then popped here. The list is never copied.
//
// Somebody else may change the source in between. An element that is at its end all the same is popped; one that is
// no more at the end, since something was pushed behind it, is removed where it is (LREM): our move was first then. One
// that is gone is taken away there again, and the move begins anew with the next. One that is gone here and there has
// been popped twice, by two who are no moves, and the client is told.
//
// A source which others change all the time would never stand still for as long as the way takes: after a few tries
// it is watched no more, and LREM alone decides, at one instant, whether the element was still there.

import * as errors from '../resp/errors.ts';
import { mayCopy } from './copies.ts';
import type { Crossing } from './crossing.ts';
import { type Lock, Lost } from './lock.ts';
import { moving, objectionOf, type Pair, Thwarted } from './pair.ts';
import type { Reach } from './reach.ts';
import { bulkOf, integerOf, isError } from './replies.ts';
import { step } from './steps.ts';

type End = 'LEFT' | 'RIGHT';
interface Ends {
  readonly from: End;
  readonly to: End;
}

const POP = { LEFT: 'LPOP', RIGHT: 'RPOP' } as const;
const PUSH = { LEFT: 'LPUSH', RIGHT: 'RPUSH' } as const;
/** LINDEX's index of the end. */
const INDEX = { LEFT: 0, RIGHT: -1 } as const;
/** LREM's count: one, searched from that end. */
const COUNT = { LEFT: 1, RIGHT: -1 } as const;
/** Tries at a source that stands still. */
const WATCHED = 3;

/** A nil where the source is empty, of the blocking forms as well. */
export async function lmove(call: Crossing): Promise<Buffer> {
  const { reach, limits } = call;
  const ends = endsOf(call);
  if (ends === undefined) return (await objectionOf(call)) ?? errors.crossSlot();
  return moving(call, async (pair) => {
    const { source, destination } = pair;
    const end = ['LINDEX', source.name, INDEX[ends.from]];
    const [before] = await pair.ask(end, ['EXISTS', destination.name]);
    if (elementOf(before) === undefined) return before;
    mayCopy(before.length, limits.maxBytes);
    return reach.within(before.length, async () => {
      await pair.lock({ watched: true, reads: [end] });
      const now = source.seen[0]!;
      const element = elementOf(now);
      return element === undefined ? now : ((await move(reach, pair, element, ends)) ?? now);
    });
  });
}

/** An error; undefined when it is done. */
async function move(
  reach: Reach,
  { source, destination }: Pair,
  element: Buffer,
  { from, to }: Ends,
): Promise<Buffer | undefined> {
  const { name, slot } = destination;
  step('move: write');
  const [pushed] = await destination.change([[PUSH[to], name, element]]);
  // Where what it said is lost, only a wrong type can have stood in the way.
  const length = pushed ?? (await reach.ask(slot, ['LLEN', name], true));
  if (isError(length)) return length;
  step('move: remove');
  if (await remove(source, element, from)) return undefined;
  step('move: undo');
  const [undone] = await destination.change([['LREM', name, COUNT[to], element]]);
  if (undone === undefined || isError(undone) || integerOf(undone) === 0)
    throw new Lost('the element has been taken from both');
  destination.changed = false;
  throw new Thwarted();
}

/** Takes the element off the source; false: somebody else has. */
async function remove(source: Lock, element: Buffer, from: End): Promise<boolean> {
  for (let tries = 0; tries < WATCHED; tries++) {
    const [end] = tries === 0 ? source.seen : await source.look();
    if (elementOf(end!)?.equals(element) !== true) break;
    if (await source.attempt([[POP[from], source.name]])) return true;
  }
  const [removed] = await source.change([['LREM', source.name, COUNT[from], element]]);
  return removed === undefined || (!isError(removed) && integerOf(removed) === 1);
}

function elementOf(reply: Buffer): Buffer | undefined {
  return isError(reply) ? undefined : bulkOf(reply);
}

function endsOf({ command, words }: Crossing): Ends | undefined {
  if (command.name === 'rpoplpush' || command.name === 'brpoplpush') return { from: 'RIGHT', to: 'LEFT' };
  const [from, to] = [words[3], words[4]].map((word) => String(word).toUpperCase());
  return isEnd(from) && isEnd(to) ? { from, to } : undefined;
}

function isEnd(word: string | undefined): word is End {
  return word === 'LEFT' || word === 'RIGHT';
}
