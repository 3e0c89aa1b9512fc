/** SORT before a real cluster, with key, patterns and destination in any slots: as one server does it. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { type Both, closeStand, connectBoth, empty, openStand, type Stand, show } from '../oracle/stand.ts';
import type { Argument, RawClient } from '../support/client.ts';
import { availableServers } from '../support/servers.ts';

type Call = Argument[];

const words = (line: string): Call => line.split(' ').map((word) => (word === '""' ? '' : word));

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

    /** The reply of both to a call, which is the same. */
    const same = async (call: Call, both = two): Promise<Buffer> => {
      const [lone, proxy] = await Promise.all([both.lone.call(...call), both.proxy.call(...call)]);
      assert.equal(show(proxy), show(lone), call.join(' '));
      return lone;
    };

    const given = async (...lines: string[]) => {
      await empty(two);
      for (const line of lines) await same(words(line));
    };

    /** Calls that both answer alike, in both versions of the protocol, and what they leave in `d`. */
    const alike = async (...lines: string[]) => {
      for (const line of lines) {
        for (const both of [two, three]) await same(words(line), both);
        for (const question of ['LRANGE d 0 -1', 'TYPE d', 'TTL d', 'OBJECT ENCODING d'])
          await same(words(question));
      }
    };

    const LIST = 'RPUSH k 3 10 1 7 7 ""';
    const WEIGHTS = 'MSET w_3 30 w_10 5 w_1 5 w_ x w_7x 9 o_3 three o_1 one o_7 seven';

    test('elements are ordered by weights and shown as patterns say', async () => {
      await given('RPUSH k 3 10 1 7 7', WEIGHTS, 'HSET h_3 f 2 g three', 'HSET h_7 f -1', 'SADD o_10 wrong');
      await alike(
        'SORT k BY w_*',
        'SORT k BY w_* DESC',
        'SORT k BY w_* ALPHA',
        'SORT k BY w_* ALPHA DESC',
        'SORT k BY w_* LIMIT 1 2',
        'SORT k BY w_*x',
        'SORT k BY h_*->f',
        'SORT k BY h_*->f GET # GET h_*->g',
        'SORT k GET #',
        'SORT k GET # GET # DESC',
        'SORT k GET o_*',
        'SORT k GET o_* GET # GET none_* GET o_*->f GET h_*->f GET h_*-> GET o_3',
        'SORT k BY * GET *',
        'SORT k BY nosort GET o_*',
        'SORT k BY nosort DESC LIMIT 1 2 GET #',
        'SORT k BY w_* BY nosort GET #',
        'SORT k BY nosort BY w_* GET #',
        'SORT k BY w_* BY h_*->f',
        'SORT_RO k BY w_* GET o_* DESC',
        'SORT_RO k ALPHA GET #',
        'sort k by w_* get # asc desc asc',
      );
    });

    test('a result is stored in any slot, whatever was there', async () => {
      await given(LIST, WEIGHTS, 'SADD s b a c', 'ZADD z 3 a 1 c 2 b', 'SET d x PX 1000000');
      await alike(
        'SORT k BY w_* ALPHA STORE d',
        'SORT k BY o_* STORE d',
        'SORT k ALPHA GET o_* GET # STORE d',
        'SORT k ALPHA GET # LIMIT 1 3 DESC STORE d',
        'SORT s BY nosort GET # STORE d',
        'SORT s BY nosort GET # DESC LIMIT 0 2 STORE d',
        'SORT z BY nosort GET # STORE d',
        'SORT z BY nosort GET # DESC LIMIT 1 1 STORE d',
        'SORT k ALPHA STORE d',
        'SORT none BY w_* STORE d',
        'SORT k ALPHA GET # STORE d',
        'SORT k ALPHA GET # LIMIT 9 9 STORE d',
        'SORT k BY x_* STORE k',
      );
      await same(words('LRANGE k 0 -1'));
    });

    test('LIMIT is bounded by the elements there are', async () => {
      await given('RPUSH k 3 10 1 7', 'MSET w_3 2 w_10 1 w_1 9 w_7 4');
      const bounds = ['-9', '-1', '0', '1', '3', '4', '9', '9223372036854775807', '-9223372036854775808'];
      for (const start of bounds)
        for (const count of bounds)
          for (const by of ['BY w_*', 'GET #', 'BY nosort GET #'])
            await same(words(`SORT k ${by} LIMIT ${start} ${count}`));
    });

    test('errors are told in the order in which the server finds them', async () => {
      await given('SET k x', 'RPUSH l 1 b', 'SET w_1 1', 'SET w_b b', 'SET d kept');
      await alike(
        'SORT k BY w_*',
        'SORT k GET # STORE d',
        'SORT none BY w_* GET o_*',
        'SORT none GET #',
        'SORT l BY w_*',
        'SORT l BY w_* LIMIT 0 1',
        'SORT l BY w_* GET # STORE d',
        'SORT l GET #',
        'SORT l GET # STORE d',
        'SORT l BY w_* NOPE',
        'SORT k NOPE BY w_*',
        'SORT l BY w_* GET',
        'SORT l GET # BY',
        'SORT l GET # LIMIT 1',
        'SORT l GET # LIMIT 1 x',
        'SORT l GET # LIMIT 01 1',
        'SORT l GET # LIMIT 9223372036854775808 1',
        'SORT l GET # STORE',
        'SORT_RO l GET # STORE d',
        'SORT_RO k GET #',
      );
    });

    test('weights are numbers as C reads them, out of range is an error, and so is what is none', async () => {
      await given('RPUSH k 0 1');
      const texts = ['1', ' 1', '\t\n 1', '1 ', ' ', '', '0x10', '0x', '0x.8', '0x1p', '0x1p-1', '0x1.8p3'];
      texts.push(
        'inf',
        '-inf',
        'INFINITY',
        'infinit',
        'nan',
        'nan(1)',
        '1e400',
        '1e-310',
        '1e-400',
        '0e-400',
      );
      texts.push('0x1p-1074', '0x1.1p-1074', '0x1p-1075', '0x0p-9999', '0x1p1024', '1\0junk', '\0', '+5');
      texts.push('--5', '.5', '5.', '.', '1e', '1e+', '0b1', '1_0', '2.2250738585072014e-308');
      for (const text of texts) {
        await same(['SET', 'w_0', text]);
        await same(['SET', 'w_1', '0.25']);
        await same(words('SORT k BY w_*'));
        // A server remembers what was out of range until it reads another number so (errno).
        await same(words('INCRBYFLOAT number 0.5'));
      }
    });

    test('patterns and texts end at a NUL where C ends them', async () => {
      await given('RPUSH k a b c', 'MSET w_a z w_b y w_c x');
      await same(['MSET', 'v_a', '1\0b', 'v_b', '1\0a', 'v_c', '0']);
      for (const pattern of ['w_*\0', '\0w_*', 'w_\0*', '#\0', '#\0*', 'w_*->\0f', 'w_*\0->f', 'w_*->f\0']) {
        await same(['SORT', 'k', 'ALPHA', 'GET', pattern]);
        await same(['SORT', 'k', 'ALPHA', 'BY', pattern]);
      }
      await same(words('SORT k BY v_* ALPHA STORE d'));
      await same(words('LRANGE d 0 -1'));
    });

    test('many elements are looked up, in few questions at a time', async () => {
      await given();
      const numbers = Array.from({ length: 3000 }, (_, i) => i);
      await same(['RPUSH', 'k', ...numbers]);
      await same(['MSET', ...numbers.flatMap((i) => [`w_${i}`, (i * 7919) % 3001])]);
      await same(['MSET', ...numbers.flatMap((i) => [`{t}o_${i}`, `value ${i}`.padEnd(500)])]);
      await same(['HSET', 'h_1', ...numbers.flatMap((i) => [`f${i}`, i])]);
      await same(words('SORT k BY w_* GET # GET {t}o_*'));
      await same(words('SORT k BY w_* GET {t}o_* STORE d'));
      await same(words('LRANGE d 0 -1'));
      await same(words('SORT k BY nosort LIMIT 0 5 GET h_*->f1'));
    });

    test('any call has the reply of one server, and stores what it would', async () => {
      await property(same, given);
    });
  });
}

