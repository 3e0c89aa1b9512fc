/** What the tests of `crossSlot: all` have in common: clients of a lone server and of a proxy that are to be alike. */

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type Argument, connect, decode, type RawClient, type Value } from '../support/client.ts';
import type { Lone } from '../support/cluster.ts';
import type { RunningProxy } from '../support/proxy.ts';

/** In the slots of three nodes; d and a are on one. */
export const KEYS = ['a', 'b', 'c', 'd'];

export async function open(t: TestContext, proxy: RunningProxy): Promise<RawClient> {
  const client = await proxy.connect();
  t.after(() => client.destroy());
  return client;
}

/** A client of the lone server, and one of the proxy, before empty keys. */
export async function pair(t: TestContext, lone: Lone, proxy: RunningProxy): Promise<[RawClient, RawClient]> {
  const oracle = await connect(lone.port);
  t.after(() => oracle.destroy());
  const clients: [RawClient, RawClient] = [oracle, await open(t, proxy)];
  for (const client of clients) await client.call('DEL', ...KEYS);
  return clients;
}

/** All are answered the same bytes, which are given. */
export async function same(clients: readonly RawClient[], ...call: Argument[]): Promise<string> {
  const [expected, got] = await Promise.all(clients.map((client) => client.call(...call)));
  assert.equal(String(got), String(expected), call.join(' '));
  return String(got);
}

/** All have the same under all keys. */
export async function sameData(clients: readonly RawClient[]): Promise<void> {
  const [expected, got] = await Promise.all(clients.map(contents));
  assert.deepEqual(got, expected);
}

/** What stands under the keys: type, value and whether it expires. */
async function contents(client: RawClient): Promise<Value[]> {
  const all: Value[] = [];
  for (const key of KEYS) {
    const type = String(await client.ask('TYPE', key));
    const ttl = Number(await client.ask('TTL', key));
    const read = READS[type];
    const value = read === undefined ? null : decode(await client.call(read[0], key, ...read.slice(1)));
    const members =
      type === 'set' || type === 'hash' ? JSON.stringify([...(value as Value[])].sort()) : value;
    all.push([key, type, members, ttl > 0 ? 'expires' : ttl]);
  }
  return all;
}

const READS: Readonly<Record<string, [string, ...string[]]>> = {
  string: ['GET'],
  list: ['LRANGE', '0', '-1'],
  set: ['SMEMBERS'],
  hash: ['HGETALL'],
  zset: ['ZRANGE', '0', '-1', 'WITHSCORES'],
  stream: ['XRANGE', '-', '+'],
};
