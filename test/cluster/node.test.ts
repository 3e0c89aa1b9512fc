import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CLOSED, READY } from '../../src/cluster/connection.ts';
import { type Lane, Lanes } from '../../src/cluster/lanes.ts';
import type { Link } from '../../src/cluster/link.ts';
import { addressOf, Node, type NodeOptions } from '../../src/cluster/node.ts';
import { Turn } from '../../src/cluster/turn.ts';
import { TOTAL } from '../../src/telemetry/counters.ts';
import { startFake } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { clusterOptions, counters, laneKey, Owner, send, Waiter } from './rig.ts';

interface Stage {
  node: Node;
  turn: Turn;
  totals: Float64Array;
  lanes: Lane[];
  /** Commands that have arrived at the node, handshakes left out. */
  received(): string[];
}

async function stage(t: TestContext, more: Partial<NodeOptions> = {}): Promise<Stage> {
  const fake = await startFake({ commands: Buffer.alloc(0), primaries: 1 });
  const turn = new Turn();
  const all = counters();
  const { host, port } = fake.nodes[0]!;
  const node = new Node(host, port, clusterOptions(more), new Owner(), turn, all);
  t.after(async () => {
    node.close('the test is over');
    await fake.stop();
  });
  fake.script = ({ name }) => (name === 'HANG' ? { fate: 'hang' } : undefined);
  const lanes = new Lanes('test');
  return {
    node,
    turn,
    totals: all.totals,
    lanes: [lanes.enter(laneKey()), lanes.enter(laneKey({ resp: 3 }))],
    received: () => fake.received.map(({ words }) => words.join(' ')),
  };
}

/** Sends words on a link and waits for the reply, or for the end. */
async function ask(link: Link, ...words: string[]): Promise<Waiter> {
  const waiter = new Waiter();
  send(link, waiter, ...words);
  await until('a reply', () => waiter.end !== undefined, 5000, 1);
  return waiter;
}

test('a lane has one link, and another lane another', async (t) => {
  const { node, lanes, received } = await stage(t);
  const link = node.link(lanes[0]!);
  assert.ok(node.link(lanes[0]!) === link);
  assert.ok(node.link(lanes[1]!) !== link);
  assert.equal((await ask(link, 'SET', 'a', '1')).text, '+OK\r\n');
  assert.deepEqual(received(), ['SET a 1']);
  assert.equal(node.linkCount, 1);
});

test("a borrowed link is nobody else's until it is given back, and then it is used again", async (t) => {
  const { node, lanes, totals } = await stage(t, { dedicated: 3 });
  const one = node.borrow(lanes[0]!)!;
  const two = node.borrow(lanes[0]!)!;
  assert.equal(new Set([one, two, node.link(lanes[0]!)]).size, 3);
  assert.equal(totals[TOTAL.dedicatedLinks], 2);
  await ask(one, 'GET', 'a');
  node.giveBack(lanes[0]!, one);
  assert.equal(totals[TOTAL.dedicatedLinks], 1);
  // Of another lane it is another: it has another user or protocol.
  assert.ok(node.borrow(lanes[1]!) !== one);
  node.discard(two);
  assert.ok(node.borrow(lanes[0]!) === one);
});

test('no more links are lent than allowed', async (t) => {
  const { node, lanes } = await stage(t, { dedicated: 2 });
  const one = node.borrow(lanes[0]!)!;
  node.borrow(lanes[1]!);
  assert.ok(node.borrow(lanes[0]!) === undefined);
  node.discard(one);
  assert.ok(node.borrow(lanes[0]!) !== undefined);
});

test('links to block on are counted apart', async (t) => {
  const { node, lanes } = await stage(t, { dedicated: 1, blocked: 1 });
  const [one, two] = [node.borrow(lanes[0]!)!, node.borrow(lanes[0]!, true)!];
  assert.ok(one !== two);
  assert.deepEqual([node.borrow(lanes[0]!), node.borrow(lanes[0]!, true)], [undefined, undefined]);
  await ask(two, 'GET', 'a');
  node.giveBack(lanes[0]!, two);
  assert.ok(node.borrow(lanes[0]!) === undefined);
  assert.ok(node.borrow(lanes[0]!, true) === two);
});

