/**
 * Debian's celery as it is: workers that wait for several queues with one BRPOP, and acknowledge in transactions
 * over several slots, for which the proxies have `transactions: per-slot`. By pub/sub they find each other (mingle and
 * gossip), are controlled, and tell of results. Each of the two has a proxy of its own.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { adopt, end } from '../support/reaper.ts';
import { until } from '../support/wait.ts';
import { run } from './programs.ts';
import { findPython, noPython } from './python.ts';

const TASKS = fileURLToPath(new URL('celery-tasks.py', import.meta.url));
const WORKER = ['-m', 'celery', '-A', 'celery-tasks', 'worker', '-Q', 'celery,low,high', '--pool', 'solo'];

describe('celery', { skip: noPython }, () => {
  let cluster: Cluster;
  let proxies: RunningProxy[] = [];

  before(async () => {
    cluster = await startCluster({ replicas: 0 });
    const settings = { transactions: 'per-slot' };
    proxies = await Promise.all([startProxy({ cluster, settings }), startProxy({ cluster, settings })]);
  });

  after(async () => {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await cluster?.stop();
  });

  test('does all tasks of three queues once, tells of their results, and obeys', async () => {
    const found = await findPython('python3-redis', 'python3-celery');
    const workers: Worker[] = [];
    try {
      for (const { port } of proxies) {
        const env = { ...found.env, SLOTLESS_TEST_PORT: String(port) };
        const worker = start(found.python, `worker-${workers.length}@host`, env);
        workers.push(worker);
        await until('the worker to be ready', () => worker.said().includes(' ready.'));
      }
      assert.match(workers[1]?.said() ?? '', /mingle: sync with 1 nodes/);
      await until('the first to hear of the second', () =>
        workers[0]?.said().includes('worker-1@host joined the party'),
      );
      const env = { ...found.env, SLOTLESS_TEST_PORT: String(proxies[0]?.port) };
      const { code, out, err } = await run(found.python, [TASKS], { env });
      assert.equal(code, 0, err);
      assert.equal(out, 'all done\n');
    } finally {
      for (const { child } of workers) await end(child);
    }
  });
});

interface Worker {
  readonly child: ChildProcess;
  /** What it has logged. */
  said(): string;
}

function start(python: string, name: string, env: NodeJS.ProcessEnv): Worker {
  const args = [...WORKER, '-n', name, '--loglevel', 'debug'];
  const child = adopt(spawn(python, args, { env, cwd: dirname(TASKS), stdio: ['ignore', 'ignore', 'pipe'] }));
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  return { child, said: () => text };
}
