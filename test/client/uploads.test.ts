/**
 * Huge arguments and huge replies before a real cluster that asks for a password: while their slot moves, when
 * their turn has not come, and without being gathered in the proxy.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import type { RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';

const MB = 1_000_000;
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
    const home = (await cluster.ownerOf(slot(key))).port;
    const away = cluster.nodes.find(({ port }) => port !== home)!.port;
    let moving = true;
    const moves = (async () => {
      for (let i = 0; i < 80; i++) await cluster.moveSlot(slot(key), i % 2 === 0 ? away : home);
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

  test('200 MB pass in either direction, and are not gathered', async () => {
    const one = await client();
    const peak = () =>
      Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${proxy.pid}/status`, 'utf8'))![1]) / 1000;
    const size = 200 * MB;
    const value = Buffer.alloc(size, 'v');
    const before = peak();
    assert.equal(String(await one.call('SET', 'huge', value)), '+OK\r\n');
    const upload = peak() - before;
    const reply = await one.call('GET', 'huge');
    assert.ok(content(reply).equals(value));
    const download = peak() - before;
    await one.call('DEL', 'huge');
    assert.ok(upload < 100 && download < 100, `it grew by ${upload} MB, then by ${download} MB`);
  });
});
