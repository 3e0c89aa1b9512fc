import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyByKey } from '../../src/client/bykey.ts';
import type { Pieces } from '../../src/cluster/apart.ts';
import type { Command } from '../../src/command/command.ts';
import { framedOf } from '../command/framed.ts';
import { SIX } from '../command/six.ts';
import { encode } from '../support/client.ts';
import { type FakeCluster, held, type Received, type Script } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { Asked, rig, Sender } from './rig.ts';

const SLOT = 100;
const TRYAGAIN = '-TRYAGAIN Multiple keys request during rehashing of slot\r\n';
const DOWN = '-CLUSTERDOWN The cluster is down\r\n';

/** A call of the basic six, as a client's. */
class Six extends Asked {
  static gathered = 0;
  private readonly command: Command;

  constructor(sender: Sender, words: readonly string[]) {
    super(sender, SLOT, words[0] === 'MGET', true);
    this.command = SIX.find(framedOf(words))!;
    const bytes = encode([...words]);
    this.start(bytes, 0, bytes.length);
  }

  protected override cut(bytes: Buffer, from: number, to: number): Pieces | undefined {
    return keyByKey(this.command, SLOT, [bytes, from, to], (more) => {
      Six.gathered += more;
    });
  }
}

/**
 * Makes the two nodes source and target of an open slot, as real ones are: whose keys are in `moved` are at the
 * target, all others that there are at the source.
 */
function open(fake: FakeCluster, moved: Set<string>, first: Script = () => undefined): void {
  const [x, y] = fake.nodes;
  const at = (one: Received) => {
    const keys = one.words.slice(1).filter((_, i) => !one.name.endsWith('SET') || i % 2 === 0);
    const here = keys.filter((key) => fake.store.has(key) && moved.has(key) === (one.node === y));
    if (one.node === y && !one.asking) return x!.moved(SLOT);
    if (here.length === keys.length) return undefined;
    if (one.node === x) return here.length === 0 ? y!.ask(SLOT) : TRYAGAIN;
    return keys.length > 1 ? TRYAGAIN : undefined;
  };
  const known = ['MGET', 'DEL', 'MSET', 'SET', 'GET'];
  fake.script = (one) => (known.includes(one.name) ? (first(one) ?? at(one)) : undefined);
}

function values(...values: (string | undefined)[]): string {
  const bulk = (value: string | undefined) =>
    value === undefined ? '$-1\r\n' : `$${value.length}\r\n${value}\r\n`;
  return `*${values.length}\r\n${values.map(bulk).join('')}`;
}

test('a call whose keys are apart is done key by key, each where it is', async (t) => {
  const { cluster, fake } = await rig(t, { redirects: 2 });
  const sender = new Sender(cluster);
  for (const key of ['a', 'b', 'c']) fake.store.set(key, key.toUpperCase());
  open(fake, new Set(['b']));
  const mget = new Six(sender, ['MGET', 'b', 'a', 'none', 'c', 'a']);
  assert.equal(await mget.answered, values('B', 'A', undefined, 'C', 'A'));
  const del = new Six(sender, ['DEL', 'b', 'a', 'none', 'a', 'b']);
  assert.equal(await del.answered, ':2\r\n');
  assert.deepEqual([...fake.store.keys()], ['c']);
  assert.deepEqual([sender.started, sender.settled, mget.answers, del.answers], [2, 2, 1, 1]);
  assert.deepEqual([Six.gathered, cluster.gates.slots.size], [0, 0]);
});

test('MSET waits until its keys are together', async (t) => {
  const { cluster, fake } = await rig(t);
  const moved = new Set(['b']);
  let refused = 0;
  for (const key of ['a', 'b']) fake.store.set(key, '1');
  open(fake, moved, () => {
    if (++refused === 3) moved.delete('b');
    return undefined;
  });
  assert.equal(await new Six(new Sender(cluster), ['MSET', 'a', '2', 'b', '2']).answered, '+OK\r\n');
  assert.deepEqual(fake.executed, ['MSET a 2 b 2']);
});

