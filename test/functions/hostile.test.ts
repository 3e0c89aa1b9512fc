/** Hostile libraries at the whole proxy: clients of theirs are told, all others see nothing of it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Value } from '../support/client.ts';
import type { RunningProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';
import { HOSTILE, type Hostile } from './hostile.ts';
import { asked, load, onAServer } from './stand.ts';

const THREADS = 2;
const SETTINGS = {
  'functions.threads': THREADS,
  'functions.memory': '32mb',
  'functions.maxReplyBytes': '8mb',
  'functions.lockTimeout': '200ms',
  'functions.maxRunTime': '5s',
  admin: '127.0.0.1:0',
};
const GOOD = `
  redis.registerFunction('greet', (client, key) => 'hello ' + client.call('get', key));
  redis.registerFunction('wait', (client, key) => client.call('blpop', key, '0')[1]);`;

onAServer(
  'hostile libraries',
  (stand) => {
    for (const hostile of HOSTILE) {
      test(`${hostile.what}: a clear error, and all others are answered`, async () => {
        const { one, three, client } = stand();
        await load(client, 'good', GOOD);
        await Promise.all([one, three].map((proxy) => meanwhile(proxy, () => attack(proxy, hostile))));
      });
    }

    test('afterwards nothing is left of them', async () => {
      const { one, three, client } = stand();
      assert.equal(await client.ask('EXISTS', 'hostile:late'), 0);
      for (const proxy of [one, three]) {
        await until('nothing to be under way', async () => {
          const names = ['slotless_pending', 'slotless_held', 'slotless_blocked_clients'];
          return (await gauges(proxy, names)).every((value) => value === 0);
        });
        const bad = proxy.log.filter((line) => /"level":"(error|fatal)"|^\s+at /.test(line));
        assert.deepEqual(bad, []);
      }
      // What the other proxy has deleted goes within a second.
      await until('their libraries to be gone', async () => {
        const libraries = (await client.ask('TFUNCTION', 'LIST')) as Value[][];
        return libraries.map((library) => library[library.indexOf('name') + 1]).join() === 'good';
      });
    });

    test('afterwards every thread answers', async () => {
      const { one, client } = stand();
      // A function that waits for the reply of a call has its thread for itself.
      const callers = await Promise.all(Array.from({ length: THREADS }, () => one.connect()));
      const waiting = callers.map((caller) => caller.ask('TFCALLASYNC', 'good.wait', 1, 'hostile:list'));
      await until('all to wait', async () => {
        const [links] = await gauges(one, ['slotless_dedicated_links']);
        return links === THREADS;
      });
      await client.ask('RPUSH', 'hostile:list', ...callers.map(() => 'pushed'));
      assert.deepEqual(
        await Promise.all(waiting),
        callers.map(() => 'pushed'),
      );
      for (const caller of callers) caller.destroy();
    });
  },
  SETTINGS,
);

/** Loads it, and calls it until it has been told off. */
async function attack(proxy: RunningProxy, { code, at, error }: Hostile): Promise<void> {
  const client = await proxy.connect();
  const name = `hostile_${proxy.port}`;
  const loaded = await client.ask(
    'TFUNCTION',
    'LOAD',
    'REPLACE',
    `#!js api_version=1.0 name=${name}\n${code}`,
  );
  if (at === 'load') assert.match(String(loaded), error);
  else {
    assert.equal(loaded, 'OK');
    const reply = await until('the error', async () => {
      const reply = await asked(client, 'TFCALLASYNC', `${name}.f`, 0);
      return reply instanceof Error && reply;
    });
    assert.match(String(reply), error);
    assert.equal(await client.ask('TFUNCTION', 'DELETE', name), 'OK');
  }
  client.destroy();
}

/** While it goes on, another client and a function of another library are answered as ever. */
async function meanwhile(proxy: RunningProxy, attack: () => Promise<void>): Promise<void> {
  const [plain, caller] = [await proxy.connect(), await proxy.connect()];
  let over = false;
  const end = attack().finally(() => {
    over = true;
  });
  const key = `hostile:${proxy.port}`;
  const ordinary = async () => {
    for (let i = 0; !over; i++) {
      assert.equal(await plain.ask('SET', key, i), 'OK');
      assert.equal(await plain.ask('GET', key), String(i));
    }
  };
  const functions = async () => {
    do assert.match(String(await asked(caller, 'TFCALL', 'good.greet', 1, key)), /^hello (\d+|null)$/);
    while (!over);
  };
  await Promise.all([end, ordinary(), functions()]);
  plain.destroy();
  caller.destroy();
}

async function gauges({ log }: RunningProxy, names: readonly string[]): Promise<number[]> {
  const door = /"admin":"(127[\d.:]+)"/.exec(log.join('\n'))?.[1];
  const text = await (await fetch(`http://${door}/metrics`)).text();
  return names.map((name) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1] ?? Number.NaN));
}
