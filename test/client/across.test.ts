/** Commands across slots, as their client finds them: rights, settings, memory, pauses, and who else sees what. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { closeStand, openStand, type Stand } from '../oracle/stand.ts';
import { type Argument, connect, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const many = Array.from({ length: 1000 }, (_, i) => `member ${i}`);
const members = async (client: RawClient, key: string) =>
  ((await client.ask('SMEMBERS', key)) as string[]).sort();

for (const server of await availableServers()) {
  describe(`beside one ${server.flavour} ${server.version}`, () => {
    let stand: Stand;

    before(async () => {
      stand = await openStand({ server, replicas: 0 });
    });

    after(() => closeStand(stand));

    /** The replies of both to a call, after the same calls by the same user. */
    async function both(user: string, ...words: Argument[]): Promise<[lone: string, proxy: string]> {
      const replies = [stand.lone.port, stand.proxy.port].map(async (port) => {
        const client = await connect(port);
        await client.call('AUTH', user, 'pass');
        const reply = String(await client.call(...words));
        client.destroy();
        return reply;
      });
      return (await Promise.all(replies)) as [string, string];
    }

    async function forBoth(...calls: Argument[][]): Promise<void> {
      for (const { port } of [stand.lone, stand.proxy]) {
        const client = await connect(port);
        for (const call of calls) assert.notEqual((await client.call(...call))[0], 45, call.join(' '));
        client.destroy();
      }
    }

    test('a user may do what his rights are for, and nothing else, in the words of one server', async () => {
      await forBoth(
        ['ACL', 'SETUSER', 'ann', 'reset', 'on', '>pass', '~app:*', '+sunionstore', '+sinter', '+rename'],
        ['ACL', 'SETUSER', 'bob', 'reset', 'on', '>pass', '%R~in:*', '%W~out:*', '+@all'],
        ['SADD', 'app:a', 1, 2],
        ['SADD', 'app:b', 2, 3],
        ['SADD', 'in:a', 1],
        ['SADD', 'in:b', 2],
      );
      const calls: [string, string][] = [
        ['ann', 'SUNIONSTORE app:d app:a app:b'],
        ['ann', 'SINTER app:a app:b'],
        ['ann', 'RENAME app:d app:e'],
        ['ann', 'SUNIONSTORE app:d app:a in:b'],
        ['ann', 'SUNIONSTORE out:d app:a app:b'],
        ['ann', 'SDIFFSTORE app:d app:a app:b'],
        ['ann', 'SMOVE app:a app:b 1'],
        ['bob', 'SUNIONSTORE out:d in:a in:b'],
        ['bob', 'SUNIONSTORE in:d in:a in:b'],
        ['bob', 'SUNIONSTORE out:d in:a out:d'],
        ['bob', 'SUNION in:a in:b'],
        ['bob', 'SUNION in:a out:d'],
        ['bob', 'RENAME in:a out:e'],
        ['bob', 'COPY in:a out:e'],
        ['bob', 'COPY out:e out:f'],
      ];
      for (const [user, line] of calls) {
        const [lone, proxy] = await both(user, ...line.split(' '));
        assert.equal(sorted(proxy), sorted(lone), `${user}: ${line}`);
      }
      const [, kept] = await both('bob', 'EXISTS', 'out:e', 'out:f', 'in:d');
      assert.match(kept, /^-NOPERM|^:1/);
    });

    test('without memory a command that writes is refused as by one server, and changes nothing', async () => {
      await forBoth(['SADD', 'a', ...many], ['SADD', 'b', 'x'], ['SET', 'd', 'old'], ['RPUSH', 'l', 1]);
      const limit = async (bytes: number) => {
        const asked = stand.cluster.primaries.map(({ port }) => stand.cluster.cli(port, ...memory(bytes)));
        await Promise.all([...asked, stand.lone.ask(...memory(bytes))]);
      };
      await limit(1);
      for (const line of ['SUNIONSTORE d a b', 'COPY a d REPLACE', 'BITOP NOT e d', 'LMOVE l m LEFT LEFT']) {
        const [lone, proxy] = await both('default', ...line.split(' '));
        assert.match(
          proxy,
          /^-OOM command not allowed when used memory > 'maxmemory'/,
          `${line}, alone: ${lone}`,
        );
      }
      // One server could: here copies would have to be made.
      const [, read] = await both('default', 'SINTER', 'a', 'b');
      assert.match(read, /^-OOM /);
      await limit(0);
      const [, old] = await both('default', 'GET', 'd');
      assert.equal(old, '$3\r\nold\r\n');
    });
  });
}

