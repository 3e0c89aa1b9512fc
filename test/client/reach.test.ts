/** How the steps of a command across slots reach the cluster: what is followed, asked again, refused or unknown. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Client } from '../../src/client/client.ts';
import { ClientReach } from '../../src/client/reach.ts';
import { slotOf } from '../../src/command/slot.ts';
import { Refusal } from '../../src/gather/reach.ts';
import type { Answer, Received } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { room } from './rig.ts';

const KEY = 'k';
const SLOT = slotOf(Buffer.from(KEY), 0, KEY.length);
const CALLS = [
  ['SET', KEY, 1],
  ['GET', KEY],
];

/** A reach over nodes that know MULTI. `more`: what they say instead; undefined: nothing else. */
async function stage(t: TestContext, more: (received: Received) => Answer | undefined, settings = {}) {
  const one = await room(t, settings);
  const open = new Map<unknown, string[][]>();
  one.fake.script = (received) => {
    const { connection, name, words } = received;
    const said = more(received);
    if (said !== undefined) {
      if (name === 'EXEC') open.delete(connection);
      return said;
    }
    const queued = open.get(connection);
    switch (name) {
      case 'MULTI':
        open.set(connection, []);
        return '+OK\r\n';
      case 'EXEC': {
        open.delete(connection);
        const replies = (queued ?? []).map(([first]) => (first === 'GET' ? '$1\r\n1\r\n' : '+OK\r\n'));
        return `*${replies.length}\r\n${replies.join('')}`;
      }
      case 'WATCH':
      case 'UNWATCH':
        return '+OK\r\n';
      case 'EXISTS':
        return ':1\r\n';
    }
    if (queued === undefined) return undefined;
    queued.push([...words]);
    return '+QUEUED\r\n';
  };
  const connection = await one.connect();
  await connection.call('PING');
  const [client] = one.context.clients.values();
  const reach = new ClientReach(client as unknown as Client);
  t.after(() => reach.close());
  const [owner, other] = one.fake.nodes.toSorted((node) =>
    reach.ownerOf(SLOT).endsWith(`:${node.port}`) ? -1 : 1,
  );
  const asked = (name: string) => one.fake.received.filter((received) => received.name === name);
  return { ...one, reach, owner: owner!, other: other!, asked };
}

const texts = (replies: readonly Buffer[] | undefined) => replies?.map(String);
const refusal = (pattern: RegExp, unknown: boolean) => (error: unknown) => {
  assert.ok(error instanceof Refusal, String(error));
  assert.match(String(error.reply), pattern);
  assert.equal(error.unknown, unknown);
  return true;
};

test('an error of a single command is a reply like any other', async (t) => {
  const { reach } = await stage(t, ({ name }) => (name === 'TYPE' ? '-NOPERM no\r\n' : undefined));
  assert.equal(String(await reach.ask(SLOT, ['TYPE', KEY], true)), '-NOPERM no\r\n');
});

test('a question that only reads is asked again when its link is lost; one that writes is not', async (t) => {
  let cuts = 0;
  const { reach, asked } = await stage(t, ({ name }) => {
    return (name === 'DUMP' || name === 'UNLINK') && cuts++ % 2 === 0 ? { fate: 'reset' } : undefined;
  });
  await reach.ask(SLOT, ['DUMP', KEY], true);
  assert.equal(asked('DUMP').length, 2);
  assert.match(
    String(await reach.ask(SLOT, ['UNLINK', KEY], false)),
    /^-ERR .* outcome of this write is unknown/,
  );
  assert.equal(asked('UNLINK').length, 1);
});

test('a transaction is one unbroken run, and its replies are those of EXEC', async (t) => {
  const { reach, fake } = await stage(t, () => undefined);
  assert.deepEqual(texts(await reach.atomically(SLOT, CALLS, false)), ['+OK\r\n', '$1\r\n1\r\n']);
  const names = fake.received.map(({ name }) => name);
  const at = names.indexOf('MULTI');
  assert.deepEqual(names.slice(at, at + 4), ['MULTI', 'SET', 'GET', 'EXEC']);
});

test('a redirect of any of its commands takes the whole transaction elsewhere', async (t) => {
  const { reach, owner, other } = await stage(t, ({ node, name }) => {
    if (node !== owner) return undefined;
    if (name === 'GET') return other.moved(SLOT);
    return name === 'EXEC' ? '-EXECABORT Transaction discarded because of previous errors.\r\n' : undefined;
  });
  assert.deepEqual(texts(await reach.atomically(SLOT, CALLS, false)), ['+OK\r\n', '$1\r\n1\r\n']);
});

