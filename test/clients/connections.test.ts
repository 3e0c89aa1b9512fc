/**
 * Clients at the level of sockets: how they send, how they listen, how they leave, and where the door may be.
 */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { connect as open } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Argument, connect, encode, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { freePort } from '../support/ports.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

let cluster: Cluster;
let proxy: RunningProxy;

before(async () => {
  cluster = await startCluster({ replicas: 0 });
  proxy = await startProxy({ cluster });
});

after(async () => {
  await proxy?.stop();
  await cluster?.stop();
});

/** A connection that says `bytes` and then closes its half, as `nc -N` does; resolves with all it was told. */
function sayAndClose(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = open(port, '127.0.0.1');
    const heard: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => heard.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(heard).toString('latin1')));
    socket.end(bytes);
  });
}

async function withClient<T>(work: (client: RawClient) => Promise<T>): Promise<T> {
  const client = await proxy.connect();
  try {
    return await work(client);
  } finally {
    client.destroy();
  }
}

const text = (replies: Buffer[]) => replies.map((reply) => reply.toString('latin1'));

describe('a client', () => {
  test('that closes its half is answered in full, then let go', async () => {
    assert.equal(await sayAndClose(proxy.port, 'SET half 1\r\nGET half\r\n'), '+OK\r\n$1\r\n1\r\n');
    const commands = Array.from({ length: 2000 }, (_, i) => encode(['INCRBY', `half:${i}`, i]));
    const replies = await sayAndClose(proxy.port, Buffer.concat(commands));
    assert.equal(replies, Array.from({ length: 2000 }, (_, i) => `:${i}\r\n`).join(''));
    assert.equal(await sayAndClose(proxy.port, 'QUIT\r\n'), '+OK\r\n');
    assert.equal(await sayAndClose(proxy.port, ''), '');
    // Half a command can't be completed any more.
    assert.equal(await sayAndClose(proxy.port, '*2\r\n$3\r\nGET\r\n$4\r\nha'), '');
    assert.equal(await sayAndClose(proxy.port, 'PING\r\nGET ha'), '+PONG\r\n');
  });

  test('may type its commands, as with telnet', () =>
    withClient(async (client) => {
      client.send('set typed "two words"\r\nGET typed\nget  typed\r\n\r\n\r\nMGET typed none\r\n');
      assert.deepEqual(text(await client.read(4)), [
        '+OK\r\n',
        '$9\r\ntwo words\r\n',
        '$9\r\ntwo words\r\n',
        '*2\r\n$9\r\ntwo words\r\n$-1\r\n',
      ]);
      client.send('SET typed \'\\x41\' \r\nSET typed "\\x41\\n\\""\r\nGET typed\r\nDEL typed\r\n');
      assert.deepEqual(text(await client.read(4)), ['+OK\r\n', '+OK\r\n', '$3\r\nA\n"\r\n', ':1\r\n']);
      // Typed and encoded commands may follow each other.
      client.send(Buffer.concat([Buffer.from('PING\r\n'), encode(['ECHO', 'x']), Buffer.from('PING y\r\n')]));
      assert.deepEqual(text(await client.read(3)), ['+PONG\r\n', '$1\r\nx\r\n', '$1\r\ny\r\n']);
      client.send('GET "unbalanced\r\n');
      assert.match(text(await client.read(1))[0] ?? '', /^-ERR Protocol error: unbalanced quotes in request/);
      await client.closed;
    }));

  test('may send a byte per packet', () =>
    withClient(async (client) => {
      const bytes = Buffer.concat([
        encode(['SET', 'dripped', 'a\r\nb']),
        encode(['GET', 'dripped']),
        Buffer.from('PING\r\n'),
        encode(['MGET', 'dripped', 'none']),
      ]);
      for (const byte of bytes) await client.send(Buffer.from([byte]));
      assert.deepEqual(text(await client.read(4)), [
        '+OK\r\n',
        '$4\r\na\r\nb\r\n',
        '+PONG\r\n',
        '*2\r\n$4\r\na\r\nb\r\n$-1\r\n',
      ]);
    }));

  test('gets the replies to a thousand pipelined commands over all slots in their order', async () => {
    for (const version of [2, 3]) {
      await withClient(async (client) => {
        await client.call('HELLO', version);
        const commands: Argument[][] = [];
        const expected: string[] = [];
        for (let i = 0; i < 1000; i++) {
          const key = `order:${version}:${i}`;
          const [command, reply] = (
            [
              [['SET', key, i], '+OK\r\n'],
              [['APPEND', key, i], `:${String(i).length}\r\n`],
              [['ECHO', i], `$${String(i).length}\r\n${i}\r\n`],
              [['EXISTS', key, key], ':0\r\n'],
              [['MSET', key, 1, `${key}x`, 2, `${key}y`, 3], '+OK\r\n'],
              [['LPUSH', key], "-ERR wrong number of arguments for 'lpush' command\r\n"],
              [['GETRANGE', 'none', 0, i], '$0\r\n\r\n'],
            ] as [Argument[], string][]
          )[i % 7] ?? [[], ''];
          commands.push(command);
          expected.push(reply);
        }
        assert.deepEqual(text(await client.pipeline(commands)), expected);
        await client.call('FLUSHALL');
      });
    }
  });

  test('that leaves with commands under way disturbs nobody', async () => {
    const big = 'x'.repeat(300_000);
    await withClient(async (witness) => {
      for (let i = 0; i < 30; i++) await witness.call('SET', `big:${i}`, big);
      let running = true;
      let checked = 0;
      const witnessing = (async () => {
        for (let i = 0; running || i < 100; i++) {
          const replies = await witness.pipeline([
            ['SET', `w:${i % 50}`, i],
            ['GET', `w:${i % 50}`],
            ['MGET', `w:${i % 50}`, 'none', `w:${i % 50}`],
          ]);
          const bulk = `$${String(i).length}\r\n${i}\r\n`;
          assert.deepEqual(text(replies), ['+OK\r\n', bulk, `*3\r\n${bulk}$-1\r\n${bulk}`]);
          checked++;
        }
      })();
      const keys = Array.from({ length: 30 }, (_, i) => `big:${i}`);
      const questions = Buffer.concat([
        ...keys.map((key) => encode(['GET', key])),
        encode(['MGET', ...keys]),
        ...keys.map((key) => encode(['INCR', `left:${key}`])),
        encode(['KEYS', '*']),
        encode(['SET', 'left', big]).subarray(0, 100_000),
      ]);
      for (let round = 0; round < 40; round++) {
        const leaving = await proxy.connect();
        await leaving.send(questions);
        // Some go before their replies begin, some in the middle of them, some with a reset.
        if (round % 3 === 1) await leaving.read(1);
        if (round % 3 === 2) leaving.socket.resetAndDestroy();
        else leaving.destroy();
      }
      running = false;
      await witnessing;
      assert.ok(checked >= 100);
      await until('only the witness to be left', async () => {
        const list = String(await witness.ask('CLIENT', 'LIST'));
        return list.trimEnd().split('\n').length === 1;
      });
      assert.deepEqual(
        proxy.log.filter((line) => /"level":"(warn|error|fatal)"/.test(line)),
        [],
      );
      await witness.call('FLUSHALL');
    });
  });

  test('is told of its own ends: QUIT, RESET, CLIENT KILL', () =>
    withClient(async (client) => {
      const leaving = await proxy.connect();
      await leaving.call('HELLO', 3);
      assert.equal(String(await leaving.call('RESET')), '+RESET\r\n');
      assert.equal(String(await leaving.call('GET', 'none')), '$-1\r\n');
      await leaving.send(Buffer.concat([encode(['QUIT']), encode(['SET', 'after', 'quit'])]));
      assert.deepEqual(text(await leaving.read(1)), ['+OK\r\n']);
      await leaving.closed;
      assert.equal(leaving.rest.length, 0);
      assert.equal(await client.ask('EXISTS', 'after'), 0);
      const killed = await proxy.connect();
      const id = await killed.ask('CLIENT', 'ID');
      assert.equal(await client.ask('CLIENT', 'KILL', 'ID', String(id)), 1);
      await killed.closed;
    }));
});

