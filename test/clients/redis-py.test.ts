/**
 * Debian's python3-redis, run by the system's own python3. The cases are redis-py.py's; here each becomes a
 * test of its name.
 */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { environmentOf } from '../support/apt.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { installPeers, which } from '../support/servers.ts';
import { run } from './programs.ts';

const CASES = fileURLToPath(new URL('redis-py.py', import.meta.url));

/** What runs redis-py. Where the system has no Python, its package has come along with redis-py's. */
async function findPython() {
  const root = await installPeers(['python3', 'python3-redis']);
  const env: NodeJS.ProcessEnv = {
    PYTHONPATH: join(root, 'usr/lib/python3/dist-packages'),
    PYTHONDONTWRITEBYTECODE: '1',
  };
  const own = join(root, 'usr/bin/python3');
  if (!existsSync('/usr/bin/python3'))
    return { python: own, env: { ...(await environmentOf(root)), ...env, PYTHONHOME: join(root, 'usr') } };
  return { python: '/usr/bin/python3', env: { ...process.env, ...env } };
}

const skip = which('apt-get') ? false : "needs Debian's packages";

describe('redis-py', { skip }, () => {
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
    const { python, env } = await findPython();
    const { code, out, err } = await run(python, [CASES, String(proxy.port)], { env });
    assert.equal(code, 0, err);
    const results = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string; failure?: string });
    assert.ok(results.length >= 11, out);
    for (const { name, failure } of results)
      await t.test(name, () => assert.ok(failure === undefined, failure ?? ''));
  });
});
