// What all servers together say as one: against a lone server where the bytes are determined, else by shape.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ACL_COMMANDS } from '../../src/client/acl.ts';
import { FUNCTION_COMMANDS } from '../../src/client/functions.ts';
import { SCRIPT_COMMANDS } from '../../src/client/scripts.ts';
import { SERVER_COMMANDS } from '../../src/client/server.ts';
import { CLUSTER_COMMANDS } from '../../src/client/view.ts';
import { ROUTE } from '../../src/command/command.ts';
import { CommandTable } from '../../src/command/table.ts';
import { parse } from '../command/tables.ts';
import { type Argument, connect, type RawClient, type Value } from '../support/client.ts';
import { type Cluster, type Lone, startCluster, startLone } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';

const KEYS = 300;

const servers = await availableServers();

const BY_HAND = { ...ACL_COMMANDS, ...SERVER_COMMANDS, ...SCRIPT_COMMANDS, ...FUNCTION_COMMANDS };

describe('the servers as one', { concurrency: true }, () => {
  for (const server of servers) {
    describe(`${server.flavour} ${server.version}`, { concurrency: false }, () => {
      let cluster: Cluster;
      let lone: Lone;
      let proxy: RunningProxy;
      /** RESP2 and RESP3, through the proxy; and the lone server in both. */
      let clients: Record<2 | 3, { proxied: RawClient; direct: RawClient }>;
      const opened: RawClient[] = [];

      async function client(port: number, resp: 2 | 3): Promise<RawClient> {
        const one = await connect(port);
        opened.push(one);
        if (resp === 3) await one.call('HELLO', 3);
        return one;
      }

      before(async () => {
        [cluster, lone] = await Promise.all([startCluster({ server }), startLone({ server })]);
        proxy = await startProxy({ cluster, settings: { workers: 2 } });
        const pair = async (resp: 2 | 3) => ({
          proxied: await client(proxy.port, resp),
          direct: await client(lone.port, resp),
        });
        clients = { 2: await pair(2), 3: await pair(3) };
        const fill = Array.from({ length: KEYS }, (_, i) => ['SET', `key:${i}`, 'x', 'EX', 1000]);
        for (const one of Object.values(clients[2])) await one.pipeline(fill);
      });

      after(async () => {
        for (const one of opened) one.destroy();
        await proxy?.stop();
        await Promise.all([cluster?.stop(), lone?.stop()]);
      });

      /** The same reply from the lone server and through the proxy, in both protocols. */
      async function same(...args: Argument[]): Promise<void> {
        for (const resp of [2, 3] as const) {
          const { proxied, direct } = clients[resp];
          assert.equal(
            String(await proxied.call(...args)),
            String(await direct.call(...args)),
            `RESP${resp}`,
          );
        }
      }

      async function each(work: (proxied: RawClient, direct: RawClient) => Promise<void>): Promise<void> {
        for (const { proxied, direct } of Object.values(clients)) await work(proxied, direct);
      }

      /** `field:value` lines. */
      function fields(text: Value): Map<string, string> {
        const lines = String(text).split('\r\n');
        return new Map(
          lines
            .filter((line) => line.includes(':'))
            .map((line) => [line.split(':')[0]!, line.slice(line.indexOf(':') + 1)]),
        );
      }

      const titles = (text: Value) => [...String(text).matchAll(/^# (.*)\r$/gm)].map((match) => match[1]);

      test('each command that is merged by hand has its handler', async () => {
        const raw = await clients[2].direct.call('COMMAND');
        for (const { name, route, subcommands } of CommandTable.parse(parse(raw)).commands) {
          if (route === ROUTE.special || route === ROUTE.scan) assert.ok(BY_HAND[name], name);
          if (route === ROUTE.door && name.startsWith('cluster|')) assert.ok(CLUSTER_COMMANDS[name], name);
          assert.ok(name !== 'cluster' || subcommands !== undefined);
        }
      });

      test('INFO has the sections of one server and the sums of all', async () => {
        await each(async (proxied, direct) => {
          const [ours, theirs] = [await proxied.ask('INFO'), await direct.ask('INFO')];
          assert.deepEqual(titles(ours), [...titles(theirs), 'Proxy']);
          const [our, their] = [fields(ours), fields(theirs)];
          const sections = ['server', 'clients', 'stats', 'cpu', 'cluster'];
          for (const section of sections) {
            const known = fields(await direct.ask('INFO', section));
            const said = fields(await proxied.ask('INFO', section));
            for (const field of known.keys())
              if (!/^(lru_clock|server_time)/.test(field)) assert.ok(said.has(field), field);
          }
          const mode = their.has('redis_mode') ? 'redis_mode' : 'server_mode';
          assert.equal(our.get(mode), 'standalone');
          assert.equal(our.get('cluster_enabled'), '0');
          assert.equal(our.get('role'), 'master');
          assert.equal(our.get('tcp_port'), String(proxy.port));
          assert.equal(our.get('process_id'), String(proxy.pid));
          assert.match(our.get('run_id')!, /^[0-9a-f]{40}$/);
          assert.ok(Number(our.get('uptime_in_seconds')) < 60);
          assert.equal(our.get('maxclients'), '10000');
          assert.match(our.get('db0')!, new RegExp(`^keys=${KEYS},expires=${KEYS},`));
          assert.equal(our.get('connected_clients'), '2');
          assert.equal(our.get('proxy_connected_clients'), '2');
          assert.equal(our.get('cluster_primaries'), '3');
          assert.equal(our.get('cluster_replicas'), '3');
        });
      });

      test('INFO counts the clients of all workers', async () => {
        const more = await Promise.all(Array.from({ length: 8 }, () => connect(proxy.port)));
        // A connection is accepted, and then counted, some time after it is made.
        await Promise.all(more.map((one) => one.call('PING')));
        const info = fields(await more[0]!.ask('INFO', 'clients', 'proxy'));
        assert.equal(info.get('connected_clients'), '10');
        assert.equal(info.get('proxy_workers'), '2');
        await Promise.all(more.map((one) => one.close()));
      });

      test('INFO takes any sections', async () => {
        await same('INFO', 'nothing');
        await same('INFO', 'cluster');
        await same('INFO', 'modules');
        await each(async (proxied, direct) => {
          for (const sections of [
            ['everything'],
            ['all'],
            ['default'],
            ['SERVER', 'Memory'],
            ['commandstats'],
            ['keyspace', 'nothing'],
          ]) {
            const [ours, theirs] = [
              titles(await proxied.ask('INFO', ...sections)),
              titles(await direct.ask('INFO', ...sections)),
            ];
            const whole = ['everything', 'all', 'default'].includes(sections[0]!);
            assert.deepEqual(ours, whole ? [...theirs, 'Proxy'] : theirs, String(sections));
          }
          assert.deepEqual(titles(await proxied.ask('INFO', 'proxy')), ['Proxy']);
        });
      });

      test('RANDOMKEY gives keys of every shard, and nil where there are none', async () => {
        const { proxied } = clients[3];
        const keys = await proxied.pipeline(Array.from({ length: 300 }, () => ['RANDOMKEY']));
        const shards = new Set<number>();
        for (const raw of keys) {
          const key = /key:\d+/.exec(String(raw))![0];
          shards.add(Math.floor((Number(await proxied.ask('CLUSTER', 'KEYSLOT', key)) * 3) / 16384));
        }
        assert.equal(shards.size, 3);
        const saved = (await proxied.ask('KEYS', '*')) as string[];
        await proxied.call('FLUSHALL');
        await clients[2].direct.call('FLUSHALL');
        await same('RANDOMKEY');
        await proxied.call('SET', 'alone', 'x');
        await clients[2].direct.call('SET', 'alone', 'x');
        await same('RANDOMKEY');
        for (const one of Object.values(clients[2])) {
          await one.call('DEL', 'alone');
          await one.pipeline(saved.map((key) => ['SET', key, 'x', 'EX', 1000]));
        }
      });

      test('SLOWLOG GET gives the newest of all nodes', async () => {
        await each(async (proxied) => {
          await proxied.call('CONFIG', 'SET', 'slowlog-log-slower-than', -1);
          await proxied.call('SLOWLOG', 'RESET');
        });
        await same('SLOWLOG', 'GET', 0);
        await same('SLOWLOG', 'GET', 'x');
        await same('SLOWLOG', 'GET', -2);
        await same('SLOWLOG', 'GET', 1, 2);
        for (const { port } of cluster.primaries)
          await cluster.cli(port, 'CONFIG', 'SET', 'slowlog-log-slower-than', 0);
        await each(async (proxied) => {
          await proxied.pipeline(Array.from({ length: 30 }, (_, i) => ['GET', `key:${i}`]));
          const entries = (await proxied.ask('SLOWLOG', 'GET', -1)) as [
            number,
            number,
            number,
            string[],
            string,
            string,
          ][];
          const reads = entries.filter(([, , , words]) => words[0] === 'GET' && words.length === 2);
          assert.ok(reads.length >= 30);
          const times = entries.map(([, time]) => time);
          assert.deepEqual(
            times,
            times.toSorted((a, b) => b - a),
          );
          const ids = entries.map(([id]) => id);
          assert.equal(new Set(ids).size, ids.length);
          assert.ok(ids.every(Number.isSafeInteger));
          assert.equal(((await proxied.ask('SLOWLOG', 'GET')) as []).length, 10);
          assert.equal(((await proxied.ask('SLOWLOG', 'GET', 17)) as []).length, 17);
        });
        await clients[2].proxied.call('CONFIG', 'SET', 'slowlog-log-slower-than', -1);
      });

      test('LATENCY speaks of all nodes', async () => {
        for (const one of Object.values(clients[2])) {
          await one.call('CONFIG', 'SET', 'latency-monitor-threshold', 0);
          await one.call('LATENCY', 'RESET');
        }
        await same('LATENCY', 'LATEST');
        await same('LATENCY', 'HISTORY', 'command');
        await same('LATENCY', 'GRAPH', 'command');
        await same('LATENCY', 'DOCTOR');
        for (const { port } of cluster.primaries) {
          await cluster.cli(port, 'CONFIG', 'SET', 'latency-monitor-threshold', 3);
          await cluster.cli(port, 'DEBUG', 'SLEEP', 0.005);
        }
        await cluster.cli(cluster.primaries[1]!.port, 'DEBUG', 'SLEEP', 0.02);
        await each(async (proxied) => {
          const [event, time, , highest] = (
            (await proxied.ask('LATENCY', 'LATEST')) as [string, number, number, number][]
          ).find(([name]) => name === 'command')!;
          assert.equal(event, 'command');
          assert.ok(highest >= 20 && time > 1_600_000_000);
          const history = (await proxied.ask('LATENCY', 'HISTORY', 'command')) as [number, number][];
          assert.ok(history.some(([, latency]) => latency >= 20));
          assert.equal(new Set(history.map(([second]) => second)).size, history.length);
          const graph = String(await proxied.ask('LATENCY', 'GRAPH', 'command'));
          assert.equal(graph.match(/^command - high/gm)?.length, 3);
          for (const { port } of cluster.primaries) assert.ok(graph.includes(`# node 127.0.0.1:${port}`));
          assert.match(String(await proxied.ask('LATENCY', 'DOCTOR')), /1\. command: /);
        });
        await clients[2].proxied.call('CONFIG', 'SET', 'latency-monitor-threshold', 0);
      });

      test('LATENCY HISTOGRAM adds the calls up', async () => {
        for (const one of Object.values(clients[2])) {
          await one.call('CONFIG', 'RESETSTAT');
          await one.pipeline(Array.from({ length: 90 }, (_, i) => ['INCRBY', `n:${i}`, 1]));
        }
        await same('LATENCY', 'HISTOGRAM', 'nothing');
        await each(async (proxied, direct) => {
          const [ours, theirs] = [
            await proxied.ask('LATENCY', 'HISTOGRAM', 'incrby'),
            await direct.ask('LATENCY', 'HISTOGRAM', 'incrby'),
          ];
          assert.equal(ours instanceof Map, theirs instanceof Map);
          // Counts are cumulative, so the last is the number of calls.
          const numbers = (value: Value) => [...JSON.stringify(plain(value)).matchAll(/\d+/g)].map(Number);
          assert.equal(numbers(ours)[0], 90);
          assert.equal(numbers(ours).at(-1), 90);
          assert.equal(numbers(theirs).at(-1), 90);
        });
      });

      test('MEMORY STATS has the fields and types of one server', async () => {
        await each(async (proxied, direct) => {
          const shape = (raw: Buffer) =>
            String(raw)
              .replace(/\$\d+\r\n-?[\d.]+\r\n/g, 'double ')
              .replace(/,-?[\d.e-]+/g, 'double')
              .replace(/:-?\d+/g, 'number');
          assert.equal(
            shape(await proxied.call('MEMORY', 'STATS')),
            shape(await direct.call('MEMORY', 'STATS')),
          );
          const text = JSON.stringify(plain(await proxied.ask('MEMORY', 'STATS')));
          assert.match(text, new RegExp(`"keys.count",${await proxied.ask('DBSIZE')},`));
        });
      });

      test('MEMORY DOCTOR and MALLOC-STATS speak of all shards', async () => {
        await same('MEMORY', 'DOCTOR');
        await each(async (proxied) => {
          const text = String(await proxied.ask('MEMORY', 'MALLOC-STATS'));
          for (const { port } of cluster.primaries) assert.ok(text.includes(`# node 127.0.0.1:${port}`));
        });
      });

      test('FUNCTION STATS is that of one server', async () => {
        await same('FUNCTION', 'STATS');
        const library = "#!lua name=l\nredis.register_function('f', function() return 1 end)";
        for (const one of Object.values(clients[2])) await one.call('FUNCTION', 'LOAD', library);
        await same('FUNCTION', 'STATS');
      });

      test('what a user may not ask of a server, it may not ask here', async () => {
        for (const { port } of cluster.nodes)
          await cluster.cli(port, 'ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '+get', '+randomkey');
        const reader = await client(proxy.port, 2);
        assert.equal(String(await reader.call('AUTH', 'reader', 'secret')), '+OK\r\n');
        for (const command of [
          'INFO',
          'SLOWLOG GET',
          'LATENCY LATEST',
          'MEMORY STATS',
          'FUNCTION STATS',
          'LATENCY GRAPH command',
        ]) {
          assert.match(String(await reader.call(...command.split(' '))), /^-NOPERM /, command);
        }
        assert.match(String(await reader.call('RANDOMKEY')), /^\$/);
      });
    });
  }
});

/** Maps as lists of names and values. */
function plain(value: Value): unknown {
  if (value instanceof Map) return [...value].flat().map((each) => plain(each as Value));
  return Array.isArray(value) ? value.map(plain) : value;
}
