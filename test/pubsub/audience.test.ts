import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Flushable } from '../../src/cluster/turn.ts';
import { Audience, type Batch, type Subscriber } from '../../src/pubsub/audience.ts';
import { areaOf } from '../../src/resp/copy.ts';

/** A turn that ends when it is told to. */
class Hand {
  private marked: Flushable[] = [];

  markClient(one: Flushable): void {
    this.marked.push(one);
  }

  end(): void {
    const { marked } = this;
    this.marked = [];
    for (const one of marked) one.flush();
  }
}

/** A client as an outbox is one: what it writes, in its order. */
class Member implements Subscriber {
  written = '';
  /** How often it was written to at the end of a turn, or since a batch was full. */
  writes = 0;
  busy = false;
  private batch: Batch | undefined;
  private from = 0;
  private readonly hand: Hand;

  constructor(hand: Hand) {
    this.hand = hand;
  }

  attach(batch: Batch): boolean {
    if (this.busy || this.batch !== undefined) return false;
    this.batch = batch;
    this.from = batch.used;
    this.hand.markClient(this);
    return true;
  }

  detach(batch: Batch): void {
    if (this.batch === batch) this.say('');
  }

  hear(batch: Batch, from: number, to: number): void {
    this.written += batch.bytes.toString('latin1', from, to);
  }

  /** Something else is written. */
  say(text: string): void {
    const { batch, from } = this;
    this.batch = undefined;
    if (batch !== undefined) {
      batch.strays.push(this);
      this.written += batch.bytes.toString('latin1', from, batch.used);
    }
    this.written += text;
  }

  flush(): void {
    if (this.batch !== undefined) this.writes++;
    this.say('');
  }

  close(): void {}
}

const tell = (audience: Audience, text: string) =>
  audience.tell(areaOf(Buffer.from('>')), Buffer.from(text), 0, text.length);

test('all members are told all messages, in one piece at the end of the turn', () => {
  const hand = new Hand();
  const audience = new Audience(hand);
  const members = [new Member(hand), new Member(hand)];
  for (const member of members) audience.add(member);
  tell(audience, 'a');
  tell(audience, 'b');
  assert.equal(members[0]!.written, '');
  hand.end();
  for (const { written } of members) assert.equal(written, '>a>b');
  tell(audience, 'c');
  hand.end();
  for (const { written } of members) assert.equal(written, '>a>b>c');
});

test('whoever writes something else keeps its order, and is told the rest one by one', () => {
  const hand = new Hand();
  const audience = new Audience(hand);
  const [one, other] = [new Member(hand), new Member(hand)];
  audience.add(one);
  audience.add(other);
  tell(audience, 'a');
  one.say('PONG');
  tell(audience, 'b');
  hand.end();
  assert.deepEqual([one.written, other.written], ['>aPONG>b', '>a>b']);
});

test('whoever comes hears what follows, and whoever leaves what came before', () => {
  const hand = new Hand();
  const audience = new Audience(hand);
  const [early, late] = [new Member(hand), new Member(hand)];
  audience.add(early);
  tell(audience, 'a');
  audience.add(late);
  tell(audience, 'b');
  assert.equal(audience.remove(early), true);
  assert.equal(audience.remove(early), false);
  tell(audience, 'c');
  hand.end();
  assert.deepEqual([early.written, late.written], ['>a>b', '>b>c']);
});

test('more than a batch holds is written in between', () => {
  const hand = new Hand();
  const audience = new Audience(hand);
  const member = new Member(hand);
  audience.add(member);
  const texts = ['x'.repeat(60_000), 'y'.repeat(60_000), 'z'.repeat(200_000), 'end'];
  for (const text of texts) tell(audience, text);
  hand.end();
  assert.equal(member.written, texts.map((text) => `>${text}`).join(''));
});

test('an audience that has much to hear is written to less often from the next turn on', () => {
  const hand = new Hand();
  const audience = new Audience(hand);
  const member = new Member(hand);
  audience.add(member);
  const text = 'x'.repeat(999);
  const writes = (count: number) => {
    const before = member.writes;
    for (let i = 0; i < count; i++) tell(audience, text);
    hand.end();
    return member.writes - before;
  };
  assert.deepEqual([writes(10), writes(10), writes(1), writes(4), writes(5)], [2, 1, 1, 1, 2]);
  assert.equal(member.written, `>${text}`.repeat(30));
});

test('whatever happens in whatever order, each member hears exactly what was said while it was one', () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant('tell' as const), length: fc.integer({ min: 0, max: 40_000 }) }),
    fc.record({ what: fc.constantFrom('add' as const, 'remove' as const, 'say' as const), who: fc.nat(3) }),
    fc.record({ what: fc.constant('end' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const hand = new Hand();
      const audience = new Audience(hand);
      const members = Array.from({ length: 4 }, () => new Member(hand));
      const expected = members.map(() => '');
      let n = 0;
      for (const one of steps) {
        if (one.what === 'tell') {
          const text = `${n++}:${'.'.repeat(one.length)}`;
          tell(audience, text);
          for (const [i, member] of members.entries())
            if (audience.members.has(member)) expected[i] += `>${text}`;
        } else if (one.what === 'end') hand.end();
        else if (one.what === 'add') {
          if (!audience.members.has(members[one.who]!)) audience.add(members[one.who]!);
        } else if (one.what === 'remove') audience.remove(members[one.who]!);
        else {
          members[one.who]!.say('R');
          expected[one.who] += 'R';
        }
      }
      hand.end();
      assert.deepEqual(
        members.map(({ written }) => written),
        expected,
      );
    }),
    { numRuns: 300 },
  );
});
