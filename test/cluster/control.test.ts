import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Controls, withControl } from '../../src/cluster/control.ts';
import { encode } from '../support/client.ts';
import { until } from '../support/wait.ts';
import { Peer, turns } from './rig.ts';

/** A node that says `replies` when it has been asked something. */
async function stage(t: TestContext, replies: readonly (string | Buffer)[], more = {}) {
  const peer = await Peer.listen(t);
  const ask = (...words: string[]) => {
    const asked = withControl(
      { host: '127.0.0.1', port: peer.port, username: '', password: '', timeout: 2000, ...more },
      (control) => control.ask(...words),
    );
    const said = (async () => {
      await until('the question', () => peer.received(0).length > 0, 5000, 1);
      for (const reply of replies) peer.say(reply);
    })();
    return Promise.all([asked, said]).then(([value]) => value);
  };
  return { peer, ask };
}

test('a question brings its reply as values, and the connection is closed', async (t) => {
  const { ask, peer } = await stage(t, ['*2\r\n:1\r\n', '*1\r\n$1\r\na\r\n']);
  assert.deepEqual(await ask('CLUSTER', 'SLOTS'), [1, ['a']]);
  assert.equal(peer.received(0), encode(['CLUSTER', 'SLOTS']).toString());
  await until('the end', () => peer.sockets[0]!.readableEnded || peer.sockets[0]!.destroyed, 5000, 1);
});

test('it logs in first when there is a password', async (t) => {
  for (const [login, words] of [
    [{ password: 'p' }, ['AUTH', 'p']],
    [{ username: 'u', password: 'p' }, ['AUTH', 'u', 'p']],
  ] as const) {
    const { ask, peer } = await stage(t, ['+OK\r\n'], login);
    const asked = ask('PING');
    await peer.gets(Buffer.concat([encode([...words]), encode(['PING'])]));
    peer.say('+PONG\r\n');
    assert.equal(await asked, 'PONG');
  }
  const { ask, peer } = await stage(t, ['-WRONGPASS no\r\n'], { password: 'p' });
  await assert.rejects(ask('PING'), /WRONGPASS no/);
  assert.ok(!peer.received(0).includes('PING'));
});

test('an error of the server, a lost connection and nobody there are errors', async (t) => {
  await assert.rejects(
    (await stage(t, ['-ERR unknown subcommand\r\n'])).ask('CLUSTER', 'SHARDS'),
    /unknown subcommand/,
  );
  const { ask, peer } = await stage(t, []);
  const asked = assert.rejects(ask('PING'), /closed|ECONNRESET/);
  await until('the question', () => peer.received(0).length > 0, 5000, 1);
  peer.sockets[0]!.destroy();
  await asked;
  const nobody = { host: '127.0.0.1', port: 1, username: '', password: '', timeout: 2000 };
  await assert.rejects(
    withControl(nobody, (control) => control.ask('PING')),
    /ECONNREFUSED/,
  );
});

test('the time counts from the question, however slowly a node drips', async (t) => {
  const { ask, peer } = await stage(t, ['$100\r\n'], { timeout: 150 });
  let over = false;
  let ticks = 0;
  const drip = setInterval(() => {
    // Behind the head of the reply, which is given as soon as the question has come.
    if (!over && peer.received(0) !== '' && ticks++ > 0) peer.sockets[0]!.write('x');
  }, 20);
  t.after(() => clearInterval(drip));
  await assert.rejects(ask('CLUSTER', 'INFO'), /no reply within 150 ms/);
  over = true;
});

test('what no server sends is an error and no crash', async (t) => {
  for (const bytes of ['!\r\n', '*99999999999\r\n', '*1\r\n'.repeat(200_000), Buffer.from([0, 1, 2, 13, 10])])
    await assert.rejects((await stage(t, [bytes], { timeout: 500 })).ask('CLUSTER', 'INFO'));
});

test('a connection is kept for the next question for a moment, unless it has failed or is not to be kept', async (t) => {
  const peer = await Peer.listen(t);
  const controls = new Controls();
  t.after(() => controls.close());
  const options = { host: '127.0.0.1', port: peer.port, username: '', password: 'p', timeout: 2000 };
  /** Asks, has it answered on the connection of this number, and gives the reply or the error. */
  const ask = async (reply: string, index: number, keep = true) => {
    const before = peer.received(index).length;
    const asked = controls.with(options, keep, (control) => control.ask('PING')).catch(String);
    if (before === 0) {
      await peer.gets(encode(['AUTH', 'p']), index);
      peer.say('+OK\r\n');
    }
    await waitFor(() => peer.received(index).slice(before).includes('PING'));
    peer.say(reply);
    return asked;
  };
  const waitFor = (condition: () => boolean) => until('the question', condition, 5000, 1);
  assert.equal(await ask('+1\r\n', 0), '1');
  assert.equal(await ask('+2\r\n', 0), '2');
  assert.match(String(await ask('-ERR no\r\n', 0)), /ERR no/);
  assert.equal(await ask('+3\r\n', 1), '3');
  peer.sockets[1]!.destroy();
  await waitFor(() => peer.sockets[1]!.closed);
  await turns();
  assert.equal(await ask('+4\r\n', 2, false), '4');
  assert.equal(await ask('+5\r\n', 3), '5');
  await until('the one that nobody needs to be closed', () => peer.sockets[3]!.readableEnded);
});

test('what is kept to a node that counts no more is closed', async (t) => {
  const peers = [await Peer.listen(t), await Peer.listen(t)] as const;
  const controls = new Controls(60_000);
  t.after(() => controls.close());
  for (const peer of peers) {
    const options = { host: '127.0.0.1', port: peer.port, username: '', password: '', timeout: 2000 };
    const asked = controls.with(options, true, (control) => control.ask('PING'));
    await peer.gets(encode(['PING']));
    peer.say('+PONG\r\n');
    assert.equal(await asked, 'PONG');
  }
  const [gone, kept] = peers;
  controls.keepOnly([{ host: '127.0.0.1', port: kept.port }]);
  await until('it to be closed', () => gone.sockets[0]!.readableEnded, 5000, 1);
  assert.equal(kept.sockets[0]!.readableEnded, false);
});
