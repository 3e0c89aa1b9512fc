import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Receiver, type Receiving } from '../../src/cluster/receiver.ts';
import { Turn } from '../../src/cluster/turn.ts';
import { byteByByte, type Cuts, randomCuts, whole } from '../resp/cuts.ts';

/** Takes what is received, as text, with how it was handed over. */
class Taker implements Receiving {
  whole = false;
  expecting = true;
  gone = false;
  readonly received_: string[] = [];
  readonly how: string[] = [];
  readonly problems: string[] = [];
  /** Done at each handing over. */
  also: (bytes: Buffer, from: number, to: number) => void = () => {};
  private pieces = '';

  received(bytes: Buffer, from: number, to: number): void {
    assert.equal(this.pieces, '', 'a whole reply in the middle of pieces');
    this.received_.push(bytes.toString('latin1', from, to));
    this.how.push('whole');
    this.also(bytes, from, to);
  }

  receivedPiece(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.pieces += bytes.toString('latin1', from, to);
    this.also(bytes, from, to);
    if (!last) return;
    this.received_.push(this.pieces);
    this.pieces = '';
    this.how.push('pieces');
  }

  broken(reason: string): void {
    this.problems.push(reason);
  }
}

/** Reads as a socket does: into the receiver's own buffer, from its beginning. */
function readInto(receiver: Receiver, bytes: Buffer, cuts: Cuts): void {
  let at = 0;
  for (const end of cuts(bytes.length)) {
    while (at < end) {
      const buffer = receiver.buffer();
      const length = bytes.copy(buffer, 0, at, Math.min(end, at + buffer.length));
      receiver.read(buffer, length);
      at += length;
    }
  }
}

function read(bytes: Buffer, cuts: Cuts, set: (taker: Taker) => void = () => {}): Taker {
  const taker = new Taker();
  set(taker);
  readInto(new Receiver(taker, new Turn(), 8), bytes, cuts);
  return taker;
}

const bulk = (length: number) => `$${length}\r\n${'x'.repeat(length)}\r\n`;
const reply = fc.oneof(
  fc.constantFrom(
    '+OK\r\n',
    ':1\r\n',
    '$-1\r\n',
    '-ERR no\r\n',
    '*2\r\n:1\r\n$3\r\nabc\r\n',
    '>1\r\n+hi\r\n',
    '_\r\n',
  ),
  fc.integer({ min: 0, max: 400 }).map(bulk),
  fc.integer({ min: 16_000, max: 17_000 }).map(bulk),
  fc.integer({ min: 0, max: 40 }).map((count) => `*${count}\r\n${bulk(700).repeat(count)}`),
  fc.integer({ min: 16_300, max: 16_400 }).map((length) => `-ERR ${'e'.repeat(length)}\r\n`),
);

test('replies are the same however they are cut', () => {
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 8 }), randomCuts, (replies, cuts) => {
      const bytes = Buffer.from(replies.join(''));
      for (const each of bytes.length < 2000 ? [whole, byteByByte, cuts] : [whole, cuts]) {
        const taker = read(bytes, each);
        assert.deepEqual([taker.received_, taker.problems], [replies, []]);
      }
    }),
    { numRuns: 200 },
  );
});

test('what lies whole in a chunk is handed over whole, however long', () => {
  assert.deepEqual(read(Buffer.from(bulk(100_000)), whole).how, ['whole']);
});

test('what straddles chunks is joined when it is short, and comes in pieces when it is long', () => {
  const middle: Cuts = (length) => [length >> 1, length];
  for (const [length, how] of [
    [100, 'whole'],
    [16_000, 'whole'],
    [40_000, 'pieces'],
    [1_000_000, 'pieces'],
  ] as const)
    assert.deepEqual(read(Buffer.from(bulk(length)), middle).how, [how], String(length));
  const early: Cuts = (length) => [9, length];
  // Its length is known before its bytes come.
  assert.deepEqual(read(Buffer.from(bulk(17_000)), early).how, ['pieces']);
});

