/**
 * Debian's python3-redis, run by the system's own python3. The cases are redis-py.py's; here each becomes a
 * test of its name.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { run } from './programs.ts';
import { findPython, noPython } from './python.ts';

const CASES = fileURLToPath(new URL('redis-py.py', import.meta.url));

describe('redis-py', { skip: noPython }, () => {
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

  test('is served as by one server', async (t) => {
    const { python, env } = await findPython('python3-redis');
    const { code, out, err } = await run(python, [CASES, String(proxy.port)], { env });
    assert.equal(code, 0, err);
    const results = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string; failure?: string });
    assert.ok(results.length >= 15, out);
    for (const { name, failure } of results)
      await t.test(name, () => assert.ok(failure === undefined, failure ?? ''));
  });
});
