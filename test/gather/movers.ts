/**
 * A crowd that moves values between keys of many slots, over several proxies at once, and counts them afterwards.
 *
 * Only such commands are given as leave the multiset of all values what it was on one server, in whatever order they
 * run: LMOVE and its kin between lists, SMOVE between sets, RENAMENX between any keys of a kind, and RENAME between
 * two names of which one is free. So what is different in the end was lost or doubled by the way they are done.
 */

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { slotOf } from '../../src/command/slot.ts';
import type { RawClient, Value } from '../support/client.ts';
import type { Cluster } from '../support/cluster.ts';
import type { RunningProxy } from '../support/proxy.ts';

const NAMES = 5;
const VALUES = 40;
const names = (kind: string, count = NAMES) => Array.from({ length: count }, (_, i) => `${kind}:${i}`);
const LISTS = names('list');
const SETS = names('set');
const TEXTS = names('text', 2 * NAMES);
const PAIRS = names('pair').map((name) => [name, `${name}'`] as const);

/** How often a kind of command was given, what it moved, and what was answered with an error. */
export interface Tally {
  asked: number;
  moved: number;
  readonly errors: Map<string, number>;
  /** Of each command, ms. */
  readonly times: number[];
}

export function newTally(): Tally {
  return { asked: 0, moved: 0, errors: new Map(), times: [] };
}

/** Gives the keys what is moved about. */
export async function lay(client: RawClient): Promise<void> {
  await client.ask('FLUSHALL');
  for (let i = 0; i < VALUES; i++) {
    await client.ask('RPUSH', pick(LISTS), `element:${i}`);
    await client.ask('SADD', pick(SETS), `member:${i}`);
  }
  for (const name of TEXTS.filter((_, i) => i % 2 === 0)) await client.ask('SET', name, `text of ${name}`);
  for (const [name] of PAIRS) await client.ask('SET', name, `pair of ${name}`, 'PX', 3_600_000);
}

/** Moves until it is told to stop. */
export async function move(client: RawClient, tally: Tally, wanted: () => boolean): Promise<void> {
  while (wanted()) {
    const command = anyCommand();
    const start = performance.now();
    const reply = await client.ask(...command);
    tally.times.push(performance.now() - start);
    tally.asked++;
    if (reply instanceof Error) note(tally, reply.message);
    else if (reply !== null && reply !== 0) tally.moved++;
  }
}

/** Every value there is, sorted. */
export async function values(client: RawClient): Promise<string[]> {
  const found: Value[] = [];
  for (const name of LISTS) found.push(...((await client.ask('LRANGE', name, 0, -1)) as Value[]));
  for (const name of SETS) found.push(...((await client.ask('SMEMBERS', name)) as Value[]));
  for (const name of [...TEXTS, ...PAIRS.flat()]) found.push(await client.ask('GET', name));
  return found
    .filter((value) => value !== null)
    .map(String)
    .sort();
}

/** A crowd at some proxies, until `wanted` says no: what it did. The values are as before, and no lock is left. */
export async function play(
  cluster: Cluster,
  proxies: readonly RunningProxy[],
  clients: number,
  wanted: () => boolean,
): Promise<Tally> {
  const crowd = await Promise.all(
    Array.from({ length: clients }, (_, i) => proxies[i % proxies.length]!.connect()),
  );
  const first = crowd[0]!;
  await lay(first);
  const before = await values(first);
  const tally = newTally();
  await Promise.all(crowd.map((client) => move(client, tally, wanted)));
  const after = await values(first);
  assert.deepEqual(after, before, `${after.length} values for ${before.length}; ${[...tally.errors.keys()]}`);
  const own = await Promise.all(cluster.primaries.map(({ port }) => cluster.cli(port, 'KEYS', 'slotless:*')));
  assert.deepEqual(own.flat(), []);
  for (const client of crowd) client.destroy();
  return tally;
}

/** Moves the keys' slots about, or fails nodes over by plan, as long as it is wanted; how often it did. */
export async function disturb(
  cluster: Cluster,
  wanted: () => boolean,
  { slots = false, failovers = false },
): Promise<number> {
  const keys = [...LISTS, ...SETS, ...TEXTS, ...PAIRS.flat()].map((name) => slotOfText(name));
  let count = 0;
  while (wanted() && (slots || failovers)) {
    if (slots) await cluster.moveSlot(pick(keys), pick(cluster.primaries).port);
    if (failovers && count % 20 === 0) await cluster.failover(pick(cluster.primaries).port);
    count++;
    await delay(50);
  }
  return count;
}

function slotOfText(name: string): number {
  const bytes = Buffer.from(name);
  return slotOf(bytes, 0, bytes.length);
}

function anyCommand(): string[] {
  const end = () => (Math.random() < 0.5 ? 'LEFT' : 'RIGHT');
  const [from, to] = [pick(LISTS), pick(LISTS)];
  const [one, other] = Math.random() < 0.5 ? pick(PAIRS) : pick(PAIRS).toReversed();
  return pick([
    ['LMOVE', from, to, end(), end()],
    ['LMOVE', from, to, end(), end()],
    ['RPOPLPUSH', from, to],
    ['BLMOVE', from, to, end(), end(), '0.05'],
    ['BRPOPLPUSH', from, to, '0.05'],
    ['RENAMENX', from, to],
    ['SMOVE', pick(SETS), pick(SETS), `member:${random(VALUES)}`],
    ['SMOVE', pick(SETS), pick(SETS), `member:${random(VALUES)}`],
    ['RENAMENX', pick(SETS), pick(SETS)],
    ['RENAMENX', pick(TEXTS), pick(TEXTS)],
    ['RENAME', one!, other!],
    ['RENAME', one!, other!],
  ]);
}

function note({ errors }: Tally, message: string): void {
  // Of two names, the one that is free just then.
  if (message === 'ERR no such key') return;
  errors.set(message, (errors.get(message) ?? 0) + 1);
}

function pick<T>(all: readonly T[]): T {
  return all[random(all.length)]!;
}

function random(below: number): number {
  return Math.floor(Math.random() * below);
}
