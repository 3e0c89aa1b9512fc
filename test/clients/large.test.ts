/**
 * Large values and slow readers: what is long passes through, what is not read is bounded, and nobody else
 * notices.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { connect, encode, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';
import { forget, held, MB, noMemory, peak } from './memory.ts';

let cluster: Cluster;
let proxy: RunningProxy;

before(async () => {
  cluster = await startCluster({ replicas: 0 });
  proxy = await startProxy({ cluster, settings: { clientOutputLimit: '8mb' } });
});

after(async () => {
  await proxy?.stop();
  await cluster?.stop();
});

/** Bytes in which a lost, doubled or displaced part shows. */
function bytesOf(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let x = seed * 2654435761 + 1;
  for (let i = 0; i + 4 <= length; i += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes.writeInt32LE(x | 0, i);
  }
  return bytes;
}

const digest = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex');

/** The content of a bulk reply. */
function contentOf(reply: Buffer): Buffer {
  const start = reply.indexOf('\r\n') + 2;
  return reply.subarray(start, -2);
}

/** Sets and gets small values until `work` is done; each reply must come, and be right. */
async function besides(work: () => Promise<void>): Promise<void> {
  const witness = await proxy.connect();
  let running = true;
  const witnessing = (async () => {
    for (let i = 0; running || i < 20; i++) {
      const replies = await witness.pipeline([
        ['SET', `w:${i % 50}`, i],
        ['GET', `w:${i % 50}`],
      ]);
      assert.deepEqual(replies.map(String), ['+OK\r\n', `$${String(i).length}\r\n${i}\r\n`]);
    }
  })();
  try {
    await work();
  } finally {
    running = false;
    await witnessing;
    witness.destroy();
  }
}

describe('a large value', { skip: noMemory }, () => {
  let own: RunningProxy;
  let client: RawClient;

  before(async () => {
    own = await startProxy({ cluster });
    client = await own.connect();
  });

  after(async () => {
    client?.destroy();
    await own?.stop();
  });

  test('of 100 MB goes in and comes out, and the proxy holds no four times as much', async () => {
    const value = bytesOf(100 * MB, 1);
    const before = held(own.pid);
    forget(own.pid);
    for (const version of [2, 3]) {
      await client.call('HELLO', version);
      assert.equal(String(await client.call('SET', 'large', value)), '+OK\r\n');
      assert.equal(await client.ask('STRLEN', 'large'), value.length);
      assert.equal(digest(contentOf(await client.call('GET', 'large'))), digest(value));
    }
    const grown = peak(own.pid) - before;
    assert.ok(grown < 250 * MB, `grew by ${Math.round(grown / MB)} MB`);
    await client.call('DEL', 'large');
    await client.call('HELLO', 2);
  });

  test('of many at once comes back in the order asked', async () => {
    const values = Array.from({ length: 8 }, (_, i) => bytesOf(4 * MB + i, i));
    const pairs = values.flatMap((value, i) => [`large:${i}`, value]);
    assert.equal(String(await client.call('MSET', ...pairs)), '+OK\r\n');
    const keys = values.map((_, i) => `large:${i}`);
    const expected = Buffer.concat([
      Buffer.from(`*${keys.length + 1}\r\n`),
      ...values.flatMap((value) => [Buffer.from(`$${value.length}\r\n`), value, Buffer.from('\r\n')]),
      Buffer.from('$-1\r\n'),
    ]);
    assert.equal(digest(await client.call('MGET', ...keys, 'none')), digest(expected));
    // Small replies that are ready early wait for the large ones before them.
    const replies = await client.pipeline(
      keys.flatMap((key, i) => [
        ['GET', key],
        ['ECHO', i],
      ]),
    );
    assert.deepEqual(
      replies.map((reply) => digest(contentOf(reply))),
      values.flatMap((value, i) => [digest(value), digest(Buffer.from(String(i)))]),
    );
    assert.equal(await client.ask('DEL', ...keys), keys.length);
  });

  test('beyond the limit is refused as Redis refuses it', async () => {
    const other = await own.connect();
    other.send('*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870913\r\n');
    assert.match(String((await other.read(1))[0]), /^-ERR Protocol error: invalid bulk length/);
    await other.closed;
  });

  test('that is never finished is forgotten with its client', async () => {
    const other = await own.connect();
    const whole = encode(['SET', 'unfinished', bytesOf(20 * MB, 3)]);
    await other.send(whole.subarray(0, 15 * MB));
    other.destroy();
    await until('the client to be gone', async () => {
      return (
        String(await client.ask('CLIENT', 'LIST'))
          .trimEnd()
          .split('\n').length === 1
      );
    });
    assert.equal(await client.ask('EXISTS', 'unfinished'), 0);
    assert.equal(await client.ask('PING'), 'PONG');
  });
});

