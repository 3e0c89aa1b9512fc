/** RedisGears' cluster API, by the names of the cases with which RedisGears itself tests it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asked, load, onEveryServer } from './stand.ts';

const REMOTE_GET = `
  const remote_get = "remote_get";
  redis.registerClusterFunction(remote_get, async (client, key) => {
    return client.block((client) => client.call("get", key));
  });`;

onEveryServer('the cluster API', (stand) => {
  test('the code of the documentation runs as it stands there', async () => {
    const { client, client3, cluster } = stand();
    // Indented as on the page; the header is the first line.
    const sum = `#!js name=lib api_version=1.0

redis.registerClusterFunction("dbsize", async(client) => {
    return client.block((client) => {
        return client.call("dbsize").toString();
    });
});

redis.registerAsyncFunction("test", async(async_client) => {
    let res = await async_client.runOnShards("dbsize");
    let results = res[0];
    let errors = res[1];
    if (errors.length > 0) {
        return errors;
    }
    let sum = BigInt(0);
    results.forEach((element) => sum+=BigInt(element));
    return sum;
});
`;
    assert.equal(await client.ask('FLUSHALL'), 'OK');
    await client.pipeline(Array.from({ length: 200 }, (_, i) => ['SET', `key:${i}`, i]));
    assert.equal(await client.ask('TFUNCTION', 'LOAD', sum), 'OK');
    assert.equal((await client.call('TFCALLASYNC', 'lib.test', 0)).toString(), ':200\r\n');
    const get = `#!js name=lib api_version=1.0
const remote_get = "remote_get";

redis.registerClusterFunction(remote_get, async(client, key) => {
    let res = client.block((client) => {
        return client.call("get", key);
    });
    return res;
});

redis.registerAsyncFunction("test", async (async_client) => {
    return await async_client.runOnKey("x", remote_get, "x");
});
`;
    assert.match(String(await client.ask('TFUNCTION', 'LOAD', get)), /Library lib already exists\./);
    assert.equal(await client.ask('TFUNCTION', 'LOAD', 'REPLACE', get), 'OK');
    await client.ask('SET', 'x', 'a value');
    assert.equal(await client.ask('TFCALLASYNC', 'lib.test', 0), 'a value');
    assert.equal(await client3.ask('GET', 'x'), 'a value');
    assert.equal(cluster.nodes.length, 3);
  });

  test('testBasicClusterSupport: a function reads a key at whichever shard has it', async () => {
    const { client, client3 } = stand();
    await load(
      client3,
      'basic',
      `${REMOTE_GET}
      redis.registerAsyncFunction("test", async (async_client, key) => {
        return await async_client.runOnKey(key, remote_get, key);
      });`,
    );
    for (const key of ['x', 'y', 'z', 'a', 'b']) {
      await client.ask('SET', key, `of ${key}`);
      assert.equal(await client3.ask('TFCALLASYNC', 'basic.test', 1, key), `of ${key}`);
    }
    assert.equal(await client3.ask('TFCALLASYNC', 'basic.test', 1, 'nowhere'), null);
  });

  test('testBasicClusterBinaryInputOutputSupport: bytes go there and back as they are', async () => {
    const { client, client3 } = stand();
    await load(
      client3,
      'binary',
      `redis.registerClusterFunction("get", async (client, key) => {
        return client.block((client) => client.callRaw("get", key));
      });
      redis.registerAsyncFunction("test", async (async_client, key) => {
        return await async_client.runOnKey(key, "get", key);
      }, { flags: [redis.functionFlags.RAW_ARGUMENTS] });`,
    );
    const key = Buffer.from([0xaa, 0xff, 0x00, 0x0d, 0x0a]);
    const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    await client.ask('SET', key, value);
    const reply = await client3.call('TFCALLASYNC', 'binary.test', 1, key);
    assert.deepEqual(reply, Buffer.concat([Buffer.from('$256\r\n'), value, Buffer.from('\r\n')]));
  });

  test('testRemoteFunctionRaiseError: what is thrown there is thrown here', async () => {
    const { client, client3 } = stand();
    await load(
      client3,
      'raise',
      `redis.registerClusterFunction("fail", async () => { throw "Remote function failure"; });
      redis.registerAsyncFunction("test", async (c) => await c.runOnKey("x", "fail"));
      redis.registerAsyncFunction("kind", async (c) => {
        try { await c.runOnKey("x", "fail"); } catch (error) { return typeof error; }
      });
      redis.registerAsyncFunction("all", async (c) => await c.runOnShards("fail"));`,
    );
    for (const one of [client3, client]) {
      assert.match(String(await asked(one, 'TFCALLASYNC', 'raise.test', 0)), /Remote function failure/);
      assert.equal(await asked(one, 'TFCALLASYNC', 'raise.kind', 0), 'string');
      assert.deepEqual(await asked(one, 'TFCALLASYNC', 'raise.all', 0), [
        [],
        ['Remote function failure', 'Remote function failure', 'Remote function failure'],
      ]);
    }
  });

  test('testRecursiveLookup: a cluster function may go on at another shard, a hundred times', async () => {
    const { client, client3 } = stand();
    await load(
      client3,
      'recursive',
      `redis.registerClusterFunction("lookup", async (client, key) => {
        const next = client.block((client) => client.call("get", key));
        return next === null ? key : await client.runOnKey(next, "lookup", next);
      });
      redis.registerAsyncFunction("test", async (c, key) => await c.runOnKey(key, "lookup", key));`,
    );
    await client.pipeline(Array.from({ length: 100 }, (_, i) => ['SET', `hop:${i}`, `hop:${i + 1}`]));
    assert.equal(await client3.ask('TFCALLASYNC', 'recursive.test', 1, 'hop:0'), 'hop:100');
  });

  test('testRemoteTaskTimeout: one that never comes back ends with the timeout', async () => {
    const { client3 } = stand();
    await load(
      client3,
      'late',
      `redis.registerClusterFunction("loop", async () => { while (true); });
      redis.registerAsyncFunction("test", async (c) => await c.runOnKey("x", "loop"));`,
    );
    await client3.ask('CONFIG', 'SET', 'redisgears_2.remote-task-default-timeout', 1);
    assert.match(String(await client3.ask('TFCALLASYNC', 'late.test', 0)), /Remote task timeout/);
    await client3.ask('CONFIG', 'SET', 'redisgears_2.remote-task-default-timeout', 10000);
  });

  test('testRunOnAllShards: a thousand keys are counted at their shards', async () => {
    const { client, client3 } = stand();
    await load(
      client3,
      'count',
      `redis.registerClusterFunction("dbsize", async (client) => {
        return client.block((client) => client.call("dbsize").toString());
      });
      redis.registerAsyncFunction("test", async (c) => {
        const [results, errors] = await c.runOnShards("dbsize");
        if (errors.length > 0) return errors;
        return results.map(Number).reduce((a, b) => a + b);
      });`,
    );
    assert.equal(await client.ask('FLUSHALL'), 'OK');
    await client.pipeline(Array.from({ length: 1000 }, (_, i) => ['SET', `key${i}`, 1]));
    assert.equal(await client3.ask('TFCALLASYNC', 'count.test', 0), 1000);
  });

  test('testRunOnAllShardsTimeout: whoever is late is an error beside the results of the others', async () => {
    const { client, client3, cluster } = stand();
    await load(
      client3,
      'some',
      `redis.registerClusterFunction("loop", async (client, port) => {
        const info = client.block((client) => client.call("info", "server"));
        while (info.includes("tcp_port:" + port));
        return "done";
      });
      redis.registerAsyncFunction("test", async (c, port) => await c.runOnShards("loop", port));`,
    );
    const { port } = cluster.nodes[1]!;
    for (const one of [client3, client]) {
      await one.ask('CONFIG', 'SET', 'redisgears_2.remote-task-default-timeout', 1500);
      assert.deepEqual(await asked(one, 'TFCALLASYNC', 'some.test', 0, port), [
        ['done', 'done'],
        ['Timeout'],
      ]);
      await one.ask('CONFIG', 'SET', 'redisgears_2.remote-task-default-timeout', 10000);
    }
  });
});
