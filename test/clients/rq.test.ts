/**
 * Debian's rq as it is: a worker that waits for two queues with one BRPOP, writes in transactions over several slots
 * (`transactions: per-slot`), at the end of a job with a key watched that lies in another, and is told by pub/sub to stop
 * a job and to leave.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { adopt, end } from '../support/reaper.ts';
import { run } from './programs.ts';
import { findPython, noPython } from './python.ts';

const JOBS = fileURLToPath(new URL('rq-jobs.py', import.meta.url));

describe('rq', { skip: noPython }, () => {
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

  test('works, fails, stops a job and leaves when it is told to', async () => {
    const found = await findPython('python3-redis', 'python3-rq');
    const env = { ...found.env, SLOTLESS_TEST_PORT: String(proxy.port) };
    const worker = adopt(spawn(found.python, [JOBS, 'worker'], { env, stdio: 'ignore' }));
    const left = new Promise((resolve) => worker.once('exit', resolve));
    try {
      const { code, out, err } = await run(found.python, [JOBS], { env });
      assert.equal(code, 0, err);
      assert.equal(out, 'all done\n');
      assert.equal(await left, 0);
    } finally {
      await end(worker);
    }
  });
});
