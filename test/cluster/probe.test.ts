import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { probe } from '../../src/cluster/probe.ts';
import { encode } from '../support/client.ts';
import { freePort } from '../support/ports.ts';
import { Peer } from './rig.ts';

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`;
const one = (id: string, sentFor = 0) => ({ id, sentFor });

/** What a probe says of connections when the node answers its question so; '' when it does not answer. */
async function verdict(t: TestContext, owing: ReturnType<typeof one>[], question: string[], reply: string) {
  const peer = await Peer.listen(t);
  const options = { host: '127.0.0.1', port: peer.port, username: '', password: '', timeout: 100 };
  const asked = probe(options, owing);
  await peer.gets(encode(question));
  if (reply !== '') peer.say(reply);
  const dead = await asked;
  return dead && [...dead].map(([{ id }, reason]) => `${id}: ${reason}`);
}

test('a connection that the node does not know, or on which it has not heard what was sent, is dead', async (t) => {
  const list = 'id=7 addr=127.0.0.1:1 age=90 idle=1 cmd=get\nid=8 addr=127.0.0.1:2 age=90 idle=9 cmd=get\n';
  assert.deepEqual(
    await verdict(
      t,
      [one('7', 500), one('8', 3000), one('9', 500)],
      ['CLIENT', 'LIST', 'ID', '7', '8', '9'],
      bulk(list),
    ),
    ['8: what was sent did not reach the node', '9: the node has closed the connection'],
  );
});

test('one whose id is not known is alive as far as is known', async (t) => {
  assert.deepEqual(await verdict(t, [one('')], ['PING'], '+PONG\r\n'), []);
});

test('an error is an answer', async (t) => {
  for (const error of ['-NOPERM no\r\n', '-BUSY a script runs\r\n'])
    assert.deepEqual(await verdict(t, [one('7')], ['CLIENT', 'LIST', 'ID', '7'], error), []);
});

test('a node that does not answer says nothing of them', async (t) => {
  assert.equal(await verdict(t, [one('7')], ['CLIENT', 'LIST', 'ID', '7'], ''), undefined);
});

test('where nobody listens all are dead', async () => {
  const options = { host: '127.0.0.1', port: await freePort(), username: '', password: '', timeout: 1000 };
  assert.deepEqual(
    [...(await probe(options, [one('7'), one('')]))!.values()],
    ['nobody listens there any more', 'nobody listens there any more'],
  );
});