test('errors, pushes and a handshake are never handed over in pieces', () => {
  const cuts: Cuts = (length) => [5, 20_000, 30_000, length];
  const push = `>2\r\n+message\r\n${bulk(50_000)}`;
  assert.deepEqual(read(Buffer.from(push), cuts).how, ['whole']);
  assert.deepEqual(read(Buffer.from(`-ERR ${'e'.repeat(50_000)}\r\n`), cuts).how, ['whole']);
  const greeting = read(Buffer.from(bulk(50_000)), cuts, (taker) => {
    taker.whole = true;
  });
  assert.deepEqual(greeting.how, ['whole']);
});

test('what must be whole has a bound', () => {
  const [error] = read(Buffer.from(`>2\r\n+hi\r\n${bulk(18_000_000)}`), whole).problems;
  assert.match(error!, /an error or a push of more than/);
});

test('a long reply that nobody asked for, and what is no reply, break the connection', () => {
  const long = read(
    Buffer.from(bulk(50_000)),
    (length) => [30_000, length],
    (taker) => {
      taker.expecting = false;
      taker.broken = (reason) => {
        taker.problems.push(reason);
        taker.gone = true;
      };
    },
  );
  assert.match(long.problems[0]!, /nobody asked for/);
  assert.match(read(Buffer.from('+1\r\nHTTP/1.1 400'), whole).problems[0]!, /no reply/);
});

test('nothing more is handed over once the connection is gone', () => {
  const taker = read(Buffer.from('+1\r\n+2\r\n+3\r\n'), whole, (one) => {
    one.also = () => {
      one.gone = one.received_.length === 2;
    };
  });
  assert.deepEqual(taker.received_, ['+1\r\n', '+2\r\n']);
});

test('after a reset nothing of the old connection is left', () => {
  for (const begun of ['+half', '$20000\r\nabc', `$40000\r\n${'x'.repeat(30_000)}`, '*3\r\n:1\r\n']) {
    const taker = new Taker();
    const receiver = new Receiver(taker, new Turn(), 8);
    readInto(receiver, Buffer.from(begun), whole);
    receiver.reset();
    assert.equal(receiver.streaming, false);
    const fresh = new Taker();
    Object.assign(receiver, { link: fresh });
    readInto(receiver, Buffer.from('+1\r\n$1\r\n2\r\n'), byteByByte);
    assert.deepEqual(fresh.received_, ['+1\r\n', '$1\r\n2\r\n']);
  }
});

test('a buffer of which someone keeps views is not read into again', () => {
  fc.assert(
    fc.property(
      fc.array(reply, { maxLength: 12 }),
      randomCuts,
      fc.array(fc.boolean()),
      (replies, cuts, keep) => {
        const turn = new Turn();
        const taker = new Taker();
        const receiver = new Receiver(taker, turn, 8);
        const kept: [Buffer, string][] = [];
        let count = 0;
        taker.also = (bytes, from, to) => {
          if (keep.length === 0 || !keep[count++ % keep.length]) return;
          kept.push([bytes.subarray(from, to), bytes.toString('latin1', from, to)]);
          turn.taken = true;
        };
        readInto(receiver, Buffer.from(replies.join('')), cuts);
        for (const [view, text] of kept) assert.ok(view.toString('latin1') === text, 'overwritten');
      },
    ),
    { numRuns: 200 },
  );
});

test("a link that asks for its first buffer in the middle of another's read takes nothing from that one", () => {
  const turn = new Turn();
  const [one, other] = [new Taker(), new Taker()];
  const receiver = new Receiver(one, turn, 8);
  let view: Buffer = Buffer.alloc(0);
  one.also = (bytes, from, to) => {
    if (view.length > 0) return;
    view = bytes.subarray(from, to);
    turn.taken = true;
    new Receiver(other, turn, 8).buffer();
  };
  readInto(receiver, Buffer.from('+first\r\n'), whole);
  readInto(receiver, Buffer.from('+other\r\n'), whole);
  assert.equal(view.toString(), '+first\r\n');
});
