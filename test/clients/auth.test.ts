/** Users and passwords: the servers judge them, and their rules hold for what comes through the proxy. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { connect, encode, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { run } from './programs.ts';

const PASSWORD = 'the pässword "of" all';
/** Every byte there is, CR LF and NUL among them. */
const ODD = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

const WRONGPASS = '-WRONGPASS invalid username-password pair or user is disabled.\r\n';
const NOAUTH = '-NOAUTH Authentication required.\r\n';

let cluster: Cluster;
let proxy: RunningProxy;
let admin: RawClient;

before(async () => {
  cluster = await startCluster({ password: PASSWORD });
  proxy = await startProxy({ cluster });
  admin = await proxy.connect();
  assert.equal(await admin.ask('AUTH', PASSWORD), 'OK');
});

after(async () => {
  admin?.destroy();
  await proxy?.stop();
  await cluster?.stop();
});

async function withClient(
  work: (
    client: RawClient,
    said: (...args: Parameters<RawClient['call']>) => Promise<string>,
  ) => Promise<void>,
) {
  const client = await proxy.connect();
  try {
    await work(client, async (...args) => (await client.call(...args)).toString('latin1'));
  } finally {
    client.destroy();
  }
}

/** Sets a user up at every node, as a client would. */
async function setUser(...rules: (string | Buffer)[]): Promise<void> {
  assert.equal(await admin.ask('ACL', 'SETUSER', ...rules), 'OK');
}

describe('a cluster with a password', () => {
  test('asks for it', () =>
    withClient(async (_, said) => {
      for (const command of [
        ['GET', 'a'],
        ['MGET', 'a', 'b'],
        ['DBSIZE'],
        ['SCAN', '0'],
        ['PING'],
        ['CLIENT', 'LIST'],
        ['ECHO', 'x'],
        ['INFO'],
      ])
        assert.equal(await said(...command), NOAUTH, command.join(' '));
      assert.match(await said('NONSENSE'), /^-ERR unknown command/);
      assert.match(
        await said('HELLO', '3'),
        /^-NOAUTH HELLO must be called with the client already authenticated/,
      );
      assert.equal(await said('AUTH', 'wrong'), WRONGPASS);
      assert.equal(await said('AUTH', 'nobody', 'wrong'), WRONGPASS);
      assert.equal(await said('HELLO', '3', 'AUTH', 'default', 'wrong'), WRONGPASS);
      assert.equal(await said('GET', 'a'), NOAUTH);
      assert.equal(await said('AUTH', PASSWORD), '+OK\r\n');
      assert.equal(await said('SET', 'a', '1'), '+OK\r\n');
      // A login that fails leaves the one before it.
      assert.equal(await said('AUTH', 'wrong'), WRONGPASS);
      assert.equal(await said('GET', 'a'), '$1\r\n1\r\n');
      assert.equal(await said('RESET'), '+RESET\r\n');
      assert.equal(await said('GET', 'a'), NOAUTH);
      assert.match(await said('HELLO', '3', 'AUTH', 'default', PASSWORD, 'SETNAME', 'me'), /^%7\r\n/);
      assert.equal(await said('CLIENT', 'GETNAME'), '$2\r\nme\r\n');
      assert.equal(await said('GET', 'none'), '_\r\n');
    }));

  test('lets nothing through between a login and its reply', () =>
    withClient(async (client) => {
      const replies = await client.pipeline([
        ['GET', 'a'],
        ['AUTH', 'wrong'],
        ['SET', 'sneaked', '1'],
        ['AUTH', PASSWORD],
        ['EXISTS', 'sneaked'],
        ['PING'],
      ]);
      assert.deepEqual(
        replies.map((reply) => reply.toString('latin1')),
        [NOAUTH, WRONGPASS, NOAUTH, '+OK\r\n', ':0\r\n', '+PONG\r\n'],
      );
    }));

  test("keeps to Redis's limits for those who have not logged in", () =>
    withClient(async (client) => {
      client.send(`*11\r\n${'$1\r\na\r\n'.repeat(11)}`);
      assert.match(
        String((await client.read(1))[0]),
        /^-ERR Protocol error: unauthenticated multibulk length/,
      );
      await client.closed;
      const other = await proxy.connect();
      other.send('*2\r\n$3\r\nGET\r\n$16385\r\n');
      assert.match(String((await other.read(1))[0]), /^-ERR Protocol error: unauthenticated bulk length/);
      await other.closed;
      // After a login in the same packet the usual limits hold.
      const third = await proxy.connect();
      third.send(
        Buffer.concat([
          encode(['AUTH', PASSWORD]),
          encode(['SET', 'long', Buffer.alloc(20_000)]),
          encode(['DEL', ...'abcdefghijklmn']),
        ]),
      );
      assert.deepEqual((await third.read(3)).map(String).slice(0, 2), ['+OK\r\n', '+OK\r\n']);
      third.destroy();
    }));
});

