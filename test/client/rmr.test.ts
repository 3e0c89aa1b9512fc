import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import type { Argument, RawClient, Value } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const KEYS = 60;

for (const server of await availableServers()) {
  describe(`RMR on ${server.flavour} ${server.version}`, { concurrency: false }, () => {
    let cluster: Cluster;
    let proxies: RunningProxy[];
    /** RESP2 and RESP3 before 1 and 3 workers. */
    let clients: { resp: 2 | 3; client: RawClient; name: string }[];
    const opened: RawClient[] = [];

    before(async () => {
      cluster = await startCluster({ server, primaries: 3, replicas: 1 });
      proxies = await Promise.all([1, 3].map((workers) => startProxy({ cluster, settings: { workers } })));
      clients = [];
      for (const [i, proxy] of proxies.entries())
        for (const resp of [2, 3] as const)
          clients.push({ resp, client: await open(proxy, resp), name: `RESP${resp}, proxy ${i}` });
      const [one] = clients;
      const fill = Array.from({ length: KEYS }, (_, i) => ['SET', `n:${i}`, i]);
      await one!.client.pipeline(fill);
      for (let i = 0; i < 6; i++) {
        await one!.client.call('ZADD', `z:${i}`, i, `low ${i}`, 100 - i, `high ${i}`);
        await one!.client.call('SADD', `s:${i}`, 'common', `own ${i}`, `of ${i % 2}`);
        await one!.client.call('HSET', `h:${i}`, 'count', 1, 'name', `h ${i}`, 'half', '0.5');
      }
      await one!.client.call('WAIT', 1, 5000);
    });

    after(async () => {
      for (const one of opened) one.destroy();
      await Promise.all((proxies ?? []).map((proxy) => proxy.stop()));
      await cluster?.stop();
    });

    async function open(proxy: RunningProxy, resp: 2 | 3): Promise<RawClient> {
      const client = await proxy.connect();
      opened.push(client);
      if (resp === 3) await client.call('HELLO', 3);
      return client;
    }

    /** The same for all clients. */
    async function all(args: Argument[], expected: Value, inResp3: Value = expected): Promise<void> {
      for (const { client, resp, name } of clients)
        assert.deepEqual(await client.ask(...args), resp === 3 ? inResp3 : expected, `${args} ${name}`);
    }

    async function refused(args: Argument[], pattern: RegExp): Promise<void> {
      for (const { client, name } of clients) {
        const reply = await client.ask(...args);
        assert.ok(reply instanceof Error, `${args} ${name}: ${String(reply)}`);
        assert.match(reply.message, pattern, name);
      }
    }

    const map = (reducer: string, ...commands: Argument[][]): Argument[] => [
      'RMR.MAP',
      reducer,
      commands.length,
      ...commands.flatMap((words) => [words.length, ...words]),
    ];
    const each = <T extends Argument>(command: (i: number) => T[], count = 6): T[][] =>
      Array.from({ length: count }, (_, i) => command(i));
    const primaries = () => cluster.primaries.map(({ host, port }) => `${host}:${port}`);
    const names = (reply: Value) => (reply as [string, Value][]).map(([name]) => name);
    const slotOfKey = (key: string) => slotOf(Buffer.from(key), 0, key.length);

    test('a command fanned out is reduced over all primaries', async () => {
      const keys = KEYS + 18;
      await all(['RMR.FANOUT', 'sum', 'DBSIZE'], keys);
      await all(['rmr.fanout', 'SUM', 'dbsize'], keys);
      await all(['RMR.FANOUT', 'count', 'KEYS', '*'], keys);
      await all(['RMR.FANOUT', 'and', 'PING'], 1);
      for (const { client } of clients) {
        const sorted = ((await client.ask('RMR.FANOUT', 'concat', 'KEYS', 'n:*')) as string[]).sort();
        assert.deepEqual(
          sorted,
          each((i) => [`n:${i}`], KEYS)
            .flat()
            .sort(),
        );
        const united = (await client.ask('RMR.FANOUT', 'union', 'KEYS', 'n:*')) as Iterable<string>;
        assert.deepEqual([...united].sort(), sorted);
      }
    });

    test('each key is asked at its shard, and the replies stand as asked', async () => {
      await all(map('concat', ...each((i) => ['GET', `n:${i}`], 20)), each((i) => [`${i}`], 20).flat());
      await all(map('sum', ...each((i) => ['GET', `n:${i}`]), ['GET', 'nothing'], ['GET', 'h']), 15);
      await all(map('min', ...each((i) => ['GET', `n:${i + 3}`])), 3);
      await all(map('max', ...each((i) => ['GET', `n:${i}`])), 5);
      await all(map('avg', ...each((i) => ['GET', `n:${i}`])), '2.5', 2.5);
      await all(map('or', ['GET', 'n:0'], ['GET', 'nothing']), 0);
      await all(map('first', ['GET', 'n:7'], ['GET', 'n:8']), '7');
      await all(map('flatten', ['SMEMBERS', 'nothing'], ['MGET', '{a}1', '{a}2'], ['GET', 'n:1']), [
        null,
        null,
        '1',
      ]);
    });

    test('sets are united, and common to all', async () => {
      const sets = each((i) => ['SMEMBERS', `s:${i}`]);
      await all(map('inter', ...sets), ['common'], new Set(['common']));
      for (const { client } of clients) {
        const united = [...((await client.ask(...map('union', ...sets))) as Iterable<string>)].sort();
        assert.deepEqual(united, ['common', 'of 0', 'of 1', ...each((i) => [`own ${i}`]).flat()]);
        const reply = await client.ask(...map('group', ...sets));
        const counts = Array.isArray(reply) ? reply : [...(reply as Map<string, number>)].flat();
        assert.deepEqual(counts.slice(0, 2), ['common', 6]);
        assert.deepEqual(
          counts.filter((_, i) => i % 2 === 1),
          [6, 3, 3, 1, 1, 1, 1, 1, 1],
        );
      }
    });

    test('maps are merged, numbers added', async () => {
      const merged = { count: '6', name: 'h 5', half: '3' };
      await all(
        map('merge', ...each((i) => ['HGETALL', `h:${i}`])),
        Object.entries(merged).flat(),
        new Map(Object.entries(merged)),
      );
    });

    test('the highest of all shards come in the shape of the replies', async () => {
      const ranges = each((i) => ['ZRANGE', `z:${i}`, 0, -1, 'WITHSCORES']);
      await all(
        map('topk:3', ...ranges),
        ['high 0', '100', 'high 1', '99', 'high 2', '98'],
        [
          ['high 0', 100],
          ['high 1', 99],
          ['high 2', 98],
        ],
      );
      const rows = 'local r = {} for i = 1, 3 do r[i] = {ARGV[1] .. i, i * ARGV[2]} end return r';
      await all(map('topk:2:1', ...each((i) => ['EVAL', rows, 1, `e:${i}`, `row ${i} `, i])), [
        ['row 5 3', 15],
        ['row 4 3', 12],
      ]);
    });

    test('a command goes to the nodes that are named', async () => {
      const [first] = primaries();
      for (const { client } of clients) {
        const of = async (...on: Argument[]) =>
          names(await client.ask('RMR.FANOUT', 'ON', ...on, 'none', 'PING'));
        assert.deepEqual(await of('primaries'), primaries());
        const everyone = await of('ALL');
        assert.equal(everyone.length, 6);
        assert.deepEqual(
          everyone.filter((_, i) => i % 2 === 0),
          primaries(),
        );
        assert.deepEqual(
          await of('replicas'),
          everyone.filter((_, i) => i % 2 === 1),
        );
        assert.ok(everyone.includes((await of('random'))[0]!));
        assert.deepEqual(await of(first!), [first]);
        assert.deepEqual(await of(everyone[3]!), [everyone[3]]);
        assert.deepEqual(await of('SLOT', 16383), [primaries()[2]]);
        const owner = await cluster.ownerOf(slotOfKey('n:1'));
        assert.deepEqual(await of('key', 'n:1'), [`${owner.host}:${owner.port}`]);
        assert.equal(await client.ask('RMR.FANOUT', 'ON', 'KEY', 'n:1', 'first', 'GET', 'n:1'), '1');
      }
    });

    test('replicas answer for their keys', async () => {
      const keys = async (client: RawClient) =>
        client.ask('RMR.FANOUT', 'ON', 'replicas', 'count', 'KEYS', 'n:*');
      for (const { client } of clients) {
        await until('the replicas to have all keys', async () => (await keys(client)) === KEYS);
        const seen = await client.ask('RMR.FANOUT', 'ON', 'replicas', 'none', 'GET', 'n:1');
        assert.deepEqual((seen as [string, Value][]).filter(([, value]) => value === '1').length, 1);
      }
      await refused(
        ['RMR.FANOUT', 'ON', 'replicas', 'sum', 'SET', 'a', 1],
        /^ERR a command that may write is not sent to replicas/,
      );
      await refused(['RMR.FANOUT', 'ON', 'all', 'sum', 'EVAL', 'return 1', 0], /not sent to replicas/);
    });

    test('keys must be those of the node: a redirection is an error of that part', async () => {
      await refused(
        ['RMR.FANOUT', 'concat', 'GET', 'n:1'],
        /^ERR slotless: part node 127\.0\.0\.1:\d+ and 1 more of 3 failed: MOVED \d+ /,
      );
      await all(['RMR.FANOUT', 'PARTIAL', 'yes', 'concat', 'GET', 'n:1'], ['1']);
      await all(['RMR.FANOUT', 'first', 'GET', 'n:1'], '1');
      await all(['RMR.FANOUT', 'any', 'GET', 'n:1'], '1');
      for (const { client } of clients) {
        const shown = (await client.ask('RMR.FANOUT', 'none', 'GET', 'n:1')) as [string, Value][];
        assert.equal(
          shown.filter(([, value]) => value instanceof Error && /^MOVED /.test(value.message)).length,
          2,
        );
        assert.equal(shown.filter(([, value]) => value === '1').length, 1);
      }
    });

    test('a command of several slots is a part that failed', async () => {
      await refused(
        map('concat', ['GET', 'n:1'], ['MGET', 'n:1', 'n:2']),
        /^CROSSSLOT slotless: part command 2 failed: CROSSSLOT Keys in request/,
      );
      await all(
        ['RMR.MAP', 'PARTIAL', 'yes', ...map('concat', ['GET', 'n:1'], ['MGET', 'n:1', 'n:2']).slice(1)],
        ['1'],
      );
      await refused(
        map('sum', ['LLEN', 'n:1'], ['GET', 'n:2']),
        /^WRONGTYPE slotless: part command 1 \(node 127\.0\.0\.1:\d+\) failed: WRONGTYPE /,
      );
    });

    test('the server says which patterns of SORT it reads', async () => {
      const sorted = map('concat', ['SORT', '{a}none', 'GET', '{a}*']);
      if (server.flavour === 'valkey') await all(sorted, []);
      else await refused(sorted, /failed: ERR GET option of SORT denied in Cluster mode/);
      await refused(map('concat', ['SORT', '{a}none', 'GET', '*', 'STORE', 'b']), /failed: CROSSSLOT /);
    });

    test('writes, and commands whose keys the server alone finds, go where a client would send them', async () => {
      for (const { client } of clients) {
        await client.ask('DEL', 'w:1', 'w:2', 'w:3');
        await client.ask(...map('none', ['INCRBY', 'w:1', 5], ['APPEND', 'w:2', 'x'], ['INCRBY', 'w:1', 2]));
        assert.equal(await client.ask('GET', 'w:1'), '7');
        assert.equal(await client.ask('GET', 'w:2'), 'x');
        assert.equal(
          await client.ask(
            ...map('sum', ['EVAL', 'return redis.call("INCR", KEYS[1])', 1, 'w:3'], ['ECHO', 5]),
          ),
          6,
        );
        const sha = String(await client.ask('SCRIPT', 'LOAD', 'return {KEYS[1], ARGV[1]}'));
        assert.deepEqual(
          await client.ask(...map('concat', ...each((i) => ['EVALSHA', sha, 1, `w:${i}`, i], 3))),
          ['w:0', '0', 'w:1', '1', 'w:2', '2'],
        );
        await client.ask('DEL', 'w:1', 'w:2', 'w:3');
      }
    });

    test('the order is that of the nodes, or the one in which the replies came', async () => {
      for (const { client } of clients) {
        for (const order of ['node', 'arrival', 'ARRIVAL']) {
          const reply = names(await client.ask('RMR.FANOUT', 'ORDER', order, 'none', 'PING'));
          assert.deepEqual(
            order === 'node' ? reply : reply.sort(),
            order === 'node' ? primaries() : primaries().sort(),
          );
        }
      }
    });

    test('what is wrong is said before anything is sent', async () => {
      const cases: [Argument[], RegExp][] = [
        [['RMR.FANOUT', 'total', 'DBSIZE'], /^ERR unknown reducer 'total', there are: sum /],
        [['RMR.FANOUT', 'topk:0', 'DBSIZE'], /^ERR invalid reducer 'topk:0'/],
        [['RMR.FANOUT', 'js:lib.name', 'DBSIZE'], /^ERR Unknown library lib$/],
        [['RMR.FANOUT', 'sum', 'NOPE', 'x'], /^ERR unknown command 'NOPE', with args beginning with: 'x'/],
        [['RMR.FANOUT', 'sum', 'CONFIG', 'NOPE'], /^ERR unknown subcommand 'NOPE'/],
        [['RMR.FANOUT', 'sum', 'GET'], /^ERR wrong number of arguments for 'get' command/],
        [['RMR.FANOUT', 'sum'], /^ERR wrong number of arguments for 'rmr\.fanout' command/],
        [['RMR.FANOUT', 'TIMEOUT', 100, 'sum'], /^ERR wrong number of arguments for 'rmr\.fanout' command/],
        [['RMR.FANOUT', 'TIMEOUT', 0, 'sum', 'DBSIZE'], /^ERR TIMEOUT must be from 1 to 3600000 ms/],
        [['RMR.FANOUT', 'TIMEOUT', 'x', 'sum', 'DBSIZE'], /^ERR timeout is not an integer/],
        [['RMR.FANOUT', 'PARTIAL', 'maybe', 'sum', 'DBSIZE'], /^ERR PARTIAL must be yes or no/],
        [['RMR.FANOUT', 'ORDER', 'any', 'sum', 'DBSIZE'], /^ERR ORDER must be node or arrival/],
        [['RMR.FANOUT', 'ON', 'nobody', 'sum', 'DBSIZE'], /^ERR ON must be primaries, replicas, /],
        [
          ['RMR.FANOUT', 'ON', '127.0.0.1:1', 'sum', 'DBSIZE'],
          /^ERR there is no node 127\.0\.0\.1:1 in the cluster/,
        ],
        [['RMR.FANOUT', 'ON', 'SLOT', 16384, 'sum', 'DBSIZE'], /^ERR Invalid slot/],
        [['RMR.FANOUT', 'ON', 'SLOT', 'x', 'sum', 'DBSIZE'], /^ERR Invalid slot/],
        [['RMR.MAP', 'sum', 0, 1, 'DBSIZE'], /^ERR numcommands should be greater than 0/],
        [['RMR.MAP', 'sum', 1, 0, 'DBSIZE'], /^ERR argc should be greater than 0/],
        [['RMR.MAP', 'sum', 1, 3, 'GET', 'a'], /^ERR argc can't be greater/],
        [['RMR.MAP', 'sum', 2, 2, 'GET', 'a'], /^ERR numcommands can't be greater/],
        [['RMR.MAP', 'sum', 1, 2, 'GET', 'a', 'b'], /^ERR there are arguments behind the last command/],
        [['RMR.MAP', 'ON', 'all', 'sum', 1, 2, 'GET', 'a'], /^ERR ON is for RMR\.FANOUT/],
        [map('sum', ['DBSIZE']), /^ERR slotless: 'dbsize' is not supported: it is for all shards/],
      ];
      for (const [args, pattern] of cases) await refused(args, pattern);
    });

    test('commands of the connection, of the proxy and those that block are not sent', async () => {
      const commands: Argument[][] = [
        ['MULTI'],
        ['SUBSCRIBE', 'c'],
        ['CLIENT', 'LIST'],
        ['AUTH', 'x'],
        ['HELLO', 3],
        ['SELECT', 0],
        ['MONITOR'],
        ['BLPOP', 'a', 0],
        ['XREAD', 'BLOCK', 0, 'STREAMS', 'a', '$'],
        ['WAIT', 1, 0],
        ['PUBLISH', 'c', 'x'],
        ['SHUTDOWN'],
        ['CLUSTER', 'FAILOVER'],
        ['FUNCTION', 'FLUSH'],
        ['FUNCTION', 'LIST'],
        ['RMR.FANOUT', 'sum', 'DBSIZE'],
        ['PROXY', 'NODES'],
      ];
      for (const words of commands) {
        await refused(['RMR.FANOUT', 'none', ...words], /^ERR slotless: '.*' is (not supported|refused)/);
        await refused(map('none', ['GET', 'a'], words), /^ERR slotless: '.*' is (not supported|refused)/);
      }
    });

    test('a transaction does not take it', async () => {
      const { client } = clients[0]!;
      await client.ask('MULTI');
      assert.match(
        String(await client.ask('RMR.FANOUT', 'sum', 'DBSIZE')),
        /Command not allowed inside a transaction/,
      );
      assert.match(String(await client.ask('EXEC')), /^Error: EXECABORT/);
    });

    test('parts run with the rights of the client', async () => {
      await clients[0]!.client.ask(
        'ACL',
        'SETUSER',
        'half',
        'reset',
        'on',
        '>p',
        '~n:*',
        '+get',
        '+ping',
        '+hello',
        '+client',
      );
      for (const proxy of proxies) {
        for (const resp of [2, 3] as const) {
          const client = await open(proxy, resp);
          assert.equal(await client.ask('AUTH', 'half', 'p'), 'OK');
          assert.equal(await client.ask(...map('sum', ['GET', 'n:1'], ['GET', 'n:2'])), 3);
          assert.match(
            String(await client.ask('RMR.FANOUT', 'sum', 'DBSIZE')),
            /^Error: NOPERM slotless: part node .* failed: NOPERM /,
          );
          assert.match(
            String(await client.ask(...map('sum', ['GET', 'n:1'], ['GET', 'z:1']))),
            /^Error: NOPERM slotless: part command 2 /,
          );
          const shown = (await client.ask('RMR.FANOUT', 'none', 'DBSIZE')) as [string, Error][];
          assert.ok(shown.every(([, error]) => error.message.startsWith('NOPERM')));
          assert.equal(await client.ask('RMR.FANOUT', 'and', 'PING'), 1);
        }
      }
    });

    test('a slot that has moved is followed by who asks for its key, and by who names it', async () => {
      const slot = slotOfKey('n:1');
      const from = await cluster.ownerOf(slot);
      const to = cluster.primaries.find(({ port }) => port !== from.port)!;
      await cluster.moveSlot(slot, to.port);
      const name = `${to.host}:${to.port}`;
      for (const { client } of clients) {
        assert.deepEqual(await client.ask('RMR.FANOUT', 'ON', 'SLOT', slot, 'none', 'GET', 'n:1'), [
          [name, '1'],
        ]);
        assert.deepEqual(await client.ask(...map('none', ['GET', 'n:1'])), [[name, '1']]);
      }
      await cluster.moveSlot(slot, from.port);
      await all(map('sum', ['GET', 'n:1']), 1);
    });

    test('a node that is halted is late; the others are not', async () => {
      const [halted] = cluster.primaries;
      const name = `${halted!.host}:${halted!.port}`;
      const others = async (client: RawClient) =>
        client.ask('RMR.FANOUT', 'PARTIAL', 'yes', 'TIMEOUT', 150, 'count', 'KEYS', 'n:*');
      cluster.pause(halted!.port);
      try {
        for (const { client } of clients) {
          const late = `ERR slotless: part node ${name} failed: ERR Timeout: no reply within 150 ms`;
          assert.deepEqual(await client.ask('RMR.FANOUT', 'TIMEOUT', 150, 'sum', 'DBSIZE'), new Error(late));
          const came = Number(await others(client));
          assert.ok(came > 0 && came < KEYS);
          const shown = (await client.ask('RMR.FANOUT', 'TIMEOUT', 150, 'none', 'PING')) as [string, Value][];
          assert.deepEqual(
            shown.filter(([, reply]) => reply !== 'PONG').map(([node]) => node),
            [name],
          );
        }
      } finally {
        cluster.resume(halted!.port);
      }
      for (const { client } of clients)
        await until('all to answer', async () => (await others(client)) === KEYS);
    });

    test('a shard that dies is a part that failed, and answers again when a replica has taken over', async () => {
      const [dead] = cluster.primaries;
      const name = `${dead!.host}:${dead!.port}`;
      await cluster.kill(dead!.port);
      for (const { client } of clients) {
        const came = await client.ask('RMR.FANOUT', 'PARTIAL', 'yes', 'TIMEOUT', 100, 'count', 'KEYS', 'n:*');
        assert.ok(Number(came) > 0 && Number(came) < KEYS, String(came));
        const reply = String(await client.ask('RMR.FANOUT', 'TIMEOUT', 100, 'sum', 'DBSIZE'));
        assert.match(reply, new RegExp(`^Error: (ERR|CLUSTERDOWN) slotless: part node ${name} failed: `));
      }
      for (const { client } of clients)
        assert.equal(await client.ask('RMR.FANOUT', 'TIMEOUT', 20_000, 'count', 'KEYS', 'n:*'), KEYS);
    });
  });
}
