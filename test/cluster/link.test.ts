import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Link } from '../../src/cluster/link.ts';
import { SLAB_BYTES } from '../../src/cluster/slab.ts';
import { byteByByte, randomCuts, whole } from '../resp/cuts.ts';
import { encode } from '../support/client.ts';
import { until } from '../support/wait.ts';
import { counters, ended, linkOptions, linkStage, Peer, send, sendAll, turns, Waiter } from './rig.ts';

test('replies go to the commands in their order', async (t) => {
  const s = await linkStage(t);
  const waiters = await sendAll(s, 'a', 'b', 'c');
  assert.equal(s.link.pending, 3);
  s.peer.say('+1\r\n$1\r\n2\r\n*1\r\n:3\r\n');
  await ended(waiters);
  assert.deepEqual(
    waiters.map(({ text }) => text),
    ['+1\r\n', '$1\r\n2\r\n', '*1\r\n:3\r\n'],
  );
  assert.ok(s.link.quiet);
});

test('replies are the same however they are cut', async (t) => {
  const s = await linkStage(t);
  const reply = fc.oneof(
    fc.constantFrom('+OK\r\n', ':1\r\n', '$-1\r\n', '-ERR no\r\n', '*2\r\n:1\r\n$3\r\nabc\r\n'),
    fc.integer({ min: 0, max: 300 }).map((length) => `$${length}\r\n${'x'.repeat(length)}\r\n`),
    fc.constantFrom(20_000, 70_000).map((length) => `$${length}\r\n${'y'.repeat(length)}\r\n`),
  );
  let sent = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(reply, { minLength: 1, maxLength: 8 }), randomCuts, async (replies, cuts) => {
      const bytes = Buffer.from(replies.join(''));
      for (const each of bytes.length < 600 ? [whole, byteByByte, cuts] : [whole, cuts]) {
        const waiters = await sendAll(s, ...replies.map(() => String(sent++)));
        await s.peer.sayInPieces(bytes, each(bytes.length), s.totals);
        await ended(waiters);
        assert.deepEqual(
          waiters.map(({ text }) => text),
          replies,
        );
      }
    }),
    { numRuns: 40 },
  );
  assert.deepEqual([s.peer.sockets.length, s.link.pending], [1, 0]);
});

test('a long reply is handed over in pieces as it comes, a short one and an error whole', async (t) => {
  const s = await linkStage(t);
  const [long, short, error] = await sendAll(s, 'a', 'b', 'c');
  s.peer.say(`$50000\r\n${'x'.repeat(30_000)}`);
  await until('a piece', () => long!.events.includes('piece'), 5000, 1);
  assert.ok(!long!.events.includes('last piece'));
  s.peer.say(`${'x'.repeat(20_000)}\r\n$10\r\nabc`);
  await ended([long!]);
  assert.equal(long!.end, 'last piece');
  s.peer.say(`defghij\r\n-ERR ${'e'.repeat(20_000)}`);
  await ended([short!]);
  await turns();
  s.peer.say('\r\n');
  await ended([error!]);
  assert.deepEqual([short!.events, error!.events], [['reply'], ['reply']]);
  assert.deepEqual([long!.bytes.length, error!.bytes.length], [50_000 + 10, 20_000 + 7]);
});

test('a chunk that someone has kept is not read into again, though another link is opened meanwhile', async (t) => {
  const s = await linkStage(t);
  const other = await Peer.listen(t);
  const second = new Link(linkOptions(other.port), s.owner, s.turn, counters());
  t.after(() => second.close());
  const [first, next, last] = await sendAll(s, 'a', 'b', 'c');
  let kept: Buffer = Buffer.alloc(0);
  first!.onBytes = (bytes, from, to) => {
    kept = bytes.subarray(from, to);
    s.turn.taken = true;
  };
  // As a MOVED to a node that has not been met before.
  next!.onBytes = () => send(second, new Waiter(), 'x');
  s.peer.say('$5\r\nfirst\r\n-MOVED 1 127.0.0.1:1\r\n');
  await ended([first!, next!]);
  s.peer.say(`$40\r\n${'overwritten?'.padEnd(40, '!')}\r\n`);
  await ended([last!]);
  assert.equal(kept.toString(), '$5\r\nfirst\r\n');
});

test('commands are written in the order of sending, whatever their sizes', async (t) => {
  const s = await linkStage(t);
  const sizes = [1, 40_000, 40_000, SLAB_BYTES, SLAB_BYTES + 1, 200_000, 3, SLAB_BYTES - 20, 30];
  const commands = sizes.map((size, i) => encode(['SET', String(i), 'v'.repeat(size)]));
  for (const bytes of commands) {
    const slab = s.link.send(new Waiter(), bytes, 0, bytes.length);
    // The caller finds its bytes at the end of what is used.
    assert.ok(slab.bytes.subarray(slab.used - bytes.length, slab.used).equals(bytes));
  }
  const all = Buffer.concat(commands);
  await until('all of it', () => s.peer.received().length >= all.length, 5000, 1);
  assert.ok(s.peer.received() === all.toString('latin1'));
});

