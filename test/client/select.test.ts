import assert from 'node:assert/strict';
import { test } from 'node:test';
import { room } from './rig.ts';

test('where servers have databases in a cluster, a client has links of its database', async (t) => {
  const stage = await room(t);
  const databases = new Map<unknown, string>();
  stage.fake.script = ({ name, words, connection }) => {
    if (name === 'SELECT') {
      if (Number(words[1]) > 3) return '-ERR DB index is out of range\r\n';
      databases.set(connection, words[1]!);
      return '+OK\r\n';
    }
    return name === 'GET' ? `+db${databases.get(connection) ?? 0}\r\n` : undefined;
  };
  const [one, two] = [await stage.connect(), await stage.connect()];
  const ask = async (...calls: string[][]) =>
    (await one.pipeline(calls)).map((reply) => String(reply).trim());
  const get = ['GET', 'k'];
  assert.deepEqual(await ask(get, ['SELECT', '2'], get, ['SELECT', '9'], get), [
    '+db0',
    '+OK',
    '+db2',
    '-ERR DB index is out of range',
    '+db2',
  ]);
  assert.equal(await two.ask('GET', 'k'), 'db0');
  assert.match(String(await one.ask('CLIENT', 'INFO')), / db=2 /);
  assert.deepEqual(await ask(['HELLO', '3'], get).then((replies) => replies.at(-1)), '+db2');
  assert.deepEqual(await ask(['SELECT', '0'], get), ['+OK', '+db0']);
  assert.deepEqual(await ask(['SELECT', '1'], get, ['RESET'], get), ['+OK', '+db1', '+RESET', '+db0']);
});

test('where they have one, the client gets what the server says', async (t) => {
  const stage = await room(t);
  stage.fake.script = ({ name }) =>
    name === 'SELECT' ? '-ERR SELECT is not allowed in cluster mode\r\n' : undefined;
  const client = await stage.connect();
  assert.deepEqual(
    (
      await client.pipeline([
        ['SELECT', '1'],
        ['SELECT', '0'],
        ['SELECT', '16'],
      ])
    ).map(String),
    [
      '-ERR SELECT is not allowed in cluster mode\r\n',
      '+OK\r\n',
      // A lone server has 16 of them.
      '-ERR DB index is out of range\r\n',
    ],
  );
});
