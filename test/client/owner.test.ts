import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { findOwner } from '../../src/client/owner.ts';
import { TOTAL } from '../../src/telemetry/counters.ts';
import { Sender } from '../cluster/rig.ts';
import { room } from './rig.ts';

const KEY = Buffer.from('b');
const SLOT = 3300;

async function stage(t: TestContext, settings = {}, cluster = {}) {
  const stage = await room(t, { 'failover.holdFor': 200, 'redirects.max': 4, ...settings }, {}, cluster);
  const client = Object.assign(new Sender(stage.cluster), { context: stage.context });
  const find = (wanted = () => true) =>
    findOwner(client as unknown as Parameters<typeof findOwner>[0], KEY, wanted);
  const lent = () => stage.cluster.counters.totals[TOTAL.dedicatedLinks];
  return { ...stage, find, lent };
}

test("the node that answers for the key is the owner, with a link that is the finder's", async (t) => {
  const { find, fake, lent } = await stage(t);
  const found = await find();
  assert.ok(!Buffer.isBuffer(found));
  assert.deepEqual(
    [found.node.port, found.asking, found.link.pending, lent()],
    [fake.nodes[0]!.port, false, 0, 1],
  );
  assert.deepEqual(
    fake.received.map(({ words }) => words),
    [['EXISTS', 'b']],
  );
});

test('redirects are followed, and the links on the way are not kept', async (t) => {
  const { find, fake, lent, cluster } = await stage(t);
  const [x, y] = fake.nodes;
  x!.script = ({ name }) => (name === 'EXISTS' ? y!.ask(SLOT) : undefined);
  const asked = await find();
  assert.ok(!Buffer.isBuffer(asked));
  assert.deepEqual(
    [asked.node.port, asked.asking, lent(), fake.received.at(-1)!.asking],
    [y!.port, true, 1, true],
  );
  x!.script = ({ name }) => (name === 'EXISTS' ? y!.moved(SLOT) : undefined);
  const moved = await find();
  assert.ok(!Buffer.isBuffer(moved));
  assert.deepEqual([moved.node.port, moved.asking, lent()], [y!.port, false, 2]);
  assert.equal(cluster.ownerOf(SLOT)!.port, y!.port);
});

test('an error that says nothing of the road is for the command itself to meet', async (t) => {
  const { find, fake } = await stage(t);
  fake.script = ({ name }) =>
    name === 'EXISTS' ? "-NOPERM this user has no permissions to run the 'exists' command\r\n" : undefined;
  const found = await find();
  assert.ok(!Buffer.isBuffer(found) && found.node.port === fake.nodes[0]!.port);
});

test('who finds none gets the last error, and keeps no link', async (t) => {
  const { find, fake, lent } = await stage(t);
  const [x, y] = fake.nodes;
  fake.script = ({ name, node }) => (name === 'EXISTS' ? (node === x ? y : x)!.ask(SLOT) : undefined);
  assert.match(String(await find()), /^-ASK/);
  fake.script = ({ name }) => (name === 'EXISTS' ? '-CLUSTERDOWN The cluster is down\r\n' : undefined);
  assert.match(String(await find()), /^-CLUSTERDOWN The cluster is down/);
  assert.equal(lent(), 0);
});

test("no link to be had is the limit's error", async (t) => {
  const { find } = await stage(t, {}, { dedicated: 1 });
  await find();
  assert.match(String(await find()), /node\.dedicated/);
});

test('who is no longer wanted asks no more', async (t) => {
  const { find, fake } = await stage(t);
  const [x, y] = fake.nodes;
  let wanted = true;
  x!.script = ({ name }) => {
    if (name !== 'EXISTS') return undefined;
    wanted = false;
    return y!.ask(SLOT);
  };
  assert.match(String(await find(() => wanted)), /^-ASK/);
  assert.equal(fake.received.length, 1);
});
