/** Functions while shards die, halt or loop, while their clients leave, and while the proxy is told to end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RawClient } from '../support/client.ts';
import type { Cluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';
import { asked, load, onAServer } from './stand.ts';

/** What runOnShards gives. */
type Shards = [results: string[], errors: string[]];

const LIBRARY = `
  const port = (client) => /tcp_port:(\\d+)/.exec(client.call('info', 'server'))[1];
  redis.registerClusterFunction('port', async (client) => client.block(port));
  redis.registerClusterFunction('loop', async () => { for (;;); });
  redis.registerAsyncFunction('all', (client) => client.runOnShards('port'));
  redis.registerAsyncFunction('at', (client, key) => client.runOnKey(key, 'port'));
  redis.registerFunction('move', (client, list, key) => client.call('set', key, client.call('blpop', list, '0')[1]));
  redis.registerFunction('endless', () => { for (;;); });
  redis.registerAsyncFunction('lost', () => new Promise(() => {}));
  redis.registerAsyncFunction('race', async (client, looping, ...others) => {
    const order = [];
    const note = (what) => () => { order.push(what); };
    const loops = [1, 2, 3].map(() => client.runOnKey(looping, 'loop').catch(note('loop')));
    const fine = others.map((key) => client.runOnKey(key, 'port').then(note('fine')));
    await Promise.all([...loops, ...fine]);
    return order;
  });`;

onAServer(
  'shards that do not answer',
  (stand) => {
    test('a shard that is halted is a Timeout beside the results of the others', async () => {
      const { cluster, client, client3 } = stand();
      await load(client, 'lib', LIBRARY);
      const [victim, ...others] = cluster.primaries;
      const key = keyAt(victim!.port, await keysByPort(client3));
      cluster.pause(victim!.port);
      try {
        for (const one of [client, client3]) {
          const [results, errors] = (await asked(one, 'TFCALLASYNC', 'lib.all', 0)) as Shards;
          assert.deepEqual(results.sort(), others.map(({ port }) => `${port}`).sort());
          assert.deepEqual(errors, ['Timeout']);
          assert.match(String(await one.ask('TFCALLASYNC', 'lib.at', 1, key)), /Remote task timeout/);
        }
      } finally {
        cluster.resume(victim!.port);
      }
      await allAnswer(cluster, [client, client3]);
    });

    test('a shard that is killed is an error beside the results of the others, until another has its slots', async () => {
      const { cluster, client, client3 } = stand();
      const [victim, ...others] = cluster.primaries;
      const key = keyAt(victim!.port, await keysByPort(client3));
      // It has the question, and then it is no more.
      cluster.pause(victim!.port);
      const runs = [client, client3].map((one) => one.ask('TFCALLASYNC', 'lib.all', 0));
      await cluster.kill(victim!.port);
      for (const [results, errors] of (await Promise.all(runs)) as Shards[]) {
        assert.deepEqual(results.sort(), others.map(({ port }) => `${port}`).sort());
        assert.equal(errors.length, 1);
        assert.match(errors[0]!, DEAD);
      }
      for (const one of [client, client3])
        assert.match(String(await one.ask('TFCALLASYNC', 'lib.at', 1, key)), DEAD);
      await cluster.failover(victim!.port, 'TAKEOVER');
      await allAnswer(cluster, [client, client3]);
    });

    test('one shard that loops for ever does not make the answers of others late', async () => {
      const { cluster, client, client3 } = stand();
      const keys = await keysByPort(client3);
      const [looping, ...others] = cluster.primaries.map(({ port }) => keyAt(port, keys));
      for (const one of [client, client3])
        assert.deepEqual(await one.ask('TFCALLASYNC', 'lib.race', 3, looping!, ...others), [
          ...others.map(() => 'fine'),
          ...[1, 2, 3].map(() => 'loop'),
        ]);
    });

    test('a function whose client has left ends as ever, and nothing of it stays', async () => {
      const { cluster, one, client } = stand();
      const leaver = await one.connect();
      const left = assert.rejects(leaver.ask('TFCALLASYNC', 'lib.move', 2, 'left:list', 'left:key'));
      await blockedAtNodes(cluster, 1);
      leaver.destroy();
      await left;
      await client.ask('RPUSH', 'left:list', 'value');
      await until('the function to go on', async () => (await client.ask('GET', 'left:key')) === 'value');
      await until('its client to be gone', async () => {
        return !String(await client.ask('CLIENT', 'LIST')).includes('cmd=tfcallasync');
      });
    });

    test('CLIENT PAUSE holds what functions write as it holds what clients write', async () => {
      const { cluster, one, client, client3 } = stand();
      const chief = await one.connect();
      const moved = client.ask('TFCALLASYNC', 'lib.move', 2, 'paused:list', 'paused:key');
      await blockedAtNodes(cluster, 1);
      assert.equal(await chief.ask('CLIENT', 'PAUSE', 600_000, 'WRITE'), 'OK');
      // Of another proxy, which is not paused.
      await client3.ask('RPUSH', 'paused:list', 'later');
      await blockedAtNodes(cluster, 0);
      assert.equal(await chief.ask('EXISTS', 'paused:key'), 0);
      assert.equal(await chief.ask('CLIENT', 'UNPAUSE'), 'OK');
      assert.equal(await moved, 'OK');
      assert.equal(await client3.ask('GET', 'paused:key'), 'later');
      chief.destroy();
    });

    test('a proxy that is told to end waits for a function, and not for one without an end', async () => {
      const { cluster, client } = stand();
      for (const [name, reply] of DRAINED) {
        const proxy = await startProxy({
          cluster,
          settings: { workers: 3, 'drain.timeout': '1s', 'functions.lockTimeout': '200ms' },
        });
        const [caller, onlooker] = [await proxy.connect(), await proxy.connect()];
        await asked(caller, 'TFCALLASYNC', 'lib.at', 1, 'drained:key');
        const call = caller.ask('TFCALLASYNC', `lib.${name}`, 2, 'drained:list', 'drained:key').catch(String);
        if (name === 'move') await blockedAtNodes(cluster, 1);
        else {
          const list = async () => String(await onlooker.ask('CLIENT', 'LIST'));
          await until('it to run', async () => (await list()).includes('cmd=tfcallasync'));
        }
        process.kill(proxy.pid, 'SIGTERM');
        await proxy.logged(/draining/);
        if (name === 'move') await client.ask('RPUSH', 'drained:list', 'value');
        assert.match(String(await call), reply);
        assert.equal(await proxy.exited, 0);
        assert.deepEqual(
          proxy.log.filter((line) => /"level":"(error|fatal)"/.test(line)),
          [],
        );
      }
    });
  },
  { 'functions.maxRunTime': '10s', 'functions.lockTimeout': '200ms', 'functions.remoteTaskTimeout': '1s' },
  { replicas: 1, config: ['--cluster-node-timeout', '15000'] },
);

