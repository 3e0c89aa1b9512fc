import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onlyReads, Question, Spoken } from '../../src/client/request.ts';
import { rig, Sender } from '../cluster/rig.ts';
import { encode } from '../support/client.ts';
import { BareClient, command, MapOnly } from './bare.ts';

const GET = command('get');
const SET = command('set');

test('what only reads may be asked again: the flag says so, and nothing may be replicated', () => {
  assert.deepEqual([onlyReads(GET), onlyReads(SET), onlyReads(command('publish'))], [true, false, false]);
});

test('a command is its own place: its reply goes out in its turn', () => {
  const client = new BareClient(new MapOnly());
  const [first, second] = [client.request(GET, 1), client.request(SET, 2)];
  client.reply(second, '+OK\r\n');
  assert.equal(client.text, '');
  client.reply(first, '$1\r\na\r\n');
  assert.equal(client.text, '$1\r\na\r\n+OK\r\n');
  assert.deepEqual([client.log, client.order.inFlight], [['set', 'get'], 0]);
});

test('a long reply goes out in pieces, and settles with the last', () => {
  const client = new BareClient(new MapOnly());
  const request = client.request(GET, 1);
  request.piece(Buffer.from('$4\r\nab'), 0, 6, false);
  assert.deepEqual([client.text, client.order.inFlight], ['$4\r\nab', 1]);
  request.piece(Buffer.from('cd\r\n'), 0, 4, true);
  assert.deepEqual([client.text, client.order.inFlight], ['$4\r\nabcd\r\n', 0]);
});

test('a client whose reply breaks off is closed: no error can be put into the middle of it', () => {
  const client = new BareClient(new MapOnly());
  const request = client.request(GET, 1);
  request.piece(Buffer.from('$4\r\nab'), 0, 6, false);
  request.lost(true, true, 'ECONNRESET');
  assert.deepEqual(
    [client.closed, client.reason, client.order.inFlight],
    [true, 'a reply broke off: ECONNRESET', 0],
  );
});

test('what the proxy says itself has its place like a command', () => {
  const client = new BareClient(new MapOnly());
  const request = client.request(GET, 1);
  const spoken = new Spoken();
  client.replies.push(spoken);
  client.replies.answer(spoken, Buffer.from('+PONG\r\n'), 0, 7);
  client.reply(request, ':1\r\n');
  assert.equal(client.text, ':1\r\n+PONG\r\n');
});

test('a question goes to the owner of a slot or to a node, and brings the raw reply, an error too', async (t) => {
  const { cluster, fake } = await rig(t);
  const sender = new Sender(cluster);
  fake.store.set('a', 'x'.repeat(400_000));
  fake.script = ({ words }) => (words[0] === 'GET' && words[1] === 'no' ? '-ERR no\r\n' : undefined);
  const ask = async (whom: Parameters<typeof Question.ask>[1], ...words: string[]) =>
    (await Question.ask(sender, whom, encode(words), true)).toString();
  assert.ok((await ask(1, 'GET', 'a')) === `$400000\r\n${'x'.repeat(400_000)}\r\n`);
  assert.equal(await ask(1, 'GET', 'no'), '-ERR no\r\n');
  assert.equal(await ask(cluster.ownerOf(16_000)!, 'GET', 'b'), '$-1\r\n');
  assert.ok(fake.received.at(-1)!.node === fake.nodes[1]);
  fake.script = () => ({ fate: 'cut', after: `$400000\r\n${'x'.repeat(300_000)}` });
  assert.match(await ask(1, 'GET', 'a'), /^-ERR slotless: a reply broke off/);
});
