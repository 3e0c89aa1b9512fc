import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DIRECT_BYTES, Outbox } from '../../src/client/outbox.ts';
import { Turn } from '../../src/cluster/turn.ts';
import { TOTAL } from '../../src/telemetry/counters.ts';
import { FakeSocket } from './sink.ts';

function outbox(room?: number) {
  const socket = new FakeSocket(room);
  const turn = new Turn();
  const totals = new Float64Array(64);
  return { socket, turn, totals, box: new Outbox(socket.socket, turn, totals) };
}

/** Appends text with bytes before and behind it, so that nothing depends on offset 0. */
function append(box: Outbox, text: string): void {
  const bytes = Buffer.from(`<<${text}>>`, 'latin1');
  box.append(bytes, 2, bytes.length - 2);
}

test('small replies leave together, when they are flushed', () => {
  const { box, socket, totals } = outbox();
  for (let i = 0; i < 100; i++) append(box, `:${i}\r\n`);
  assert.deepEqual([socket.writes, box.empty], [0, false]);
  box.flush();
  assert.deepEqual([socket.writes, box.empty], [1, true]);
  assert.equal(socket.text, Array.from({ length: 100 }, (_, i) => `:${i}\r\n`).join(''));
  assert.equal(totals[TOTAL.bytesToClients], socket.text.length);
  box.flush();
  assert.equal(socket.writes, 1);
});

test('a large piece is written at once, behind the small ones before it', () => {
  const { box, socket, turn } = outbox();
  append(box, 'small');
  append(box, 'L'.repeat(DIRECT_BYTES));
  assert.equal(socket.text, `small${'L'.repeat(DIRECT_BYTES)}`);
  assert.ok(box.empty);
  assert.equal(turn.taken, false);
});

test('of a large piece that the kernel does not take whole the chunk is kept', () => {
  const { box, socket, turn } = outbox(100);
  append(box, 'L'.repeat(DIRECT_BYTES));
  assert.equal(turn.taken, true);
  assert.equal(box.backlog, DIRECT_BYTES - 100);
  socket.drain();
  assert.equal(socket.text, 'L'.repeat(DIRECT_BYTES));
});

test('behind a backlog a small part of a chunk is copied, so that the chunk is not kept for it', () => {
  const { box, socket, turn } = outbox(0);
  append(box, 'x');
  box.flush();
  const chunk = Buffer.alloc(DIRECT_BYTES * 10, 'a');
  box.append(chunk, 0, DIRECT_BYTES);
  assert.equal(turn.taken, false);
  chunk.fill('!');
  socket.drain();
  assert.equal(socket.text, `x${'a'.repeat(DIRECT_BYTES)}`);
});

test('the backlog is what is here and what the kernel has not taken', () => {
  const { box } = outbox(10);
  append(box, 'a'.repeat(30));
  assert.equal(box.backlog, 30);
  box.flush();
  assert.equal(box.backlog, 20);
  append(box, 'b'.repeat(5));
  assert.equal(box.backlog, 25);
});

test('to a socket that is gone nothing is written', () => {
  const { box, socket, totals } = outbox();
  append(box, 'a');
  socket.destroyed = true;
  box.flush();
  append(box, 'L'.repeat(DIRECT_BYTES));
  assert.deepEqual([socket.writes, totals[TOTAL.bytesToClients], box.backlog], [0, 0, 0]);
});

test('bytes leave as they came and in order, however slowly clients read and whoever shares the buffers', () => {
  const step = fc.oneof(
    fc.record({
      what: fc.constant('append' as const),
      to: fc.nat({ max: 2 }),
      length: fc.oneof(fc.nat({ max: 50 }), fc.integer({ min: 5000, max: 20_000 })),
    }),
    fc.record({ what: fc.constant('flush' as const), to: fc.nat({ max: 2 }) }),
    fc.record({ what: fc.constant('drain' as const), to: fc.nat({ max: 2 }), room: fc.nat({ max: 30_000 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const turn = new Turn();
      const all = [0, 1, 2].map(() => {
        const socket = new FakeSocket(5000);
        return { socket, box: new Outbox(socket.socket, turn, new Float64Array(64)), expected: '' };
      });
      let chunk = Buffer.alloc(65_536);
      let letter = 0;
      for (const one of steps) {
        const client = all[one.to]!;
        if (one.what === 'flush') client.box.flush();
        else if (one.what === 'drain') client.socket.drain(one.room);
        else {
          // As a link does: it reads into the same chunk again, unless someone keeps views of it.
          turn.taken = false;
          const text = String.fromCharCode(97 + (letter++ % 26)).repeat(one.length);
          chunk.write(text, 7, 'latin1');
          client.box.append(chunk, 7, 7 + one.length);
          client.expected += text;
          if (turn.taken) chunk = Buffer.alloc(65_536);
          else chunk.fill('!');
        }
      }
      for (const { socket, box, expected } of all) {
        socket.drain();
        box.flush();
        assert.ok(socket.text === expected);
      }
    }),
    { numRuns: 300 },
  );
});
