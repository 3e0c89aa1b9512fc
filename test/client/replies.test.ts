import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DIRECT_BYTES, Outbox } from '../../src/client/outbox.ts';
import { holdBytes, type Place, Replies } from '../../src/client/replies.ts';
import { Spoken } from '../../src/client/request.ts';
import { Turn } from '../../src/cluster/turn.ts';
import { FakeSocket } from './sink.ts';

function replies(room?: number) {
  const socket = new FakeSocket(room);
  const turn = new Turn();
  const box = new Outbox(socket.socket, turn, new Float64Array(64));
  const queue = new Replies(box);
  const places = (count: number): Place[] =>
    Array.from({ length: count }, () => {
      const place = new Spoken();
      queue.push(place);
      return place;
    });
  const answer = (place: Place, text: string) =>
    queue.answer(place, Buffer.from(`<${text}>`), 1, text.length + 1);
  const piece = (place: Place, text: string, last: boolean) =>
    queue.answerPiece(place, Buffer.from(`<${text}>`), 1, text.length + 1, last);
  const text = () => {
    box.flush();
    socket.drain();
    return socket.text;
  };
  return { socket, turn, queue, places, answer, piece, text };
}

test('a reply for the place in front goes out at once, an early one waits for those before it', () => {
  const { queue, places, answer, text } = replies();
  const [a, b, c] = places(3);
  answer(b!, 'bb');
  assert.deepEqual([text(), queue.heldBytes, queue.count], ['', 2, 3]);
  answer(a!, 'a');
  assert.deepEqual([text(), queue.heldBytes, queue.count], ['abb', 0, 1]);
  answer(c!, 'c');
  assert.deepEqual([text(), queue.count, queue.front], ['abbc', 0, undefined]);
  const [d] = places(1);
  answer(d!, 'd');
  assert.equal(text(), 'abbcd');
});

test('a long reply whose turn comes in the middle goes on straight', () => {
  const { queue, places, answer, piece, text } = replies();
  const [a, b, c] = places(3);
  piece(b!, 'b1', false);
  answer(c!, 'c');
  piece(b!, 'b2', false);
  assert.equal(queue.heldBytes, 5);
  answer(a!, 'a');
  assert.deepEqual([text(), queue.heldBytes], ['ab1b2', 1]);
  piece(b!, 'b3', false);
  assert.equal(text(), 'ab1b2b3');
  piece(b!, 'b4', true);
  assert.equal(text(), 'ab1b2b3b4c');
});

test('who is gone leaves nothing behind', () => {
  const { queue, places, answer, piece, text } = replies();
  const [, b, c] = places(3);
  answer(b!, 'b'.repeat(100));
  piece(c!, 'c', false);
  queue.clear();
  assert.deepEqual(
    [queue.count, queue.heldBytes, queue.front, b!.held, c!.pieces],
    [0, 0, undefined, undefined, undefined],
  );
  assert.equal(text(), '');
});

test('what is held has its bytes to itself until it is released', () => {
  const held = Array.from({ length: 40 }, (_, i) => {
    const bytes = Buffer.alloc(DIRECT_BYTES - 1 - i * 150, String.fromCharCode(65 + i));
    const slab = holdBytes(bytes, 0, bytes.length);
    return { slab, from: slab.used - bytes.length, to: slab.used, bytes };
  });
  for (const { slab, from, to, bytes } of held) assert.ok(slab.bytes.subarray(from, to).equals(bytes));
  for (const { slab } of held) slab.release();
});

interface Arrival {
  /** Which of the places that still wait, and how many bytes in how many pieces; 0: whole. */
  readonly which: number;
  readonly length: number;
  readonly pieces: number;
}

const arrival: fc.Arbitrary<Arrival> = fc.record({
  which: fc.nat(),
  length: fc.oneof(
    fc.nat({ max: 40 }),
    fc.integer({ min: DIRECT_BYTES - 20, max: 2 * DIRECT_BYTES }),
    fc.nat({ max: 70_000 }),
  ),
  pieces: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 4 })),
});

