import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { type Command, FLAG, REQUEST, RESPONSE, ROUTE } from '../../src/command/command.ts';
import { CommandTable } from '../../src/command/table.ts';
import { framed } from './framed.ts';
import { type Fixture, startAll, stopAll } from './tables.ts';

let fixtures: Fixture[] = [];
before(async () => {
  fixtures = await startAll();
});
after(() => stopAll(fixtures));

const routeName = (command: Command | undefined) =>
  Object.entries(ROUTE).find(([, route]) => route === command?.route)?.[0];

/** Each route, and what must take it on every server that has the command. */
const ROUTES: Readonly<Record<keyof typeof ROUTE, string>> = {
  oneSlot:
    'get set hset xadd eval fcall sort migratex msetnx xread xreadgroup object|encoding xgroup|create memory|usage',
  split: 'mget mset del exists touch unlink',
  anyShard: 'command command|info config|get acl|whoami lolwut script|help object|help acl',
  allShards: 'dbsize flushall flushdb keys script|kill bgsave save lastsave',
  allNodes: 'config|set config|rewrite config|resetstat slowlog|reset slowlog|len',
  door:
    'ping echo quit reset hello auth select readonly asking role time client client|id client|kill cluster|info ' +
    'multi exec discard watch unwatch monitor subscribe punsubscribe ssubscribe pubsub|numsub',
  scan: 'scan',
  special:
    'info randomkey acl|setuser acl|load latency|latest latency|histogram memory|stats function|stats slowlog|get script|load script|exists function|load function|list',
  publish: 'publish spublish',
  blocks: 'blpop brpop blmove brpoplpush blmpop bzpopmin bzpopmax bzmpop wait waitaof',
  refused:
    'shutdown replicaof failover debug migrate move swapdb sync psync restore-asking cluster|meet script|debug',
};

test('every command takes the route that its tips, keys or override give', () => {
  for (const { name, table } of fixtures) {
    for (const [route, names] of Object.entries(ROUTES)) {
      for (const command of names.split(' ').map((one) => table.byName(one))) {
        if (command) assert.equal(routeName(command), route, `${name}: ${command.name}`);
      }
    }
  }
});

test('whatever is refused says why, and nothing else does', () => {
  for (const { name, table } of fixtures) {
    for (const command of table.commands) {
      const closed = command.route === ROUTE.refused;
      assert.equal(command.refusal !== '', closed, `${name}: ${command.name}`);
    }
  }
});

test('no command that goes to any shard changes what it finds there', () => {
  // Each of these was looked at: it reads, or it tests, or its keys are none (EVAL with 0 keys is keyed here).
  // PUBLISH reaches every node by the cluster's own bus.
  for (const { name, table } of fixtures) {
    const changing = table.commands.filter(
      (command) =>
        command.route === ROUTE.anyShard &&
        command.name !== 'publish' &&
        command.flags & (FLAG.write | FLAG.blocking | FLAG.pubsub),
    );
    assert.deepEqual(
      changing.map((command) => command.name),
      [],
      name,
    );
  }
});

test('a command is found in any case, a subcommand by its container and itself', () => {
  for (const { table } of fixtures) {
    assert.equal(table.find(framed('gEt', 'a'))?.name, 'get');
    assert.equal(table.find(framed('Config', 'GET', 'x'))?.name, 'config|get');
    assert.equal(table.find(framed('CONFIG'))?.name, 'config');
    assert.equal(table.find(framed('CONFIG', 'nonesuch'))?.name, 'config');
    assert.equal(table.find(framed('GET', 'get'))?.name, 'get');
    for (const name of ['', 'ge', 'gett', 'g\x65\x00', 'constructor', 'x'.repeat(1000), 'client|id']) {
      assert.equal(table.find(framed(name)), undefined, name);
    }
  }
});

test('every command of the server is found by its own name, and its id is its place', () => {
  for (const { name, table } of fixtures) {
    for (const [id, command] of table.commands.entries()) {
      assert.equal(command.id, id);
      assert.equal(
        table.find(framed(...command.name.toUpperCase().split('|'))),
        command,
        `${name}: ${command.name}`,
      );
    }
  }
});

test('a name that is not in the table is not found', () => {
  for (const { table } of fixtures) {
    const names = new Set(table.commands.map((command) => command.name));
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), (name) => {
        fc.pre(!names.has(name.toLowerCase()));
        assert.equal(table.find(framed(name)), undefined);
      }),
    );
  }
});

test('the order of the rows, which differs from server to server, does not change the ids', () => {
  for (const { reply, table } of fixtures) {
    const again = CommandTable.parse([...reply].reverse());
    assert.deepEqual(
      again.commands.map((command) => command.name),
      table.commands.map((command) => command.name),
    );
  }
});

test('arity counts the name, and a negative one is a least number', () => {
  for (const { table } of fixtures) {
    const takes = (name: string, argc: number) => table.byName(name)?.takes(argc);
    assert.deepEqual([takes('get', 1), takes('get', 2), takes('get', 3)], [false, true, false]);
    assert.deepEqual([takes('mget', 1), takes('mget', 2), takes('mget', 9)], [false, true, true]);
    assert.deepEqual([takes('config|get', 2), takes('config|get', 3)], [false, true]);
  }
});

