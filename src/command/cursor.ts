// SCAN cursors: one number below 2^53 that walks the whole cluster and needs no memory in the proxy.
//
// Servers that keep one dictionary per slot (Redis from 7.4, Valkey from 8, in cluster mode) put the slot into
// their own cursor: dict << 14 | slot (kvstore.c, addDictIndexToCursor). The client's cursor is that number,
// and when a node has come to the end of its range of slots, the number of the slot after it. Older servers
// have one table per node; there the cursor names the primary by its place in the order of lowest slots.
//
//     bit 52  51        50 ......... 40 | 39 ......... 14 | 13 ... 0
//      0   |  tag (12 bits)             | dict (26 bits)  |  slot      the common form
//      1   |  0  | dict (37 bits)                         |  slot      a slot with more than 2^26 buckets
//      1   |  1  | tag (8) | the node's cursor (32 bits)  |  place     an older server; place has 11 bits
//
// A dict part is good only in the process that gave it: each hashes with a seed of its own. The tag tells that
// process; where it does not fit, the slot (or the older server's table) is walked again from its start: keys
// come twice, which SCAN allows, and none is missed. The second form has no room for a tag. A server's cursor
// beyond these bounds (2^37 buckets in a slot, 2^32 in an old server) gives an error and no guess.
//
// What remains: an older server's keys whose slots move to a primary already walked are missed, as is a change
// of the order of the primaries; and a change of form in mid-walk is for the caller to see, who starts again.

import { slotOf } from './slot.ts';

/** The cursor is by slot, or by place of the primary (an older server). */
export interface Cursor {
  readonly form: 'slot' | 'place';
  /** 0..16383, or 0..2047: the slot, or the primary's place. */
  readonly at: number;
  /** The server's part: what its dictionary (form slot) or the node (form place) said last; 0 at a start. */
  readonly dict: number;
  /** Of the process that gave `dict`; -1 where there is none to compare. */
  readonly tag: number;
}

/** Reads a cursor as a client sends it. @returns undefined where it is none of ours: `ERR invalid cursor` */
export function decodeCursor(text: string): Cursor | undefined {
  const cursor = numberOf(text);
  if (cursor === undefined) return undefined;
  if (cursor >= LONG + OLD) {
    const rest = cursor - LONG - OLD;
    const dict = Math.floor(rest / 2 ** PLACE_BITS) % 2 ** NODE_BITS;
    const tag = Math.floor(rest / 2 ** (PLACE_BITS + NODE_BITS));
    return { form: 'place', at: rest % 2 ** PLACE_BITS, dict, tag: dict === 0 ? -1 : tag };
  }
  const long = cursor >= LONG;
  const rest = long ? cursor - LONG : cursor;
  const above = Math.floor(rest / SLOT_SPAN);
  const dict = long ? above : above % 2 ** DICT_BITS;
  const tag = long || dict === 0 ? -1 : Math.floor(above / 2 ** DICT_BITS);
  return { form: 'slot', at: rest % SLOT_SPAN, dict, tag };
}

/**
 * Writes a cursor as a client gets it.
 * @param tag 12 bits, see `tagOf`
 * @returns undefined where the server's part is too large for it
 */
export function encodeCursor(
  form: Cursor['form'],
  at: number,
  dict: number,
  tag: number,
): string | undefined {
  if (form === 'place') {
    if (at >= 2 ** PLACE_BITS || dict >= 2 ** NODE_BITS) return undefined;
    // The start of the walk, and of it alone, is 0 in both forms.
    if (at === 0 && dict === 0) return '0';
    const tagged = dict === 0 ? 0 : tag % 2 ** OLD_TAG_BITS;
    return String(LONG + OLD + (tagged * 2 ** NODE_BITS + dict) * 2 ** PLACE_BITS + at);
  }
  if (dict < 2 ** DICT_BITS) {
    return String(((dict === 0 ? 0 : tag) * 2 ** DICT_BITS + dict) * SLOT_SPAN + at);
  }
  return dict < 2 ** LONG_DICT_BITS ? String(LONG + dict * SLOT_SPAN + at) : undefined;
}

