/** Orders by weights; the judge is a lone server. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { leaves } from '../../src/command/blocking.ts';
import { byScores, byTexts, distinct, scoreOf, untilNul } from '../../src/command/weights.ts';
import { type Argument, connect, type RawClient } from '../support/client.ts';
import { type Lone, startLone } from '../support/cluster.ts';
import { availableServers } from '../support/servers.ts';

type Weights = readonly (Buffer | undefined)[];

const buffer = (text: string) => Buffer.from(text, 'latin1');

test('a long number is read in linear time', () => {
  for (const digit of ['1', '0', 'f'])
    for (const text of [
      digit.repeat(1e6),
      `${digit.repeat(1e6)}x`,
      `0x${digit.repeat(1e6)}`,
      `0x.${digit.repeat(1e6)}p1x`,
    ])
      scoreOf(buffer(text));
  assert.equal(scoreOf(buffer(`0x1${'0'.repeat(255)}`)), 2 ** 1020);
  assert.equal(scoreOf(buffer(`0x1${'0'.repeat(256)}`)), undefined);
  assert.equal(scoreOf(buffer(`0x0.${'0'.repeat(1e5)}1p400000`)), 2 ** -4);
});

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let lone: Lone;
    let client: RawClient;

    before(async () => {
      lone = await startLone({ server });
      client = await connect(lone.port);
    });

    after(async () => {
      client?.destroy();
      await lone?.stop();
    });

    /** Elements in the server's order, as latin1; an error as its text. */
    const ordered = async (elements: readonly Buffer[], weights: Weights, ...how: Argument[]) => {
      const sets = weights.map((weight, i): Argument[] =>
        weight === undefined
          ? ['ECHO', 'none']
          : ['SET', Buffer.concat([buffer('w_'), elements[i]!]), weight],
      );
      // Reading a number clears what the server remembers of one that was out of range.
      const before: Argument[][] = [
        ['FLUSHALL'],
        ['INCRBYFLOAT', 'n', 1],
        ['RPUSH', 'k', ...elements],
        ...sets,
      ];
      const replies = await client.pipeline([
        ...before,
        ['SORT', 'k', 'BY', 'w_*', ...how],
        ['LRANGE', 'd', 0, -1],
      ]);
      const [sorted, stored] = replies.slice(-2);
      const shown = String(sorted).startsWith(':') ? stored! : sorted!;
      return shown.toString('latin1');
    };

    /** Texts in the order of the server's language. */
    const inLanguage = async (texts: readonly Buffer[]): Promise<Buffer[]> => {
      if (texts.length === 0) return [];
      const [, , sorted] = await client.pipeline([
        ['DEL', 't'],
        ['RPUSH', 't', ...texts],
        ['SORT', 't', 'ALPHA'],
      ]);
      return leaves(sorted!);
    };

    const inRESP = (elements: readonly Buffer[], order: readonly number[]) =>
      [
        `*${order.length}`,
        ...order.flatMap((i) => [`$${elements[i]!.length}`, elements[i]!.toString('latin1')]),
        '',
      ].join('\r\n');

    const element = fc.uint8Array({ minLength: 1, maxLength: 3 }).map((bytes) => Buffer.from(bytes));
    const elements = fc.uniqueArray(element, {
      selector: (one) => one.toString('latin1'),
      minLength: 1,
      maxLength: 12,
    });
    const weighed = (weight: fc.Arbitrary<Buffer>) =>
      elements.chain((all) =>
        fc.tuple(
          fc.constant(all),
          fc.array(fc.option(weight, { nil: undefined }), { minLength: all.length, maxLength: all.length }),
          fc.boolean(),
        ),
      );

    test('numbers in any form are in the order of one server', async () => {
      const number = fc.oneof(
        { weight: 5, arbitrary: fc.double({ noNaN: true }).map(String) },
        { weight: 5, arbitrary: fc.double({ min: -4, max: 4, noNaN: true }).map((n) => n.toFixed(1)) },
        { weight: 5, arbitrary: fc.integer({ min: -3, max: 3 }).map(String) },
        {
          weight: 9,
          arbitrary: fc.constantFrom('', ' 1', '\v\f 2', '+2', '0x2', '-0X1P1', '0x.1', 'inf', '-0'),
        },
        { weight: 3, arbitrary: fc.constantFrom('-Infinity', '1.', '.5e1', '1\0x', '0e-999', '0x1.8p-1022') },
        { weight: 3, arbitrary: fc.integer({ min: -1022, max: 1023 }).map((power) => `0x1.8p${power}`) },
        { weight: 3, arbitrary: fc.stringMatching(/^[-+ ]?(0x)?[0-9]{1,20}(\.[0-9]{1,20})?$/) },
        { weight: 3, arbitrary: fc.stringMatching(/^0x[0-9a-f]{1,40}(\.[0-9a-f]{1,40})?(p-?[0-9]{1,2})?$/) },
        fc.constantFrom('1 ', 'x', '0x', '1e', 'nan', '1e999', '1e-400', '4e-320', '0x1p-1074', '0x1p1024'),
      );
      const few = weighed(number.map(buffer));
      const run = async ([all, weights, desc]: readonly [Buffer[], Weights, boolean]) => {
        const expected = await ordered(all, weights, desc ? 'DESC' : 'ASC');
        const scores = weights.map((weight) => (weight === undefined ? 0 : scoreOf(weight)));
        if (scores.includes(undefined))
          return assert.equal(expected, "-ERR One or more scores can't be converted into double\r\n");
        assert.equal(inRESP(all, byScores(all, scores as number[], desc)), expected);
      };
      await fc.assert(fc.asyncProperty(few, run), { numRuns: 400 });
    });

    test('texts are in the order of one server, by bytes where they are stored and up to a NUL where not', async () => {
      const text = fc.oneof(
        fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
        fc.constantFrom('a', 'B', 'b', 'é', '', 'a\0', 'a\0b').map((one) => Buffer.from(one)),
      );
      const run = async ([all, weights, desc]: readonly [Buffer[], Weights, boolean]) => {
        const how = ['ALPHA', desc ? 'DESC' : 'ASC'];
        const inOrder = distinct(weights).sort(Buffer.compare);
        assert.equal(
          inRESP(all, byTexts(weights, inOrder, desc)),
          await ordered(all, weights, ...how, 'STORE', 'd'),
        );
        const shown = weights.map((weight) => weight && untilNul(weight));
        const collated = await inLanguage(distinct(shown));
        assert.equal(inRESP(all, byTexts(shown, collated, desc)), await ordered(all, weights, ...how));
      };
      await fc.assert(fc.asyncProperty(weighed(text), run), { numRuns: 200 });
    });
  });
}
