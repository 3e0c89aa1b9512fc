/**
 * A crowd that moves values between keys of many slots, over several proxies at once, and counts them afterwards.
 *
 * Only such commands are given as leave the multiset of all values what it was on one server, in whatever order they
 * run: LMOVE and its kin between lists, SMOVE between sets, RENAMENX between any keys of a kind, and RENAME between
 * two names of which one is free. So what is different in the end was lost or doubled by the way they are done.
 * All of them go from slot to slot. (LMOVE of a list to itself does not, and knows nothing of locks: that is a writer
 * like any other, and a RENAMENX whose source and copy are both written to meanwhile says that there are two.)
 */

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { slotOf } from '../../src/command/slot.ts';
import { LEASE } from '../../src/gather/lock.ts';
import type { RawClient, Value } from '../support/client.ts';
import type { Cluster, Node } from '../support/cluster.ts';
import type { RunningProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

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
  /** Values that were there more than once in the end. */
  doubled: number;
  /** How often the cluster was disturbed. */
  disturbed: number;
  readonly errors: Map<string, number>;
  /** Of each command, ms. */
  readonly times: number[];
}

export function newTally(): Tally {
  return { asked: 0, moved: 0, doubled: 0, disturbed: 0, errors: new Map(), times: [] };
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

/** The proxies' own keys, at all nodes. */
export async function locks(cluster: Cluster): Promise<unknown[]> {
  const ask = ({ port }: Node) => cluster.cli(port, 'KEYS', 'slotless:*') as Promise<Value[]>;
  return (await Promise.all(cluster.primaries.map(ask))).flat();
}

/** What is done to the cluster meanwhile. Where nodes are killed, values may be doubled. */
export interface Trouble {
  readonly slots?: boolean;
  readonly failovers?: boolean;
  readonly kills?: boolean;
}

/** A crowd at some proxies, until `wanted` says no: what it did. No value is lost or doubled, and no lock is left. */
export async function play(
  cluster: Cluster,
  proxies: readonly RunningProxy[],
  clients: number,
  wanted: () => boolean,
  trouble: Trouble = {},
): Promise<Tally> {
  const crowd = await Promise.all(
    Array.from({ length: clients }, (_, i) => proxies[i % proxies.length]!.connect()),
  );
  const first = crowd[0]!;
  await lay(first);
  const before = await values(first);
  const tally = newTally();
  let playing = true;
  const moving = Promise.all(crowd.map((client) => move(client, tally, wanted)));
  const disturbing = disturb(cluster, () => playing, trouble);
  await moving.finally(() => {
    playing = false;
  });
  tally.disturbed = await disturbing;
  const found = await values(first);
  const after = trouble.kills ? [...new Set(found)] : found;
  tally.doubled = found.length - after.length;
  assert.deepEqual(after, before, `${after.length} values for ${before.length}; ${[...tally.errors.keys()]}`);
  const lease = trouble.kills ? LEASE : 0;
  await until('the locks to be gone', async () => (await locks(cluster)).length === 0, 2 * lease);
  for (const client of crowd) client.destroy();
  return tally;
}

/** Moves the keys' slots about, fails nodes over by plan, or kills them, as long as it is wanted; how often it did. */
async function disturb(
  cluster: Cluster,
  wanted: () => boolean,
  { slots, failovers, kills }: Trouble,
): Promise<number> {
  const keys = [...LISTS, ...SETS, ...TEXTS, ...PAIRS.flat()].map((name) => slotOfText(name));
  let count = 0;
  while (wanted() && (slots || failovers || kills)) {
    if (slots) await cluster.moveSlot(pick(keys), pick(cluster.primaries).port);
    // The nodes themselves may give one up, when they are too busy to get in step in time.
    if (failovers && count % 20 === 0) await cluster.failover(pick(cluster.primaries).port).catch(() => {});
    if (kills) await kill(cluster, pick(cluster.primaries));
    count++;
    await delay(50);
  }
  return count;
}

/** Kills a primary; when its replica has taken over it comes back as that one's replica. */
async function kill(cluster: Cluster, node: Node): Promise<void> {
  const [slot] = (await slotsOf(cluster, node)) as [number];
  await cluster.kill(node.port);
  const heir = await until('another owner', async () => {
    const owner = await cluster.ownerOf(slot);
    return owner.port !== node.port && owner;
  });
  heir.role = 'primary';
  node.role = 'replica';
  await cluster.restart(node.port);
  await cluster.settled();
  // Before that, what the heir has written is at no other node.
  await until('its replica', async () => {
    return /state=online/.test(String(await cluster.cli(heir.port, 'INFO', 'replication')));
  });
}

async function slotsOf(cluster: Cluster, { port }: Node): Promise<number[]> {
  const all = [...LISTS, ...SETS, ...TEXTS, ...PAIRS.flat(), ...'abcdefghijklmnopqrstuvwxyz'].map(slotOfText);
  const owners = await Promise.all(all.map((slot) => cluster.ownerOf(slot)));
  return all.filter((_, i) => owners[i]!.port === port);
}

function slotOfText(name: string): number {
  const bytes = Buffer.from(name);
  return slotOf(bytes, 0, bytes.length);
}

function anyCommand(): string[] {
  const end = () => (Math.random() < 0.5 ? 'LEFT' : 'RIGHT');
  const lists = two(LISTS);
  const sets = two(SETS);
  const member = `member:${random(VALUES)}`;
  return pick([
    ['LMOVE', ...lists, end(), end()],
    ['LMOVE', ...lists, end(), end()],
    ['RPOPLPUSH', ...lists],
    ['BLMOVE', ...lists, end(), end(), '0.05'],
    ['BRPOPLPUSH', ...lists, '0.05'],
    ['RENAMENX', ...lists],
    ['SMOVE', ...sets, member],
    ['SMOVE', ...sets, member],
    ['RENAMENX', ...sets],
    ['RENAMENX', ...two(TEXTS)],
    ['RENAME', ...two(pick(PAIRS))],
    ['RENAME', ...two(pick(PAIRS))],
  ]);
}

/** Two different ones, in any order. */
function two(all: readonly string[]): [string, string] {
  const one = pick(all);
  return [one, pick(all.filter((each) => each !== one))];
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
