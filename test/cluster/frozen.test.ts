/** A primary that is halted (SIGSTOP) under clients that write: what is sent later waits for its heir, or for it. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { Mover, tagOf } from './moves.ts';

const UNKNOWN = /outcome of this write is unknown/;
const CLIENTS = 20;
const WRITES = 50;

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let mover: Mover;

    before(async () => {
      cluster = await startCluster({ server });
      // The cluster needs two seconds and some: the proxy knows long before.
      const settings = { 'link.timeout': '500ms', 'failover.holdFor': '60s' };
      proxy = await startProxy({ cluster, settings });
      mover = new Mover(cluster);
    });

    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });

    const connect = () => Promise.all(Array.from({ length: CLIENTS }, () => proxy.connect()));

    /** Halts a slot's owner with a write of each client in flight, and resolves when the proxy has noticed. */
    async function freeze(slot: number, clients: readonly RawClient[], key: (i: number) => string) {
      await mover.agreed();
      const owner = await cluster.ownerOf(slot);
      await mover.heirOf(owner);
      // So that the links are there.
      await Promise.all(clients.map((client, i) => client.ask('EXISTS', key(i))));
      const seen = proxy.log.length;
      cluster.pause(owner.port);
      const inFlight = clients.map((client, i) => client.ask('RPUSH', key(i), 'first'));
      const notice = new RegExp(`127.0.0.1:${owner.port}".*is sent nothing for now`);
      await until('the proxy to notice', () => proxy.log.slice(seen).some((line) => notice.test(line)));
      return { owner, inFlight };
    }

    /** Each client writes one number after the other, the last ones at once. */
    async function write(clients: readonly RawClient[], key: (i: number) => string): Promise<string[]> {
      const replies = clients.map(async (client, i) => {
        const all: unknown[] = [];
        for (let n = 0; n < WRITES; n++) all.push(await client.ask('RPUSH', key(i), n));
        const pipeline = Array.from({ length: WRITES }, (_, n) => client.ask('RPUSH', key(i), WRITES + n));
        return [...all, ...(await Promise.all(pipeline))].map(String);
      });
      return (await Promise.all(replies)).flat();
    }

    const numbers = Array.from({ length: 2 * WRITES }, (_, n) => String(n));

    test('only what was in flight when a primary froze has an unknown outcome', async () => {
      const slot = 3;
      const tag = tagOf(slot);
      const key = (i: number) => `{${tag}}heir${i}`;
      const [early, late] = [await connect(), await connect()];
      const { owner, inFlight } = await freeze(slot, early, key);
      try {
        const written = write(late, key);
        for (const reply of await Promise.all(inFlight)) assert.match(String(reply), UNKNOWN);
        for (const reply of await written) assert.match(reply, /^\d+$/);
        for (let i = 0; i < CLIENTS; i++)
          assert.deepEqual(await late[i]!.ask('LRANGE', key(i), 0, -1), numbers);
      } finally {
        cluster.resume(owner.port);
      }
      await mover.agreed();
      for (const client of [...early, ...late]) client.destroy();
    });

    test('a primary that freezes for a while costs no error, and no write changes places', async () => {
      const slot = 4;
      const tag = tagOf(slot);
      const key = (i: number) => `{${tag}}back${i}`;
      const [early, late] = [await connect(), await connect()];
      const { owner, inFlight } = await freeze(slot, early, key);
      const written = write(late, key);
      cluster.resume(owner.port);
      for (const reply of await Promise.all(inFlight)) assert.equal(String(reply), '1');
      for (const reply of await written) assert.match(reply, /^\d+$/);
      for (let i = 0; i < CLIENTS; i++)
        assert.deepEqual(await late[i]!.ask('LRANGE', key(i), 0, -1), ['first', ...numbers]);
      assert.equal((await cluster.ownerOf(slot)).port, owner.port);
      for (const client of [...early, ...late]) client.destroy();
    });
  });
}