describe('users of the servers', () => {
  test('may do what their rules allow, and are told what not', async () => {
    await setUser('reader', 'on', '>secret', '~public:*', '+@read', '+@connection');
    await admin.call('MSET', 'public:a', '1', 'private:a', '2');
    await withClient(async (_, said) => {
      assert.equal(await said('AUTH', 'reader', 'secret'), '+OK\r\n');
      assert.equal(await said('GET', 'public:a'), '$1\r\n1\r\n');
      assert.match(await said('GET', 'private:a'), /^-NOPERM .*key/);
      assert.match(await said('SET', 'public:a', '3'), /^-NOPERM .*'set' command/);
      assert.match(await said('MGET', 'public:a', 'private:a'), /NOPERM/);
      assert.match(await said('DBSIZE'), /^:\d+|^-.*NOPERM/);
      assert.match(await said('FLUSHALL'), /NOPERM/);
      assert.match(await said('CLIENT', 'INFO'), / user=reader /);
      assert.match(String(await admin.ask('CLIENT', 'LIST')), / user=reader /);
      assert.equal(await said('HELLO', '3').then((reply) => reply.slice(0, 4)), '%7\r\n');
      assert.equal(await said('GET', 'public:a'), '$1\r\n1\r\n');
      assert.match(await said('SET', 'public:a', '3'), /^-NOPERM/);
    });
    assert.equal(await admin.ask('GET', 'public:a'), '1');
  });

  test('do not share their rights with others on the same proxy', async () => {
    await setUser('a', 'on', '>a', '~a:*', '+@all', '-acl');
    await setUser('b', 'on', '>b', '~b:*', '+@all', '-acl');
    await withClient(async (a) =>
      withClient(async (b) => {
        assert.equal(await a.ask('AUTH', 'a', 'a'), 'OK');
        assert.equal(await b.ask('AUTH', 'b', 'b'), 'OK');
        const own = async (client: RawClient, mine: string, theirs: string) => {
          for (let i = 0; i < 100; i++) {
            const [ok, refused] = await client.pipeline([
              ['SET', `${mine}:${i}`, i],
              ['SET', `${theirs}:${i}`, 'x'],
            ]);
            assert.equal(String(ok), '+OK\r\n');
            assert.match(String(refused), /^-NOPERM/);
          }
        };
        await Promise.all([own(a, 'a', 'b'), own(b, 'b', 'a')]);
        assert.equal(await a.ask('GET', 'a:99'), '99');
        // The same connection as another user.
        assert.equal(await a.ask('AUTH', 'b', 'b'), 'OK');
        assert.equal(await a.ask('GET', 'b:99'), '99');
        assert.match(String(await a.ask('GET', 'a:99')), /NOPERM/);
      }),
    );
  });

  test('may have any bytes in their names and passwords', async () => {
    const name = Buffer.from('n\u00e4me-\xff', 'latin1');
    await setUser(name, 'on', Buffer.concat([Buffer.from('>'), ODD]), '~*', '+@all');
    await withClient(async (client, said) => {
      assert.equal(await said('AUTH', name, Buffer.concat([ODD, Buffer.from('x')])), WRONGPASS);
      assert.equal(await said('AUTH', name, ODD), '+OK\r\n');
      assert.equal(await client.ask('SET', 'odd', 'v'), 'OK');
      assert.deepEqual((await client.call('ACL', 'WHOAMI')).subarray(4, -2), name);
      await said('RESET');
      assert.match(await said('HELLO', '3', 'AUTH', name, ODD), /^%7/);
      // Over all shards, each on a link of its own that logs in anew.
      const keys = Array.from({ length: 30 }, (_, i) => `odd:${i}`);
      assert.equal(await client.ask('MSET', ...keys.flatMap((key) => [key, '1'])), 'OK');
    });
  });

  test('that are taken away are served no longer, and hold nobody up', { timeout: 20_000 }, async (t) => {
    await setUser('gone', 'on', '>gone', '~*', '+@all');
    // Whoever waits here for a slot that can't be served waits longer than the test may take.
    const own = await startProxy({ cluster, settings: { 'failover.holdFor': '10m', 'drain.timeout': 0 } });
    t.after(() => own.stop());
    const [gone, witness] = [await own.connect(), await own.connect()];
    assert.equal(await gone.ask('AUTH', 'gone', 'gone'), 'OK');
    assert.equal(await witness.ask('AUTH', PASSWORD), 'OK');
    assert.equal(await gone.ask('SET', 'by:gone', 'v'), 'OK');
    assert.equal(await admin.ask('ACL', 'DELUSER', 'gone'), 1);
    // Refused, or disconnected as by a server.
    const refused = gone.ask('GET', 'by:gone').catch(() => new Error('closed'));
    assert.equal(await witness.ask('GET', 'by:gone'), 'v');
    assert.match(String(await refused), /WRONGPASS|closed/);
    assert.equal(await witness.ask('GET', 'by:gone'), 'v');
    const again = await own.connect();
    assert.match(String(await again.ask('AUTH', 'gone', 'gone')), /WRONGPASS/);
  });
});

