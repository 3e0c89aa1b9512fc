/** What tracking clients are told, against a lone server: the same pushes for the same reads and writes. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect, type RawClient } from '../support/client.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { wordsOf } from './run.ts';
import { type Both, closeStand, connectBoth, empty, openStand, type Stand } from './stand.ts';
import { readCall } from './tables.ts';

/** `r:` the reader, `w:` the writer. After each write the writer's reply is waited for. */
const STORIES: Readonly<Record<string, readonly string[]>> = {
  'what was read': [
    'r: CLIENT TRACKING ON',
    'r: GET a',
    'r: MGET b c',
    'w: SET a 1',
    'w: SET b 1',
    'w: SET d 1',
  ],
  'once for each read': [
    'r: CLIENT TRACKING ON',
    'r: GET a',
    'w: SET a 1',
    'w: SET a 2',
    'r: GET a',
    'w: DEL a',
  ],
  'its own writes': [
    'r: CLIENT TRACKING ON',
    'r: SET a 1',
    'r: GET a',
    'r: SET a 2',
    'r: GET a',
    'r: INCR a',
  ],
  'other types': [
    'r: CLIENT TRACKING ON',
    'r: HGETALL h',
    'r: LRANGE l 0 -1',
    'r: ZCARD z',
    'w: HSET h a 1',
    'w: RPUSH l a',
    'w: ZADD z 1 a',
  ],
  'a script reads': [
    'r: CLIENT TRACKING ON',
    `r: EVAL "return redis.call('GET',KEYS[1])" 1 e`,
    'w: SET e 1',
    `r: EVAL_RO "return redis.call('GET',KEYS[1])" 1 e`,
    `w: EVAL "return redis.call('SET',KEYS[1],1)" 1 e`,
  ],
  'a key that expires': ['r: CLIENT TRACKING ON', 'w: SET p 1 PX 60', 'r: GET p'],
  'opted in': [
    'r: CLIENT TRACKING ON OPTIN',
    'r: GET a',
    'r: CLIENT CACHING YES',
    'r: GET b',
    'r: GET c',
    'w: SET a 1',
    'w: SET b 1',
    'w: SET c 1',
  ],
  'opted out': [
    'r: CLIENT TRACKING ON OPTOUT',
    'r: GET a',
    'r: CLIENT CACHING NO',
    'r: GET b',
    'r: GET c',
    'w: SET a 1',
    'w: SET b 1',
    'w: SET c 1',
  ],
  'by prefix': ['r: CLIENT TRACKING ON BCAST PREFIX x PREFIX y', 'w: SET x1 1', 'w: SET y1 1', 'w: SET z 1'],
  'all keys': ['r: CLIENT TRACKING ON BCAST', 'w: SET x1 1', 'w: DEL x1', 'w: DEL nothing'],
  'while replies are off': ['r: CLIENT TRACKING ON', 'r: GET a', 'r! CLIENT REPLY OFF', 'w: SET a 1'],
  'no more': ['r: CLIENT TRACKING ON', 'r: GET a', 'r: CLIENT TRACKING OFF', 'w: SET a 1'],
  'no more after RESET': ['r: CLIENT TRACKING ON', 'r: GET a', 'r: RESET', 'r: HELLO 3', 'w: SET a 1'],
};

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let stand: Stand;
    let control: Both<RawClient>;

    before(async () => {
      stand = await openStand({ server, replicas: 0 });
      control = await connectBoth(stand);
    });

    after(() => closeStand(stand));

    const open = async (port: number) => {
      const pushes: string[] = [];
      const client = await connect(port, { onPush: (push) => pushes.push(String(push)) });
      await client.call('HELLO', 3);
      return { client, pushes };
    };

    const tell = async (port: number, story: readonly string[]) => {
      const reader = await open(port);
      const end = await open(port);
      const writer = await connect(port);
      await end.client.call('CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'end:');
      for (const line of story) {
        const call = wordsOf(readCall(line.slice(3)));
        if (line.startsWith('r!')) await reader.client.send(call);
        else await (line.startsWith('r:') ? reader.client : writer).call(...call);
        if (line.includes(' PX '))
          await until('it to be gone', async () => (await writer.ask('PTTL', 'p')) === -2);
      }
      // Each node has told of all that came before this.
      for (const key of ['end:1', 'end:2', 'end:3', 'end:4', 'end:5', 'end:6', 'end:7', 'end:8'])
        await writer.call('SET', key, '1');
      await until('the end', () => end.pushes.join('').includes('end:8'));
      await until('the others', () => new Set(end.pushes.join('').match(/end:\d/g)).size === 8);
      for (const client of [reader.client, end.client, writer]) client.destroy();
      return reader.pushes.filter((push) => !push.includes('end:')).sort();
    };

    for (const [name, story] of Object.entries(STORIES)) {
      test(`a client is told of ${name}, as by one server`, async () => {
        await empty(control);
        assert.deepEqual(await tell(stand.proxy.port, story), await tell(stand.lone.port, story));
      });
    }

    test('FLUSHALL is everything', async () => {
      const { client, pushes } = await open(stand.proxy.port);
      await client.call('CLIENT', 'TRACKING', 'ON');
      await client.call('GET', 'a');
      await control.proxy.call('FLUSHALL');
      await until('the push', () => pushes.includes('>2\r\n$10\r\ninvalidate\r\n_\r\n'));
      client.destroy();
    });

    test('another client may be told in its place, and that it is gone', async () => {
      const run = async (port: number) => {
        const [reader, target, writer] = [await open(port), await open(port), await connect(port)];
        const id = String(await target.client.ask('CLIENT', 'ID'));
        await reader.client.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id);
        await reader.client.call('GET', 'a');
        await writer.call('SET', 'a', '1');
        await until('the target to be told', () => target.pushes.length === 1);
        await target.client.close();
        await reader.client.call('GET', 'a');
        await writer.call('SET', 'a', '2');
        await until('the reader to be told', () => reader.pushes.length === 1);
        const info = String(await reader.client.call('CLIENT', 'TRACKINGINFO'));
        for (const client of [reader.client, writer]) client.destroy();
        return [...target.pushes, ...reader.pushes, info].map((text) => text.replaceAll(`:${id}\r`, ':id\r'));
      };
      assert.deepEqual(await run(stand.proxy.port), await run(stand.lone.port));
    });
  });
}
