// SCAN's walk over servers with the slot in their cursors: one step of it.
//
// The invariant: the client's cursor passes a slot only when all keys of it that were there throughout have been
// given. So each step is watched: a slot that turns out not to be the node's own is asked of its owner; of one
// that is being moved, what has left already is asked of the node it goes to.
//
//   slots  100 ... 200 ... 300          200 is leaving A for B
//   at A   [-------x]                   A's keys of 200 and, behind them, B's
//   at B           [x]                  the cursor's tag says where a walk within 200 stands: A's or B's
//   at A             [-----]
//
// Keys may leave A while it is walked, so B comes after A. Keys that go back to A, as the move was called off,
// make the slot be walked anew: so the tag at A tells too whether the slot was being moved.

import type { Node } from '../cluster/node.ts';
import { SLOTS } from '../cluster/topology.ts';
import { askFor, type Cursor, nextCursor, tagOf } from '../command/cursor.ts';
import { processOf, remember, type ScanCall, type Step, scanNode, tooLarge } from './step.ts';
import { Again, type Survey } from './survey.ts';

/** Dict parts from here on leave no room for the tag. */
const TAGGED = 2 ** 26;

/** Asks one node on from a cursor. Throws Again where the map was wrong. */
export async function walkSlots(survey: Survey, call: ScanCall, cursor: Cursor): Promise<Step> {
  if (call.slot >= 0 && cursor.at > call.slot) return { keys: [], next: '0', ended: true };
  if (call.slot >= 0 && cursor.at < call.slot) return walkSlots(survey, call, startOf(call.slot));
  const slot = cursor.at;
  const walkEnd = call.slot >= 0 ? call.slot : SLOTS - 1;
  const node = survey.ownerOf(slot);
  let process = await processOf(survey, node);
  let heir: string | undefined;
  if (cursor.tag >= 0 && cursor.tag !== tagOf(process)) {
    const standing = await survey.standingOf(node);
    survey.mustOwn(node, slot, standing);
    process = remember(node, standing.process);
    heir = standing.leaving.get(slot);
    if (heir !== undefined && cursor.tag !== openTag(process, heir)) {
      if (cursor.tag === tagOf(await processOf(survey, survey.nodeOf(heir)))) {
        const rest = await walkMoved(survey, call, node, slot, heir, cursor.dict);
        return { ...rest, next: rest.next ?? (slot < walkEnd ? String(slot + 1) : '0') };
      }
      heir = undefined;
    }
  }

  const tag = heir === undefined ? tagOf(process) : openTag(process, heir);
  const scan = () => scanNode(survey, call, node, askFor(cursor, tag));
  if (cursor.dict > 0 && heir === undefined) {
    const [reply, whole] = await survey.ifWhole(node, process, slot, scan);
    if (whole && isWithin(reply.cursor, slot)) {
      return {
        keys: reply.keys,
        next: nextCursor(reply.cursor, slot, slot, tag) ?? tooLarge(),
        ended: false,
      };
    }
  }
  const [reply, standing] = await survey.withStanding(node, scan);
  survey.mustOwn(node, slot, standing);
  if (remember(node, standing.process) !== process) throw new Again(`${node.address} has been started anew`);
  const leaving = standing.leaving.get(slot);
  if (heir !== undefined && heir !== leaving) throw new Again(`the move of slot ${slot} has been called off`);
  const runEnd = Math.min(standing.runEnd(slot), walkEnd);
  const at = Number(reply.cursor) % SLOTS;
  const ended = reply.cursor === '0' || at < slot || at > runEnd;
  const nextTag = !ended && at === slot && leaving !== undefined ? openTag(process, leaving) : tagOf(process);
  const next = nextCursor(reply.cursor, slot, runEnd, nextTag, walkEnd) ?? tooLarge();
  const last = ended ? runEnd : at - 1;
  const open = firstWithin(standing.leaving.keys(), slot, last);
  if (open === undefined) return { keys: reply.keys, next, ended };

  const moved = await walkMoved(survey, call, node, open, standing.leaving.get(open)!, 0);
  const keys = reply.keys.concat(moved.keys);
  if (moved.next !== undefined) return { keys, next: moved.next, ended: moved.ended };
  return open < last ? { keys, next: String(open + 1), ended: true } : { keys, next, ended };
}

/** Of a cursor within a slot that is leaving for another node. */
function openTag(process: string, heir: string): number {
  return tagOf(`${process} ${heir}`);
}

/** As much of a slot as has left its owner for another node already. `next` is undefined when that is all. */
async function walkMoved(
  survey: Survey,
  call: ScanCall,
  owner: Node,
  slot: number,
  heir: string,
  from: number,
) {
  const node = survey.nodeOf(heir);
  const process = await processOf(survey, node);
  const tag = tagOf(process);
  const ownerProcess = await processOf(survey, owner);
  const clear = tag !== tagOf(ownerProcess) && tag !== openTag(ownerProcess, heir);
  let keys: Buffer[] = [];
  for (let dict = from; ; ) {
    const reply = await scanNode(survey, call, node, String(dict * SLOTS + slot));
    keys = keys.concat(reply.keys);
    if (!isWithin(reply.cursor, slot)) break;
    dict = Math.floor(Number(reply.cursor) / SLOTS);
    // Where the tag can't tell the two nodes apart, the walk here is not interrupted.
    if (dict < TAGGED && clear)
      return { keys, next: nextCursor(reply.cursor, slot, slot, tag), ended: false };
  }
  const [there, here] = await Promise.all([survey.standingOf(node), survey.standingOf(owner)]);
  if (remember(node, there.process) !== process) throw new Again(`${node.address} has been started anew`);
  const arrived = there.owned[slot] === 1 && !there.leaving.has(slot);
  if (!arrived && here.leaving.get(slot) !== heir) {
    const anew = await walkSlots(survey, call, startOf(slot));
    return { ...anew, keys: keys.concat(anew.keys) };
  }
  return { keys, next: undefined, ended: true };
}

function startOf(slot: number): Cursor {
  return { form: 'slot', at: slot, dict: 0, tag: -1 };
}

function isWithin(cursor: string, slot: number): boolean {
  return cursor !== '0' && Number(cursor) % SLOTS === slot;
}

function firstWithin(slots: Iterable<number>, from: number, to: number): number | undefined {
  return [...slots].filter((slot) => from <= slot && slot <= to).sort((a, b) => a - b)[0];
}
