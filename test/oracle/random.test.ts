/**
 * The oracle by chance: random calls, all sent before the first reply is read, answered by the proxy as by one
 * server that has executed them one after the other. So a call that overtakes another, whether it goes to one
 * node, to several or to none, is seen in what it returns.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { type Argument, encode, type RawClient } from '../support/client.ts';
import { availableServers } from '../support/servers.ts';
import { nodeOf } from './alike.ts';
import { comparedOf } from './exceptions.ts';
import { type Both, closeStand, connectBoth, openStand, type Stand, show } from './stand.ts';
import { readCall, sections } from './tables.ts';

const RUNS = 400;
const LONGEST = 60;

const one = (kind: string) => [`{q}${kind}1`, `{q}${kind}2`, `{q}${kind}3`];
const several = (kind: string) => [`${kind}1`, `${kind}2`, `{q}${kind}1`, `{q}${kind}2`];
const kinds = ['s', 'l', 't', 'z', 'h', 'x'];
const VALUES = ['', 'a', '7', '-1', 'x'.repeat(200), '3.5', 'two words', '\r\n'];
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(kinds.map((kind) => [kind, several(kind)])),
  ...Object.fromEntries(kinds.map((kind) => [kind.toUpperCase(), one(kind)])),
  k: kinds.flatMap(several),
  m: ['a', 'b', 'c', '1', '2'],
  v: VALUES,
  n: ['0', '1', '2', '3', '5', '12'],
};

const templates = sections(new URL('random.txt', import.meta.url)).flatMap(({ lines }) =>
  lines.map(({ text, at }) => readCall(text, at).words.map(String)),
);

/** A call: a line of the table, its choices made. */
const call = fc
  .tuple(fc.constantFrom(...templates), fc.array(fc.nat(1000), { minLength: 8, maxLength: 8 }))
  .map(([words, chosen]) =>
    words.map((word, i) =>
      word.replace(/%(\w)/, (_, from: string) => {
        const choices = CHOICES[from] ?? [];
        return choices[(chosen[i % chosen.length] ?? 0) % choices.length] ?? '';
      }),
    ),
  );

/** How the bytes are cut on their way; none: they go in one piece. */
const cuts = fc.oneof(fc.constant([]), fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 30 }));

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let stand: Stand;
    let clients: Both<RawClient>;

    before(async () => {
      stand = await openStand({ server, replicas: 0 });
      clients = await connectBoth(stand);
    });

    after(() => closeStand(stand));

    test('random calls sent at once are answered as by one server', async () => {
      const runs = fc.asyncProperty(
        fc.constantFrom('2', '3'),
        fc.array(call, { minLength: 1, maxLength: LONGEST, size: 'max' }),
        cuts,
        async (resp, calls, cuts) => {
          const all = [['RESET'], ['HELLO', resp], ['FLUSHALL'], ...calls];
          const [lone, proxy] = await Promise.all([
            answers(clients.lone, all, []),
            answers(clients.proxy, all, cuts),
          ]);
          for (const [i, words] of all.entries()) {
            const [expected, found] = [lone[i] ?? Buffer.alloc(0), proxy[i] ?? Buffer.alloc(0)];
            if (expected.equals(found)) continue;
            if (comparedOf(words)?.alike(nodeOf(expected), nodeOf(found))) continue;
            assert.equal(show(found), show(expected), `${words.join(' ')} (${i})`);
          }
        },
      );
      await fc.assert(runs, { numRuns: RUNS });
    });
  });
}

async function answers(
  client: RawClient,
  calls: readonly Argument[][],
  cuts: readonly number[],
): Promise<Buffer[]> {
  const bytes = Buffer.concat(calls.map(encode));
  const replies = client.read(calls.length);
  let at = 0;
  for (const length of cuts) {
    await client.send(bytes.subarray(at, at + length));
    at += length;
  }
  await client.send(bytes.subarray(at));
  return replies;
}