test("ASKING stands directly before its command, and its reply is nobody else's", async (t) => {
  const s = await linkStage(t);
  for (const size of [3, SLAB_BYTES - 30, SLAB_BYTES - 60, SLAB_BYTES + 1000]) {
    const [before, asked, after] = [new Waiter(), new Waiter(), new Waiter()];
    const bytes = encode(['GET', 'k'.repeat(size)]);
    send(s.link, before, 'before');
    s.link.asking();
    const slab = s.link.send(asked, bytes, 0, bytes.length);
    assert.ok(slab.bytes.subarray(slab.used - bytes.length, slab.used).equals(bytes));
    slab.release();
    send(s.link, after, 'after');
    await s.peer.gets(Buffer.concat([encode(['before']), encode(['ASKING']), bytes, encode(['after'])]));
    s.peer.say('+before\r\n+OK\r\n+asked\r\n+after\r\n');
    await ended([before, asked, after]);
    assert.deepEqual([before.text, asked.text, after.text], ['+before\r\n', '+asked\r\n', '+after\r\n']);
  }
});

test("a push goes to the owner and counts as nobody's reply, however long", async (t) => {
  const s = await linkStage(t);
  const waiters = await sendAll(s, 'a', 'b');
  const push = `>2\r\n+message\r\n$40000\r\n${'p'.repeat(40_000)}\r\n`;
  const bytes = Buffer.from(`+1\r\n>1\r\n+hi\r\n+2\r\n${push}`);
  await s.peer.sayInPieces(bytes, [6, 9, 20, 30_000, bytes.length], s.totals);
  await ended(waiters);
  assert.deepEqual(
    waiters.map(({ text }) => text),
    ['+1\r\n', '+2\r\n'],
  );
  assert.deepEqual(s.owner.log.slice(1), ['push >1\r\n+hi\r\n', `push ${push}`]);
});

test('a link is full at its bound of commands or bytes, and tells once when there is room again', async (t) => {
  for (const more of [{ maxPending: 4 }, { maxPendingBytes: 60 }]) {
    const s = await linkStage(t, more);
    const waiters: Waiter[] = [];
    while (!s.link.full) {
      const waiter = new Waiter();
      waiters.push(waiter);
      send(s.link, waiter, 'abcdef');
    }
    assert.equal(waiters.length, 4);
    let told = 0;
    const tell = () => told++;
    s.link.whenRoom(tell);
    s.link.whenRoom(tell);
    await s.peer.gets(encode(['abcdef']));
    for (const _ of waiters) s.peer.say('+OK\r\n');
    await ended(waiters);
    await until('room', () => told === 1, 5000, 1);
    assert.ok(!s.link.full);
    s.link.close();
    assert.equal(told, 1);
  }
});

test('bytes that are written through stand where their command was announced', async (t) => {
  const s = await linkStage(t);
  const [first] = await sendAll(s, 'a');
  const long = new Waiter();
  const after = new Waiter();
  s.link.expect(long);
  s.link.writeThrough(Buffer.from('*1\r\n$4\r\n'));
  s.link.writeThrough(Buffer.from('long\r\n'));
  send(s.link, after, 'z');
  await s.peer.gets(Buffer.concat([encode(['a']), encode(['long']), encode(['z'])]));
  s.peer.say('+1\r\n+2\r\n+3\r\n');
  await ended([first!, long, after]);
  assert.deepEqual([first!.text, long.text, after.text], ['+1\r\n', '+2\r\n', '+3\r\n']);
});

test('while bytes are written through the node may be silent', async (t) => {
  const s = await linkStage(t, { requestTimeout: 1000 });
  const [first] = await sendAll(s, 'a');
  s.peer.say('+1\r\n');
  await ended([first!]);
  const long = new Waiter();
  s.link.expect(long);
  const announced = s.turn.now;
  while (performance.now() < announced + 5);
  s.turn.tick();
  s.link.writeThrough(Buffer.from('*1\r\n$4\r\n'));
  s.link.check(announced + 1003);
  assert.deepEqual(long.events, []);
});

test('thousands of commands under way keep their order', async (t) => {
  const s = await linkStage(t, { maxPending: 100_000 });
  const count = 5000;
  const waiters: Waiter[] = [];
  // Some are answered while others are still being sent, so that the ring goes round and grows in the middle.
  let answered = 0;
  for (const until_ of [40, 100, 700, count]) {
    const words: string[] = [];
    for (let i = waiters.length + words.length; i < until_; i++) words.push(String(i));
    waiters.push(...(await sendAll(s, ...words)));
    const some = Math.floor((until_ * 3) / 4);
    s.peer.say(Array.from({ length: some - answered }, (_, i) => `:${answered + i}\r\n`).join(''));
    answered = some;
    await ended(waiters.slice(0, some));
  }
  s.peer.say(Array.from({ length: count - answered }, (_, i) => `:${answered + i}\r\n`).join(''));
  await ended(waiters);
  waiters.forEach(({ text }, i) => {
    assert.equal(text, `:${i}\r\n`);
  });
});
