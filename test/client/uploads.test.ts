/**
 * Huge arguments and huge replies before a real cluster that asks for a password: while their slot moves, when
 * their turn has not come, and without being gathered in the proxy.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import { forget, held, MB, noMemory, peak } from '../clients/memory.ts';
import { Mover } from '../cluster/moves.ts';
import { encode, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

const slot = (key: string) => slotOf(Buffer.from(key), 0, key.length);

describe('huge arguments and replies', () => {
  let cluster: Cluster;
  let proxy: RunningProxy;
  const clients: RawClient[] = [];
  before(async () => {
    cluster = await startCluster({ replicas: 0, password: 'secret' });
    proxy = await startProxy({ cluster });
  });
  after(async () => {
    for (const client of clients) client.destroy();
    await proxy?.stop();
    await cluster?.stop();
  });

  async function client(): Promise<RawClient> {
    const one = await proxy.connect();
    clients.push(one);
    assert.equal(String(await one.call('AUTH', 'secret')), '+OK\r\n');
    return one;
  }

  /** The bulk that a reply is. */
  function content(reply: Buffer): Buffer {
    return reply.subarray(reply.indexOf('\n') + 1, reply.length - 2);
  }

  test('what has been acknowledged is there, whole, and what has not been is not, while its slot moves', async () => {
    const [a, b] = [await client(), await client()];
    const key = '{moves}k';
    const mover = new Mover(cluster);
    let moving = true;
    const moves = (async () => {
      for (let i = 0; i < 60; i++) await mover.make({ what: 'slot', slot: slot(key), few: 1, pause: 0 });
      moving = false;
    })();
    const outcomes = new Map<string, number>();
    let last = Buffer.alloc(0);
    for (let i = 0; moving || i < 6; i++) {
      const value = Buffer.alloc(3 * MB + i, 97 + (i % 26));
      const [reply, after] = await a.pipeline([
        ['SET', key, value],
        ['STRLEN', key],
      ]);
      const text = String(reply);
      if (text === '+OK\r\n') last = value;
      else assert.match(text, /^-TRYAGAIN slotless: /);
      outcomes.set(text[0]!, (outcomes.get(text[0]!) ?? 0) + 1);
      assert.equal(String(after), `:${last.length}\r\n`);
      assert.ok(content(await b.call('GET', key)).equals(last));
    }
    await moves;
    assert.ok(outcomes.get('+')! > 0, 'none was done at all');
  });

  test('one that began at a node that was importing its slot is not done there when the slot has gone round', async () => {
    const [a, b] = [await client(), await client()];
    const key = '{round}k';
    const mover = new Mover(cluster);
    const { source, target } = await mover.open(slot(key));
    // Its key is not there: the owner sends it on to the node that imports the slot.
    const value = Buffer.alloc(3 * MB, 'v');
    const bytes = encode(['SET', key, value]);
    const reply = a.read();
    await a.send(bytes.subarray(0, 2 * MB));
    const at = async () => String(await cluster.cli(target.port, 'CLIENT', 'LIST'));
    await until('its bytes to arrive', async () => / qbuf=[1-9]\d{6,} /.test(await at()));
    await mover.finish(slot(key), source, target, 10, 0);
    // Round, back to where it was, and on to the same node once more.
    for (let i = 1; i < cluster.nodes.length; i++)
      await mover.make({ what: 'slot', slot: slot(key), few: 10, pause: 0 });
    await b.call('SET', key, 'small');
    await mover.open(slot(key));
    await a.send(bytes.subarray(2 * MB));
    const said = String(...(await reply));
    const is = content(await b.call('GET', key));
    assert.match(said, /^-TRYAGAIN slotless: /);
    assert.equal(String(is), 'small');
    await mover.finish(slot(key), source, target, 10, 0);
  });

  test('several huge arguments of one command', async () => {
    const one = await client();
    const values = [2 * MB, 10, 3 * MB, 0, 1_500_000].map((size) => randomBytes(size));
    assert.equal(String(await one.call('RPUSH', 'list', ...values)), ':5\r\n');
    for (const [i, value] of values.entries())
      assert.ok(content(await one.call('LINDEX', 'list', i)).equals(value));
  });

  test('long replies whose turn has not come wait for it', async () => {
    const one = await client();
    // The first at one node, slow to answer; those behind it at the others.
    const [slow, ...fast] = cluster.nodes.map(({ port }, i) => ({ port, key: '', i }));
    for (let i = 0; [slow!, ...fast].some(({ key }) => key === ''); i++) {
      const owner = await cluster.ownerOf(slot(`key${i}`));
      const node = [slow!, ...fast].find(({ port }) => port === owner.port)!;
      node.key ||= `key${i}`;
    }
    const values = fast.map((_, i) => randomBytes((i + 3) * 3 * MB));
    for (const [i, { key }] of fast.entries())
      assert.equal(String(await one.call('SET', key, values[i]!)), '+OK\r\n');
    const script = 'local n = 0 for i = 1, 20000000 do n = n + 1 end return n';
    const replies = await one.pipeline([
      ['EVAL', script, 1, slow!.key],
      ...fast.map(({ key }) => ['GET', key]),
      ['PING'],
    ]);
    assert.equal(String(replies[0]), ':20000000\r\n');
    for (const [i, value] of values.entries()) assert.ok(content(replies[i + 1]!).equals(value));
    assert.equal(String(replies.at(-1)), '+PONG\r\n');
  });

  test('200 MB pass in either direction, and are not gathered to be passed on', {
    skip: noMemory,
  }, async () => {
    const one = await client();
    const size = 200 * MB;
    const value = Buffer.alloc(size, 'v');
    forget(proxy.pid);
    const before = held(proxy.pid);
    assert.equal(String(await one.call('SET', 'huge', value)), '+OK\r\n');
    const upload = peak(proxy.pid) - before;
    // Read as fast as can be: what a slow client leaves unread waits in the proxy, up to clientOutputLimit.
    const reader = connect(proxy.port, '127.0.0.1');
    let read = 0;
    let wrong = 0;
    reader.on('data', (chunk: Buffer) => {
      read += chunk.length;
      if (chunk[chunk.length >> 1] !== 118) wrong++;
    });
    reader.write('AUTH secret\r\nGET huge\r\n');
    await until('all of it', () => read === size + '+OK\r\n$209715200\r\n\r\n'.length);
    reader.destroy();
    const download = peak(proxy.pid) - before;
    assert.ok(wrong <= 2, `${wrong} chunks were not what had been sent`);
    await one.call('DEL', 'huge');
    assert.ok(upload < 100 * MB, `on the way in it grew by ${upload} bytes`);
    // One copy of what the client has not read yet may lie there, and no second one.
    assert.ok(download < 300 * MB, `on the way out it grew by ${download} bytes`);
  });
});
