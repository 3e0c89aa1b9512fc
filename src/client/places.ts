// SCAN's walk over older servers, whose cursors know no slots: primary after primary, by lowest slot.
//
// Each node's one table is walked to its end before the next one's. A key is missed when its slot goes to a
// node that has been walked, or is being walked, from one that has not been: so the cursor's tag tells which
// slots are behind the walk, which are under it and which of these are leaving, and which process the node is.
// When one of these is no longer so, the walk begins anew: keys come twice, and none is missed. While slots
// keep being moved, a walk over older servers therefore has no end.
//
// The end is given only when every node says that it owns what the map says, and with what has left the
// nodes for slots that are still on the move.

import type { Node } from '../cluster/node.ts';
import { NO_SHARD, SLOTS, type Topology } from '../cluster/topology.ts';
import { askFor, type Cursor, nextPlace, tagOf } from '../command/cursor.ts';
import { matchesGlob } from '../command/glob.ts';
import { ServerError } from './asker.ts';
import type { Standing } from './standing.ts';
import { type ScanCall, type Step, scanNode, tooLarge } from './step.ts';
import { Again, type Survey } from './survey.ts';

/** Keys of one open slot that are listed at once. */
const MOST_MOVED = 1_000_000;
/** Questions about keys at a time. */
const BATCH = 1000;

/** Asks one node on from a cursor, and the next where that has no more. Throws Again where the map was wrong. */
export async function walkPlaces(survey: Survey, call: ScanCall, cursor: Cursor): Promise<Step> {
  const { topology } = survey;
  const { order, traces } = placesOf(topology);
  const only = call.slot < 0 ? -1 : order.indexOf(topology.slots[call.slot]!);
  const first = Math.max(only, 0);
  const last = only < 0 ? order.length - 1 : only;
  const fits = cursor.form === 'place' && first <= cursor.at && cursor.at <= last;
  let from = fits ? cursor : startOf(first);
  let keys: Buffer[] = [];
  for (;;) {
    const place = from.at;
    const node = primaryOf(survey, order[place]!);
    const ask = String(from.dict);
    // Each step goes through all of the node's slots, so each is watched.
    const [reply, standing] = await survey.withStanding(node, () => scanNode(survey, call, node, ask));
    mustAgree(standing, topology, order[place]!);
    if (survey.topology !== topology) throw new Again('slots have moved');
    traces[place] ??= traceOf(topology, order, place);
    const tag = tagOf(`${standing.process} ${traces[place]} ${[...standing.leaving.keys()]}`);
    if (askFor(from, tag) !== ask) {
      from = startOf(first);
      continue;
    }
    keys = keys.concat(reply.keys);
    if (reply.cursor !== '0') {
      return { keys, next: nextPlace(reply.cursor, place, order.length, tag) ?? tooLarge(), ended: false };
    }
    if (place === last) break;
    from = startOf(place + 1);
  }
  for (const shard of only < 0 ? order : [order[only]!]) {
    const standing = await survey.standingOf(primaryOf(survey, shard));
    mustAgree(standing, topology, shard);
    for (const [slot, heir] of standing.leaving) {
      if (call.slot >= 0 && call.slot !== slot) continue;
      keys = keys.concat(await movedKeys(survey, call, slot, survey.nodeOf(heir)));
    }
  }
  return { keys, next: '0', ended: true };
}

/** The node must own what the map says that its shard does. */
function mustAgree({ owned }: Standing, { slots }: Topology, shard: number): void {
  for (let slot = 0; slot < SLOTS; slot++) {
    if ((slots[slot] === shard) !== (owned[slot] === 1)) throw new Again('slots have moved');
  }
}

interface Places {
  /** Shards by their lowest slot. */
  readonly order: readonly number[];
  /** By place: see traceOf. */
  readonly traces: (number | undefined)[];
}

const known = new WeakMap<Topology, Places>();

function placesOf(topology: Topology): Places {
  const found = known.get(topology);
  if (found !== undefined) return found;
  const order = [...new Set(topology.slots)];
  if (order.includes(NO_SHARD)) throw new Again('slots have no owner');
  const places = { order, traces: [] };
  known.set(topology, places);
  return places;
}

/** A number for which slots are behind a walk that is at `place`, and which are under it. */
function traceOf(topology: Topology, order: readonly number[], place: number): number {
  const placeOf = new Int32Array(topology.shards.length);
  for (const [i, shard] of order.entries()) placeOf[shard] = i;
  let hash = 0x811c9dc5 | 0;
  for (let slot = 0; slot < SLOTS; slot++) {
    const at = placeOf[topology.slots[slot]!]!;
    hash = Math.imul(hash ^ (at > place ? 0 : at === place ? 2 : 1), 0x01000193);
  }
  return hash;
}

function primaryOf(survey: Survey, shard: number): Node {
  const node = survey.own.cluster.primaries[shard];
  if (node === undefined) throw new Again('slots have moved');
  return node;
}

function startOf(place: number): Cursor {
  return { form: 'place', at: place, dict: 0, tag: -1 };
}

/** The keys of an open slot that have come to `heir`, as the pattern and the type choose them. */
async function movedKeys(survey: Survey, call: ScanCall, slot: number, heir: Node): Promise<Buffer[]> {
  const all = (await survey.own.value(heir, ['CLUSTER', 'GETKEYSINSLOT', slot, MOST_MOVED])) as Buffer[];
  if (all.length === MOST_MOVED)
    throw new ServerError(`ERR slotless: slot ${slot} is being moved, and has too many keys to be listed`);
  const { pattern, type } = call;
  const named = pattern === undefined ? all : all.filter((key) => matchesGlob(pattern, key));
  const keys: Buffer[] = [];
  for (let i = 0; i < named.length; i += BATCH) {
    const batch = named.slice(i, i + BATCH);
    // By slot, so that the question follows the key to where it is.
    const types = await Promise.all(batch.map((key) => survey.own.value(slot, ['TYPE', key])));
    for (const [j, found] of types.map(String).entries()) {
      if (found !== 'none' && (type === undefined || type === found)) keys.push(batch[j]!);
    }
  }
  return keys;
}
