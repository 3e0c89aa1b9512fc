/** Large keys that are poured from node to node: whole, with their time to live, or not at all. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import { connect, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

const LARGE = 40_000_000;
const SOON = 4_000_000_000_000;

let cluster: Cluster;
let proxy: RunningProxy;
let client: RawClient;

before(async () => {
  cluster = await startCluster({ primaries: 3, replicas: 0 });
  proxy = await startProxy({ cluster, settings: { streamAbove: '64kb' } });
});

after(async () => {
  await proxy?.stop();
  await cluster?.stop();
});

beforeEach(async () => {
  client = await proxy.connect();
});

afterEach(async () => {
  await client.ask('FLUSHALL');
  client.destroy();
});

const ownerOf = (key: string) => cluster.ownerOf(slotOf(Buffer.from(key), 0, key.length));

/** Names in slots of two nodes. */
async function pair(): Promise<[string, string]> {
  const from = await ownerOf('s');
  for (let i = 0; ; i++) if ((await ownerOf(`d${i}`)).port !== from.port) return ['s', `d${i}`];
}

/** Ends the first connection of a node that is as a test says, by its line in CLIENT LIST. */
async function cut(port: number, such: (line: string) => boolean): Promise<void> {
  const node = await connect(port);
  let id: string | undefined;
  await until('such a connection', async () => {
    const line = String(await node.ask('CLIENT', 'LIST'))
      .split('\n')
      .find(such);
    id = /^id=(\d+)/.exec(line ?? '')?.[1];
    return id !== undefined;
  });
  assert.equal(await node.ask('CLIENT', 'KILL', 'ID', id!), 1);
  node.destroy();
}

const over = (field: string, bytes: number) => (line: string) =>
  Number(new RegExp(` ${field}=(\\d+)`).exec(line)?.[1]) > bytes && line.includes('name=slotless');

test('a large key of each type is copied as it is, and lives as long', async () => {
  const [from, to] = await pair();
  const many = Array.from({ length: 4000 }, (_, i) => `${i}-${'x'.repeat(20)}`);
  const fill: Record<string, (string | number)[]> = {
    list: ['RPUSH', from, ...many],
    set: ['SADD', from, ...many],
    hash: ['HSET', from, ...many.flatMap((each) => [each, each])],
    zset: ['ZADD', from, ...many.flatMap((each, i) => [i, each])],
    string: ['SET', from, 'y'.repeat(3_000_000)],
  };
  const read: Record<string, (key: string) => string[]> = {
    list: (key) => ['LRANGE', key, '0', '-1'],
    set: (key) => ['SMEMBERS', key],
    hash: (key) => ['HGETALL', key],
    zset: (key) => ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
    string: (key) => ['GET', key],
  };
  const sorted = (value: unknown) => (Array.isArray(value) ? value.map(String).sort() : value);
  for (const [type, words] of Object.entries(fill)) {
    await client.ask('DEL', from, to);
    await client.ask(...(words as [string]));
    assert.equal(await client.ask('COPY', from, to), 1, type);
    assert.equal(await client.ask('PTTL', to), -1, type);
    assert.deepEqual(
      sorted(await client.ask(...(read[type]!(to) as [string]))),
      sorted(await client.ask(...(read[type]!(from) as [string]))),
      type,
    );
    await client.ask('PEXPIREAT', from, SOON);
    assert.equal(await client.ask('COPY', from, to), 0, type);
    assert.equal(await client.ask('COPY', from, to, 'REPLACE'), 1, type);
    assert.equal(await client.ask('PEXPIRETIME', to), SOON, type);
  }
});

test('a large key is renamed as it is, and lives as long', async () => {
  const [from, to] = await pair();
  const value = randomBytes(2_000_000).toString('latin1');
  await client.ask('SET', from, value, 'PXAT', SOON);
  await client.ask('SET', to, 'before');
  assert.equal(await client.ask('RENAMENX', from, to), 0);
  assert.equal(await client.ask('RENAME', from, to), 'OK');
  assert.equal(await client.ask('GET', to), value);
  assert.equal(await client.ask('PEXPIRETIME', to), SOON);
  assert.equal(await client.ask('RENAMENX', to, from), 1);
  assert.equal(await client.ask('PEXPIRETIME', from), SOON);
  assert.deepEqual(await client.ask('KEYS', '*'), [from]);
  assert.equal(await client.ask('DBSIZE'), 1);
});

