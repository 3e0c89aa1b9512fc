/**
 * What a monitor of the proxy sees and may do, against a lone server's. Times and addresses are masked; all else is
 * equal to the byte.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { encode, type RawClient } from '../support/client.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { wordsOf } from './run.ts';
import { type Both, closeStand, connectBoth, openStand, type Stand } from './stand.ts';
import { readCall } from './tables.ts';

/** The last line that a monitor waits for. */
const END = '"the end"';

/** What one connection does, one call after the other, and all that a monitor sees of it. */
const SHOWN = [
  'PING',
  'get k',
  'SET k "a\\"b\\\\\\r\\n\\t\\x07\\x08\\x00\\x7f\\xff "',
  'SET "" ""',
  'MGET a b c',
  'DEL a b c',
  'NOPE x',
  'GET',
  'CLIENT NOPE',
  'CLIENT',
  'CONFIG GET maxmemory',
  'CONFIG SET requirepass ""',
  'ACL SETUSER bob on >secret',
  'ACL WHOAMI',
  'ACL DELUSER bob',
  'AUTH secret',
  'AUTH default secret',
  'AUTH nobody secret',
  'HELLO 2',
  'HELLO 3 AUTH default secret',
  'HELLO 2 AUTH default secret SETNAME a',
  'HELLO 2 SETNAME auth AUTH default secret',
  'CLIENT ID',
  'CLIENT LIST',
  'CLIENT KILL ID 99999999',
  'CLIENT PAUSE 0',
  'CLIENT UNPAUSE',
  'CLIENT SETNAME x',
  'CLIENT NO-EVICT ON',
  'CLIENT REPLY ON',
  'CLIENT GETNAME x',
  'EVAL_RO "return 1" 1 a',
  'EVAL "return 1" 1 a',
  'SCRIPT LOAD "return 1"',
  'FUNCTION LIST',
  'COMMAND COUNT',
  'FLUSHALL',
  'SLOWLOG GET',
  'LATENCY RESET',
  'MODULE LIST',
  'ACL LOG',
  'INFO server',
  'DBSIZE',
  'SCAN 0',
  'KEYS *',
  'RANDOMKEY',
  'SELECT 0',
  'SELECT 99',
  'SELECT x',
  'ECHO hi',
  'TIME',
  'ROLE',
  'LASTSAVE',
  'OBJECT HELP',
  'LPUSH k',
  'SETEX k x y',
  'MULTI',
  'SET {t}a 1',
  'PING',
  'NOPE',
  'DISCARD',
  'MULTI',
  'SET {t}a 1',
  'INCR {t}a',
  'PING',
  'CONFIG GET maxmemory',
  'EXEC',
  'WATCH k',
  'MULTI',
  'GET k',
  'EXEC',
  'RESET',
];

/** What a monitor itself asks, and gets, its own lines among it. */
const ASKED = [
  'PING',
  'CLIENT REPLY ON',
  'ECHO x',
  'GET k',
  'SET k v',
  'DBSIZE',
  'MGET a b',
  'KEYS *',
  'EVAL "return 1" 0',
  'EVAL_RO "return 1" 0',
  'PFCOUNT h',
  'NOPE',
  'GET',
  'MONITOR x',
  'SELECT 0',
  'CLIENT SETNAME m',
  'CLIENT GETNAME',
  'LASTSAVE x',
  'HELLO 9',
];

const mask = (text: string) =>
  text.replace(/^\+\d+\.\d{6} \[0 127\.0\.0\.1:\d+\]/gm, '+T').replace(/^\$2\r\nid\r\n:\d+/gm, '(id)');

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let stand: Stand;

    before(async () => {
      stand = await openStand({ server, replicas: 0 });
    });

    after(() => closeStand(stand));

    /** Everything that came to a client up to the line that END is in. */
    const seen = async (client: RawClient, chunks: Buffer[]) => {
      const text = () => Buffer.concat(chunks).toString('latin1');
      await until('the last line', () => text().includes(END));
      client.destroy();
      return mask(text());
    };

    const collect = (client: RawClient): Buffer[] => {
      const chunks: Buffer[] = [];
      client.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      return chunks;
    };

    const bytesOf = (calls: readonly string[]) =>
      calls.map((text) => encode(wordsOf(readCall(text)).map((w) => Buffer.from(w, 'latin1'))));

    for (const atOnce of [false, true]) {
      test(`a monitor sees what a server's sees, ${atOnce ? 'of a pipeline' : 'one after the other'}`, async () => {
        const monitors = await connectBoth(stand);
        const clients = await connectBoth(stand);
        const lines = { lone: collect(monitors.lone), proxy: collect(monitors.proxy) };
        const watch = async (side: keyof Both<RawClient>) => {
          await monitors[side].call('MONITOR');
          const client = clients[side];
          if (atOnce) await client.send(Buffer.concat(bytesOf(SHOWN)));
          else for (const bytes of bytesOf(SHOWN)) await Promise.all([client.send(bytes), client.read()]);
          await client.send(['ECHO', 'the end']);
          const text = await seen(monitors[side], lines[side]);
          client.destroy();
          return text.split('\r\n');
        };
        assert.deepEqual(await watch('proxy'), await watch('lone'));
      });

      for (const resp of [2, 3] as const) {
        test(`a monitor may do what a server's may, in RESP${resp}, ${atOnce ? 'in a pipeline' : 'one after the other'}`, async () => {
          const monitors = await connectBoth(stand, resp);
          const lines = { lone: collect(monitors.lone), proxy: collect(monitors.proxy) };
          const watch = async (side: keyof Both<RawClient>) => {
            const client = monitors[side];
            await client.call('MONITOR');
            if (atOnce) await client.send(Buffer.concat(bytesOf(['MONITOR', ...ASKED])));
            else {
              for (const bytes of bytesOf(['MONITOR', ...ASKED])) {
                const before = Buffer.concat(lines[side]).length;
                await client.send(bytes);
                await client.send(['ECHO', 'done']);
                await until('its line', () => Buffer.concat(lines[side]).includes('"done"', before), 5000, 1);
              }
            }
            await client.send(['ECHO', 'the end']);
            return (await seen(client, lines[side])).split('\r\n');
          };
          assert.deepEqual(await watch('proxy'), await watch('lone'));
        });
      }
    }

    for (const calls of [
      ['MONITOR', 'RESET', 'SET k v', 'GET k', 'CLIENT INFO'],
      ['MONITOR', 'CLIENT REPLY OFF', 'PING', 'CLIENT REPLY ON', 'RESET', 'PING'],
      ['MONITOR', 'CLIENT REPLY SKIP', 'PING', 'RESET', 'PING'],
    ]) {
      test(`${calls.join(', ')}, as one server`, async () => {
        const clients = await connectBoth(stand);
        const all = { lone: collect(clients.lone), proxy: collect(clients.proxy) };
        const run = async (side: keyof Both<RawClient>) => {
          await clients[side].send(Buffer.concat(bytesOf([...calls, 'QUIT'])));
          await clients[side].closed;
          const text = mask(Buffer.concat(all[side]).toString('latin1'));
          return text.replace(/^\$\d+\r\nid=.* (flags=\S+) .*$/gm, '$1').split('\r\n');
        };
        assert.deepEqual(await run('proxy'), await run('lone'));
      });
    }
  });
}