describe('with clients that log in by themselves', () => {
  test('redis-cli does', async () => {
    const { cli, env } = cluster.server;
    const auth = (...args: string[]) =>
      run(cli, ['-p', String(proxy.port), '--no-auth-warning', ...args], { env });
    assert.equal((await auth('-a', PASSWORD, 'SET', 'cli', '1')).out, 'OK\n');
    assert.equal((await auth('-3', '--user', 'default', '--pass', PASSWORD, 'GET', 'cli')).out, '1\n');
    const wrong = await auth('-a', 'wrong', 'GET', 'cli');
    assert.match(wrong.err, /AUTH failed: WRONGPASS/);
    assert.match(wrong.out, /^NOAUTH/);
    assert.match((await auth('GET', 'cli')).out, /NOAUTH/);
  });

  test('ioredis and node-redis do', async () => {
    await setUser('app', 'on', '>app-secret', '~*', '+@all');
    for (const protocol of [2, 3] as const) {
      const redis = new Redis(proxy.port, '127.0.0.1', { protocol, username: 'app', password: 'app-secret' });
      assert.equal(await redis.set('io', '1'), 'OK');
      assert.equal(await redis.call('ACL', 'WHOAMI'), 'app');
      redis.disconnect();
      const url = `redis://app:app-secret@127.0.0.1:${proxy.port}`;
      const client = createClient({ url, RESP: protocol });
      await client.connect();
      assert.equal(await client.get('io'), '1');
      assert.equal(await client.aclWhoAmI(), 'app');
      client.destroy();
      const wrong = createClient({
        url: url.replace('secret', 'wrong'),
        RESP: protocol,
        socket: { reconnectStrategy: false },
      });
      wrong.on('error', () => {});
      await assert.rejects(wrong.connect(), /WRONGPASS/);
      wrong.destroy();
    }
  });

  test('none needs to where the proxy is the user', async () => {
    const own = await startProxy({ cluster, settings: { clientAuth: 'proxy' } });
    try {
      const client = await connect(own.port);
      assert.equal(await client.ask('SET', 'open', 'v'), 'OK');
      assert.equal(await client.ask('ACL', 'WHOAMI'), 'default');
      client.destroy();
    } finally {
      await own.stop();
    }
  });

  test('the proxy itself says so when it may not', async () => {
    const own = await startProxy({ cluster: { seeds: cluster.seeds, password: 'wrong' }, unready: true });
    try {
      assert.match(await own.logged(/not ready/), /WRONGPASS/);
      assert.ok(!own.log.join('\n').includes('"wrong"'), 'the password is in the log');
    } finally {
      await own.stop();
    }
  });
});
