import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { Outgoing } from '../../src/cluster/outgoing.ts';
import { SLAB_BYTES, type Slab } from '../../src/cluster/slab.ts';

/** Takes views, as a socket does that can't write at once. */
class Wire {
  readonly views: Buffer[] = [];
  cork(): void {}
  uncork(): void {}
  write(bytes: Buffer): boolean {
    this.views.push(bytes);
    return true;
  }
  get text(): string {
    return Buffer.concat(this.views).toString('latin1');
  }
  get socket(): Socket {
    return this as unknown as Socket;
  }
}

const length = fc.oneof(
  fc.integer({ min: 1, max: 60 }),
  fc.integer({ min: 20_000, max: 40_000 }),
  fc.integer({ min: SLAB_BYTES - 2, max: SLAB_BYTES + 2 }),
);

test('what is written is what was appended, in order, and is to be found again until it is answered', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: length.map((length) => ({ what: 'append' as const, length })) },
    { weight: 2, arbitrary: fc.constant({ what: 'flush' as const }) },
    { weight: 3, arbitrary: fc.nat().map((some) => ({ what: 'answer' as const, some })) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const outgoing = new Outgoing();
      const wire = new Wire();
      let waiting: { slab: Slab; from: number; text: string; flushed: boolean }[] = [];
      let expected = '';
      let written = '';
      let count = 0;
      const flush = () => {
        outgoing.flush(wire.socket);
        // What has been handed over may be overwritten once it is answered: so it is read now.
        written += wire.text;
        wire.views.length = 0;
        for (const one of waiting) one.flushed = true;
      };
      for (const one of steps) {
        if (one.what === 'append') {
          const text = String.fromCharCode(97 + (count++ % 26)).repeat(one.length);
          const bytes = Buffer.from(`<${text}>`, 'latin1');
          const slab = outgoing.append(bytes, 1, bytes.length - 1);
          waiting.push({ slab, from: slab.used - text.length, text, flushed: false });
          expected += text;
        } else if (one.what === 'flush') flush();
        else {
          // A node answers in order, and only what it has got.
          const ready = waiting.filter(({ flushed }) => flushed).length;
          const answered = waiting.slice(0, one.some % (ready + 1));
          waiting = waiting.slice(answered.length);
          for (const { slab } of answered) slab.release();
        }
        for (const { slab, from, text } of waiting)
          assert.ok(slab.bytes.toString('latin1', from, from + text.length) === text, 'overwritten');
      }
      flush();
      assert.ok(written === expected);
      assert.equal(outgoing.unflushed, 0);
      for (const { slab } of waiting) slab.release();
    }),
    { numRuns: 200 },
  );
});

test('bytes that have not been written are counted', () => {
  const outgoing = new Outgoing();
  outgoing.append(Buffer.alloc(100), 0, 100);
  outgoing.append(Buffer.alloc(SLAB_BYTES), 0, SLAB_BYTES);
  assert.equal(outgoing.unflushed, SLAB_BYTES + 100);
  assert.equal(outgoing.flush(new Wire().socket), SLAB_BYTES + 100);
  assert.equal(outgoing.unflushed, 0);
});

test('a new connection begins with nothing, and what may be sent again stays where it is', () => {
  const outgoing = new Outgoing();
  const slab = outgoing.append(Buffer.from('again'), 0, 5);
  outgoing.reset();
  const wire = new Wire();
  outgoing.append(Buffer.from('first'), 0, 5);
  outgoing.flush(wire.socket);
  assert.equal(wire.text, 'first');
  assert.equal(slab.bytes.toString('latin1', slab.used - 5, slab.used), 'again');
});
