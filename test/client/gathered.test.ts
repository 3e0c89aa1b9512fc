import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DIRECT_BYTES } from '../../src/client/outbox.ts';
import { BareClient, command, MapOnly } from './bare.ts';

const GET = command('get');
const SET = command('set');

/** An array of one element, as a part of MGET gets it. */
function one(content: string): string {
  return `*1\r\n$${content.length}\r\n${content}\r\n`;
}

test('the reply is made when the last part is there, of the parts in their order', () => {
  const client = new BareClient(new MapOnly());
  const whole = client.gathered(GET, [1, 2, 3]);
  const [a, b, c] = whole.parts;
  client.reply(c!, 'C');
  client.reply(a!, 'A');
  assert.equal(client.text, '');
  client.reply(b!, 'B');
  assert.equal(client.text, 'ABC');
  assert.deepEqual([client.order.inFlight, client.replies.heldBytes], [0, 0]);
});

test('parts of one element each are joined to one array, whatever their lengths and the order they come in', () => {
  const length = fc.oneof(
    fc.nat({ max: 30 }),
    fc.integer({ min: DIRECT_BYTES - 20, max: DIRECT_BYTES + 20 }),
    fc.nat({ max: 40_000 }),
  );
  const part = fc.record({ length, pieces: fc.boolean(), order: fc.nat() });
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 12 }), fc.boolean(), (parts, early) => {
      const client = new BareClient(new MapOnly());
      const before = early ? client.request(GET, 1) : undefined;
      const whole = client.gathered(
        GET,
        parts.map((_, i) => i % 3),
        false,
        true,
      );
      const texts = parts.map(({ length }, i) => one(String.fromCharCode(97 + i).repeat(length)));
      const order = parts.map((_, i) => i).toSorted((a, b) => parts[a]!.order - parts[b]!.order);
      for (const i of order) {
        const text = texts[i]!;
        if (parts[i]!.pieces)
          client.replyInPieces(whole.parts[i]!, [text.slice(0, 3), text.slice(3, 9), text.slice(9)]);
        else client.reply(whole.parts[i]!, text);
      }
      // One that is not in front is merged, by what the test gave it: the parts behind each other.
      const joined = `*${parts.length}\r\n${texts.map((text) => text.slice(4)).join('')}`;
      if (before !== undefined) client.reply(before, ':1\r\n');
      assert.ok(client.text === (early ? `:1\r\n${texts.join('')}` : joined));
      assert.deepEqual([client.order.inFlight, client.replies.heldBytes, client.replies.count], [0, 0, 0]);
    }),
    { numRuns: 200 },
  );
});

test('a part that is no array of one element makes the reply a merged one', () => {
  for (const odd of ['-ERR no\r\n', '*2\r\n:1\r\n:2\r\n', '$1\r\na\r\n']) {
    const client = new BareClient(new MapOnly());
    const { parts } = client.gathered(GET, [1, 2], false, true);
    client.reply(parts[1]!, one('b'));
    client.reply(parts[0]!, odd);
    assert.equal(client.text, odd + one('b'));
  }
});

test('what is gathered counts as held, so that a client can not have too much of it', () => {
  const client = new BareClient(new MapOnly());
  const { parts } = client.gathered(GET, [1, 2]);
  client.replyInPieces(parts[0]!, ['x'.repeat(1000), 'y'.repeat(1000)]);
  assert.equal(client.replies.heldBytes, 2000);
  client.reply(parts[1]!, 'z');
  assert.equal(client.replies.heldBytes, 0);
  assert.equal(client.text.length, 2001);
});

test('a part that breaks off is an error of its own', () => {
  const client = new BareClient(new MapOnly());
  const { parts } = client.gathered(GET, [1, 2]);
  parts[0]!.piece(Buffer.from('$9\r\n'), 0, 4, false);
  parts[0]!.lost(true, true, 'ECONNRESET');
  client.reply(parts[1]!, 'B');
  assert.equal(client.text, '-ERR slotless: a reply broke off: ECONNRESET\r\nB');
  assert.equal(client.closed, false);
});

test('to a client that is gone nothing is said, and nothing is left of it', () => {
  const client = new BareClient(new MapOnly());
  const { parts } = client.gathered(SET, [1, 2], true);
  client.reply(parts[0]!, 'A');
  client.closed = true;
  client.reply(parts[1]!, 'B');
  assert.deepEqual([client.text, client.log, client.order.inFlight], ['', [], 0]);
});
