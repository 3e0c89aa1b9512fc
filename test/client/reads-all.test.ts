/** SORT's patterns are for users who may read every key: what each user is told, as by one server. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { closeStand, openStand, type Stand, show } from '../oracle/stand.ts';
import { type Argument, connect } from '../support/client.ts';
import { startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

/** Rules of a user, and whether he may give patterns to SORT and to SORT_RO. */
const USERS: readonly [rules: string, sort: boolean, readOnly: boolean][] = [
  ['~* +@all', true, true],
  ['allkeys +@all -sort', false, true],
  ['%R~* %W~d +@all', true, true],
  ['%RW~* +@all', true, true],
  ['%W~* ~k ~d +@all', false, false],
  ['~k ~d +@all', false, false],
  ['~?* +@all', false, false],
  ['~** +@all', false, false],
  ['~[^x]* ~x* +@all', false, false],
  ['~k ~d ~o_* ~w_* +@all', false, false],
  ['~k ~d +@all (%R~* +sort_ro)', false, true],
  ['~k ~d +@all (%R~* -@all +get)', false, false],
  ['~k ~d +@all (%R~* %W~d -@all +sort)', true, false],
  ['~k ~d +@all (%R~* -@all +sort)', true, false],
  ['+@all', false, false],
  ['~*', false, false],
];

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let stand: Stand;

    before(async () => {
      stand = await openStand({ server, replicas: 0 });
    });

    after(() => closeStand(stand));

    test('a user has the reply of one server, which a pattern shows no key that he may not read', async () => {
      const ports = [stand.lone.port, stand.proxy.port];
      const admins = await Promise.all(ports.map((port) => connect(port)));
      const nodes = await Promise.all([stand.lone, ...stand.cluster.nodes].map(({ port }) => connect(port)));
      for (const admin of admins) {
        await admin.call('RPUSH', 'k', 2, 1, 3);
        await admin.call('MSET', 'w_1', 9, 'w_2', 8, 'o_1', 'secret');
      }
      for (const [i, [rules, sort, readOnly]] of USERS.entries()) {
        const user = `user${i}`;
        for (const node of nodes) {
          const said = await node.ask('ACL', 'SETUSER', user, 'reset', 'on', '>pass', ...rules.split(' '));
          assert.equal(said, 'OK', rules);
        }
        const [lone, proxy] = await Promise.all(ports.map((port) => connect(port)));
        for (const client of [lone!, proxy!]) assert.equal(await client.ask('AUTH', user, 'pass'), 'OK');
        const calls: Argument[][] = [
          ...[
            'BY w_*',
            'GET o_*',
            'GET #',
            'NOPE GET #',
            'GET # NOPE',
            'BY w_* LIMIT 1',
            'GET # STORE d',
          ].map((options) => ['SORT', 'k', ...options.split(' ')]),
          ['SORT', 'other', 'GET', '#'],
          ['SORT', 'k', 'GET', '#', 'STORE', 'other'],
          ['SORT_RO', 'k', 'BY', 'w_*', 'GET', 'o_*'],
          ['SORT_RO', 'k', 'BY', 'nosort'],
        ];
        for (const call of calls) {
          const [expected, given] = await Promise.all([lone!.call(...call), proxy!.call(...call)]);
          assert.equal(show(given), show(expected), `${rules}: ${call.join(' ')}`);
        }
        const given = async (name: string) => String(await proxy!.call(name, 'k', 'GET', 'o_*'));
        assert.equal((await given('SORT')).includes('secret'), sort, `${rules}: SORT`);
        assert.equal((await given('SORT_RO')).includes('secret'), readOnly, `${rules}: SORT_RO`);
        lone!.destroy();
        proxy!.destroy();
      }
      for (const client of [...admins, ...nodes]) client.destroy();
    });

    test('where the proxy may not ask for the rights of others, nobody gives patterns but its own user', async () => {
      const nodes = await Promise.all(stand.cluster.nodes.map(({ port }) => connect(port)));
      for (const node of nodes) {
        await node.call('ACL', 'SETUSER', 'gate', 'reset', 'on', '>pass', '~*', '+@all', '-acl|getuser');
        await node.call('ACL', 'SETUSER', 'all', 'reset', 'on', '>pass', '~*', '+@all');
      }
      const settings = { username: 'gate', password: 'pass' };
      const proxy = await startProxy({ cluster: stand.cluster, settings });
      const client = await proxy.connect();
      assert.equal(await client.ask('AUTH', 'all', 'pass'), 'OK');
      const refusal = await client.call('SORT', 'k', 'GET', 'o_*');
      assert.match(String(refusal), /^-NOPERM slotless: the proxy's user may not ask ACL GETUSER: /);
      assert.deepEqual(await client.ask('SORT', 'k', 'BY', 'nosort'), ['2', '1', '3']);
      assert.equal(await client.ask('AUTH', 'gate', 'pass'), 'OK');
      assert.deepEqual(await client.ask('SORT', 'k', 'GET', 'o_*', 'LIMIT', 0, 1), ['secret']);
      await proxy.stop();
      for (const each of nodes) each.destroy();
    });

    test('a user that was deleted reads nothing', async () => {
      const nodes = await Promise.all(stand.cluster.nodes.map(({ port }) => connect(port)));
      for (const node of nodes)
        await node.call('ACL', 'SETUSER', 'gone', 'reset', 'on', '>pass', '~*', '+@all');
      const client = await connect(stand.proxy.port);
      assert.equal(await client.ask('AUTH', 'gone', 'pass'), 'OK');
      assert.deepEqual(await client.ask('SORT', 'k', 'GET', 'o_*', 'LIMIT', 0, 1), ['secret']);
      for (const node of nodes) await node.call('ACL', 'DELUSER', 'gone');
      await until('refused', async () => (await client.ask('SORT', 'k', 'GET', 'o_*')) instanceof Error);
      for (const each of [client, ...nodes]) each.destroy();
    });
  });
}
