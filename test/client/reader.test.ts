import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { Reader, type Sink } from '../../src/client/reader.ts';
import type { Frame } from '../../src/resp/request.ts';
import { byteByByte, type Cuts, randomCuts, whole } from '../resp/cuts.ts';
import { encode } from '../support/client.ts';

/** Takes commands as text; refuses as often as it is told. */
class Taker {
  readonly context = {
    config: {
      limits: { arguments: 1000, bulk: 1_000_000, inline: 1000, clientQuery: 100_000 },
      streamAbove: 1e9,
    },
  };
  readonly session = { authenticated: true };
  closed = false;
  deaf = false;
  busy = false;
  paused = false;
  readonly commands: string[] = [];
  readonly problems: string[] = [];
  /** Commands that it was given, taken or not. */
  given = 0;
  /** How often each next command is refused before it is taken. */
  refusals: number[] = [];
  also: () => void = () => {};
  private refused = 0;

  execute(f: Frame): boolean {
    this.given++;
    if (this.refused < (this.refusals[0] ?? 0)) {
      this.refused++;
      return false;
    }
    this.refusals.shift();
    this.refused = 0;
    const { starts, ends, bytes } = f;
    const word = (i: number) => Buffer.from(bytes.subarray(starts[i], ends[i])).toString('latin1');
    this.commands.push(Array.from({ length: f.argc }, (_, i) => word(i)).join(' '));
    this.also();
    return true;
  }

  uploads(): undefined {
    return undefined;
  }

  passOver(): void {}

  listens(): boolean {
    return false;
  }

  violate(f: Frame): void {
    this.problems.push(f.error);
    this.deaf = true;
  }

  tooLong(): void {
    this.problems.push('too long');
    this.deaf = true;
  }
}

function reader() {
  const taker = new Taker();
  const socket = {
    pause: () => {
      taker.paused = true;
    },
    resume: () => {
      taker.paused = false;
    },
  };
  return { taker, one: new Reader(taker as unknown as Sink, socket as unknown as Socket) };
}

/** Reads into one buffer that the next read overwrites, as a door does, also while it should not: `late`. */
function read({ one, taker }: ReturnType<typeof reader>, stream: Buffer, cuts: Cuts, late: boolean): void {
  const chunk = Buffer.alloc(stream.length + 1);
  let at = 0;
  for (const end of cuts(stream.length)) {
    // What the kernel had already handed over when the socket was paused.
    while (taker.paused && !late) one.retry();
    chunk.fill('!');
    stream.copy(chunk, 0, at, end);
    one.read(chunk, end - at);
    at = end;
  }
  for (let i = 0; one.stalled && i < 1000; i++) one.retry();
}

const words = fc.array(
  fc.string({ maxLength: 20 }).filter((text) => /^[\x21-\x7e]*$/.test(text)),
  { minLength: 1, maxLength: 5 },
);

test('commands are taken once and in order, whatever the cuts and however often they must wait', () => {
  const plan = fc.array(fc.nat({ max: 3 }), { maxLength: 12 });
  fc.assert(
    fc.property(
      fc.array(words, { maxLength: 12 }),
      randomCuts,
      plan,
      fc.boolean(),
      (list, cuts, refusals, late) => {
        const stream = Buffer.concat(list.map((one) => encode(one)));
        for (const each of [whole, byteByByte, cuts]) {
          const stage = reader();
          stage.taker.refusals = [...refusals];
          read(stage, stream, each, late);
          assert.deepEqual(
            stage.taker.commands,
            list.map((one) => one.join(' ')),
          );
          assert.deepEqual(
            [stage.one.stalled, stage.taker.paused, stage.one.input.length],
            [false, false, 0],
          );
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('a client whose command must wait is read from no more, and goes on where it was', () => {
  const stage = reader();
  const { taker, one } = stage;
  taker.refusals = [0, 2];
  const stream = Buffer.from('a\r\nb\r\nc\r\n');
  one.read(stream, stream.length);
  assert.deepEqual([taker.commands, taker.paused, one.stalled, one.input.length], [['a'], true, true, 6]);
  one.retry();
  assert.deepEqual([taker.commands, taker.paused], [['a'], true]);
  one.retry();
  assert.deepEqual([taker.commands, taker.paused, one.input.bytes], [['a', 'b', 'c'], false, undefined]);
});

test('bytes that come all the same while it waits are kept, and nothing is tried for them', () => {
  const { taker, one } = reader();
  taker.refusals = [1];
  for (const text of ['a\r\n', 'b\r\n', 'c\r\n']) one.read(Buffer.from(text), text.length);
  assert.deepEqual([taker.given, taker.commands, one.input.length], [1, [], 9]);
  one.retry();
  assert.deepEqual([taker.given, taker.commands], [4, ['a', 'b', 'c']]);
});

test('nothing overtakes what is being worked out', () => {
  const { taker, one } = reader();
  taker.also = () => {
    taker.busy = taker.commands.length === 1;
  };
  const stream = Buffer.from('auth\r\nget\r\n');
  one.read(stream, stream.length);
  one.retry();
  assert.deepEqual([taker.commands, one.stalled], [['auth'], true]);
  taker.busy = false;
  one.retry();
  assert.deepEqual([taker.commands, one.stalled], [['auth', 'get'], false]);
});

test('bytes behind the end are not commands', () => {
  const { taker, one } = reader();
  taker.also = () => {
    taker.deaf = true;
  };
  const stream = Buffer.from('quit\r\nset\r\n');
  one.read(stream, stream.length);
  assert.deepEqual([taker.commands, one.input.bytes], [['quit'], undefined]);
});

test('what breaks the protocol is told where it stands, after the commands before it', () => {
  for (const cuts of [whole, byteByByte]) {
    const stage = reader();
    read(
      stage,
      Buffer.from('a\r\n*1\r\n!\r\n'),
      (length) => cuts(length).filter((end) => end === length || end < 9),
      false,
    );
    assert.deepEqual(
      [stage.taker.commands, stage.taker.problems],
      [['a'], ["Protocol error: expected '$', got '!'"]],
    );
  }
});

test('a command longer than the limit is told before it is there', () => {
  const { taker, one } = reader();
  const stream = Buffer.from(`*2\r\n$3\r\nget\r\n$200000\r\n${'x'.repeat(100)}`);
  one.read(stream, stream.length);
  assert.deepEqual(taker.problems, ['too long']);
});
