/** The command as its operator sees it: what it prints, how it ends, and with which exit code. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createServer as createListener, type Server } from 'node:net';
import { after, before, describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { VERSION } from '../src/config.ts';
import { connect, type RawClient } from './support/client.ts';
import { commandReply, type FakeCluster, type Held, held, startFake } from './support/fake-node.ts';
import { freePort } from './support/ports.ts';
import { type RunningProxy, startProxy } from './support/proxy.ts';
import { adopt, remove, temporary } from './support/reaper.ts';
import { until } from './support/wait.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command to its end, in a folder without a proxy.yaml. */
function run(args: string[], env: Record<string, string> = {}, cwd = folder): Promise<Ended> {
  const own = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('SLOTLESS_')),
  );
  const child = adopt(spawn(process.execPath, [MAIN, ...args], { cwd, env: { ...own, ...env } }));
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

let folder: string;
let commands: Buffer;
before(async () => {
  folder = temporary('slotless-main');
  commands = await commandReply();
});
after(() => remove(folder));

describe('main', () => {
  test('--help and --version say it and end well, whatever else is given', async () => {
    const [help, version] = await Promise.all([run(['--help', '--workers', 'many']), run(['--version'])]);
    assert.deepEqual([help.code, help.stderr], [0, '']);
    for (const words of ['--cluster', '--listen', 'SLOTLESS_', '--config'])
      assert.ok(help.stdout.includes(words), words);
    assert.deepEqual(version, { code: 0, stdout: `slotless ${VERSION}\n`, stderr: '' });
  });

  test('settings that are wrong end the start with one line that names them, and code 1', async () => {
    const cluster = ['--cluster', '127.0.0.1:1'];
    const cases: [string[], RegExp, Record<string, string>?][] = [
      [[], /^slotless: cluster: found nothing; allowed: /],
      [
        cluster,
        /^slotless: workers: found "999" in .*SLOTLESS_WORKERS.*; allowed: /,
        { SLOTLESS_WORKERS: '999' },
      ],
      [
        ['--config', '/nowhere.yaml'],
        /^slotless: config: found ENOENT when reading "\/nowhere\.yaml"; allowed: /,
      ],
    ];
    const ended = await Promise.all(cases.map(([args, , env]) => run(args, env)));
    ended.forEach(({ code, stdout, stderr }, i) => {
      assert.match(stderr, cases[i]![1]);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
      assert.deepEqual([code, stdout], [1, '']);
    });
  });

  for (const workers of [1, 2]) {
    test(`with ${workers} worker(s) a port that is taken ends the start with one line, and code 1`, async (t) => {
      const fake = await startFake({ commands });
      const taken = await freePort();
      const other: Server = createListener().listen(taken, '127.0.0.1');
      t.after(async () => {
        other.close();
        await fake.stop();
      });
      const ended = await run([
        ...['--cluster', fake.seeds.join(','), '--admin', 'off', '--log.level', 'error'],
        ...['--listen', `127.0.0.1:${taken}`, '--workers', String(workers)],
      ]);
      const said = ended.stdout.trim();
      assert.deepEqual([ended.code, said.split('\n').length, ended.stderr], [1, 1, '']);
      assert.match(said, new RegExp(`EADDRINUSE.*${taken}`));
      assert.doesNotMatch(said, / {4}at /);
    });
  }

  test('an admin port that is taken ends the start with one line, and code 1', async (t) => {
    const other = createServer().listen(0, '127.0.0.1');
    t.after(() => other.close());
    await until('the other to listen', () => other.listening);
    const { port } = other.address() as { port: number };
    const ended = await run([
      '--cluster',
      '127.0.0.1:1',
      '--admin',
      `127.0.0.1:${port}`,
      '--log.level',
      'error',
    ]);
    assert.deepEqual([ended.code, ended.stdout.trim().split('\n').length, ended.stderr], [1, 1, '']);
    assert.match(ended.stdout, new RegExp(`EADDRINUSE.*${port}`));
  });
});

interface Stage {
  fake: FakeCluster;
  proxy: RunningProxy;
  client: RawClient;
  /** What the node answers GET with, when the test says so. */
  slow: Held;
}