test('a large key that is written to while it is renamed goes as it is then', async () => {
  const [from, to] = await pair();
  // Dumps are compressed where they can be.
  await client.ask('SET', from, randomBytes(LARGE));
  const renamed = client.ask('RENAME', from, to);
  const node = await connect((await ownerOf(from)).port);
  await until('it to be on its way', async () =>
    String(await node.ask('CLIENT', 'LIST'))
      .split('\n')
      .some(over('omem', 1_000_000)),
  );
  assert.equal(await node.ask('APPEND', from, 'y'), LARGE + 1);
  node.destroy();
  assert.equal(await renamed, 'OK');
  assert.equal(await client.ask('STRLEN', to), LARGE + 1);
  assert.equal(await client.ask('EXISTS', from), 0);
});

test('a result that is large is poured to its destination, and nothing of it stays behind', async () => {
  const [from, to] = await pair();
  await client.ask('SET', from, randomBytes(1_000_000));
  await client.ask('SET', to, 'before', 'EX', 1000);
  assert.equal(await client.ask('BITOP', 'NOT', to, from), 1_000_000);
  assert.equal(await client.ask('PTTL', to), -1);
  const bits = Number(await client.ask('BITCOUNT', from)) + Number(await client.ask('BITCOUNT', to));
  assert.equal(bits, 8_000_000);
  assert.equal(await client.ask('DBSIZE'), 2);
});

test('when the node that it comes from is lost in the middle, the destination is as before', async () => {
  const [from, to] = await pair();
  await client.ask('SET', from, randomBytes(LARGE));
  await client.ask('SET', to, 'before');
  const reply = client.ask('COPY', from, to, 'REPLACE');
  await cut((await ownerOf(from)).port, over('omem', 1_000_000));
  assert.match(String(await reply), /^Error: CLUSTERDOWN slotless: the command was not served: /);
  assert.equal(await client.ask('GET', to), 'before');
  assert.equal(await client.ask('COPY', from, to, 'REPLACE'), 1);
  assert.equal(await client.ask('STRLEN', to), LARGE);
});

test('when the node that it goes to is lost in the middle, the destination is as before', async () => {
  const [from, to] = await pair();
  await client.ask('SET', from, randomBytes(LARGE));
  await client.ask('SET', to, 'before');
  const reply = client.ask('COPY', from, to, 'REPLACE');
  await cut((await ownerOf(to)).port, over('qbuf', 1_000_000));
  assert.match(String(await reply), /^Error: CLUSTERDOWN slotless: the command was not served: /);
  assert.equal(await client.ask('GET', to), 'before');
  assert.equal(await client.ask('COPY', from, to, 'REPLACE'), 1);
});

test('a large key of a slot that is on the move is found where it is', async () => {
  const [from, to] = await pair();
  await client.ask('SET', from, randomBytes(1_000_000));
  const slot = slotOf(Buffer.from(from), 0, from.length);
  const owner = await ownerOf(from);
  const heir = cluster.primaries.find(({ port }) => port !== owner.port)!;
  await cluster.cli(heir.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', owner.id);
  await cluster.cli(owner.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', heir.id);
  await cluster.cli(owner.port, 'MIGRATE', heir.host, heir.port, from, 0, 10_000);
  assert.equal(await client.ask('COPY', from, to), 1);
  assert.equal(await client.ask('STRLEN', to), 1_000_000);
  assert.equal(await client.ask('RENAME', from, to), 'OK');
  assert.equal(await client.ask('EXISTS', from), 0);
  for (const { port } of [heir, owner]) await cluster.cli(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', heir.id);
  await cluster.settled();
});

test('clients of the same nodes are served while a large key is poured', async () => {
  const [from, to] = await pair();
  await client.ask('SET', from, randomBytes(LARGE));
  const other = await proxy.connect();
  let done = false;
  const copied = client.ask('COPY', from, to).then((reply) => {
    done = true;
    return reply;
  });
  let served = 0;
  for (; !done; served++) {
    assert.equal(await other.ask('SET', `{${to}}other`, served), 'OK');
    assert.equal(await other.ask('GET', `{${from}}other`), null);
  }
  assert.equal(await copied, 1);
  assert.ok(served > 0);
  other.destroy();
});
