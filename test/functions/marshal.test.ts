/** What crosses the line to a library and back, seen from outside. */

import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  encodeReply,
  fromCarrier,
  sentToCarrier,
  toCarrier,
  toSent,
  toWords,
} from '../../src/functions/marshal.ts';
import { BigNumber, type Decoded, Failure, Members, Pairs, Status, Verbatim } from '../../src/resp/value.ts';

const text = fc.string({ unit: 'grapheme' });
/** As a line of RESP has it: a character per byte. */
const line = text.map((it) => Buffer.from(it.replace(/[\r\n]/g, ' ')).toString('latin1'));

const { value } = fc.letrec<{ value: Decoded }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text.map((it) => Buffer.from(it)),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.double({ noDefaultInfinity: false }).filter((it) => !Number.isSafeInteger(it) || Object.is(it, -0)),
    fc.boolean(),
    fc.constant(null),
    line.map((it) => new Status(it)),
    line.map((it) => new Failure(it)),
    text.map((it) => new Verbatim('txt', Buffer.from(it))),
    fc.bigInt().map((it) => new BigNumber(String(it))),
    fc.array(tie('value')),
    fc.array(tie('value')).map((items) => new Members(items)),
    fc
      .array(
        fc.tuple(
          text.map((it) => Buffer.from(it)),
          tie('value'),
        ),
      )
      .map((entries) => new Pairs(entries)),
  ),
}));

test('what goes in as text comes out as it was', () => {
  fc.assert(
    fc.property(value, (it) => {
      const buffers: Uint8Array[] = [];
      const carried = JSON.parse(JSON.stringify(toCarrier(it, 'text', buffers)));
      assert.deepEqual(fromCarrier(carried, buffers), it);
    }),
  );
});

test('any bytes go in raw and come out', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), (all) => {
      const buffers: Uint8Array[] = [];
      const bulks = all.map((bytes) => Buffer.from(bytes));
      const carried = JSON.parse(JSON.stringify(toCarrier(bulks, 'raw', buffers)));
      assert.deepEqual(fromCarrier(carried, buffers), bulks);
    }),
  );
});

test('bytes that are no text do not go in as text', () => {
  assert.throws(() => toCarrier([Buffer.from([255])], 'text', []), {
    message: 'Could not decode value as string',
  });
});

test('whatever a library sends is a value or an Error', () => {
  const tag = fc.constantFrom('a', 'o', 'S', 'i', 'd', 'b', '+', '-', '=', '(', 'j', 'x');
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), fc.tuple(tag, fc.jsonValue(), fc.jsonValue())), (sent) => {
      for (const read of [fromCarrier, toSent, toWords]) {
        try {
          read(sent, [Buffer.from('only')]);
        } catch (error) {
          assert.equal((error as Error).message.startsWith('The library has changed the language'), true);
        }
      }
    }),
  );
});

test('arguments of cluster functions are JSON text or bytes', () => {
  const buffers: Uint8Array[] = [];
  const raw = Buffer.from('raw');
  assert.deepEqual(sentToCarrier({ json: '[1]' }, buffers), ['j', '[1]']);
  assert.deepEqual(sentToCarrier({ raw }, buffers), ['b', 0]);
  assert.deepEqual(toSent('[1]', buffers), { json: '[1]' });
  assert.deepEqual(toSent(['b', 0], buffers), { raw });
});

test('a reply has a limit', () => {
  assert.equal(encodeReply(3, Buffer.from('abc'), 9).length, 9);
  assert.throws(() => encodeReply(3, Buffer.from('abc'), 8), {
    message: 'The reply is longer than functions.maxReplyBytes allows',
  });
});