async function stage(t: TestContext, settings: Record<string, string | number> = {}): Promise<Stage> {
  const fake = await startFake({ commands });
  const proxy = await startProxy({ cluster: fake, settings });
  const client = await proxy.connect();
  const slow = held();
  fake.script = ({ name }) => (name === 'GET' ? slow.answer : undefined);
  t.after(async () => {
    client.destroy();
    slow.release('$-1\r\n');
    await proxy.stop();
    await fake.stop();
  });
  return { fake, proxy, client, slow };
}

describe('its life', () => {
  for (const signals of [['SIGTERM'], ['SIGINT', 'SIGINT', 'SIGTERM']] as const) {
    test(`it says where it is ready; at ${signals.join(', ')} who is being served is answered and nobody is let in`, async (t) => {
      const { fake, proxy, client, slow } = await stage(t);
      const line = JSON.parse(await proxy.logged(/ready on/));
      const where = `127.0.0.1:${proxy.port}`;
      assert.deepEqual([line.msg, line.level, line.listen], [`ready on ${where}`, 'info', [where]]);
      const idle = await proxy.connect();
      const reply = client.call('GET', 'a');
      await until('it to arrive', () => fake.received.length === 1);
      for (const signal of signals) {
        process.kill(proxy.pid, signal);
        // Each by itself: those that come together may be delivered as one.
        await proxy.logged(/"msg":"draining"/);
      }
      await idle.closed;
      await assert.rejects(connect(proxy.port));
      slow.release('$4\r\nlate\r\n');
      assert.equal(String(await reply), '$4\r\nlate\r\n');
      await client.closed;
      assert.equal(await proxy.exited, 0);
      assert.equal(proxy.log.filter((line) => line.includes('"msg":"draining"')).length, 1);
    });
  }

  for (const workers of [1, 2]) {
    test(`with ${workers} worker(s) who is connected goes on at a signal, nobody is let in, and it ends with the last`, async (t) => {
      const admin = await freePort();
      const settings = { 'drain.grace': '1h', admin: `127.0.0.1:${admin}`, workers };
      const { proxy, client } = await stage(t, settings);
      const others = await Promise.all(Array.from({ length: 8 }, () => proxy.connect()));
      process.kill(proxy.pid, 'SIGTERM');
      await proxy.logged(/"msg":"draining"/);
      const ready = await fetch(`http://127.0.0.1:${admin}/readyz`);
      assert.deepEqual([ready.status, await ready.text()], [503, 'draining\n']);
      await until('nobody to be let in', () =>
        connect(proxy.port).then(
          (one) => one.destroy(),
          () => true,
        ),
      );
      for (const one of [client, ...others]) assert.equal(String(await one.call('SET', 'a', '1')), '+OK\r\n');
      await Promise.all(others.map((one) => one.close()));
      assert.equal(String(await client.call('SET', 'a', '2')), '+OK\r\n');
      await client.close();
      assert.equal(await proxy.exited, 0);
    });

    test(`with ${workers} worker(s) a second signal ends the grace, and what is under way is answered`, async (t) => {
      const { fake, proxy, client, slow } = await stage(t, { 'drain.grace': '1h', workers });
      const idle = await proxy.connect();
      const reply = client.call('GET', 'a');
      await until('it to arrive', () => fake.received.length === 1);
      process.kill(proxy.pid, 'SIGTERM');
      await proxy.logged(/"msg":"draining"/);
      assert.equal(String(await idle.call('PING')), '+PONG\r\n');
      process.kill(proxy.pid, 'SIGTERM');
      await idle.closed;
      slow.release('$4\r\nlate\r\n');
      assert.equal(String(await reply), '$4\r\nlate\r\n');
      assert.equal(await proxy.exited, 0);
    });
  }

  test('what is not answered within its time is given up, and it ends well', async (t) => {
    const { fake, proxy, client } = await stage(t, { 'drain.timeout': 200 });
    const reply = assert.rejects(client.call('GET', 'a'));
    await until('it to arrive', () => fake.received.length === 1);
    process.kill(proxy.pid, 'SIGTERM');
    await reply;
    assert.equal(await proxy.exited, 0);
  });

  test('while the cluster is not there yet it can be ended, too', async (t) => {
    const cluster = { seeds: ['127.0.0.1:1'] };
    const proxy = await startProxy({ cluster, unready: true });
    t.after(() => proxy.stop());
    await proxy.logged(/not ready/);
    process.kill(proxy.pid, 'SIGTERM');
    assert.equal(await proxy.exited, 0);
  });
});
