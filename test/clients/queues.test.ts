/** Queues of jobs as they are: they live on scripts, blocking commands, streams and transactions at once. */

import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import { after, before, test } from 'node:test';
import BeeQueue from 'bee-queue';
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

const PATIENCE_MS = 20_000;

let cluster: Cluster;
let proxy: RunningProxy;

before(async () => {
  cluster = await startCluster({ replicas: 0 });
  proxy = await startProxy({ cluster, settings: { workers: 2 } });
});

after(async () => {
  await proxy?.stop();
  await cluster?.stop();
});

test('BullMQ with a prefix in braces: jobs, retries, delays, repetitions, a rate limit and flows', async () => {
  const connection = { host: '127.0.0.1', port: proxy.port, maxRetriesPerRequest: null };
  const options = { connection, prefix: '{bull}' };
  const errors: string[] = [];
  const done: string[] = [];
  const queue = new Queue('jobs', options);
  const events = new QueueEvents('jobs', options);
  const flows = new FlowProducer(options);
  const worker = new Worker(
    'jobs',
    async (job) => {
      done.push(job.name);
      if (job.data.fails && job.attemptsMade < 1) throw new Error('once');
      return job.data.n * 2;
    },
    { ...options, concurrency: 5, limiter: { max: 200, duration: 1000 } },
  );
  const parts = [queue, events, flows, worker];
  for (const part of parts as EventEmitter[]) part.on('error', (error) => errors.push(error.message));
  try {
    await events.waitUntilReady();
    const bulk = Array.from({ length: 100 }, (_, n) => ({ name: `job ${n}`, data: { n } }));
    const jobs = await queue.addBulk(bulk);
    const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, PATIENCE_MS)));
    assert.deepEqual(
      results,
      bulk.map(({ data }) => data.n * 2),
    );
    const again = await queue.add('again', { n: 1, fails: true }, { attempts: 2, backoff: 20 });
    assert.equal(await again.waitUntilFinished(events, PATIENCE_MS), 2);
    const later = await queue.add('later', { n: 3 }, { delay: 100 });
    assert.equal(await later.waitUntilFinished(events, PATIENCE_MS), 6);
    await queue.upsertJobScheduler('every', { every: 50, limit: 3 }, { name: 'every', data: { n: 1 } });
    await until('three repetitions', () => done.filter((name) => name === 'every').length === 3, PATIENCE_MS);
    const child = (n: number) => ({ name: `child ${n}`, queueName: 'jobs', data: { n } });
    const parent = { name: 'parent', queueName: 'jobs', data: { n: 5 }, children: [child(1), child(2)] };
    const { job } = await flows.add(parent);
    assert.equal(await job.waitUntilFinished(events, PATIENCE_MS), 10);
    assert.ok(done.indexOf('parent') > done.indexOf('child 2'));
    const { completed, failed, waiting } = await queue.getJobCounts();
    assert.deepEqual([completed, failed, waiting], [108, 0, 0]);
    assert.deepEqual(errors, []);
  } finally {
    await Promise.all(parts.map((part) => part.close()));
  }
});

test('BullMQ without braces is told that its keys lie in several slots', async () => {
  const queue = new Queue('jobs', { connection: { host: '127.0.0.1', port: proxy.port } });
  queue.on('error', () => {});
  await assert.rejects(queue.add('job', {}), /CROSSSLOT/);
  await queue.close();
});

test('bee-queue with a prefix in braces', async () => {
  const queue = new BeeQueue('jobs', {
    prefix: '{bee}',
    redis: { host: '127.0.0.1', port: proxy.port },
    getEvents: false,
    sendEvents: false,
  });
  const results: number[] = [];
  queue.process(3, async (job) => job.data.n * 2);
  queue.on('succeeded', (_job, result) => results.push(result));
  for (let n = 0; n < 30; n++) await queue.createJob({ n }).save();
  await until('all jobs to be done', () => results.length === 30, PATIENCE_MS);
  assert.deepEqual(
    results.toSorted((a, b) => a - b),
    Array.from({ length: 30 }, (_, n) => n * 2),
  );
  await queue.close(PATIENCE_MS);
});
