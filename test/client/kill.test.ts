/** SCRIPT KILL, FUNCTION KILL and FUNCTION STATS while something runs for long: as a lone server says it. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Argument, connect, decode, type RawClient } from '../support/client.ts';
import { type Cluster, type Lone, startCluster, startLone } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const config = ['--busy-reply-threshold', '50'];
const ENDLESS = 'while true do end';
/** Ends by itself, long after it is first asked for. */
const LONG = "redis.call('SET',KEYS[1],'x') for i=1,2e8 do end";
const LIBRARY = `#!lua name=lib\nredis.register_function('endless', function() ${ENDLESS} end)`;

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let lone: Lone;
    let proxy: RunningProxy;

    before(async () => {
      [cluster, lone] = await Promise.all([
        startCluster({ server, primaries: 3, replicas: 0, config }),
        startLone({ server, config }),
      ]);
      proxy = await startProxy({ cluster });
      for (const { port } of [lone, proxy]) {
        const client = await connect(port);
        await client.ask('FUNCTION', 'LOAD', LIBRARY);
        client.destroy();
      }
    });

    after(async () => {
      await proxy?.stop();
      await Promise.all([cluster?.stop(), lone?.stop()]);
    });

    /** What is said at each of two ports, when something runs there. */
    const atBoth = async (running: Argument[], ask: (asks: RawClient) => Promise<unknown[]>) => {
      const said: unknown[][] = [];
      for (const { port } of [lone, proxy]) {
        const [runs, asks] = [await connect(port), await connect(port)];
        const reply = running.length > 0 ? runs.call(...running) : undefined;
        const replies = await ask(asks);
        const end = reply === undefined ? undefined : decode(await reply);
        // Which script, in which line, and which key is another matter.
        said.push([...replies, end instanceof Error ? end.message.replace(/[0-9a-f]{40}/g, 'sha') : end]);
        runs.destroy();
        asks.destroy();
      }
      assert.deepEqual(said[1], said[0]);
      return said[1]!.map(String);
    };
    /** Asks until the answer is another than that nothing runs. */
    const whenBusy = (asks: RawClient, ...words: string[]) =>
      until('it to run', async () => {
        const said = String(await asks.call(...words));
        return said.startsWith('-NOTBUSY') ? undefined : said;
      });

    test('nothing runs', async () => {
      const said = await atBoth([], async (asks) => [
        String(await asks.call('SCRIPT', 'KILL')),
        String(await asks.call('FUNCTION', 'KILL')),
      ]);
      assert.match(said[0]!, /^-NOTBUSY/);
    });

    for (const how of [
      ['EVAL', ENDLESS, 1, 'k'],
      ['EVAL_RO', ENDLESS, 0],
    ]) {
      test(`SCRIPT KILL ends ${how[0]} where it runs, FUNCTION KILL does not`, async () => {
        const said = await atBoth(how, async (asks) => [
          await whenBusy(asks, 'FUNCTION', 'KILL'),
          await whenBusy(asks, 'SCRIPT', 'KILL'),
        ]);
        assert.match(said[0]!, /^-BUSY/);
        assert.equal(said[1], '+OK\r\n');
      });
    }

    test('a script that has written can not be killed', async () => {
      const said = await atBoth(['EVAL', LONG, 1, 'w'], async (asks) => [
        await whenBusy(asks, 'SCRIPT', 'KILL'),
      ]);
      assert.match(said[0]!, /^-UNKILLABLE/);
    });

    test('FUNCTION STATS says what runs, FUNCTION KILL ends it, SCRIPT KILL does not', async () => {
      const said = await atBoth(['FCALL', 'endless', 1, 'k'], async (asks) => {
        const busy = await whenBusy(asks, 'SCRIPT', 'KILL');
        const stats = JSON.stringify(await asks.ask('FUNCTION', 'STATS'));
        return [
          busy,
          stats.replace(/"duration_ms",\d+/, '"duration_ms",0'),
          await whenBusy(asks, 'FUNCTION', 'KILL'),
        ];
      });
      assert.match(said[1]!, /"running_script",\["name","endless","command",\["FCALL","endless","1","k"\]/);
      assert.equal(said[2], '+OK\r\n');
    });
  });
}
