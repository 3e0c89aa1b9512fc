/** The whole default run of redis-benchmark and valkey-benchmark: every line there, none of them an error. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { run } from './programs.ts';

/** What the default run of both programs prints, in this order. */
const LINES = [
  'PING_INLINE',
  'PING_MBULK',
  'SET',
  'GET',
  'INCR',
  'LPUSH',
  'RPUSH',
  'LPOP',
  'RPOP',
  'SADD',
  'HSET',
  'SPOP',
  'ZADD',
  'ZPOPMIN',
  'LPUSH (needed to benchmark LRANGE)',
  'LRANGE_100 (first 100 elements)',
  'LRANGE_300 (first 300 elements)',
  'LRANGE_500 (first 500 elements)',
  'LRANGE_600 (first 600 elements)',
  'MSET (10 keys)',
];

for (const server of await availableServers()) {
  describe(`${server.flavour}-benchmark ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;

    before(async () => {
      cluster = await startCluster({ server, replicas: 0 });
      proxy = await startProxy({ cluster });
    });

    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });

    const benchmark = (...args: string[]) =>
      run(server.benchmark, ['-p', String(proxy.port), '-q', ...args], { env: server.env });

    /** The lines that are left when those that a progress line has overwritten are gone. */
    const results = (out: string) =>
      out
        .split('\n')
        .map((line) => line.split('\r').at(-1)?.trim() ?? '')
        .filter(Boolean);

    for (const [pipeline, requests] of [
      [1, 600],
      [16, 3200],
    ]) {
      test(`runs all of its tests at pipeline ${pipeline}`, async () => {
        const { code, out, err } = await benchmark('-n', String(requests), '-P', String(pipeline));
        assert.equal(err, '');
        assert.equal(code, 0);
        const lines = results(out);
        const names = lines.map(
          (line) => /^(.*): (?:[\d.]+|inf) requests per second, p50=[\d.]+ msec$/.exec(line)?.[1],
        );
        // Newer programs have further tests in between.
        assert.ok(!names.includes(undefined), `not a result: ${lines[names.indexOf(undefined)]}`);
        assert.deepEqual(
          names.filter((name) => LINES.includes(name ?? '')),
          LINES,
        );
      });
    }

    test('runs with random keys, threads and RESP3', async () => {
      const many = ['-n', '4000', '-r', '100000', '-P', '8', '--threads', '2', '-t', 'set,get,mset'];
      const { code, out, err } = await benchmark(...many, '-3');
      assert.equal(err, '');
      assert.equal(code, 0);
      assert.equal(results(out).length, 3, out);
    });

    test('is told of an error by the command that made it', async () => {
      const { out, err } = await benchmark('-n', '10', 'LPUSH', 'a', 'b');
      assert.equal(err, '');
      assert.match(out, /LPUSH a b: (?:[\d.]+|inf) requests per second/);
      const failing = await benchmark('-n', '10', '-e', 'INCR', 'a');
      assert.match(failing.out + failing.err, /WRONGTYPE/);
    });
  });
}