test('whatever the order in which replies come, whole or in pieces, they go out in the order of places', () => {
  fc.assert(
    fc.property(
      fc.array(arrival, { maxLength: 25 }),
      fc.nat({ max: 50_000 }),
      fc.nat({ max: 3 }),
      (arrivals, room, slow) => {
        const { socket, turn, queue, places, text } = replies(room);
        const all = places(arrivals.length);
        const expected = arrivals.map(() => '');
        // What is left to come for each place: [text, last].
        const coming = arrivals.map(({ length, pieces }, i) => {
          const letter = String.fromCharCode(97 + (i % 26));
          const parts = Math.max(1, pieces);
          const each = Math.ceil(length / parts);
          return Array.from({ length: parts }, (_, p) => {
            const size = p === parts - 1 ? length - each * (parts - 1) : each;
            return letter.repeat(Math.max(0, size));
          });
        });
        let chunk = Buffer.alloc(100_000);
        let waiting = all.map((_, i) => i);
        for (let step = 0; waiting.length > 0; step++) {
          const i = waiting[arrivals[step % arrivals.length]!.which % waiting.length]!;
          const part = coming[i]!.shift()!;
          expected[i] += part;
          turn.taken = false;
          chunk.write(part, 3, 'latin1');
          const last = coming[i]!.length === 0;
          if (arrivals[i]!.pieces === 0) queue.answer(all[i]!, chunk, 3, 3 + part.length);
          else queue.answerPiece(all[i]!, chunk, 3, 3 + part.length, last);
          if (turn.taken) chunk = Buffer.alloc(100_000);
          else chunk.fill('!');
          if (last) waiting = waiting.filter((one) => one !== i);
          if (slow > 0 && step % slow === 0) socket.drain(room);
          const held = all.reduce((sum, { held, heldFrom, heldTo, pieces }) => {
            const inPieces = pieces?.reduce((bytes, { length }) => bytes + length, 0) ?? 0;
            return sum + inPieces + (held === undefined ? 0 : heldTo - heldFrom);
          }, 0);
          assert.equal(queue.heldBytes, held);
        }
        assert.deepEqual([queue.count, queue.heldBytes, queue.front], [0, 0, undefined]);
        assert.ok(text() === expected.join(''));
      },
    ),
    { numRuns: 200 },
  );
});

test('replies behind a point in the order are left out, whenever they come', () => {
  const { queue, places, answer, piece, text } = replies();
  queue.mute(true);
  queue.say(Buffer.from('(never)'));
  queue.mute(false);
  const [a, b] = places(2);
  queue.mute(true);
  queue.mute(true);
  const [c, d] = places(2);
  queue.mute(false);
  const [e] = places(1);
  answer(d!, 'd');
  answer(e!, 'e');
  piece(c!, 'c1', false);
  piece(b!, 'b1', false);
  answer(a!, 'a');
  piece(b!, 'b2', true);
  assert.equal(text(), 'ab1b2');
  piece(c!, 'c2', true);
  assert.deepEqual([text(), queue.count, queue.heldBytes], ['ab1b2e', 0, 0]);
  assert.equal(queue.front, undefined);
});

test('whatever the order of the answers, the replies that are left out are missing and no others', () => {
  const step = fc.record({ mute: fc.option(fc.boolean()), rank: fc.nat(), inPieces: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const { queue, answer, piece, text } = replies();
      let muted = false;
      let expected = '';
      const places = steps.map(({ mute, rank, inPieces }, i) => {
        if (mute !== null) {
          queue.mute(mute);
          muted = mute;
        }
        if (!muted) expected += inPieces ? `[${i}]` : `${i},`;
        const place = new Spoken();
        queue.push(place);
        return { place, rank, inPieces, i };
      });
      for (const { place, inPieces, i } of places.sort((a, b) => a.rank - b.rank)) {
        if (inPieces) {
          piece(place, `[${i}`, false);
          piece(place, ']', true);
        } else answer(place, `${i},`);
      }
      assert.deepEqual([text(), queue.count, queue.heldBytes], [expected, 0, 0]);
    }),
  );
});
