/**
 * Debian's celery as it is: a worker that waits for several queues with one BRPOP, and acknowledges in
 * transactions over several slots, for which the proxy has `transactions: per-slot`. Without what subscribes:
 * remote control, gossip and results.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { adopt, end } from '../support/reaper.ts';
import { run } from './programs.ts';
import { findPython, noPython } from './python.ts';

const TASKS = fileURLToPath(new URL('celery-tasks.py', import.meta.url));
const WORKER = ['-m', 'celery', '-A', 'celery-tasks', 'worker', '-Q', 'celery,low,high', '--pool', 'solo'];
const QUIET = ['--without-gossip', '--without-mingle', '--without-heartbeat'];

describe('celery', { skip: noPython }, () => {
  let cluster: Cluster;
  let proxy: RunningProxy;

  before(async () => {
    cluster = await startCluster({ replicas: 0 });
    proxy = await startProxy({ cluster, settings: { transactions: 'per-slot' } });
  });

  after(async () => {
    await proxy?.stop();
    await cluster?.stop();
  });

  test('does all tasks of three queues once, tries again, waits, and leaves nothing unacknowledged', async () => {
    const found = await findPython('python3-redis', 'python3-celery');
    const env = { ...found.env, SLOTLESS_TEST_PORT: String(proxy.port) };
    const worker = adopt(
      spawn(found.python, [...WORKER, ...QUIET], { env, cwd: dirname(TASKS), stdio: 'ignore' }),
    );
    try {
      const { code, out, err } = await run(found.python, [TASKS], { env });
      assert.equal(code, 0, err);
      assert.equal(out, 'all done\n');
    } finally {
      await end(worker);
    }
  });
});