describe('settings', () => {
  let cluster: Cluster;
  let client: RawClient;
  let proxy: RunningProxy;

  before(async () => {
    cluster = await startCluster({ primaries: 3, replicas: 0 });
    proxy = await startProxy({ cluster });
    client = await proxy.connect();
  });

  after(async () => {
    client?.destroy();
    await proxy?.stop();
    await cluster?.stop();
  });

  async function withSettings(
    settings: NonNullable<ProxyOptions['settings']>,
    work: (client: RawClient, proxy: RunningProxy) => Promise<void>,
  ): Promise<void> {
    const own = await startProxy({ cluster, settings });
    const client = await own.connect();
    try {
      await work(client, own);
    } finally {
      client.destroy();
      await own.stop();
    }
  }

  async function refused(client: RawClient, level: string, line: string): Promise<void> {
    const words = line.split(' ');
    assert.equal(
      String(await client.call(...words)),
      `-CROSSSLOT Keys in request don't hash to the same slot; slotless: '${words[0]!.toLowerCase()}' is refused ` +
        `over several slots; the setting 'crossSlot: ${level}' permits it\r\n`,
    );
  }

  test('a level permits what it names; a refusal names the level that would', async () => {
    await client.ask('SADD', 'a', 1);
    await withSettings({ 'crossSlot.level': 'refuse' }, async (client) => {
      await refused(client, 'reads', 'SUNION a b');
      await refused(client, 'writes', 'SUNIONSTORE d a b');
      await refused(client, 'writes', 'RENAME a b');
      await refused(client, 'all', 'MSETNX x 1 y 2');
      assert.equal(await client.ask('SUNIONSTORE', '{a}d', 'a', '{a}x'), 1);
      assert.deepEqual(await client.ask('MGET', '{a}x', 'b'), [null, null]);
    });
    await withSettings({ 'crossSlot.level': 'reads' }, async (client) => {
      assert.deepEqual(await client.ask('SUNION', 'a', 'b'), ['1']);
      assert.deepEqual(await client.ask('SORT', 'a', 'GET', 'w*'), [null]);
      await refused(client, 'writes', 'SUNIONSTORE d a b');
      await refused(client, 'writes', 'LMPOP 2 a b LEFT');
    });
    await refused(client, 'all', 'MSETNX x 1 y 2');
  });

  test('single commands, or categories, have a level of their own', async () => {
    const commands = 'rename=refuse,@scripting=all,sdiffstore=writes';
    await withSettings({ 'crossSlot.level': 'reads', 'crossSlot.commands': commands }, async (client) => {
      await refused(client, 'writes', 'RENAME a b');
      await refused(client, 'writes', 'SUNIONSTORE d a b');
      assert.equal(await client.ask('SDIFFSTORE', 'd', 'a', 'b'), 1);
      assert.equal(await client.ask('EVAL', 'return #KEYS', 2, 'a', 'b'), 2);
    });
  });

  test('what is larger than crossSlot.maxBytes is not copied, and nothing is written', async () => {
    await client.call('SADD', 'large', ...many);
    await client.call('SET', 'd', 'old');
    await withSettings({ 'crossSlot.maxBytes': '4kb' }, async (own) => {
      const text =
        /^-ERR slotless: the command would copy \d+ bytes from slot to slot; the setting 'crossSlot.maxBytes' permits 4096\r\n$/;
      assert.match(String(await own.call('SUNIONSTORE', 'd', 'large', 'a')), text);
      assert.match(String(await own.call('COPY', 'large', 'd', 'REPLACE')), text);
      // It runs where most is.
      assert.equal(await own.ask('SINTERCARD', 2, 'large', 'a'), 0);
    });
    assert.equal(await client.ask('GET', 'd'), 'old');
    await nothingLeft();
  });

  test('a worker copies no more at once than crossSlot.atOnce, and the others wait', async () => {
    await client.call('SADD', 'large', ...many);
    await withSettings({ 'crossSlot.atOnce': '1kb', workers: 2 }, async (_, { port }) => {
      const clients = await Promise.all(Array.from({ length: 20 }, () => connect(port)));
      const replies = await Promise.all(
        clients.map((one, i) => one.ask('SUNIONSTORE', `d${i}`, 'large', 'a')),
      );
      assert.deepEqual(replies, Array(20).fill(1001));
      for (const one of clients) one.destroy();
    });
    assert.equal(await client.ask('SCARD', 'd7'), 1001);
  });

  test('a pause holds what writes, and lets pass what reads', async () => {
    const chief = await proxy.connect();
    const rest = ['a', 'b'].map((key) => chief.call('SADD', key, 'p'));
    await Promise.all(rest);
    assert.equal(await chief.ask('CLIENT', 'PAUSE', 600_000, 'WRITE'), 'OK');
    assert.ok(Array.isArray(await client.ask('SUNION', 'a', 'b')));
    const late = client.ask('SUNIONSTORE', 'paused', 'a', 'b');
    await until('it to wait', async () => / flags=b /.test(String(await chief.ask('CLIENT', 'LIST'))));
    assert.equal(await chief.ask('EXISTS', 'paused'), 0);
    assert.equal(await chief.ask('CLIENT', 'UNPAUSE'), 'OK');
    assert.ok(Number(await late) > 0);
    chief.destroy();
  });

  test('MONITOR shows the command as the client has given it, and none of its steps', async () => {
    const monitor = await proxy.connect();
    await monitor.call('MONITOR');
    await client.ask('SUNIONSTORE', 'shown', 'a', 'b');
    await client.ask('ECHO', 'end');
    const lines: string[] = [];
    while (!lines.at(-1)?.includes('"ECHO"')) lines.push(String((await monitor.read(1))[0]));
    assert.deepEqual(
      lines.map((line) => line.replace(/^\S+ \[.*?\] /, '').trim()),
      ['"SUNIONSTORE" "shown" "a" "b"', '"ECHO" "end"'],
    );
    monitor.destroy();
  });

  test('a client that leaves in the middle leaves nothing behind', async () => {
    for (let i = 0; i < 20; i++) {
      const one = await proxy.connect();
      await one.send(['SUNIONSTORE', 'left', 'large', 'a']);
      one.destroy();
    }
    await client.ask('SUNIONSTORE', 'left', 'large', 'a');
    assert.equal((await members(client, 'left')).length, Number(await client.ask('SCARD', 'large')) + 2);
    await nothingLeft();
  });

  test('remote functions go across slots with the rights of who calls them', async () => {
    const code = `#!js api_version=1.0 name=across
redis.registerFunction('unite', (client, d, a, b) => client.call('sunionstore', d, a, b));`;
    assert.equal(await client.ask('TFUNCTION', 'LOAD', 'REPLACE', code), 'OK');
    const expected = new Set([...(await members(client, 'a')), ...(await members(client, 'b'))]).size;
    assert.equal(await client.ask('TFCALL', 'across.unite', 0, 'by function', 'a', 'b'), expected);
    assert.equal((await members(client, 'by function')).length, expected);
    await client.ask('ACL', 'SETUSER', 'cid', 'reset', 'on', '>pass', '~*', '+@all', '-sunionstore');
    const cid = await proxy.connect();
    assert.equal(await cid.ask('AUTH', 'cid', 'pass'), 'OK');
    assert.match(String(await cid.ask('TFCALL', 'across.unite', 0, 'd', 'a', 'b')), /NOPERM|no permissions/);
    cid.destroy();
  });

  async function nothingLeft(): Promise<void> {
    await until('copies to be gone', async () => {
      const left = await Promise.all(
        cluster.primaries.map(({ port }) => cluster.cli(port, 'KEYS', 'slotless:*')),
      );
      return left.flat().length === 0;
    });
  }
});

const memory = (bytes: number) => ['CONFIG', 'SET', 'maxmemory', bytes];

/** The elements of a set's reply in an order. */
function sorted(reply: string): string {
  return reply.startsWith('*') ? reply.split('\r\n').sort().join() : reply;
}
