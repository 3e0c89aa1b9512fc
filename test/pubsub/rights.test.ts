/** Subscribers and the rights of their users: who loses them is disconnected, as by a server. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let admin: RawClient;

    before(async () => {
      cluster = await startCluster({ server, replicas: 0 });
      proxy = await startProxy({ cluster, settings: { workers: 2, 'refresh.every': '200ms' } });
      admin = await proxy.connect();
    });

    after(async () => {
      admin?.destroy();
      await proxy?.stop();
      await cluster?.stop();
    });

    const as = async (user: string, verb: string, name: string) => {
      const client = await proxy.connect();
      assert.equal(await client.ask('AUTH', user, 'p'), 'OK');
      assert.match(String(await client.ask(verb, name)), /subscribe/);
      return client;
    };

    test('who loses the right to a channel is disconnected, and nobody else is', async () => {
      await admin.ask('ACL', 'SETUSER', 'u', 'on', '>p', '+@all', '~*', 'resetchannels', '&news.*', '&old.*');
      const [lost, kept, pattern, own] = [
        await as('u', 'SUBSCRIBE', 'old.a'),
        await as('u', 'SUBSCRIBE', 'news.a'),
        await as('u', 'PSUBSCRIBE', 'old.*'),
        await proxy.connect(),
      ];
      await own.ask('SUBSCRIBE', 'old.a');
      assert.equal(await admin.ask('ACL', 'SETUSER', 'u', 'resetchannels', '&news.*'), 'OK');
      await Promise.all([lost.closed, pattern.closed]);
      assert.equal(await admin.ask('PUBLISH', 'old.a', 'x'), 1);
      assert.equal(await admin.ask('PUBLISH', 'news.a', 'x'), 1);
      assert.match(String((await kept.read())[0]), /news\.a/);
      for (const client of [kept, own]) client.destroy();
    });

    test('subscribers of a user that is deleted are disconnected', async () => {
      await admin.ask('ACL', 'SETUSER', 'v', 'on', '>p', '+@all', '~*', '&*');
      const client = await as('v', 'SSUBSCRIBE', 'c');
      assert.equal(await admin.ask('ACL', 'DELUSER', 'v'), 1);
      await client.closed;
    });

    test('what is changed at the nodes themselves is noticed', async () => {
      await admin.ask('ACL', 'SETUSER', 'w', 'on', '>p', '+@all', '~*', '&*');
      const client = await as('w', 'SUBSCRIBE', 'c');
      for (const { port } of cluster.nodes) await cluster.cli(port, 'ACL', 'SETUSER', 'w', 'resetchannels');
      await client.closed;
    });
  });
}