describe('a client that does not read', () => {
  const KEYS = 40;

  before(async () => {
    const client = await proxy.connect();
    for (let i = 0; i < KEYS; i++) await client.call('SET', `m:${i}`, bytesOf(MB, i));
    client.destroy();
  });

  const limited = () => proxy.log.filter((line) => line.includes('clientOutputLimit'));

  test('is dropped at clientOutputLimit with a line in the log', { skip: noMemory }, async () => {
    const before = held(proxy.pid);
    forget(proxy.pid);
    const dropped = limited().length;
    await besides(async () => {
      for (let round = 0; round < 5; round++) {
        const client = await proxy.connect();
        client.socket.pause();
        const questions = Array.from({ length: KEYS }, (_, i) => encode(['GET', `m:${i}`]));
        await client.send(Buffer.concat(questions));
        await until('the client to be dropped', () => limited().length === dropped + round + 1);
        client.destroy();
      }
    });
    const grown = peak(proxy.pid) - before;
    assert.ok(grown < 200 * MB, `grew by ${Math.round(grown / MB)} MB`);
    assert.match(limited().at(-1) ?? '', /"level":"warn".*"client":"127\.0\.0\.1:\d+"/);
  });

  test('is not read from either, and goes on when it reads again', { skip: noMemory }, async () => {
    const client = await proxy.connect();
    client.socket.pause();
    const before = held(proxy.pid);
    forget(proxy.pid);
    let handed = 0;
    // ECHO is answered at the door: only what the client leaves unread can hold it back.
    const question = encode(['ECHO', bytesOf(16_384, 9)]);
    const rounds = 4000;
    await besides(async () => {
      const sending = (async () => {
        for (let i = 0; i < rounds; i++) {
          await client.send(question);
          handed++;
        }
      })();
      // Its own socket takes nothing more for a while: then the proxy has stopped reading.
      let last = -1;
      await until(
        'the proxy to stop reading',
        () => {
          const still = handed === last && handed > 0;
          last = handed;
          return still;
        },
        30_000,
        200,
      );
      assert.ok(handed < rounds, 'the proxy took everything');
      client.socket.resume();
      for (const reply of await client.read(rounds))
        assert.equal(reply.length, 16_384 + '$16384\r\n\r\n'.length);
      await sending;
    });
    const grown = peak(proxy.pid) - before;
    assert.ok(grown < 60 * MB, `grew by ${Math.round(grown / MB)} MB`);
    client.destroy();
  });

  test('for a while gets all of its replies whole, when it does', async () => {
    const idle = await Promise.all(Array.from({ length: 20 }, () => connect(proxy.port)));
    for (const client of idle) {
      client.socket.pause();
      client.send(Buffer.concat([encode(['GET', 'm:0']), encode(['GET', 'm:1']), encode(['PING'])]));
    }
    await besides(async () => {
      for (const client of idle) {
        client.socket.resume();
        const [first, second, third] = await client.read(3);
        assert.equal(digest(contentOf(first!)), digest(bytesOf(MB, 0)));
        assert.equal(digest(contentOf(second!)), digest(bytesOf(MB, 1)));
        assert.equal(String(third), '+PONG\r\n');
        client.destroy();
      }
    });
  });
});
