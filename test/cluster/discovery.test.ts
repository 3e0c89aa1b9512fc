/**
 * Finding the cluster and staying with it: what the proxy makes of seeds that are dead, of a cluster that is not
 * there yet, of nodes that call themselves by odd names or lie, and of nodes that come, go and fail.
 *
 * Scripted nodes say what a real cluster says seldom; where a real one can be made to, it is asked.
 */

import assert from 'node:assert/strict';
import { before, describe, type TestContext, test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import {
  commandReply,
  type FakeCluster,
  type FakeNode,
  type ShardNode,
  shardNode,
  shardsReply,
  startFake,
} from '../support/fake-node.ts';
import { freePort } from '../support/ports.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

/** `{b}` lies in slot 3300, in the first half; `{a}` in 15495. */
const [FIRST, SECOND] = ['{b}', '{a}'];

let commands: Buffer;
before(async () => {
  commands = await commandReply();
});

async function fakes(t: TestContext, primaries = 2): Promise<FakeCluster> {
  const fake = await startFake({ commands, primaries });
  t.after(() => fake.stop());
  return fake;
}

async function proxyOf(
  t: TestContext,
  seeds: string[],
  settings: Record<string, string | number> = {},
  unready = false,
): Promise<RunningProxy> {
  const proxy = await startProxy({ cluster: { seeds }, settings, unready });
  t.after(() => proxy.stop());
  return proxy;
}

/** Both halves of the slots can be written and read. */
async function serves(t: TestContext, proxy: RunningProxy): Promise<void> {
  const client = await proxy.connect();
  t.after(() => client.destroy());
  for (const key of [FIRST, SECOND]) {
    assert.equal(await client.ask('SET', key, 'value'), 'OK');
    assert.equal(await client.ask('GET', key), 'value');
  }
}

function halves(first: ShardNode[], second: ShardNode[]): string {
  return shardsReply([
    { ranges: [0, 8191], nodes: first },
    { ranges: [8192, 16383], nodes: second },
  ]);
}

function tell(fake: FakeCluster, shards: (asked: FakeNode) => string): void {
  for (const node of fake.nodes) node.shards = shards(node);
}

describe('finding the cluster', () => {
  test('one seed that answers is enough', async (t) => {
    const fake = await fakes(t);
    const dead = [`127.0.0.1:${await freePort()}`, `localhost:${await freePort()}`];
    const proxy = await proxyOf(t, [...dead, fake.seeds[1]!]);
    await serves(t, proxy);
  });

  test('a cluster that is not there yet is waited for, and the reason is given once', async (t) => {
    const fake = await fakes(t);
    let disabled = true;
    fake.script = ({ name }) =>
      disabled && name === 'CLUSTER' ? '-ERR This instance has cluster support disabled\r\n' : undefined;
    const admin = await freePort();
    // The same node by two names, so that it is another seed each time whose reason comes first.
    const seeds = [fake.seeds[0]!, fake.seeds[0]!.replace('127.0.0.1', 'localhost')];
    const proxy = await proxyOf(t, seeds, { admin: `127.0.0.1:${admin}` }, true);
    await until('some rounds of questions', () => fake.nodes[0]!.accepted > 10);
    const ready = await fetch(`http://127.0.0.1:${admin}/readyz`);
    assert.equal(ready.status, 503);
    assert.match(await ready.text(), /cluster support disabled/);
    assert.equal(proxy.log.filter((line) => line.includes('not ready')).length, 1, proxy.log.join('\n'));
    disabled = false;
    await proxy.logged(/"ready on/);
    assert.equal((await fetch(`http://127.0.0.1:${admin}/readyz`)).status, 200);
    await serves(t, proxy);
  });

  test('a node that does not know CLUSTER SHARDS is asked for CLUSTER SLOTS', async (t) => {
    const fake = await fakes(t);
    for (const node of fake.nodes) node.old = true;
    await serves(t, await proxyOf(t, fake.seeds));
  });

  test('a node that drips its answer for ever holds nobody up', async (t) => {
    const fake = await fakes(t, 3);
    let timer: NodeJS.Timeout | undefined;
    t.after(() => clearInterval(timer));
    fake.nodes[2]!.script = ({ name, connection }) => {
      if (name !== 'CLUSTER') return undefined;
      connection.socket.write('$1000000\r\n');
      timer ??= setInterval(() => connection.socket.destroyed || connection.socket.write('x'), 50);
      return { fate: 'hang' };
    };
    await serves(t, await proxyOf(t, fake.seeds, { 'link.connectTimeout': 500 }));
  });

  test('nodes that never answer are not waited for, whoever is asked first', async (t) => {
    for (const silent of [[0], [1], [2], [0, 1]]) {
      const fake = await fakes(t, silent.length + 2);
      for (const i of silent)
        fake.nodes[i]!.script = ({ name }) => (name === 'CLUSTER' ? { fate: 'hang' } : undefined);
      // Longer than this test may take.
      await serves(t, await proxyOf(t, fake.seeds, { 'link.connectTimeout': 600_000 }));
    }
  });

  test('an endpoint that is empty, null or ? is the host that was asked', async (t) => {
    for (const endpoint of ['', null, '?']) {
      const fake = await fakes(t);
      const [x, y] = fake.nodes as [FakeNode, FakeNode];
      const odd = (node: FakeNode) => [shardNode(node, { endpoint, ip: '' })];
      tell(fake, () => halves(odd(x), odd(y)));
      const proxy = await proxyOf(t, fake.seeds);
      await serves(t, proxy);
      // Redirects come without a host, too.
      x.script = ({ name }) => (name === 'SET' ? `-MOVED 3300 ${endpoint ?? ''}:${y.port}\r\n` : undefined);
      await serves(t, proxy);
    }
  });

  test('the natMap says where nodes are to be reached', async (t) => {
    const fake = await fakes(t);
    const [x, y] = fake.nodes as [FakeNode, FakeNode];
    const inside = (node: FakeNode, n: number) => [
      shardNode(node, { endpoint: `10.255.255.${n}`, port: 7000 }),
    ];
    tell(fake, () => halves(inside(x, 1), inside(y, 2)));
    const proxy = await proxyOf(t, [fake.seeds[0]!], {
      natMap: `10.255.255.1:7000=${fake.seeds[0]},10.255.255.2:7000=${fake.seeds[1]}`,
    });
    await serves(t, proxy);
    x.script = ({ name }) => (name === 'SET' ? '-MOVED 3300 10.255.255.2:7000\r\n' : undefined);
    await serves(t, proxy);
  });

  test('a node that is alone with its view is outvoted, whatever its epoch', async (t) => {
    const fake = await fakes(t, 3);
    const liar = fake.nodes[2]!;
    liar.shards = shardsReply([{ ranges: [0, 16383], nodes: [shardNode(liar)] }]);
    liar.script = ({ name, words }) =>
      name === 'CLUSTER' && words[1] === 'INFO' ? '$29\r\ncluster_current_epoch:999999\r\n\r\n' : undefined;
    const proxy = await proxyOf(t, fake.seeds);
    const client = await proxy.connect();
    t.after(() => client.destroy());
    await client.call('SET', FIRST, '1');
    assert.deepEqual(
      fake.received.map(({ node }) => node),
      [fake.nodes[0]],
    );
  });

  test('names instead of addresses', async (t) => {
    const hostname = [
      '--cluster-announce-hostname',
      'localhost',
      '--cluster-preferred-endpoint-type',
      'hostname',
    ];
    const cluster = await startCluster({ replicas: 0, config: hostname });
    t.after(() => cluster.stop());
    const proxy = await proxyOf(t, cluster.seeds);
    await serves(t, proxy);
    const map = proxy.log.find((line) => line.includes('the map has changed')) ?? '';
    assert.match(map, /localhost:/);
    await cluster.moveSlot(3300, cluster.primaries[2]!.port);
    await serves(t, proxy);
  });

  test('IPv6', async (t) => {
    const cluster = await startCluster({ replicas: 0, host: '::1' });
    t.after(() => cluster.stop());
    const proxy = await proxyOf(t, cluster.seeds);
    await serves(t, proxy);
    await cluster.moveSlot(3300, cluster.primaries[2]!.port);
    await serves(t, proxy);
  });
});

describe('staying with the cluster', () => {
  test('a node that joins is used, and one that leaves is left', async (t) => {
    const fake = await fakes(t);
    const proxy = await proxyOf(t, fake.seeds, { 'refresh.every': 300 });
    await serves(t, proxy);
    const [, y] = fake.nodes as [FakeNode, FakeNode];
    const z = await fake.add();
    fake.owners.fill(2, 8192, 16384);
    fake.epoch++;
    y.script = ({ name }) => (name === 'GET' || name === 'SET' ? z.moved(15495) : undefined);
    await serves(t, proxy);
    assert.ok(fake.received.some(({ node }) => node === z));
    await until('the one that left to have no connection', () => y.connections.size === 0);
  });

  test('a link that is lost is made anew, and what only reads is asked again', async (t) => {
    const fake = await fakes(t);
    const proxy = await proxyOf(t, fake.seeds);
    await serves(t, proxy);
    const client = await proxy.connect();
    t.after(() => client.destroy());
    let drops = 0;
    fake.script = ({ name }) =>
      name === 'GET' && drops++ < 2 ? { fate: drops === 1 ? 'cut' : 'reset', after: '$5\r' } : undefined;
    assert.equal(await client.ask('GET', FIRST), 'value');
    assert.equal(drops, 3);
  });

  test('a node that is down: others are served, its own are held and then told so', async (t) => {
    const cluster = await startCluster({ replicas: 0, config: ['--cluster-require-full-coverage', 'no'] });
    t.after(() => cluster.stop());
    const proxy = await proxyOf(t, cluster.seeds, { 'failover.holdFor': 1500 });
    const dead = await cluster.ownerOf(3300);
    await cluster.kill(dead.port);
    const client = await proxy.connect();
    const other = await proxy.connect();
    t.after(() => {
      client.destroy();
      other.destroy();
    });
    const failing = client.pipeline([
      ['SET', FIRST, '1'],
      ['GET', FIRST],
      ['MGET', FIRST, SECOND],
    ]);
    let served = 0;
    let over = false;
    failing.finally(() => {
      over = true;
    });
    while (!over) {
      assert.equal(await other.ask('SET', SECOND, String(served++)), 'OK');
      await new Promise(setImmediate);
    }
    assert.ok(served > 100, `${served} commands to another shard meanwhile`);
    for (const reply of await failing) assert.match(String(reply), /^-(CLUSTERDOWN|ERR slotless)/);
    // It comes back, and is served again without anybody having to do anything.
    await cluster.restart(dead.port);
    await until('its slots to be served again', async () => (await client.ask('SET', FIRST, '2')) === 'OK');
  });

  test('a node that refuses everybody is asked a few times a second, however many wait', async (t) => {
    const fake = await fakes(t);
    const proxy = await proxyOf(t, fake.seeds, { 'failover.holdFor': 1500, 'refresh.every': 600_000 });
    const x = fake.nodes[0]!;
    // It accepts, and ends each connection before it is greeted.
    x.script = ({ name }) => (name === 'CLIENT' ? { fate: 'reset' } : undefined);
    x.accepted = 0;
    const clients = await Promise.all(Array.from({ length: 20 }, () => proxy.connect()));
    const replies = await Promise.all(clients.map((client, n) => client.call('SET', `{b}${n}`, '1')));
    for (const client of clients) client.destroy();
    for (const reply of replies) assert.match(String(reply), /^-CLUSTERDOWN/);
    // Doubling from 50 ms, that is six or so in the time they wait; the map is asked for besides.
    assert.ok(x.accepted > 1 && x.accepted < 40, `${x.accepted} connections`);
  });
});