/** What is said of a shard that is not there. */
const DEAD = /Timeout|timeout|connection to the node was lost|slotless: /;

/** What is called while the proxy ends, and how that is answered. */
const DRAINED: readonly (readonly [string, RegExp])[] = [
  ['move', /^OK$/],
  ['endless', /Execution was terminated/],
  ['lost', /connection closed/],
];

/** Every shard has answered both ways, and as the one that has the slots now. */
async function allAnswer(cluster: Cluster, clients: readonly RawClient[]): Promise<void> {
  for (const client of clients)
    await until('all shards to answer', async () => {
      const owners = await Promise.all([0, 8000, 16383].map((slot) => cluster.ownerOf(slot)));
      const [results, errors] = (await client.ask('TFCALLASYNC', 'lib.all', 0)) as Shards;
      return (
        errors.length === 0 &&
        results.sort().join() ===
          owners
            .map(({ port }) => `${port}`)
            .sort()
            .join()
      );
    });
  for (const [port, key] of await keysByPort(clients[0]!))
    assert.equal(await clients[1]!.ask('TFCALLASYNC', 'lib.at', 1, key), port);
}

/** A key of every primary. */
async function keysByPort(client: RawClient): Promise<Map<string, string>> {
  const keys = new Map<string, string>();
  for (let i = 0; keys.size < 3; i++) {
    const port = await asked(client, 'TFCALLASYNC', 'lib.at', 1, `key:${i}`);
    keys.set(String(port), `key:${i}`);
  }
  return keys;
}

function keyAt(port: number, keys: ReadonlyMap<string, string>): string {
  const key = keys.get(`${port}`);
  assert.ok(key !== undefined);
  return key;
}

/** Clients that wait for a list, as the nodes count them. */
async function blockedAtNodes(cluster: Cluster, count: number): Promise<void> {
  const blocked = async ({ port }: { port: number }) =>
    Number(/blocked_clients:(\d+)/.exec(String(await cluster.cli(port, 'INFO', 'clients')))?.[1]);
  await until(`${count} blocked clients`, async () => {
    const counts = await Promise.all(cluster.primaries.map(blocked));
    return counts.reduce((sum, each) => sum + each, 0) === count;
  });
}
