/**
 * Many clients blocked on lists in many slots, pushed to from several sides at once: every element is popped
 * exactly once, however many slots give one up in the same instant, whoever is unblocked and whoever leaves.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { chance } from '../cluster/model.ts';
import { decode, type RawClient } from '../support/client.ts';
import { startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

const LISTS = 12;
const keyOf = (i: number) => `race:${i}`;

interface Race {
  readonly seed: number;
  readonly poppers: number;
  readonly writers: number;
  readonly elements: number;
  /** Of lists that a call waits for. */
  readonly keys: number;
  /** How often, of a hundred calls, somebody ends it by CLIENT UNBLOCK, or its client by leaving. */
  readonly unblocked: number;
  readonly leaving: number;
}

const races: fc.Arbitrary<Race> = fc.record({
  seed: fc.nat(),
  poppers: fc.integer({ min: 1, max: 16 }),
  writers: fc.integer({ min: 1, max: 6 }),
  elements: fc.integer({ min: 50, max: 400 }),
  keys: fc.integer({ min: 1, max: LISTS }),
  unblocked: fc.constantFrom(0, 10, 40),
  leaving: fc.constantFrom(0, 10, 40),
});

test('every element is popped exactly once', async () => {
  const cluster = await startCluster({ replicas: 0 });
  const proxy = await startProxy({ cluster, settings: { workers: 2 } });
  try {
    await fc.assert(
      fc.asyncProperty(races, (race) => run(race, () => proxy.connect())),
      { numRuns: 12, endOnFailure: true, verbose: 1 },
    );
  } finally {
    await proxy.stop();
    await cluster.stop();
  }
});

async function run(race: Race, connect: () => Promise<RawClient>): Promise<void> {
  const random = chance(race.seed);
  const upTo = (n: number) => Math.floor(random() * n);
  const popped: string[] = [];
  let over = false;
  const judge = await connect();

  /** One call, and what becomes of it. False: the client has left. */
  const popOnce = async (client: RawClient, id: string): Promise<boolean> => {
    const keys = Array.from({ length: 1 + upTo(race.keys) }, () => keyOf(upTo(LISTS)));
    const how = upTo(3);
    const seconds = over || upTo(4) === 0 ? '0.01' : '0';
    const call =
      how === 2
        ? ['BLMPOP', seconds, keys.length, ...keys, upTo(2) === 0 ? 'LEFT' : 'RIGHT', 'COUNT', 1 + upTo(3)]
        : [how === 1 ? 'BLPOP' : 'BRPOP', ...keys, seconds];
    const sent = client.call(...call);
    if (upTo(100) < race.unblocked) {
      await nextTurn();
      judge.call('CLIENT', 'UNBLOCK', id, upTo(2) === 0 ? 'TIMEOUT' : 'ERROR').catch(() => {});
    }
    const leaves = upTo(100) < race.leaving;
    // It ends its side, and reads what may still come.
    if (leaves) client.socket.end();
    const reply = await sent.catch(() => undefined);
    if (reply === undefined) return false;
    const value = decode(reply);
    if (Array.isArray(value)) popped.push(...[value[1]].flat().map(String));
    else assert.ok(value === null || /^Error: UNBLOCKED/.test(String(value)), String(value));
    return !leaves;
  };
  const pop = async () => {
    let client = await connect();
    let id = String(await client.ask('CLIENT', 'ID'));
    while (!over) {
      if (await popOnce(client, id)) continue;
      client.destroy();
      client = await connect();
      id = String(await client.ask('CLIENT', 'ID'));
    }
    client.destroy();
  };

  const pushed: string[] = [];
  const push = async () => {
    const client = await connect();
    while (pushed.length < race.elements) {
      const elements = Array.from({ length: 1 + upTo(3) }, () => `e${pushed.length}:${upTo(1e9)}`);
      pushed.push(...elements);
      // Several lists at once: so that several slots may give up one to the same client.
      const replies = await client.pipeline(
        elements.map((element) => [upTo(2) === 0 ? 'LPUSH' : 'RPUSH', keyOf(upTo(LISTS)), element]),
      );
      for (const reply of replies) assert.match(String(reply), /^:/);
    }
    client.destroy();
  };

  const poppers = Array.from({ length: race.poppers }, pop);
  await Promise.all(Array.from({ length: race.writers }, push));
  over = true;
  // Those that are still blocked get a last element each.
  const last = await connect();
  const ends = Promise.all(poppers).then(() => true);
  await until('all to have ended', async () => {
    for (let i = 0; i < LISTS; i++) await last.call('RPUSH', keyOf(i), 'end');
    return Promise.race([ends, nextTurn(false)]);
  });
  const left: string[] = [];
  for (let i = 0; i < LISTS; i++) {
    left.push(...[await last.ask('LRANGE', keyOf(i), 0, -1)].flat().map(String));
    await last.call('DEL', keyOf(i));
  }
  for (const client of [judge, last]) client.destroy();
  const found = [...popped, ...left].filter((element) => element !== 'end').sort();
  assert.deepEqual(found, pushed.sort());
}