test('whatever keys are where, and move meanwhile, each is done once', async (t) => {
  const { cluster, fake } = await rig(t);
  const names = ['a', 'b', 'c', 'd', 'e'];
  const story = fc.record({
    there: fc.subarray(names),
    moved: fc.subarray(names),
    moves: fc.array(fc.option(fc.constantFrom(...names)), { maxLength: 12 }),
    name: fc.constantFrom('MGET', 'DEL'),
    keys: fc.array(fc.constantFrom(...names), { minLength: 2, maxLength: 8 }),
  });
  await fc.assert(
    fc.asyncProperty(story, async ({ there, moved, moves, name, keys }) => {
      fake.store.clear();
      fake.executed.length = 0;
      for (const key of there) fake.store.set(key, key);
      const gone = new Set(moved);
      const left = [...moves];
      open(fake, gone, () => {
        const next = left.shift();
        if (next) gone.add(next);
        return undefined;
      });
      const { answered } = new Six(new Sender(cluster), [name, ...keys]);
      const found = keys.map((key) => (there.includes(key) ? key : undefined));
      const count = new Set(keys.filter((key) => there.includes(key))).size;
      assert.equal(await answered, name === 'MGET' ? values(...found) : `:${count}\r\n`);
      const done = fake.executed.flatMap((one) => one.split(' ').slice(1));
      assert.deepEqual(done.toSorted(), keys.toSorted());
    }),
    { numRuns: 200 },
  );
});

test('a large call is done in rounds, and others come between them', async (t) => {
  const { cluster, fake } = await rig(t, { redirects: 2, maxPending: 3000 });
  const keys = Array.from({ length: 5000 }, (_, i) => `k${i}`);
  const moved = new Set(keys.filter((_, i) => i % 3 === 0));
  for (const key of keys) fake.store.set(key, key);
  let most = 0;
  let other: Asked | undefined;
  const sender = new Sender(cluster);
  open(fake, moved, () => {
    const nodes = cluster.allNodes().map(({ node }) => node.pending);
    most = Math.max(most, ...nodes);
    other ??= Asked.to(new Sender(cluster), SLOT, 'GET', 'k1');
    return undefined;
  });
  const mget = new Six(sender, ['MGET', ...keys]);
  await until('another command to be asked', () => other !== undefined);
  await other!.answered;
  assert.equal(mget.settled, false);
  assert.equal(await mget.answered, values(...keys));
  // An ASKING goes before each.
  assert.ok(most <= 2001, `${most} at a time`);
});

test('a write of which a key was sent and not answered has an unknown outcome', async (t) => {
  const { cluster, fake } = await rig(t);
  for (const key of ['a', 'b']) fake.store.set(key, '1');
  open(fake, new Set(['b']), ({ node, name }) =>
    name === 'DEL' && node === fake.nodes[1] ? { fate: 'cut' } : undefined,
  );
  const answer = await new Six(new Sender(cluster), ['DEL', 'a', 'b', 'c']).answered;
  assert.match(
    answer,
    /^-ERR slotless: part slot 100 and 1 more of 3 failed: .*outcome of this write is unknown/,
  );
  assert.deepEqual(fake.executed, ['DEL a']);
});

test('a read is asked again for the keys whose reply was lost', async (t) => {
  const { cluster, fake } = await rig(t);
  for (const key of ['a', 'b', 'c']) fake.store.set(key, key);
  let cuts = 2;
  open(fake, new Set(['b', 'c']), ({ node, words }) =>
    words.length === 2 && node === fake.nodes[1] && cuts-- > 0 ? { fate: 'cut' } : undefined,
  );
  assert.equal(await new Six(new Sender(cluster), ['MGET', 'a', 'b', 'c']).answered, values('a', 'b', 'c'));
  assert.deepEqual(
    fake.executed.filter((one) => one === 'MGET a'),
    ['MGET a'],
  );
});

