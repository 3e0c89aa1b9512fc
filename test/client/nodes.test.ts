import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { mapOf } from '../cluster/rig.ts';
import type { RawClient, Value } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { room } from './rig.ts';

/** A map, as it comes in either protocol. */
function fields(value: Value): Record<string, Value> {
  if (value instanceof Map) return Object.fromEntries(value as Map<string, Value>);
  const flat = value as Value[];
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1]]] : [])));
}

for (const server of await availableServers()) {
  describe(`PROXY on ${server.flavour} ${server.version}`, { concurrency: false }, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    const clients: RawClient[] = [];

    before(async () => {
      cluster = await startCluster({ server, primaries: 2, replicas: 1 });
      const [one] = cluster.seeds;
      proxy = await startProxy({ cluster, settings: { zones: `${one}=here` } });
      for (const resp of [2, 3]) {
        const client = await proxy.connect();
        if (resp === 3) await client.call('HELLO', 3);
        clients.push(client);
      }
    });

    after(async () => {
      for (const client of clients) client.destroy();
      await proxy?.stop();
      await cluster?.stop();
    });

    async function nodes(client: RawClient, ...flag: string[]): Promise<Record<string, Value>[]> {
      return ((await client.ask('PROXY', 'NODES', ...flag)) as Value[]).map(fields);
    }

    test('all nodes are shown with their roles and slots, replicas behind their primaries', async () => {
      for (const client of clients) {
        const all = await nodes(client);
        assert.deepEqual(new Set(all.map(({ name }) => name)), new Set(cluster.seeds));
        assert.deepEqual(
          all.map(({ role }) => role),
          ['primary', 'replica', 'primary', 'replica'],
        );
        const halves = [[[0, 8191]], [[8192, 16383]]];
        assert.deepEqual(
          all.map(({ slots }) => slots),
          [halves[0], halves[0], halves[1], halves[1]],
        );
        for (const { name, host, port } of all) assert.equal(name, `${host}:${port}`);
        assert.deepEqual(String(all[0]!['flags']).startsWith('primary'), true);
        assert.deepEqual(
          all.map(({ zone }) => zone),
          ['here', undefined, undefined, undefined],
        );
        assert.equal(all.filter((node) => node['default'] === 1 || node['default'] === true).length, 1);
      }
    });

    test('a flag chooses among them', async () => {
      for (const client of clients) {
        assert.deepEqual(await nodes(client, 'ALL'), await nodes(client));
        const primaries = (await nodes(client, 'primaries')).map(({ name }) => name);
        assert.deepEqual(
          primaries,
          cluster.primaries.map(({ host, port }) => `${host}:${port}`),
        );
        assert.ok((await nodes(client, 'replicas')).every(({ role }) => role === 'replica'));
        assert.equal((await nodes(client, 'random')).length, 1);
        const [chosen] = await nodes(client, 'default');
        assert.equal(chosen!['name'], await client.ask('PROXY', 'DEFAULT'));
        assert.match(
          String(await client.ask('PROXY', 'NODES', 'masters')),
          /^Error: ERR unknown flag of nodes, there are: all /,
        );
        assert.match(
          String(await client.ask('PROXY', 'NODES', 'all', 'x')),
          /^Error: ERR unknown subcommand or wrong number/,
        );
      }
    });

    test('the node that is chosen answers what has no keys, for this connection', async () => {
      for (const client of clients) {
        const before = await client.ask('PROXY', 'DEFAULT');
        for (const { host, port } of cluster.nodes) {
          assert.equal(await client.ask('PROXY', 'DEFAULT', `${host}:${port}`), 'OK');
          assert.equal(await client.ask('PROXY', 'DEFAULT'), `${host}:${port}`);
          assert.equal(fields(await client.ask('CONFIG', 'GET', 'port'))['port'], String(port));
          assert.deepEqual(
            (await nodes(client, 'default')).map(({ name }) => name),
            [`${host}:${port}`],
          );
          assert.deepEqual(await client.ask('RMR.MAP', 'none', 1, 1, 'PING'), [[`${host}:${port}`, 'PONG']]);
        }
        const other = await proxy.connect();
        const theirs = String(await other.ask('PROXY', 'DEFAULT'));
        assert.ok(cluster.primaries.some(({ host, port }) => theirs === `${host}:${port}`));
        other.destroy();
        assert.match(
          String(await client.ask('PROXY', 'DEFAULT', 'nowhere:1')),
          /^Error: ERR there is no node nowhere:1 in the cluster/,
        );
        await client.ask('RESET');
        assert.equal(await client.ask('PROXY', 'DEFAULT'), before);
      }
    });

    test('keys are not its affair', async () => {
      const [client] = clients;
      const replica = cluster.nodes.find(({ role }) => role === 'replica')!;
      await client!.ask('PROXY', 'DEFAULT', `${replica.host}:${replica.port}`);
      assert.equal(await client!.ask('SET', 'key', 'value'), 'OK');
      assert.equal(await client!.ask('DBSIZE'), 1);
      await client!.ask('RESET');
    });
  });
}

test('when the chosen node has gone the client is told, and nobody answers in its place', async (t) => {
  const stage = await room(t);
  const client = await stage.connect();
  const [one, two] = stage.fake.nodes;
  const name = `${two!.host}:${two!.port}`;
  assert.equal(await client.ask('PROXY', 'DEFAULT', name), 'OK');
  const asked = () => stage.fake.received.filter(({ words }) => words[1] === 'GET');
  await client.ask('CONFIG', 'GET', 'x');
  assert.deepEqual(
    asked().map(({ node }) => node),
    [two],
  );
  stage.fake.owners.fill(0);
  await stage.fake.nodes.pop()!.close();
  stage.cluster.adopt(mapOf(stage.fake));
  const gone = new RegExp(
    `^Error: CLUSTERDOWN slotless: the default node ${name} is not in the cluster any more; PROXY DEFAULT sets another`,
  );
  assert.match(String(await client.ask('CONFIG', 'GET', 'x')), gone);
  assert.match(String(await client.ask('RMR.MAP', 'none', 1, 1, 'PING')), gone);
  assert.equal(asked().length, 1);
  assert.equal(await client.ask('PROXY', 'DEFAULT', `${one!.host}:${one!.port}`), 'OK');
  await client.ask('CONFIG', 'GET', 'x');
  assert.deepEqual(
    asked().map(({ node }) => node),
    [two, one],
  );
});
