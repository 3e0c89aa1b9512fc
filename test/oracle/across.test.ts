/**
 * The oracle of commands across slots: random calls over keys of all types in many slots, answered by the proxy as by
 * one server, and the same data behind them.
 *
 * RUNS in the environment: so many sequences for each server, in place of a short form.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { RawClient } from '../support/client.ts';
import { availableServers } from '../support/servers.ts';
import { callOf, holdingsOf, READY, RECODES, sent } from './across.ts';
import { nodeOf } from './alike.ts';
import { comparedOf } from './exceptions.ts';
import { type Both, closeStand, connectBoth, openStand, type Stand, show } from './stand.ts';

const RUNS = Number(process.env['RUNS'] ?? 150);
const LONGEST = 60;

/** Sets of many members are poured from node to node. */
const SETTINGS = { 'crossSlot.level': 'all', streamAbove: '64kb' };

/** At first keys are filled, or there would be nothing to do with. */
const some = (call: fc.Arbitrary<string[]>) =>
  fc.array(call, { minLength: 1, maxLength: LONGEST, size: 'max' });
const sequenceOf = (...sections: readonly string[]) =>
  fc.tuple(some(callOf('fill')), some(callOf(...sections))).map((parts) => parts.flat());

/** Where they are determined, encodings are compared as well. */
const work = fc.oneof(
  fc.record({ encodings: fc.constant(true), calls: sequenceOf(...READY) }),
  fc.record({ encodings: fc.constant(false), calls: sequenceOf(...READY, ...RECODES) }),
);

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let stand: Stand;
    let clients: Both<RawClient>;
    let control: Both<RawClient>;

    before(async () => {
      stand = await openStand({ server, replicas: 0 }, SETTINGS);
      clients = await connectBoth(stand);
      control = await connectBoth(stand, 3);
    });

    after(() => closeStand(stand));

    test('random calls across slots are answered as by one server, and leave the same data', {
      timeout: 60_000 + RUNS * 1000,
    }, async () => {
      const runs = fc.asyncProperty(fc.constantFrom('2', '3'), work, async (resp, { encodings, calls }) => {
        const all = [['RESET'], ['HELLO', resp], ['FLUSHALL'], ...calls];
        const [lone, proxy] = await Promise.all([answers(clients.lone, all), answers(clients.proxy, all)]);
        for (const [i, words] of all.entries()) {
          const [expected, found] = [lone[i]!, proxy[i]!];
          if (expected.equals(found)) continue;
          if (comparedOf(words)?.alike(nodeOf(expected), nodeOf(found))) continue;
          assert.equal(show(found), show(expected), `${words.join(' ')} (${i})`);
        }
        const [kept, held] = await Promise.all([
          holdingsOf(control.lone, encodings),
          holdingsOf(control.proxy, encodings),
        ]);
        assert.deepEqual(held, kept);
      });
      await fc.assert(runs, { numRuns: RUNS });
      for (const { port } of stand.cluster.primaries) {
        assert.deepEqual(await stand.cluster.cli(port, 'KEYS', 'slotless:*'), []);
      }
    });
  });
}

function answers(client: RawClient, calls: readonly (readonly string[])[]): Promise<Buffer[]> {
  const replies = client.read(calls.length);
  void client.send(Buffer.concat(calls.map(sent)));
  return replies;
}
