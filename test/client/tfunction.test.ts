/** TFUNCTION on real clusters: its forms and errors, as RedisGears has them, and who has the libraries when. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Argument, RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const HEAD = '#!js api_version=1.0 name=';
const one = (name: string, func = 'f') => `${HEAD}${name}\nredis.registerFunction('${func}', () => 1);`;

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let client: RawClient;
    let newer: RawClient;

    before(async () => {
      cluster = await startCluster({ server, primaries: 3, replicas: 0 });
      proxy = await startProxy({ cluster, settings: { 'functions.maxCode': '2kb' } });
      client = await proxy.connect();
      newer = await proxy.connect();
      await newer.ask('HELLO', 3);
    });

    after(async () => {
      client?.destroy();
      newer?.destroy();
      await proxy?.stop();
      await cluster?.stop();
    });

    const load = (...words: Argument[]) => client.ask('TFUNCTION', 'LOAD', ...words);
    const names = async (...words: Argument[]) =>
      ((await newer.ask('TFUNCTION', 'LIST', ...words)) as Map<string, string>[]).map((each) =>
        each.get('name'),
      );
    const fails = async (text: string | RegExp, ...words: Argument[]) => {
      const said = await client.ask('TFUNCTION', ...words);
      assert.ok(said instanceof Error, `${words[0]}: ${String(said)}`);
      if (typeof text === 'string') assert.equal(said.message, `ERR ${text}`);
      else assert.match(said.message, text);
    };

    test('a library is loaded, replaced, listed and deleted', async () => {
      assert.equal(await load(one('lib')), 'OK');
      await fails('Library lib already exists.', 'LOAD', one('lib', 'g'));
      assert.equal(
        await client.ask('tfunction', 'load', 'replace', 'config', '{"a": 1}', one('lib', 'g')),
        'OK',
      );
      assert.deepEqual(await newer.ask('TFUNCTION', 'LIST'), [
        new Map<string, unknown>([
          ['engine', 'js'],
          ['api_version', '1.0'],
          ['name', 'lib'],
          ['user', 'default'],
          ['configuration', '{"a": 1}'],
          ['pending_jobs', 0],
          ['functions', ['g']],
          ['cluster_functions', []],
          ['keyspace_triggers', []],
          ['stream_triggers', []],
          ['pending_async_calls', []],
        ]),
      ]);
      assert.equal(await client.ask('TFUNCTION', 'DELETE', 'lib'), 'OK');
      assert.deepEqual(await client.ask('TFUNCTION', 'LIST'), []);
    });

    test('LIST tells more of functions, shows the code, and of one library alone', async () => {
      const code = `${HEAD}a
redis.registerAsyncFunction('go', async () => 1, { description: 'goes', flags: ['no-writes'] });
redis.registerFunction('stay', () => 1);
redis.registerClusterFunction('there', async () => 1);
redis.registerReducer('less', () => 1);
redis.registerCommand('A.GO', () => 1);`;
      assert.equal(await load(code), 'OK');
      assert.equal(await load(one('b')), 'OK');
      assert.deepEqual(await names(), ['a', 'b']);
      assert.deepEqual(await names('LIBRARY', 'b'), ['b']);
      assert.deepEqual(await names('library', 'c', 'v'), []);
      const [more] = (await newer.ask('TFUNCTION', 'LIST', 'LIBRARY', 'a', 'vv', 'WITHCODE')) as Map<
        string,
        unknown
      >[];
      assert.deepEqual(more!.get('functions'), [
        new Map<string, unknown>([
          ['name', 'go'],
          ['flags', ['no-writes']],
          ['is_async', true],
          ['description', 'goes'],
        ]),
        new Map<string, unknown>([
          ['name', 'stay'],
          ['flags', []],
          ['is_async', false],
          ['description', null],
        ]),
      ]);
      assert.deepEqual(more!.get('cluster_functions'), ['there']);
      assert.deepEqual(more!.get('reducers'), ['less']);
      assert.deepEqual(more!.get('commands'), ['A.GO']);
      assert.equal(more!.get('code'), code);
      const [flat] = (await client.ask('TFUNCTION', 'LIST', 'verbose')) as unknown[][];
      assert.deepEqual(flat!.slice(12, 14), [
        'functions',
        [
          ['name', 'go', 'flags', ['no-writes'], 'is_async', 1, 'description', 'goes'],
          ['name', 'stay', 'flags', [], 'is_async', 0, 'description', null],
        ],
      ]);
      for (const name of ['a', 'b']) assert.equal(await client.ask('TFUNCTION', 'DELETE', name), 'OK');
    });

    test('what is wrong is told, and what was loaded before stays', async () => {
      assert.equal(await load('CONFIG', '{}', one('lib')), 'OK');
      const before = await client.ask('TFUNCTION', 'LIST', 'WITHCODE');
      const binary = Buffer.from([0xff, 0xfe]);
      await fails('Could not find library payload', 'LOAD');
      await fails('Could not find library payload', 'LOAD', 'REPLACE');
      await fails('Could not find library payload', 'LOAD', 'CONFIG', '{}');
      await fails('configuration value was not given', 'LOAD', 'CONFIG');
      await fails('given configuration value is not a valid string', 'LOAD', 'CONFIG', binary, one('lib'));
      await fails(/^ERR configuration must be a valid json, '\{a', ./, 'LOAD', 'CONFIG', '{a', one('lib'));
      for (const json of ['[1]', 'null', '"{}"', '1'])
        await fails('configuration must be a valid json object', 'LOAD', 'CONFIG', json, one('lib'));
      await fails('Unknown argument user', 'LOAD', 'USER', 'u', one('lib'));
      await fails('Unknown argument foo', 'LOAD', 'foo', one('lib'));
      await fails('Unknown argument foo', 'LOAD', one('lib'), 'foo');
      await fails('lib code must a valid string', 'LOAD', binary);
      await fails(/^ERR Invalid or missing prologue/, 'LOAD', 'code');
      await fails(/^ERR Unknown backend/, 'LOAD', '#!lua api_version=1.0 name=lib\n');
      await fails(/^ERR Unallowed library name 'a-b'/, 'LOAD', one('a-b'));
      await fails('Library lib already exists.', 'LOAD', `${HEAD}lib\nsyntax error`);
      await fails(
        /^ERR Failed (compiling|to compile|loading) library/,
        'LOAD',
        'REPLACE',
        `${HEAD}lib\nsyntax error`,
      );
      await fails(
        /^ERR Failed loading library: .*oops/,
        'LOAD',
        'REPLACE',
        `${HEAD}lib\nthrow new Error('oops');`,
      );
      await fails('Neither function nor other registrations were found.', 'LOAD', 'REPLACE', `${HEAD}lib\n`);
      await fails(
        /the limit of the setting 'functions.maxCode' is passed/,
        'LOAD',
        `${one('big')}//${'x'.repeat(3000)}`,
      );
      await fails('library does not exists', 'DELETE', 'other');
      await fails('library does not exists', 'DELETE', 'LIB');
      await fails('function name was not given', 'DELETE');
      await fails('Unknown argument more', 'DELETE', 'lib', 'more');
      await fails('Binary option is not allowed', 'LIST', binary);
      await fails('Library name was not given', 'LIST', 'LIBRARY');
      await fails('Library name is not a string', 'LIST', 'LIBRARY', binary);
      await fails("Unknown option 'Foo'", 'LIST', 'Foo');
      await fails('Unknown subcommand Foo', 'Foo');
      await fails("wrong number of arguments for 'tfunction' command");
      assert.deepEqual(await client.ask('TFUNCTION', 'LIST', 'WITHCODE'), before);
      assert.equal(await client.ask('TFUNCTION', 'DELETE', 'lib'), 'OK');
    });

    test('a registered command hides no other', async () => {
      const command = (lib: string, name: string) =>
        `${HEAD}${lib}\nredis.registerCommand('${name}', () => 1);`;
      await fails("Command GET is there already, and can't be registered.", 'LOAD', command('c', 'GET'));
      await fails(/^ERR Command rmr.map is there/, 'LOAD', command('c', 'rmr.map'));
      assert.equal(await load(command('c', 'my.sum')), 'OK');
      await fails('Command MY.SUM is registered by library c already.', 'LOAD', command('d', 'MY.SUM'));
      assert.equal(await load('REPLACE', command('c', 'My.Sum')), 'OK');
      assert.equal(await client.ask('TFUNCTION', 'DELETE', 'c'), 'OK');
    });

    test('clients see nothing of where libraries are kept', async () => {
      const stats = async () => String(JSON.stringify(await client.ask('FUNCTION', 'STATS')));
      const empty = await stats();
      assert.equal(await load(one('lib')), 'OK');
      assert.equal(await load(one('gone')), 'OK');
      assert.equal(await client.ask('TFUNCTION', 'DELETE', 'gone'), 'OK');
      assert.equal(await client.ask('DBSIZE'), 0);
      assert.deepEqual(await client.ask('KEYS', '*'), []);
      assert.deepEqual(await client.ask('SCAN', 0), ['0', []]);
      assert.equal(await client.ask('RANDOMKEY'), null);
      for (const asks of [client, newer]) {
        for (const words of [
          [],
          ['WITHCODE'],
          ['LIBRARYNAME', '__slotless_*'],
          ['LIBRARYNAME', '*', 'WITHCODE'],
        ])
          assert.deepEqual(await asks.ask('FUNCTION', 'LIST', ...words), []);
      }
      assert.equal(await stats(), empty);
      const lua = (name: string) =>
        `#!lua name=${name}\nredis.register_function('f', function() return 1 end)`;
      assert.equal(await client.ask('FUNCTION', 'LOAD', lua('own')), 'own');
      for (const asks of [client, newer]) {
        const list = (await asks.ask('FUNCTION', 'LIST', 'WITHCODE')) as unknown[];
        assert.equal(list.length, 1);
        assert.match(
          JSON.stringify(list, (_, each) => (each instanceof Map ? [...each] : each)),
          /"own"/,
        );
      }
      assert.equal(
        String(await client.ask('FUNCTION', 'DELETE', '__slotless_lib_lib')),
        'Error: ERR Library not found',
      );
      assert.match(
        String(await client.ask('FUNCTION', 'LOAD', lua('__slotless_lib_x'))),
        /ERR slotless: libraries whose/,
      );
      assert.match(
        String(await client.ask('FUNCTION', 'LOAD', lua('"__SLOTLESS_x"'))),
        /ERR slotless: libraries whose/,
      );
      assert.equal(await client.ask('FUNCTION', 'DELETE', 'own'), 'OK');
      assert.deepEqual(await names(), ['lib']);
      assert.equal(await client.ask('TFUNCTION', 'DELETE', 'lib'), 'OK');
    });

    test('they outlive FLUSHALL and FUNCTION FLUSH, through the proxy or at a node', async () => {
      assert.equal(await load(one('lib')), 'OK');
      const kept = async () => {
        const lists = cluster.primaries.map(({ port }) =>
          cluster.cli(port, 'FUNCTION', 'LIST', 'LIBRARYNAME', '__slotless_lib_lib'),
        );
        return (await Promise.all(lists)).map((list) => (list as unknown[]).length);
      };
      await client.ask('FLUSHALL');
      assert.deepEqual(await kept(), [1, 1, 1]);
      for (const mode of [[], ['ASYNC'], ['SYNC']]) {
        assert.equal(await client.ask('FUNCTION', 'FLUSH', ...mode), 'OK');
        assert.deepEqual(await kept(), [1, 1, 1]);
      }
      await cluster.cli(cluster.primaries[0]!.port, 'FUNCTION', 'FLUSH');
      await until('it to be there again', async () => String(await kept()) === '1,1,1', 5000);
      assert.deepEqual(await names(), ['lib']);
      assert.equal(await client.ask('TFUNCTION', 'DELETE', 'lib'), 'OK');
    });

    test('FUNCTION DUMP is without them, and what RESTORE puts back leaves them', async () => {
      const lua = "#!lua name=own\nredis.register_function('f', function() return 1 end)";
      assert.equal(await client.ask('FUNCTION', 'LOAD', lua), 'own');
      const bare = await client.call('FUNCTION', 'DUMP');
      assert.equal(await load(one('lib')), 'OK');
      const dump = await client.call('FUNCTION', 'DUMP');
      assert.deepEqual(dump, bare);
      const payload = dump.subarray(dump.indexOf('\n') + 1, -2);
      assert.equal(await client.ask('FUNCTION', 'DELETE', 'own'), 'OK');
      for (const policy of [[], ['FLUSH'], ['REPLACE']]) {
        assert.equal(await client.ask('FUNCTION', 'RESTORE', payload, ...policy), 'OK');
        assert.deepEqual(await names(), ['lib']);
        for (const { port } of cluster.primaries)
          assert.equal(((await cluster.cli(port, 'FUNCTION', 'LIST')) as unknown[]).length >= 2, true);
      }
      assert.equal(await client.ask('FUNCTION', 'DELETE', 'own'), 'OK');
      assert.equal(await client.ask('TFUNCTION', 'DELETE', 'lib'), 'OK');
    });

    test('who may not load functions at the servers may not load them here', async () => {
      const rules = ['on', '>p', '+@all', '-function|load', '-function|delete'];
      for (const { port } of cluster.primaries) await cluster.cli(port, 'ACL', 'SETUSER', 'reader', ...rules);
      assert.equal(await load(one('lib')), 'OK');
      const reader = await proxy.connect();
      assert.equal(await reader.ask('AUTH', 'reader', 'p'), 'OK');
      const denied = async (command: string, ...words: string[]) =>
        assert.match(
          String(await reader.ask('TFUNCTION', ...words)),
          new RegExp(
            `NOPERM (this user|User reader) has no permissions to run the '?${command.replace('|', '\\|')}'? command`,
            'i',
          ),
        );
      await denied('function|load', 'LOAD', one('other'));
      await denied('function|delete', 'DELETE', 'lib');
      assert.equal(((await reader.ask('TFUNCTION', 'LIST')) as unknown[]).length, 1);
      reader.destroy();
      const writer = await proxy.connect();
      for (const { port } of cluster.primaries)
        await cluster.cli(port, 'ACL', 'SETUSER', 'writer', 'on', '>p', '+@all', '~*');
      assert.equal(await writer.ask('AUTH', 'writer', 'p'), 'OK');
      assert.equal(await writer.ask('TFUNCTION', 'LOAD', 'REPLACE', one('lib')), 'OK');
      const [shown] = (await newer.ask('TFUNCTION', 'LIST')) as Map<string, unknown>[];
      assert.equal(shown!.get('user'), 'writer');
      writer.destroy();
      assert.equal(await client.ask('TFUNCTION', 'DELETE', 'lib'), 'OK');
    });

    test('a proxy whose user may not keep libraries says so, and serves all else', async () => {
      const rules = ['on', '>p', '~*', '&*', '+@all', '-function'];
      for (const { port } of cluster.primaries) await cluster.cli(port, 'ACL', 'SETUSER', 'poor', ...rules);
      const settings = { username: 'poor', password: 'p', clientAuth: 'proxy' };
      const poor = await startProxy({ cluster, settings });
      await poor.logged(/can not be kept in the cluster/);
      const asks = await poor.connect();
      assert.equal(await asks.ask('GET', 'k'), null);
      assert.match(
        String(await asks.ask('TFUNCTION', 'LOAD', one('lib'))),
        /ERR slotless: nothing was changed: node 127\.0\.0\.1:\d+: NOPERM .*'function\|load' command/,
      );
      assert.deepEqual(await asks.ask('TFUNCTION', 'LIST'), []);
      asks.destroy();
      await poor.stop();
      assert.equal(poor.log.filter((line) => /can not be kept/.test(line)).length, 1);
    });

    test('there are no more libraries than the setting allows', async () => {
      const small = await startProxy({ cluster, settings: { 'functions.libraries': 20 } });
      const asks = await small.connect();
      let last: unknown = 'OK';
      for (let i = 0; i < 20 && last === 'OK'; i++)
        last = await asks.ask('TFUNCTION', 'LOAD', one(`many${i}`));
      assert.match(
        String(last),
        /ERR slotless: the limit of the setting 'functions\.libraries' is passed \(20\)$/,
      );
      assert.equal(await asks.ask('TFUNCTION', 'LOAD', 'REPLACE', one('many0', 'g')), 'OK');
      const list = (await asks.ask('TFUNCTION', 'LIST')) as unknown[][];
      for (const each of list) assert.equal(await asks.ask('TFUNCTION', 'DELETE', String(each[5])), 'OK');
      asks.destroy();
      await small.stop();
      await until('none to be there', async () => (await names()).length === 0);
    });

    test('in a transaction libraries can be listed, and not changed', async () => {
      assert.equal(await client.ask('MULTI'), 'OK');
      assert.equal(await client.ask('TFUNCTION', 'LIST'), 'QUEUED');
      assert.equal(await client.ask('SET', 'k', 'v'), 'QUEUED');
      assert.deepEqual(await client.ask('EXEC'), [[], 'OK']);
      for (const words of [
        ['LOAD', one('lib')],
        ['DELETE', 'lib'],
      ]) {
        assert.equal(await client.ask('MULTI'), 'OK');
        await fails('Command not allowed inside a transaction', ...words);
        assert.match(String(await client.ask('EXEC')), /EXECABORT/);
      }
      await client.ask('DEL', 'k');
    });

    test('what stands behind a LOAD in a pipeline finds the library', async () => {
      const replies = await client.pipeline([
        ['TFUNCTION', 'LOAD', one('lib')],
        ['TFUNCTION', 'LIST', 'LIBRARY', 'lib'],
        ['TFUNCTION', 'DELETE', 'lib'],
        ['TFUNCTION', 'LIST'],
      ]);
      assert.deepEqual(
        [0, 2, 3].map((i) => String(replies[i])),
        ['+OK\r\n', '+OK\r\n', '*0\r\n'],
      );
      assert.match(String(replies[1]), /^\*1\r\n/);
    });
  });
}