/**
 * What to ask the node for, from a decoded cursor.
 * @param tag of the process that is asked now
 * @returns the server's cursor, in decimal
 */
export function askFor(cursor: Cursor, tag: number): string {
  const own = cursor.form === 'place' ? tag % 2 ** OLD_TAG_BITS : tag;
  const dict = cursor.tag === -1 || cursor.tag === own ? cursor.dict : 0;
  return String(cursor.form === 'place' ? dict : dict * SLOT_SPAN + cursor.at);
}

/**
 * The client's next cursor, of a server with the slot in its cursor.
 * @param reply the cursor that the server gave
 * @param slotAsked the slot of the cursor it was asked with
 * @param rangeEnd the last slot of the contiguous range around that slot which the node owns
 * @param tag of the process that was asked
 * @param walkEnd the last slot to walk: that of a pattern which lies in one slot, which is rangeEnd then too
 * @returns '0' at the end; undefined where the server's cursor is beyond the bounds
 */
export function nextCursor(
  reply: string,
  slotAsked: number,
  rangeEnd: number,
  tag: number,
  walkEnd = SLOT_SPAN - 1,
): string | undefined {
  const cursor = numberOf(reply);
  if (cursor === undefined) return undefined;
  const slot = cursor % SLOT_SPAN;
  const past = cursor === 0 || slot < slotAsked || slot > rangeEnd;
  if (past) return rangeEnd < walkEnd ? String(rangeEnd + 1) : '0';
  return encodeCursor('slot', slot, Math.floor(cursor / SLOT_SPAN), tag);
}

/**
 * The client's next cursor, of an older server.
 * @param place of the primary that was asked, in the order of their lowest slots
 * @param places how many there are; place + 1 where the walk is to end with this one
 */
export function nextPlace(reply: string, place: number, places: number, tag: number): string | undefined {
  const cursor = numberOf(reply);
  if (cursor === undefined) return undefined;
  if (cursor !== 0) return encodeCursor('place', place, cursor, tag);
  return place + 1 < places ? encodeCursor('place', place + 1, 0, tag) : '0';
}

/** 12 bits that tell a process: give it the node's id and its run id, together. */
export function tagOf(identity: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < identity.length; i++) hash = Math.imul(hash ^ identity.charCodeAt(i), 0x01000193);
  return ((hash >>> 20) ^ (hash >>> 8) ^ hash) & 0xfff;
}

/** Whether a server has the slot in its cursors, from its INFO server. Valkey's redis_version is no guide. */
export function cursorHoldsSlot(info: string): boolean {
  const valkey = /^valkey_version:(\d+)/m.exec(info);
  if (valkey) return Number(valkey[1]) >= 8;
  const redis = /^redis_version:(\d+)\.(\d+)/m.exec(info);
  return redis !== null && Number(redis[1]) * 1000 + Number(redis[2]) >= 7004;
}

/**
 * The slot in which all keys lie that a glob pattern can match, or -1. A pattern has one where its hash tag is
 * plain text, or where it is plain text altogether (db.c, patternHashSlot; here also after an empty tag, which
 * makes the whole key count).
 */
export function slotOfPattern(bytes: Uint8Array, start: number, end: number): number {
  let open = -1;
  let tagged = true;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === STAR || byte === QUESTION || byte === BRACKET || byte === BACKSLASH) return -1;
    if (!tagged) continue;
    if (byte === OPEN && open < 0) open = i;
    else if (byte === CLOSE && open >= 0) {
      if (i > open + 1) return slotOf(bytes, open, i + 1);
      tagged = false;
    }
  }
  return slotOf(bytes, start, end);
}

const SLOT_SPAN = 2 ** 14;
const DICT_BITS = 26;
const LONG_DICT_BITS = 37;
const PLACE_BITS = 11;
const NODE_BITS = 32;
const OLD_TAG_BITS = 8;
/** Bit 52: not the common form; bit 51 then: an older server. */
const LONG = 2 ** 52;
const OLD = 2 ** 51;

const STAR = 42;
const QUESTION = 63;
const BRACKET = 91;
const BACKSLASH = 92;
const OPEN = 123;
const CLOSE = 125;

function numberOf(text: string): number | undefined {
  if (!/^\d{1,20}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}
