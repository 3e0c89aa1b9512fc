// CLUSTER: the one node that the proxy is, to raw bytes and to clients that insist on a cluster; and the truth.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster as Aware } from 'ioredis';
import { createCluster } from 'redis';
import { slotOf } from '../../src/command/slot.ts';
import { type Argument, connect, type RawClient, type Value } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';

const servers = await availableServers();

function slot(key: string): number {
  const bytes = Buffer.from(key);
  return slotOf(bytes, 0, bytes.length);
}

describe('CLUSTER', { concurrency: true }, () => {
  for (const server of servers) {
    describe(`${server.flavour} ${server.version}`, { concurrency: false }, () => {
      let cluster: Cluster;
      let proxy: RunningProxy;
      let real: RunningProxy;
      let clients: Record<2 | 3, RawClient>;
      const opened: RawClient[] = [];

      async function client(port: number, resp: 2 | 3): Promise<RawClient> {
        const one = await connect(port);
        opened.push(one);
        if (resp === 3) await one.call('HELLO', 3);
        return one;
      }

      before(async () => {
        cluster = await startCluster({ server });
        [proxy, real] = await Promise.all([
          startProxy({ cluster }),
          startProxy({ cluster, settings: { clusterView: 'real' } }),
        ]);
        clients = { 2: await client(proxy.port, 2), 3: await client(proxy.port, 3) };
      });

      after(async () => {
        for (const one of opened) one.destroy();
        await Promise.all([proxy?.stop(), real?.stop()]);
        await cluster?.stop();
      });

      async function says(reply: string, ...args: Argument[]): Promise<void> {
        for (const one of Object.values(clients))
          assert.equal(String(await one.call(...args)), reply, args.join(' '));
      }

      const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
      const idOf = async () => String(await clients[2].ask('CLUSTER', 'MYID'));

      test('SLOTS, SHARDS and NODES show one node that owns all slots', async () => {
        const id = await idOf();
        assert.match(id, /^[0-9a-f]{40}$/);
        const [two, three] = [clients[2], clients[3]];
        const node = `${bulk('127.0.0.1')}:${proxy.port}\r\n${bulk(id)}`;
        assert.equal(
          String(await two.call('CLUSTER', 'SLOTS')),
          `*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n${node}*0\r\n`,
        );
        assert.equal(
          String(await three.call('CLUSTER', 'SLOTS')),
          `*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n${node}%0\r\n`,
        );
        const fields = [
          'id',
          id,
          'port',
          proxy.port,
          'ip',
          '127.0.0.1',
          'endpoint',
          '127.0.0.1',
          'role',
          'master',
          'replication-offset',
          0,
          'health',
          'online',
        ];
        const text = fields
          .map((field) => (typeof field === 'number' ? `:${field}\r\n` : bulk(field)))
          .join('');
        const head = `${bulk('slots')}*2\r\n:0\r\n:16383\r\n${bulk('nodes')}*1\r\n`;
        assert.equal(String(await two.call('CLUSTER', 'SHARDS')), `*1\r\n*4\r\n${head}*14\r\n${text}`);
        assert.equal(String(await three.call('CLUSTER', 'SHARDS')), `*1\r\n%2\r\n${head}%7\r\n${text}`);
        const line = `${id} 127.0.0.1:${proxy.port}@0 myself,master - 0 0 1 connected 0-16383\n`;
        assert.equal(String(await two.call('CLUSTER', 'NODES')), bulk(line));
        assert.equal(String(await three.call('CLUSTER', 'NODES')), `=${line.length + 4}\r\ntxt:${line}\r\n`);
      });

      test('the shapes are those of the servers', async () => {
        const server = {
          2: await client(cluster.primaries[0]!.port, 2),
          3: await client(cluster.primaries[0]!.port, 3),
        };
        for (const resp of [2, 3] as const) {
          for (const what of ['SLOTS', 'SHARDS', 'INFO', 'NODES', 'MYID', 'LINKS']) {
            const [ours, theirs] = [
              await clients[resp].ask('CLUSTER', what),
              await server[resp].ask('CLUSTER', what),
            ];
            assert.equal(shape(ours), what === 'LINKS' ? 'list' : shape(theirs), what);
          }
          const [ours, theirs] = [clients[resp], server[resp]];
          for (const line of String(await ours.ask('CLUSTER', 'INFO')).split('\r\n')) {
            assert.ok(String(await theirs.ask('CLUSTER', 'INFO')).includes(line.split(':')[0]!), line);
          }
        }
      });

      test('the rest is what such a node would say', async () => {
        const id = await idOf();
        for (const one of Object.values(clients)) {
          const info = String(await one.ask('CLUSTER', 'INFO'));
          assert.match(
            info,
            /^cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n/,
          );
          assert.match(info, /\r\ncluster_known_nodes:1\r\ncluster_size:1\r\n/);
        }
        await says('*0\r\n', 'CLUSTER', 'REPLICAS', id);
        await says('*0\r\n', 'CLUSTER', 'SLAVES', id);
        await says('-ERR Unknown node nobody\r\n', 'CLUSTER', 'REPLICAS', 'nobody');
        await says(':0\r\n', 'CLUSTER', 'COUNT-FAILURE-REPORTS', id);
        await says('-ERR Unknown node nobody\r\n', 'CLUSTER', 'COUNT-FAILURE-REPORTS', 'nobody');
        await says('*0\r\n', 'CLUSTER', 'LINKS');
        await says(':15495\r\n', 'CLUSTER', 'KEYSLOT', 'a');
        await says(`:${slot('tag')}\r\n`, 'CLUSTER', 'KEYSLOT', 'x{tag}y');
        assert.match(String(await clients[2].call('CLUSTER', 'HELP')), /^\*\d+\r\n\+CLUSTER <subcommand>/);
        await says("-ERR unknown subcommand 'NOPE'. Try CLUSTER HELP.\r\n", 'CLUSTER', 'NOPE');
        await says("-ERR wrong number of arguments for 'cluster|keyslot' command\r\n", 'CLUSTER', 'KEYSLOT');
        assert.match(
          String(await clients[2].call('CLUSTER', 'FORGET', id)),
          /^-ERR slotless: 'cluster\|forget' is refused; the setting 'allow'/,
        );
        if (server.flavour === 'valkey') await says(bulk(id), 'CLUSTER', 'MYSHARDID');
      });

      test('keys are counted and listed where they are, on both nodes of a slot on its way', async () => {
        const names = Array.from({ length: 50 }, (_, i) => `{count}${i}`);
        await clients[2].pipeline(names.map((name) => ['SET', name, 'x']));
        const at = slot('{count}');
        await says(':50\r\n', 'CLUSTER', 'COUNTKEYSINSLOT', at);
        const from = await cluster.ownerOf(at);
        const to = cluster.primaries.find(({ port }) => port !== from.port)!;
        await cluster.beginMove(at, to.port);
        await cluster.moveKeys(at, from.port, to.port, 20);
        await says(':50\r\n', 'CLUSTER', 'COUNTKEYSINSLOT', at);
        const listed = async (count: number) =>
          (await clients[3].ask('CLUSTER', 'GETKEYSINSLOT', at, count)) as string[];
        assert.deepEqual((await listed(100)).sort(), names.toSorted());
        assert.equal((await listed(35)).length, 35);
        await cluster.moveSlot(at, to.port);
        await says(':50\r\n', 'CLUSTER', 'COUNTKEYSINSLOT', at);
        assert.deepEqual((await listed(100)).sort(), names.toSorted());
        await says('*0\r\n', 'CLUSTER', 'GETKEYSINSLOT', at, 0);
        for (const bad of ['-1', '16384'])
          await says('-ERR Invalid slot\r\n', 'CLUSTER', 'COUNTKEYSINSLOT', bad);
        await says('-ERR value is not an integer or out of range\r\n', 'CLUSTER', 'COUNTKEYSINSLOT', 'x');
        await says('-ERR value is not an integer or out of range\r\n', 'CLUSTER', 'GETKEYSINSLOT', 0, 'x');
        await says('-ERR Invalid slot or number of keys\r\n', 'CLUSTER', 'GETKEYSINSLOT', 0, -1);
        await says('-ERR Invalid slot or number of keys\r\n', 'CLUSTER', 'GETKEYSINSLOT', 16384, 1);
      });

      test('SLOT-STATS are of all shards', { skip: server.flavour !== 'valkey' }, async () => {
        const names = [
          ['{a}', 3],
          ['{b}', 5],
          ['{c}', 9],
        ] as const;
        await clients[2].pipeline(
          names.flatMap(([tag, count]) =>
            Array.from({ length: count }, (_, i) => ['SET', `${tag}${i}`, 'x']),
          ),
        );
        for (const one of Object.values(clients)) {
          const first = (await one.ask('CLUSTER', 'SLOT-STATS', 'SLOTSRANGE', 0, 16383)) as Value[][];
          assert.deepEqual(
            first.map(([slot]) => slot),
            Array.from({ length: 16384 }, (_, i) => i),
          );
          const top = (await one.ask(
            'CLUSTER',
            'SLOT-STATS',
            'ORDERBY',
            'key-count',
            'LIMIT',
            4,
          )) as Value[][];
          assert.deepEqual(
            top.map(([slot]) => slot),
            [slot('{count}'), slot('{c}'), slot('{b}'), slot('{a}')],
          );
          const last = (await one.ask(
            'CLUSTER',
            'SLOT-STATS',
            'ORDERBY',
            'key-count',
            'LIMIT',
            3,
            'ASC',
          )) as Value[][];
          assert.deepEqual(
            last.map(([slot]) => slot),
            [0, 1, 2],
          );
        }
        await says(
          '-ERR Unrecognized sort metric for ORDERBY.\r\n',
          'CLUSTER',
          'SLOT-STATS',
          'ORDERBY',
          'nope',
        );
      });

      test('clusterView real shows what the servers say', async () => {
        for (const resp of [2, 3] as const) {
          const one = await client(real.port, resp);
          const ranges = (await one.ask('CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
          const ports = new Set(ranges.map(([, , [, port]]) => port));
          assert.deepEqual([...ports].sort(), cluster.primaries.map(({ port }) => port).sort());
          assert.equal(
            String(await one.ask('CLUSTER', 'NODES'))
              .trim()
              .split('\n').length,
            6,
          );
          assert.match(String(await one.ask('CLUSTER', 'INFO')), /cluster_known_nodes:6/);
          assert.equal((await one.call('CLUSTER', 'NODES'))[0], resp === 3 ? 61 : 36);
          const id = String(await one.ask('CLUSTER', 'MYID'));
          assert.ok(cluster.primaries.some((node) => node.id === id));
          assert.equal(await one.ask('CLUSTER', 'COUNTKEYSINSLOT', slot('{count}')), 50);
        }
      });

      test('ioredis as a cluster client works on the one node', async () => {
        const aware = new Aware([{ host: '127.0.0.1', port: proxy.port }]);
        try {
          await Promise.all(Array.from({ length: 100 }, (_, i) => aware.set(`aware:${i}`, String(i))));
          assert.equal(await aware.get('aware:77'), '77');
          assert.deepEqual(await aware.mget('{m}1', '{m}2'), [null, null]);
          assert.deepEqual(
            aware.nodes('master').map(({ options }) => options.port),
            [proxy.port],
          );
        } finally {
          aware.disconnect();
        }
      });

      test('node-redis as a cluster client works on the one node', async () => {
        for (const RESP of [2, 3] as const) {
          const aware = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${proxy.port}` }], RESP });
          await aware.connect();
          try {
            await Promise.all(Array.from({ length: 100 }, (_, i) => aware.set(`aware:${i}`, String(i))));
            assert.equal(await aware.get('aware:42'), '42');
            assert.equal(aware.masters.length, 1);
          } finally {
            await aware.close();
          }
        }
      });
    });
  }
});

/** The kinds of the values, of lists that of the first element. */
function shape(value: Value): string {
  if (value instanceof Map)
    return `{${[...value].map(([name, each]) => `${name} ${shape(each)}`).join(' ')}}`;
  if (!Array.isArray(value)) return typeof value;
  return value.length === 0 ? 'list' : `list of ${shape(value[0]!)}`;
}
