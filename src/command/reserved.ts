// Names of keys that are the proxy's own, for as long as a command across slots needs them.
//
//     slotless:tmp:{5k}:9f3a...:1        a copy; it is made, used and removed in one transaction
//     slotless:lock:{5k}:user:7          who moves the key user:7 just now; the tag puts it into that key's slot
//     slotless:probe:{5k}                never there: a command on it is redirected when the slot is not wholly here
//
// A key is in the slot of what stands in its braces, so each slot has a tag: the first number, written with 36
// digits, that falls into it.

import { skip } from '../resp/reply.ts';
import { array } from '../resp/write.ts';
import { headOf, NOT_AN_ARRAY } from './head.ts';
import { SLOTS, slotOf } from './slot.ts';

/** How every key of the proxy's own begins. */
const RESERVED = 'slotless:';
const TEMPORARY = `${RESERVED}tmp:`;
const LOCK = `${RESERVED}lock:`;
const PREFIXES = [Buffer.from(TEMPORARY), Buffer.from(LOCK)] as const;

let tags: string[] | undefined;

/** A short text without braces whose slot is this one. */
export function tagOf(slot: number): string {
  tags ??= findTags();
  return tags[slot]!;
}

/** The name of a copy in a slot. `id` is of one command alone. */
export function temporaryKey(slot: number, id: string, i: number): Buffer {
  return Buffer.from(`${TEMPORARY}{${tagOf(slot)}}:${id}:${i}`);
}

/** The key that says who moves a key; in its slot. */
export function lockKey(slot: number, key: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${LOCK}{${tagOf(slot)}}:`), key]);
}

/** A key of a slot that nobody uses, to ask a node whether the slot is its own. */
export function probeKey(slot: number): string {
  return `${RESERVED}probe:{${tagOf(slot)}}`;
}

/** Whether a key is one of the proxy's own. */
export function isReserved(key: Uint8Array): boolean {
  return PREFIXES.some((prefix) => prefix.compare(key, 0, Math.min(prefix.length, key.length)) === 0);
}

/** The reply of KEYS without them. */
export function withoutReserved(reply: Buffer): Buffer {
  if (!PREFIXES.some((prefix) => reply.includes(prefix))) return reply;
  const { type, count, end } = headOf(reply);
  if (type === NOT_AN_ARRAY) return reply;
  const kept: Buffer[] = [];
  for (let i = 0, at = end; i < count; i++) {
    const next = skip(reply, at, reply.length);
    const key = reply.subarray(reply.indexOf('\n', at) + 1, next - 2);
    if (!isReserved(key)) kept.push(reply.subarray(at, next));
    at = next;
  }
  return array(kept);
}

function findTags(): string[] {
  const found = new Array<string>(SLOTS).fill('');
  const bytes = Buffer.alloc(8);
  for (let n = 0, missing = SLOTS; missing > 0; n++) {
    const tag = n.toString(36);
    const slot = slotOf(bytes, 0, bytes.write(tag, 'latin1'));
    if (found[slot] !== '') continue;
    found[slot] = tag;
    missing--;
  }
  return found;
}