test('the first key of a plain range is there whenever the arity is right', () => {
  for (const { name, table } of fixtures) {
    for (const command of table.commands.filter(({ keyFirst }) => keyFirst > 0)) {
      assert.ok(Math.abs(command.arity) > command.keyFirst, `${name}: ${command.name}`);
    }
    const { keyFirst, keyLast, keyStep } = table.byName('mset')!;
    assert.deepEqual([keyFirst, keyLast, keyStep], [1, -1, 2]);
    assert.equal(table.byName('zunionstore')?.keyFirst, 0);
    assert.equal(table.byName('sort')?.keyFirst, 0);
  }
});

test('flags and policies are read, and the hidden flag is set', () => {
  for (const { table } of fixtures) {
    const get = table.byName('get')!;
    assert.equal(get.flags, FLAG.readonly | FLAG.fast);
    assert.ok(table.byName('eval')!.flags & FLAG.movableKeys);
    assert.ok(table.byName('auth')!.flags & FLAG.noAuth);
    for (const name of ['eval', 'fcall', 'pfcount', 'spublish']) {
      assert.ok(table.byName(name)!.flags & FLAG.mayReplicate, name);
    }
    const { request, response } = table.byName('dbsize')!;
    assert.deepEqual([request, response], [REQUEST.allShards, RESPONSE.aggSum]);
    assert.equal(table.byName('latency|reset')?.response, RESPONSE.aggSum);
    assert.equal(table.byName('msetnx')?.request, REQUEST.none);
  }
});

test('the setting allow lifts a refusal, for a command, a subcommand or a whole container', () => {
  for (const { reply } of fixtures) {
    const table = CommandTable.parse(reply, ['DEBUG', 'swapdb', 'cluster failover', 'script']);
    assert.equal(routeName(table.byName('debug')), 'anyShard');
    assert.equal(table.byName('debug')?.refusal, '');
    assert.equal(routeName(table.byName('cluster|failover')), 'anyShard');
    assert.equal(routeName(table.byName('script|debug')), 'anyShard');
    assert.equal(routeName(table.byName('migrate')), 'refused');
    assert.equal(routeName(CommandTable.parse(reply, ['migrate', 'subscribe']).byName('migrate')), 'oneSlot');
    assert.equal(routeName(CommandTable.parse(reply, ['subscribe']).byName('subscribe')), 'door');
  }
});

test('a server before 7.0, without tips, key specs and subcommands, routes in the same way', () => {
  for (const { name, reply, table } of fixtures) {
    const old = CommandTable.parse(reply.map((row) => row.slice(0, 7)));
    const names = `${ROUTES.split} ${ROUTES.allShards} ${ROUTES.allNodes} ${ROUTES.special} ${ROUTES.door} get hset
      script|debug cluster|meet`;
    for (const one of names.split(/\s+/)) {
      const [now, then] = [table.byName(one), old.byName(one)];
      // Subcommands that came with 7.0 or later have no row of their own here.
      if (!now || (!then && /^(function|latency\|histogram|client|cluster)/.test(one))) continue;
      assert.equal(routeName(then), routeName(now), `${name}: ${one}`);
      if (now.route !== ROUTE.door) assert.equal(then?.response, now.response, `${name}: ${one}`);
    }
    assert.equal(routeName(old.find(framed('CLIENT', 'ID'))), 'door');
    assert.equal(old.byName('mset')?.keyStep, 2);
    assert.equal(old.byName('eval')?.keysUnknown, true);
  }
});

test('policies of a later time are merged by hand or not at all, and multi_shard splits the basic six alone', () => {
  const keyed = [
    ['flags', ['RW'], 'begin_search', ['type', 'index', 'spec', ['index', 1]]],
    ['find_keys', ['type', 'range', 'spec', ['lastkey', -1, 'keystep', 1, 'limit', 0]]],
  ].flat();
  const row = (name: string, tips: string[], specs: unknown[] = []) => [
    name,
    -2,
    [],
    0,
    0,
    0,
    [],
    tips,
    specs,
    [],
  ];
  const table = CommandTable.parse([
    row('a', ['request_policy:all_shards', 'response_policy:agg_median']),
    row('b', ['request_policy:all_moons']),
    row('c', ['request_policy:multi_shard', 'response_policy:agg_sum'], [keyed]),
    row('d', ['nondeterministic_output', 'request_policy:all_nodes']),
  ]);
  assert.deepEqual(table.commands.map(routeName), ['special', 'special', 'oneSlot', 'allNodes']);
});

test('what is no COMMAND reply is refused', () => {
  for (const reply of [null, 'x', [1], [['get']], [['get', 'x', []]], [[1, 2, []]]]) {
    assert.throws(() => CommandTable.parse(reply), TypeError, JSON.stringify(reply));
  }
});