test('links that were given back and those that are lent are no more than allowed together', async (t) => {
  const { node, lanes } = await stage(t, { dedicated: 1, blocked: 1 });
  const all: Link[] = [];
  for (const lane of [lanes[0]!, lanes[1]!]) {
    const some = [node.borrow(lane)!, node.borrow(lane, true)!];
    for (const link of some) await ask(link, 'GET', 'a');
    for (const link of some) node.giveBack(lane, link);
    all.push(...some);
  }
  assert.ok(all.filter(({ state }) => state === READY).length <= 2);
});

test('a link that is given back while something is pending on it is closed', async (t) => {
  const { node, lanes } = await stage(t);
  const link = node.borrow(lanes[0]!)!;
  await ask(link, 'GET', 'a');
  const waiter = new Waiter();
  send(link, waiter, 'HANG');
  node.giveBack(lanes[0]!, link);
  assert.equal(link.state, CLOSED);
  assert.match(waiter.end!, /^lost/);
  assert.ok(node.borrow(lanes[0]!) !== link);
});

test('a node is quiet when nothing is pending and nothing is lent', async (t) => {
  const { node, lanes } = await stage(t);
  assert.ok(node.quiet);
  const waiter = new Waiter();
  send(node.link(lanes[0]!), waiter, 'HANG');
  assert.deepEqual([node.quiet, node.pending], [false, 1]);
  node.closeLane(lanes[0]!);
  assert.deepEqual([node.quiet, node.pending, waiter.end], [true, 0, 'lost']);
  const link = node.borrow(lanes[0]!)!;
  assert.ok(!node.quiet);
  await ask(link, 'GET', 'a');
  node.giveBack(lanes[0]!, link);
  assert.ok(node.quiet);
});

test('the deadline holds for shared and for borrowed links', async (t) => {
  const { node, lanes, turn, received } = await stage(t, { requestTimeout: 1000, backoffMin: 1000 });
  const [shared, own] = [new Waiter(), new Waiter()];
  send(node.link(lanes[0]!), shared, 'HANG', 'shared');
  send(node.borrow(lanes[0]!)!, own, 'HANG', 'own');
  await until('both to arrive', () => received().length === 2, 5000, 1);
  node.check(turn.tick() + 900);
  assert.deepEqual([shared.end, own.end], [undefined, undefined]);
  node.check(turn.tick() + 1100);
  assert.deepEqual([shared.end, own.end], ['lost sent', 'lost sent']);
});

test('a link that nobody borrows again is closed after a while', async (t) => {
  const { node, lanes, turn } = await stage(t);
  const [old, young] = [node.borrow(lanes[0]!)!, node.borrow(lanes[0]!)!];
  for (const link of [old, young]) await ask(link, 'GET', 'a');
  const start = turn.tick();
  node.giveBack(lanes[0]!, old);
  turn.now = start + 3000;
  node.giveBack(lanes[0]!, young);
  node.check(start + 6000);
  assert.deepEqual([old.state, young.state], [CLOSED, READY]);
  assert.ok(node.borrow(lanes[0]!) === young);
});

test('when a lane is closed its links are, the idle ones too, and those of others are not', async (t) => {
  const { node, lanes } = await stage(t);
  const [mine, others] = [node.link(lanes[0]!), node.link(lanes[1]!)];
  const idle = node.borrow(lanes[0]!)!;
  for (const link of [mine, others, idle]) await ask(link, 'GET', 'a');
  node.giveBack(lanes[0]!, idle);
  node.closeLane(lanes[0]!);
  assert.deepEqual([mine.state, idle.state, others.state], [CLOSED, CLOSED, READY]);
  assert.ok(node.link(lanes[0]!) !== mine);
});

test('when a node is closed all its links are', async (t) => {
  const { node, lanes, totals } = await stage(t);
  const idle = node.borrow(lanes[0]!)!;
  await ask(idle, 'GET', 'a');
  node.giveBack(lanes[0]!, idle);
  const links = [node.link(lanes[0]!), node.link(lanes[1]!), node.borrow(lanes[1]!)!];
  for (const link of links) await ask(link, 'GET', 'a');
  node.close('over');
  assert.ok([...links, idle].every(({ state }) => state === CLOSED));
  assert.deepEqual([totals[TOTAL.links], totals[TOTAL.dedicatedLinks]], [0, 0]);
});

test('an IPv6 address is written in brackets', () => {
  assert.equal(addressOf('::1', 7000), '[::1]:7000');
  assert.equal(addressOf('127.0.0.1', 7000), '127.0.0.1:7000');
  assert.equal(addressOf('node-1', 7000), 'node-1:7000');
});