test('a key that is refused is waited for, and what is done stays done', async (t) => {
  const { cluster, fake } = await rig(t);
  for (const key of ['a', 'b', 'c']) fake.store.set(key, key);
  let down = 3;
  open(fake, new Set(['c']), ({ words }) => (words.join() === 'DEL,b' && down-- > 0 ? DOWN : undefined));
  const sender = new Sender(cluster);
  const del = new Six(sender, ['DEL', 'a', 'b', 'c']);
  await until('it to wait', () => del.atGate);
  assert.equal(del.begun, true);
  assert.equal(await del.answered, ':3\r\n');
  assert.deepEqual(fake.executed.toSorted(), ['DEL a', 'DEL b', 'DEL c']);
});

test('the slot’s end of the move is followed in the middle', async (t) => {
  const { cluster, fake } = await rig(t);
  const [x, y] = fake.nodes;
  for (const key of ['a', 'b', 'c']) fake.store.set(key, key);
  let over = false;
  open(fake, new Set(['c']), (one) => {
    if (one.words.join() === 'DEL,b') over = true;
    if (!over) return undefined;
    return one.node === x ? y!.moved(SLOT) : fake.execute(one.words);
  });
  assert.equal(await new Six(new Sender(cluster), ['DEL', 'a', 'b', 'c']).answered, ':3\r\n');
  assert.ok(cluster.ownerOf(SLOT)?.port === y!.port);
});

test('who waits for too long is told which part was not done', async (t) => {
  const { cluster, fake } = await rig(t, { holdFor: 60 });
  for (const key of ['a', 'b']) fake.store.set(key, key);
  open(fake, new Set(['b']), ({ words }) => (words.join() === 'DEL,b' ? DOWN : undefined));
  const del = new Six(new Sender(cluster), ['DEL', 'a', 'b']);
  assert.equal(await del.answered, `-CLUSTERDOWN slotless: part slot 100 failed: ${DOWN.slice(1)}`);
  open(fake, new Set(['b']), ({ words }) => (words.length === 2 ? DOWN : undefined));
  fake.store.set('a', 'a');
  assert.equal(await new Six(new Sender(cluster), ['DEL', 'a', 'b']).answered, DOWN);
  assert.equal(cluster.gates.slots.size, 0);
});

test('a long value is taken whole', async (t) => {
  const { cluster, fake } = await rig(t);
  const long = 'x'.repeat(600_000);
  fake.store.set('a', long);
  fake.store.set('b', long);
  open(fake, new Set(['b']));
  const mget = new Six(new Sender(cluster), ['MGET', 'a', 'b']);
  assert.ok((await mget.answered) === values(long, long));
  assert.equal(Six.gathered, 0);
});

test('what its client has put behind it at the gate stays behind it', async (t) => {
  const { cluster, fake } = await rig(t);
  const sender = new Sender(cluster);
  const slow = held();
  let down = true;
  for (const key of ['a', 'b']) fake.store.set(key, key);
  open(fake, new Set(['b']), ({ words, node }) => {
    if (down) return DOWN;
    return words.join() === 'DEL,b' && node === fake.nodes[1] ? slow.answer : undefined;
  });
  const del = new Six(sender, ['DEL', 'a', 'b']);
  await until('it to wait', () => del.atGate);
  const set = Asked.to(sender, SLOT, 'SET', 'b', 'new');
  down = false;
  await until('the last key to be asked', () => fake.received.some(({ asking }) => asking));
  assert.deepEqual(fake.executed, ['DEL a']);
  slow.release(fake.execute(['DEL', 'b']));
  assert.deepEqual(await Promise.all([del.answered, set.answered]), [':2\r\n', '+OK\r\n']);
  assert.deepEqual(fake.executed, ['DEL a', 'DEL b', 'SET b new']);
});
