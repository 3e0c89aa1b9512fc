/** LMPOP and ZMPOP before a real cluster, with keys in any slots: as one server does it. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { Crossing } from '../../src/gather/crossing.ts';
import { pop } from '../../src/gather/pop.ts';
import * as errors from '../../src/resp/errors.ts';
import { type Both, closeStand, connectBoth, empty, openStand, type Stand, show } from '../oracle/stand.ts';
import type { Argument, RawClient } from '../support/client.ts';
import { availableServers } from '../support/servers.ts';

type Call = Argument[];

const NIL = Buffer.from('*-1\r\n');

const words = (line: string): Call => line.split(' ');

test('an error ends it, and so does an outcome that nobody knows: no further key is asked', async () => {
  for (const said of [errors.outcomeUnknown('lost'), Buffer.from('-WRONGTYPE x\r\n')]) {
    const asked: string[] = [];
    const reach = {
      resp: 2,
      ask: async (_slot: number, given: readonly unknown[]) => {
        asked.push(given.join(' '));
        return asked.length === 2 ? said : NIL;
      },
    };
    const named = [...'abbc'].map((name, at) => ({ at, name: Buffer.from(name), slot: name.charCodeAt(0) }));
    const call = {
      words: words('LMPOP 4 a b b c LEFT COUNT 2').map((word) => Buffer.from(`${word}`)),
      keys: named,
      reach,
    };
    assert.equal(await pop(call as unknown as Crossing), said);
    assert.deepEqual(asked, ['LMPOP 1 a LEFT COUNT 2', 'LMPOP 2 b b LEFT COUNT 2']);
  }
});

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let stand: Stand;
    let two: Both<RawClient>;
    let three: Both<RawClient>;

    before(async () => {
      stand = await openStand({ server, replicas: 0 });
      two = await connectBoth(stand, 2);
      three = await connectBoth(stand, 3);
    });

    after(() => closeStand(stand));

    const same = async (call: Call, both = two): Promise<void> => {
      const [lone, proxy] = await Promise.all([both.lone.call(...call), both.proxy.call(...call)]);
      assert.equal(show(proxy), show(lone), call.join(' '));
    };

    /** Both answer each line alike, the second time in RESP3. */
    const alike = async (...lines: string[]) => {
      for (const line of lines) for (const both of [two, three]) await same(words(line), both);
    };

    test('the first key that has something is served', async () => {
      await empty(two);
      await alike(
        'LMPOP 3 a b foo LEFT',
        'RPUSH b 1 2 3 4 5',
        'RPUSH foo x y z',
        'LMPOP 3 a b foo LEFT',
        'LMPOP 4 a {t}1 {t}2 foo RIGHT COUNT 2',
        'LMPOP 2 foo b RIGHT COUNT 10',
        'LMPOP 3 b b foo LEFT COUNT 3',
        'EXISTS a b foo',
        'ZADD foo 1 m 2.5 n 3 o 4 p',
        'ZMPOP 3 a b foo MIN',
        'ZMPOP 3 a foo b MAX COUNT 2',
        'ZMPOP 2 a b MIN',
      );
    });

    test('a key of another type is met where one server meets it', async () => {
      await empty(two);
      await alike(
        'SET b x',
        'RPUSH foo 1 2 3 4 5 6',
        'LMPOP 3 a foo b LEFT',
        'LMPOP 3 a b foo LEFT',
        'ZMPOP 2 a foo MIN',
        'LRANGE foo 0 -1',
      );
    });

    test('arguments that make no sense have the errors of one server', async () => {
      await empty(two);
      await alike(
        'RPUSH foo 1 2',
        'LMPOP 2 a foo MIDDLE',
        'LMPOP 2 a foo LEFT COUNT 0',
        'LMPOP 2 a foo LEFT COUNT x',
        'LMPOP 2 a foo LEFT COUNT',
        'LMPOP 2 a foo LEFT COUNT 1 COUNT 1',
        'LMPOP 3 a b LEFT',
        'LMPOP 2 a b foo LEFT',
        'LMPOP 0 a b LEFT',
        'LMPOP -1 a b LEFT',
        'LMPOP x a b LEFT',
        'LMPOP 9 a b LEFT',
        'ZMPOP 3 a b MIN',
        'ZMPOP 2 a b LEFT',
        'ZMPOP 2 a b MIN COUNT -1',
        'LRANGE foo 0 -1',
      );
    });

    test('what blocks agrees with what does not', async () => {
      await empty(two);
      await alike(
        'BLMPOP 0.01 2 a b LEFT',
        'BLMPOP 0 3 a b LEFT',
        'BLMPOP x 3 a b LEFT',
        'BZMPOP 0 3 a b MIN',
        'BLMPOP 0 2 a b MIDDLE',
        'BLMPOP 0 2 a b LEFT COUNT 0',
        'SET b x',
        'RPUSH foo 1 2 3 4 5 6',
        'BLMPOP 0 3 a foo b LEFT COUNT 2',
        'BLMPOP 0 3 a b foo LEFT',
        'BZMPOP 0 2 a foo MAX',
      );
    });

    test('any call has the reply of one server, and leaves what it would', async () => {
      const key = fc.constantFrom('a', 'b', 'foo', '{a}1', '{a}2', '{b}1');
      const count = fc.integer({ min: 1, max: 4 });
      const fill = fc.oneof(
        fc.tuple(key, count).map(([k, n]) => ['RPUSH', k, ...Array.from({ length: n }, (_, i) => i)]),
        fc.tuple(key, count).map(([k, n]) => ['ZADD', k, n, 'one', 2, `two${n}`]),
        key.map((k) => ['DEL', k]),
      );
      const pop = fc
        .tuple(
          fc.constantFrom(['LMPOP', 'LEFT'], ['LMPOP', 'RIGHT'], ['ZMPOP', 'MIN'], ['ZMPOP', 'MAX']),
          fc.array(key, { minLength: 1, maxLength: 5 }),
          fc.option(count),
        )
        .map(([[name, where], keys, most]) => [
          name!,
          keys.length,
          ...keys,
          where!,
          ...(most === null ? [] : ['COUNT', most]),
        ]);
      const calls = fc.array(fc.oneof(fill, pop), { maxLength: 25 });
      const run = async (all: Call[]) => {
        await empty(two);
        for (const call of all) await same(call);
        for (const left of ['a', 'b', 'foo', '{a}1', '{a}2', '{b}1']) {
          await same(['LRANGE', left, 0, -1]);
          await same(['ZRANGE', left, 0, -1, 'WITHSCORES']);
        }
      };
      await fc.assert(fc.asyncProperty(calls, run), { numRuns: 100 });
    });
  });
}
