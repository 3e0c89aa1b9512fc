/** What lies between the proxy and a node: a road that is slow, and connections that die without a word. */

import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { Relay } from '../support/relay.ts';
import { availableServers } from '../support/servers.ts';
import { tagOf } from './moves.ts';

/** In slots of the first and of another primary. */
const SLOW = `{${tagOf(3)}}`;
const QUICK = `{${tagOf(16000)}}`;

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;

    before(async () => {
      cluster = await startCluster({ server, replicas: 0 });
    });

    after(() => cluster?.stop());

    /** A proxy that reaches the first primary through a relay. */
    async function behindRelay(
      t: TestContext,
      settings: Record<string, string | number>,
    ): Promise<{ relay: Relay; proxy: RunningProxy; connect: () => Promise<RawClient> }> {
      const { port } = await cluster.ownerOf(3);
      const relay = await Relay.before(port);
      t.after(() => relay.close());
      const natMap = `127.0.0.1:${port}=127.0.0.1:${relay.port}`;
      // A reply may take ten minutes here: that is not what helps.
      const proxy = await startProxy({ cluster, settings: { natMap, requestTimeout: '10m', ...settings } });
      t.after(() => proxy.stop());
      const connect = async () => {
        const client = await proxy.connect();
        t.after(() => client.destroy());
        return client;
      };
      return { relay, proxy, connect };
    }

    test('a slow node slows its own commands alone, however many there are', async (t) => {
      const { relay, connect } = await behindRelay(t, { 'node.maxPending': 50, 'link.timeout': '10m' });
      const slow = await Promise.all(Array.from({ length: 20 }, connect));
      const quick = await Promise.all(Array.from({ length: 10 }, connect));
      for (const client of slow) assert.equal(await client.ask('SET', SLOW, 'v'), 'OK');
      relay.hold();
      let answered = 0;
      // Far more than may wait for one node: those who sent them are read from no more.
      const waiting = slow.map(async (client, i) => {
        const sets = Array.from({ length: 50 }, (_, n) => ['SET', `${SLOW}${i}`, String(n)]);
        for (const reply of await client.pipeline(sets)) {
          assert.equal(String(reply), '+OK\r\n');
          answered++;
        }
      });
      for (let n = 0; n < 200; n++)
        assert.deepEqual(
          await Promise.all(quick.map((client, i) => client.ask('SET', `${QUICK}${i}`, n))),
          quick.map(() => 'OK'),
        );
      assert.equal(answered, 0);
      relay.resume();
      await Promise.all(waiting);
      for (const [i, client] of slow.entries()) assert.equal(await client.ask('GET', `${SLOW}${i}`), '49');
    });

    test('a connection that swallows everything is left, though the node is well', async (t) => {
      const { relay, proxy, connect } = await behindRelay(t, { 'link.timeout': '500ms' });
      const [reader, writer] = [await connect(), await connect()];
      assert.equal(await reader.ask('SET', SLOW, 'v'), 'OK');
      relay.swallow();
      const read = reader.ask('GET', SLOW);
      const write = writer.ask('SET', `${SLOW}w`, 'w');
      assert.match(String(await write), /unknown \(what was sent did not reach the node\)/);
      assert.equal(await read, 'v');
      assert.equal(await writer.ask('SET', `${SLOW}w`, 'x'), 'OK');
      assert.ok(!proxy.log.some((line) => line.includes('sent nothing for now')), proxy.log.join('\n'));
    });

    test('a connection that the node has closed is left, though nobody has said so', async (t) => {
      const { relay, connect } = await behindRelay(t, { 'link.timeout': '500ms' });
      const client = await connect();
      assert.equal(await client.ask('SET', SLOW, 'v'), 'OK');
      relay.closeFar();
      assert.equal(await client.ask('GET', SLOW), 'v');
      relay.closeFar();
      assert.match(
        String(await client.ask('SET', SLOW, 'w')),
        /unknown \(the node has closed the connection\)/,
      );
      assert.equal(await client.ask('SET', SLOW, 'x'), 'OK');
    });

    test('a node whose writes are paused is waited for', async (t) => {
      const { proxy, connect } = await behindRelay(t, { 'link.timeout': '300ms', 'node.links': 2 });
      const { port } = await cluster.ownerOf(3);
      const clients = await Promise.all(Array.from({ length: 4 }, connect));
      for (const client of clients) assert.equal(await client.ask('SET', SLOW, 'v'), 'OK');
      await cluster.cli(port, 'CLIENT', 'PAUSE', 2500, 'WRITE');
      const writes = clients.slice(0, 2).map((client, i) => client.ask('APPEND', SLOW, i));
      assert.deepEqual((await Promise.all(writes)).toSorted(), [2, 3]);
      assert.ok(!proxy.log.some((line) => line.includes('sent nothing for now')), proxy.log.join('\n'));
    });
  });
}
