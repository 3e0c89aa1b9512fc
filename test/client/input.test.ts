import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Input } from '../../src/client/input.ts';
import { COMMAND, Frame, frame, MORE } from '../../src/resp/request.ts';
import { byteByByte, type Cuts, randomCuts, whole } from '../resp/cuts.ts';
import { encode } from '../support/client.ts';

const LIMITS = { arguments: 1000, bulk: 1_000_000, inline: 1000 };

/** Frames a stream in pieces as a reader does, keeping what is incomplete in an Input. */
function framed(stream: Buffer, cuts: Cuts): string[][] {
  const input = new Input();
  const commands: string[][] = [];
  // What is read lies in one buffer that is overwritten by the next read.
  const chunk = Buffer.alloc(stream.length + 10);
  let at = 0;
  for (const end of cuts(stream.length)) {
    chunk.fill('!');
    stream.copy(chunk, 0, at, end);
    const length = end - at;
    at = end;
    let bytes: Buffer = chunk;
    let [from, to] = [0, length];
    if (input.bytes !== undefined) {
      input.append(chunk, length);
      bytes = input.bytes;
      [from, to] = [input.from, input.to];
    }
    let f = input.frame;
    if (f === undefined) {
      f = new Frame();
      f.reset(from);
    }
    for (;;) {
      const status = frame(f, bytes, to, LIMITS, true);
      if (status === MORE) {
        if (from >= to) input.forget();
        else input.retain(bytes, from, to, f);
        break;
      }
      assert.equal(status, COMMAND);
      const { starts, ends } = f;
      commands.push(
        Array.from({ length: f.argc }, (_, i) =>
          Buffer.from(f!.bytes.subarray(starts[i], ends[i])).toString('latin1'),
        ),
      );
      from = f.consumed;
      f.reset(from);
    }
  }
  assert.equal(input.bytes, undefined);
  assert.equal(input.length, 0);
  return commands;
}

const word = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.nat({ max: 9000 }).map((length) => 'w'.repeat(length)),
);
const commands = fc.array(
  fc.array(
    word.filter((text) => !/[^\x20-\x7e]/.test(text)),
    { minLength: 1, maxLength: 6 },
  ),
  {
    maxLength: 6,
  },
);

test('commands are the same whatever the cuts', () => {
  fc.assert(
    fc.property(commands, randomCuts, (list, cuts) => {
      const stream = Buffer.concat(list.map((words) => encode(words)));
      for (const each of stream.length < 2000 ? [whole, byteByByte, cuts] : [whole, cuts])
        assert.deepEqual(framed(stream, each), list);
    }),
    { numRuns: 300 },
  );
});

test('commands are the same when they come in many small chunks, longer than the room that was kept', () => {
  fc.assert(
    fc.property(commands, fc.integer({ min: 500, max: 6000 }), (list, chunk) => {
      const stream = Buffer.concat([...list, ...list].map((words) => encode(words)));
      const even: Cuts = (length) =>
        Array.from({ length: Math.ceil(length / chunk) }, (_, i) => Math.min(length, (i + 1) * chunk));
      assert.deepEqual(framed(stream, even), [...list, ...list]);
    }),
    { numRuns: 200 },
  );
});

test('what is kept is what came and was not dropped, whoever appends and retains', () => {
  const step = fc.oneof(
    fc.nat({ max: 6000 }).map((length) => ({ what: 'append' as const, length })),
    fc.double({ min: 0, max: 1, noNaN: true }).map((part) => ({ what: 'drop' as const, part })),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const input = new Input();
      const first = Buffer.from('<first>');
      input.retain(first, 1, 6, undefined);
      first.fill('!');
      let kept = 'first';
      steps.forEach((one, i) => {
        if (one.what === 'append') {
          const text = String.fromCharCode(97 + (i % 26)).repeat(one.length);
          input.append(Buffer.from(`${text}>>`), text.length);
          kept += text;
        } else {
          const dropped = Math.floor(one.part * kept.length);
          input.retain(input.bytes!, input.from + dropped, input.to, undefined);
          kept = kept.slice(dropped);
        }
        assert.equal(input.length, kept.length);
        assert.ok(input.bytes!.toString('latin1', input.from, input.to) === kept);
        // Room is kept for what comes, and not without bound.
        assert.ok(input.bytes!.length <= Math.max(4096 * 2, 4 * (kept.length + 6000)) * 2);
      });
    }),
    { numRuns: 200 },
  );
});

test('an idle client keeps nothing', () => {
  const input = new Input();
  assert.deepEqual([input.bytes, input.length], [undefined, 0]);
  input.retain(Buffer.from('abc'), 0, 3, new Frame());
  input.forget();
  assert.deepEqual([input.bytes, input.frame, input.length], [undefined, undefined, 0]);
});
