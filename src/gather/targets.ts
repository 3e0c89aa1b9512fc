// The keys of a command that runs on copies of all of them: each once, and what it is while it is watched.

import type { Key } from '../command/across.ts';
import type { Copy, Source } from './copies.ts';
import type { Held } from './reach.ts';
import { bulkOf, integerOf, isError } from './replies.ts';

/** What says that the slot is elsewhere now, or for a while nowhere. */
const ELSEWHERE = /^-(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY|LOADING|MASTERDOWN) /;

/** A key of the call. */
export interface Target extends Source {
  /** It may be changed. */
  readonly written: boolean;
}

/** A slot whose keys are watched on a link of one's own. */
export interface Place {
  readonly slot: number;
  readonly targets: readonly Target[];
  readonly held: Held;
}

/** The keys of a call, each once. */
export function targetsOf(keys: readonly Key[]): Target[] {
  const found = new Map<string, Target>();
  for (const { name, slot, written } of keys) {
    const text = name.toString('latin1');
    found.set(text, { name, slot, written: written || found.get(text)?.written === true });
  }
  return [...found.values()];
}

export function inSlots(targets: readonly Target[]): Map<number, Target[]> {
  return Map.groupBy(targets, ({ slot }) => slot);
}

/** A key as it is now. Undefined when the slot is on the move. */
export async function readKey(held: Held, { slot, name }: Source): Promise<Copy | undefined> {
  const replies = await Promise.all([held.ask(['DUMP', name]), held.ask(['PEXPIRETIME', name])]);
  if (replies.some((reply) => isError(reply) && ELSEWHERE.test(reply.toString('latin1')))) return undefined;
  const payload = bulkOf(replies[0]);
  const expires = integerOf(replies[1]) ?? -1;
  return { slot, name, payload, poured: false, expires: payload === undefined ? -1 : expires };
}
