import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { connect } from '../support/client.ts';
import { type FakeConnection, type FakeNode, held, type Script } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { room } from './rig.ts';

const NULL = '>2\r\n$10\r\ninvalidate\r\n_\r\n';
const gone = (...keys: string[]) =>
  `>2\r\n$10\r\ninvalidate\r\n*${keys.length}\r\n${keys.map((key) => `$${key.length}\r\n${key}\r\n`).join('')}`;

/** A room whose nodes tell what the test has them tell. */
async function stage(t: TestContext, settings = {}) {
  const one = await room(t, settings);
  const ears = new Map<FakeNode, FakeConnection>();
  let deaf = false;
  const listens: Script = ({ node, connection, name, words }) => {
    if (name === 'CLIENT' && words[1] === 'ID') return deaf ? { fate: 'cut' } : ':7\r\n';
    if (name !== 'SUBSCRIBE') return undefined;
    ears.set(node, connection);
    return `*3\r\n$9\r\nsubscribe\r\n$${words[1]!.length}\r\n${words[1]}\r\n:1\r\n`;
  };
  one.fake.script = listens;
  const tell = (keys: readonly string[] | undefined, [node] = one.fake.nodes) => {
    const what = keys === undefined ? '*-1\r\n' : gone(...keys).slice('>2\r\n$10\r\ninvalidate\r\n'.length);
    ears.get(node!)!.socket.write(`*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n${what}`);
  };
  const open = async (...mode: string[]) => {
    const client = await connect(one.port);
    t.after(() => client.destroy());
    await client.call('HELLO', 3);
    assert.equal(await client.ask('CLIENT', 'TRACKING', 'ON', ...mode), 'OK');
    return client;
  };
  const script = (more: Script) => {
    one.fake.script = (received) => listens(received) ?? more(received);
  };
  const hear = (on: boolean) => {
    deaf = !on;
  };
  return { ...one, ears, tell, open, script, hear };
}

const next = async (client: { read(count: number): Promise<Buffer[]> }) => String((await client.read(1))[0]);

test('an invalidation that comes before the reply it is about goes out behind it', async (t) => {
  const { open, tell, script, ears, fake } = await stage(t);
  const client = await open();
  const reply = held();
  script(({ name }) => (name === 'GET' ? reply.answer : undefined));
  await client.send(['GET', 'a']);
  await until('it to be sent', () => fake.received.some(({ name }) => name === 'GET'));
  tell(['a', 'b']);
  tell(undefined);
  const [ear] = ears.values();
  await until('it to be heard', () => ear!.socket.writableLength === 0);
  await client.send(['PING']);
  reply.release('$3\r\nold\r\n');
  assert.equal(await next(client), '$3\r\nold\r\n');
  const rest = [await next(client), await next(client), await next(client)].sort();
  assert.deepEqual(rest, ['+PONG\r\n', gone('a'), NULL]);
});

test('when an ear is lost, and when it hears again, everything may have changed', async (t) => {
  const { open, ears, hear } = await stage(t, { 'link.backoffMin': 5 });
  const client = await open();
  assert.equal(await client.ask('GET', 'b'), null);
  const [ear] = ears.values();
  ear!.socket.destroy();
  assert.deepEqual([await next(client), await next(client)], [NULL, NULL]);
  // Nobody listens: what is read is to be forgotten at once.
  hear(false);
  const [other] = [...ears.values()];
  other!.socket.destroy();
  assert.equal(await next(client), NULL);
  await client.send(['GET', 'b']);
  assert.equal(await next(client), '$-1\r\n');
  assert.equal(await next(client), gone('b'));
  hear(true);
  assert.equal(await next(client), NULL);
  await client.send(['GET', 'b']);
  await client.send(['PING']);
  assert.equal(await next(client), '$-1\r\n');
  assert.equal(await next(client), '+PONG\r\n');
});

test('beyond limits.trackedKeys the key that was read first counts as changed', async (t) => {
  const { open, tell } = await stage(t, { 'limits.trackedKeys': 2 });
  const client = await open();
  for (const key of ['a', 'b', 'a', 'c']) await client.send(['GET', key]);
  for (let i = 0; i < 4; i++) assert.equal(await next(client), '$-1\r\n');
  assert.equal(await next(client), gone('a'));
  tell(['a', 'b']);
  assert.equal(await next(client), gone('b'));
});

test('behind a transaction everything that it has read is to be forgotten', async (t) => {
  const { open, context } = await stage(t);
  const client = await open();
  await client.send(['EXEC']);
  const replies = [await next(client)];
  if (context.table.byName('exec') !== undefined) replies.push(await next(client));
  assert.equal(replies[1], NULL);
});

test('nobody listens when nobody tracks', async (t) => {
  const { open, ears, connect: ordinary } = await stage(t);
  const [one, two] = [await open(), await open('BCAST')];
  const [ear] = ears.values();
  await one.close();
  assert.equal(await two.ask('CLIENT', 'GETREDIR'), 0);
  assert.equal(ear!.socket.destroyed, false);
  await two.ask('CLIENT', 'TRACKING', 'OFF');
  await until('it to be closed', () => ear!.socket.destroyed);
  assert.equal(await (await ordinary()).ask('PING'), 'PONG');
});

test('where a node can not be listened to, the client is told why', async (t) => {
  const { script, port } = await stage(t, { 'link.connectTimeout': 200, 'link.backoffMin': 5 });
  script(() => undefined);
  const client = await connect(port);
  t.after(() => client.destroy());
  const refuse: Script = ({ name, words }) =>
    name === 'CLIENT' && words[1] === 'TRACKING' ? '-NOPERM no\r\n' : undefined;
  script(refuse);
  assert.match(
    String(await client.call('CLIENT', 'TRACKING', 'ON')),
    /^-ERR slotless: changes of keys .*: NOPERM no\r\n$/,
  );
  assert.equal(await client.ask('CLIENT', 'GETREDIR'), -1);
});
