import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../support/client.ts';
import { remove, temporary } from '../support/reaper.ts';
import { until } from '../support/wait.ts';
import { BIG, room, STREAM_ABOVE } from './rig.ts';

const VALUE = 'v'.repeat(50_000);

test('a monitor that does not read is cut off, and nobody waits for it', async (t) => {
  const stage = await room(t, { clientOutputLimit: '1mb' });
  const [slow, fast, client] = [await stage.connect(), await stage.connect(), await stage.connect()];
  for (const monitor of [slow, fast]) await monitor.call('MONITOR');
  slow.socket.pause();
  let lines = 0;
  fast.socket.on('data', (chunk: Buffer) => {
    lines += String(chunk).split('\r\n').length - 1;
  });
  let given = 0;
  await until('the slow one to be cut off', async () => {
    for (let i = 0; i < 20; i++, given++) assert.equal(await client.ask('SET', 'k', VALUE), 'OK');
    return stage.log.some((line) => line.includes('clientOutputLimit'));
  });
  await until('the fast one to have seen all', () => lines === given);
  assert.equal(stage.context.attention.on, true);
  fast.destroy();
  await until('no monitor', () => !stage.context.attention.on);
  assert.equal(await client.ask('SET', 'k', 'w'), 'OK');
});

test('a huge argument is shown whole', async (t) => {
  const stage = await room(t, { streamAbove: STREAM_ABOVE });
  const [monitor, client] = [await stage.connect(), await stage.connect()];
  await monitor.call('MONITOR');
  assert.equal(await client.ask('SET', 'big', BIG), 'OK');
  const line = String((await monitor.read(1))[0]);
  assert.match(line, /"SET" "big" "x+"\r\n$/);
  assert.ok(line.length > BIG.length);
});

test('over a unix socket the path stands for the address', async (t) => {
  const stage = await room(t);
  const folder = temporary('slotless-monitor');
  t.after(() => remove(folder));
  const path = `${folder}/door`;
  await stage.open({ path });
  const monitor = await stage.connect();
  const client = await connect(0, { path });
  t.after(() => client.destroy());
  await monitor.call('MONITOR');
  const info = String(await client.ask('CLIENT', 'INFO'));
  assert.ok(info.includes(` addr=${path}:0 laddr=${path}:0 `), info);
  assert.ok(info.includes(' flags=U '), info);
  assert.ok(String((await monitor.read(1))[0]).includes(`[0 unix:${path}] "CLIENT" "INFO"`));
});