test('a transaction whose link is lost is sent again only where that changes nothing', async (t) => {
  let cuts = 0;
  const { reach, asked } = await stage(t, ({ name }) => {
    return name === 'EXEC' && cuts++ % 2 === 0 ? { fate: 'reset' } : undefined;
  });
  assert.deepEqual(texts(await reach.atomically(SLOT, CALLS, true)), ['+OK\r\n', '$1\r\n1\r\n']);
  assert.equal(asked('EXEC').length, 2);
  await assert.rejects(reach.atomically(SLOT, CALLS, false), /outcome of this write is unknown/);
  assert.equal(asked('EXEC').length, 3);
});

test('what is refused when it is queued is the error, in the words of the server', async (t) => {
  const { reach } = await stage(t, ({ name }) => {
    if (name === 'SET') return '-OOM command not allowed\r\n';
    return name === 'EXEC' ? '-EXECABORT Transaction discarded because of previous errors.\r\n' : undefined;
  });
  await assert.rejects(reach.atomically(SLOT, CALLS, false), refusal(/OOM command not allowed/, false));
});

test('a link of its own keeps what is watched, and is given back without it', async (t) => {
  const { reach, asked } = await stage(t, () => undefined);
  const held = await reach.hold(SLOT, ['EXISTS', KEY]);
  assert.equal(String(held.reply), ':1\r\n');
  assert.equal(String(await held.ask(['WATCH', KEY])), '+OK\r\n');
  assert.deepEqual(texts(await held.exec(CALLS)), ['+OK\r\n', '$1\r\n1\r\n']);
  held.release();
  held.release();
  await until('it to be given back', () => asked('UNWATCH').length === 1);
  const links = ['EXISTS', 'WATCH', 'EXEC', 'UNWATCH'].map((name) => asked(name)[0]!.connection);
  assert.equal(new Set(links).size, 1);
  const again = await reach.hold(SLOT, ['EXISTS', KEY]);
  assert.equal(asked('EXISTS').at(-1)!.connection, links[0]);
  again.release();
});

test('nothing was executed when a watched key has changed, the slot has moved or the link was lost before', async (t) => {
  let answer: Answer = '*-1\r\n';
  const { reach, owner, other } = await stage(t, ({ name }) => (name === 'EXEC' ? answer : undefined));
  for (const said of [
    '*-1\r\n',
    other.moved(SLOT),
    '-TRYAGAIN Multiple keys request during rehashing of slot\r\n',
    "-READONLY You can't write against a read only replica.\r\n",
  ]) {
    answer = said;
    const held = await reach.hold(SLOT, ['EXISTS', KEY]);
    assert.equal(await held.exec(CALLS), undefined, said);
    held.release();
  }
  const held = await reach.hold(SLOT, ['EXISTS', KEY]);
  owner.drop();
  await until('the link to be lost', async () =>
    String(await held.ask(['EXISTS', KEY])).startsWith('-CLUSTERDOWN'),
  );
  assert.equal(await held.exec(CALLS), undefined);
  held.release();
});

test('nobody knows what became of a transaction whose link was lost before the reply', async (t) => {
  const { reach, asked } = await stage(t, ({ name }) => (name === 'EXEC' ? { fate: 'reset' } : undefined));
  const held = await reach.hold(SLOT, ['EXISTS', KEY]);
  await assert.rejects(held.exec(CALLS), refusal(/outcome of this write is unknown/, true));
  assert.equal(await held.exec(CALLS), undefined, 'the next one is not even sent');
  held.release();
  assert.equal(asked('EXEC').length, 1);
});

test('a user who may not use EXEC leaves no transaction open on a link of others', async (t) => {
  const { reach, asked } = await stage(t, ({ name }) =>
    name === 'EXEC' ? '-NOPERM no exec\r\n' : undefined,
  );
  const held = await reach.hold(SLOT, ['EXISTS', KEY]);
  await assert.rejects(held.exec(CALLS), refusal(/NOPERM no exec/, false));
  held.release();
  const next = await reach.hold(SLOT, ['EXISTS', KEY]);
  const [first, last] = [asked('EXISTS')[0]!, asked('EXISTS').at(-1)!];
  assert.notEqual(first.connection, last.connection);
  next.release();
});

test('a slot without an owner is an error after failover.holdFor', async (t) => {
  const down = '-CLUSTERDOWN Hash slot not served\r\n';
  const { reach } = await stage(t, ({ name }) => (name === 'EXISTS' ? down : undefined), {
    'failover.holdFor': 100,
  });
  await assert.rejects(reach.hold(SLOT, ['EXISTS', KEY]), refusal(/^-CLUSTERDOWN/, false));
});

test('what was written counts for WAIT, and what was read does not', async (t) => {
  const { reach, context } = await stage(t, () => undefined);
  const [client] = [...context.clients.values()] as unknown as { wrote: number }[];
  await reach.ask(SLOT, ['DUMP', KEY], true);
  assert.equal(client!.wrote, 0);
  await reach.atomically(SLOT, CALLS, false);
  assert.equal(client!.wrote, 1 << (SLOT >>> 9));
});