describe('the door', () => {
  test('may be a unix socket, along with a port', async () => {
    const path = join(cluster.folder, 'door.sock');
    const port = await freePort();
    const own = await startProxy({ cluster, port, settings: { listen: `127.0.0.1:${port},${path}` } });
    try {
      const [local, remote] = [await connect(0, { path }), await connect(port)];
      assert.equal(String(await local.call('SET', 'unix', 'v')), '+OK\r\n');
      assert.equal(String(await remote.call('GET', 'unix')), '$1\r\nv\r\n');
      assert.match(String(await local.ask('CLIENT', 'INFO')), / addr=\S+:0 laddr=\S+ /);
      assert.equal(
        String(await local.ask('CLIENT', 'LIST'))
          .trimEnd()
          .split('\n').length,
        2,
      );
      local.destroy();
      remote.destroy();
    } finally {
      await own.stop();
    }
    assert.ok(!existsSync(path), 'the socket stays behind');
  });

  const skip =
    !Object.values(networkInterfaces())
      .flat()
      .some((one) => one?.address === '::1') && 'needs IPv6';

  test('may be on IPv6', { skip }, async () => {
    const port = await freePort('::1');
    const own = await startProxy({ cluster, port, settings: { listen: `[::1]:${port}` } });
    try {
      const client = await connect(port, { host: '::1' });
      assert.equal(String(await client.call('SET', 'six', 'v')), '+OK\r\n');
      assert.match(String(await client.ask('CLIENT', 'INFO')), / addr=\[::1\]:\d+ laddr=\[::1\]:\d+ /);
      client.destroy();
      await assert.rejects(connect(port, { host: '127.0.0.1' }), /ECONNREFUSED/);
    } finally {
      await own.stop();
    }
  });

  test('that is taken ends the start with one line', async () => {
    for (const workers of [1, 2]) {
      const second = await startProxy({ cluster, port: proxy.port, settings: { workers }, unready: true });
      const code = await second.exited;
      assert.equal(code, 1);
      assert.match(second.log.at(-1) ?? '', /EADDRINUSE/);
    }
    await withClient(async (client) => assert.equal(await client.ask('PING'), 'PONG'));
  });

  test('answers what is under way when it closes, and takes nobody more', async () => {
    const own = await startProxy({ cluster });
    const client = await own.connect();
    const replies = client.pipeline(Array.from({ length: 1000 }, (_, i) => ['SET', `drain:${i}`, i]));
    await until(
      'the commands to be under way',
      async () => Number(await cluster.cli(cluster.nodes[0]!.port, 'DBSIZE')) > 0,
    );
    const stopped = own.stop();
    assert.deepEqual(new Set(text(await replies)), new Set(['+OK\r\n']));
    await client.closed;
    await stopped;
    assert.equal(await own.exited, 0);
    await assert.rejects(connect(own.port), /ECONNREFUSED/);
  });

  test('closes those that stay when their time is over, whatever they wait for', async () => {
    const own = await startProxy({ cluster, settings: { 'drain.grace': 300 } });
    const clients = await Promise.all(Array.from({ length: 6 }, () => own.connect()));
    const [, subscriber, shard, monitor, blocked, queuing] = clients;
    await subscriber!.call('SUBSCRIBE', 'news');
    await shard!.call('SSUBSCRIBE', 'news');
    await monitor!.call('MONITOR');
    await queuing!.pipeline([['WATCH', 'a'], ['MULTI'], ['SET', 'a', '1']]);
    const popped = blocked!.call('BLPOP', 'nothing', '0').then(String, () => 'closed');
    await until('it to block', async () => / flags=b /.test(String(await clients[0]!.ask('CLIENT', 'LIST'))));
    process.kill(own.pid, 'SIGTERM');
    await Promise.all(clients.map((client) => client.closed));
    assert.match(await popped, /^(\*-1\r\n|closed)$/);
    assert.equal(await own.exited, 0);
    assert.deepEqual(
      own.log.filter((line) => /"level":"(error|fatal)"/.test(line)),
      [],
    );
  });
});