/**
 * Whether servers agree on the order. Of equal texts nothing decides: with LIMIT any of them may be left out, and
 * without, members of a set or a sorted set come as the hash table has them, as those of a set in no order do.
 */
function determined(type: string, options: readonly Argument[]): boolean {
  const has = (...some: string[]) => some.some((each) => options.includes(each));
  const equal = has('ALPHA') && has('BY') && !has('nosort');
  if (type === 'RPUSH') return !(equal && has('LIMIT'));
  return !equal && !(type === 'SADD' && has('nosort') && !has('STORE'));
}

async function property(
  same: (call: Call) => Promise<Buffer>,
  given: (...lines: string[]) => Promise<void>,
): Promise<void> {
  const element = fc.constantFrom('1', '2', '3', '10', '-1', '2.5', 'a', 'b', 'B', 'ä', '');
  const weight = fc.constantFrom('1', '2', '2', '-3', '0x10', ' 7', 'inf', 'x', 'y', 'Z', 'é', 'a\0b', '');
  const pattern = fc.constantFrom('w_*', 'v_*', 'h_*->f', 'h_*->g', '#', '*', 'w_1', '{t}w_*', 'none*');
  const option = fc.oneof(
    { weight: 3, arbitrary: pattern.map((p) => ['GET', p]) },
    { weight: 3, arbitrary: fc.constantFrom('w_*', 'h_*->f', 'nosort', 'v_*').map((p) => ['BY', p]) },
    fc.constantFrom(['ASC'], ['DESC'], ['ALPHA'], ['ALPHA'], ['STORE', 'd'], ['STORE', 'k'], ['NOPE']),
    fc.tuple(fc.integer({ min: -1, max: 6 }), fc.integer({ min: -1, max: 6 })).map((n) => ['LIMIT', ...n]),
  );
  const data = fc.record({
    type: fc.constantFrom('RPUSH', 'SADD', 'ZADD'),
    elements: fc.array(element, { maxLength: 8 }),
    weights: fc.array(fc.tuple(fc.constantFrom('w_', 'v_', '{t}w_'), element, weight), { maxLength: 12 }),
    fields: fc.array(fc.tuple(element, fc.constantFrom('f', 'g'), weight), { maxLength: 8 }),
    options: fc.array(fc.array(option, { maxLength: 5 }), { minLength: 1, maxLength: 6 }),
  });
  const run = async ({
    type,
    elements,
    weights,
    fields,
    options,
  }: typeof data extends fc.Arbitrary<infer T> ? T : never) => {
    await given();
    const members = elements.flatMap((each, i) => (type === 'ZADD' ? [i % 3, each] : [each]));
    if (members.length > 0) await same([type, 'k', ...members]);
    for (const [prefix, name, value] of weights) await same(['SET', prefix + name, value]);
    for (const [name, field, value] of fields) await same(['HSET', `h_${name}`, field, value]);
    for (const each of options) {
      if (!determined(type, each.flat())) continue;
      await same(['SORT', 'k', ...each.flat()]);
      await same(['LRANGE', 'd', '0', '-1']);
      await same(['TYPE', 'k']);
    }
  };
  await fc.assert(fc.asyncProperty(data, run), { numRuns: 150 });
}
