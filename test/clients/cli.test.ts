/** redis-cli and valkey-cli, as they are, against the proxy: what they do on their own and what one types. */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { type Ended, noTerminal, type RunOptions, run, Terminal } from './programs.ts';

const LOADED = 100_000;
const KEYS = 5000;

for (const server of await availableServers()) {
  describe(`${server.flavour}-cli ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let env: NodeJS.ProcessEnv;

    before(async () => {
      cluster = await startCluster({ server, replicas: 0 });
      proxy = await startProxy({ cluster });
      env = { ...server.env, REDISCLI_HISTFILE: '/dev/null', VALKEYCLI_HISTFILE: '/dev/null' };
    });

    after(async () => {
      await proxy?.stop();
      await cluster?.stop();
    });

    const cli = (args: string[], options: RunOptions = {}): Promise<Ended> =>
      run(server.cli, ['-p', String(proxy.port), ...args], { env, ...options });

    /** What one command prints. */
    const said = async (...args: string[]) => {
      const { code, out, err } = await cli(args);
      assert.equal(err, '');
      assert.equal(code, 0);
      return out.trimEnd();
    };

    const load = (count: number) =>
      cli(['--pipe'], {
        input: Array.from({ length: count }, (_, i) => `SET key:${i} value-${i}\r\n`).join(''),
      });

    test('loads a hundred thousand commands with --pipe, without an error', async () => {
      const { out } = await load(LOADED);
      assert.match(out, new RegExp(`errors: 0, replies: ${LOADED}\\b`));
      assert.equal(await said('DBSIZE'), String(LOADED));
      assert.equal(await said('GET', 'key:99999'), 'value-99999');
      assert.equal(await said('FLUSHALL'), 'OK');
    });

    test('counts the errors of --pipe', async () => {
      const input = 'SET a 1\r\nLPUSH a 1\r\nNONSENSE\r\nSET a 2\r\n';
      const { out, err } = await cli(['--pipe'], { input });
      assert.match(out, /errors: 2, replies: 4\b/);
      assert.match(out + err, /WRONGTYPE/);
      assert.match(out + err, /unknown command 'NONSENSE'/);
      await said('DEL', 'a');
    });

    test('walks all keys with --scan, each at least once', async () => {
      await load(KEYS);
      const { code, out, err } = await cli(['--scan']);
      assert.equal(err, '');
      assert.equal(code, 0);
      const keys = new Set(out.trimEnd().split('\n'));
      assert.equal(keys.size, KEYS);
      const some = await cli(['--scan', '--pattern', 'key:123?']);
      assert.equal(new Set(some.out.trimEnd().split('\n')).size, 10);
    });

    test('finds the biggest keys with --bigkeys and --memkeys', async () => {
      await said('SET', 'big:string', 'x'.repeat(5000));
      await said('RPUSH', 'big:list', ...'abcdefgh');
      await said('HSET', 'big:hash', 'f', 'v', 'g', 'w');
      for (const option of ['--bigkeys', '--memkeys']) {
        const { code, out, err } = await cli([option]);
        assert.equal(err, '', option);
        assert.equal(code, 0, option);
        assert.match(out, /Sampled 500[0-9] keys in the keyspace/, option);
        assert.match(out, /Biggest string found .*big:string"?'? has/, option);
        assert.match(out, /Biggest +list found .*big:list"?'? has/, option);
        assert.match(out, /Biggest +hash found .*big:hash"?'? has/, option);
      }
    });

    test('measures with --latency until it is interrupted', async () => {
      const { out } = await cli(['--latency', '--raw', '-i', '1']);
      const [min, max, average, samples] = out.trim().split(' ').map(Number);
      assert.ok(min! >= 0 && max! >= min! && average! >= 0 && samples! > 1, out);
    });

    test('shows figures with --stat', { skip: noTerminal }, async () => {
      const command = `${server.cli} -p ${proxy.port} --stat -i 0.1`;
      const terminal = await Terminal.open(command, 'connections', env);
      try {
        await terminal.shows('', /(^500\d +[\d.]+[KMG] +\d+ +0 +\d+ .*\n){3}/m);
        await terminal.leave('\x03');
      } finally {
        await terminal.close();
      }
    });

    test('is refused a copy of the data, with the setting that rules it', async () => {
      for (const option of ['--rdb', '--functions-rdb']) {
        const file = join(cluster.folder, 'copy.rdb');
        const { code, out, err } = await cli([option, file]);
        assert.equal(code, 1, option);
        assert.match(out + err, /slotless: '(replconf|sync|psync)' is refused; the setting 'allow'/, option);
        assert.ok(!existsSync(file), option);
      }
      const { code, out, err } = await cli(['--replica'], { limitMs: 10_000 });
      assert.equal(code, 1);
      assert.match(out + err, /slotless: '(replconf|sync|psync)' is refused/);
    });

    test('speaks RESP3 with -3', async () => {
      await said('DEL', 'h');
      await said('HSET', 'h', 'f', 'v');
      assert.equal(await said('-3', '--no-raw', 'HGETALL', 'h'), '1# "f" => "v"');
      assert.match(await said('-3', 'HELLO'), /^proto\s3$/m);
      assert.match(await said('-3', '--no-raw', 'CLIENT', 'INFO'), /\bresp=3\b/);
      assert.equal(await said('-3', '--json', 'HGETALL', 'h'), '{"f":"v"}');
    });

    test('runs a script file with --eval, repeats with -r, reads a value with -x', async () => {
      assert.equal(await said('DEL', 'n'), '0');
      assert.equal(await said('-r', '3', 'INCR', 'n'), '1\n2\n3');
      const { out } = await cli(['-x', 'SET', 'x'], { input: 'from the input' });
      assert.equal(out, 'OK\n');
      assert.equal(await said('GET', 'x'), 'from the input');
      assert.equal(await said('EVAL', 'return redis.call("GET", KEYS[1])', '1', 'x'), 'from the input');
    });

    test('reads commands from its input, in order', async () => {
      const { code, out } = await cli([], { input: 'SET a 1\nINCR a\nMGET a b\nDEL a\nGET a\nPING\n' });
      assert.equal(code, 0);
      assert.equal(out, 'OK\n2\n2\n\n1\n\nPONG\n');
    });

    test('is told that it is one server, and follows no redirects with -c', async () => {
      assert.match(await said('INFO', 'server'), /(redis|server)_mode:standalone/);
      for (const key of ['a', 'b', 'c', 'd', 'e']) assert.equal(await said('-c', 'SET', key, 'v'), 'OK');
    });

    test('is told clearly what is not served', async () => {
      const refused: [string[], RegExp][] = [[['SHUTDOWN'], /'shutdown' is refused; the setting 'allow'/]];
      for (const [command, text] of refused) {
        const { out, err } = await cli(command, { limitMs: 5000 });
        assert.match(out + err, text);
      }
    });

    test('publishes, and counts who is subscribed', async () => {
      assert.equal(await said('PUBLISH', 'news', 'hello'), '0');
      assert.equal(await said('SPUBLISH', 'news', 'hello'), '0');
      assert.equal(await said('PUBSUB', 'NUMSUB', 'a', 'b'), 'a\n0\nb\n0');
      assert.equal(await said('PUBSUB', 'NUMPAT'), '0');
      assert.equal(await said('PUBSUB', 'CHANNELS', '*'), '');
      assert.match(await said('PUBSUB', 'HELP'), /^NUMPAT$/m);
    });

    test('reads messages at a terminal', { skip: noTerminal }, async () => {
      for (const [version, verb] of [
        ['-2', 'SUBSCRIBE'],
        ['-3', 'SUBSCRIBE'],
        ['-2', 'PSUBSCRIBE'],
        ['-3', 'SSUBSCRIBE'],
      ] as const) {
        const prompt = `127.0.0.1:${proxy.port}> `;
        const terminal = await Terminal.open(`${server.cli} ${version} -p ${proxy.port}`, prompt, env);
        try {
          const kind = verb.toLowerCase();
          const confirmed = `1) "${kind}"\n2) "news"\n3) (integer) 1\n`;
          await terminal.shows(
            `${verb} news sport\r`,
            `${confirmed}1) "${kind}"\n2) "sport"\n3) (integer) 2\n`,
          );
          for (const channel of ['news', 'sport']) {
            const pattern = verb === 'PSUBSCRIBE' ? `"${channel}"\n3\\) ` : '';
            const shown = terminal.shows(
              '',
              new RegExp(`message"\n2\\) ${pattern}"${channel}"\n[34]\\) "two words"\n`),
            );
            const publish = verb === 'SSUBSCRIBE' ? 'SPUBLISH' : 'PUBLISH';
            assert.equal(await said(publish, channel, 'two words'), '1');
            await shown;
          }
        } finally {
          await terminal.close();
        }
        await until('it to be gone', async () => (await said('PUBSUB', 'CHANNELS')) === '');
        await until('its patterns to be gone', async () => (await said('PUBSUB', 'NUMPAT')) === '0');
      }
    });

    test('passes messages on to another program', { skip: noTerminal }, async () => {
      const command = `${server.cli} -p ${proxy.port} PSUBSCRIBE 'n*' '*s' | cat`;
      const terminal = await Terminal.open(command, 'psubscribe\nn*\n1\npsubscribe\n*s\n2\n', env);
      try {
        const shown = ['n*', '*s'].map((pattern) => `pmessage\n${pattern}\nnews\nhello\n`);
        const both = { test: (text: string) => shown.every((one) => text.includes(one)) };
        const read = terminal.shows('', both);
        assert.equal(await said('PUBLISH', 'news', 'hello'), '2');
        await read;
      } finally {
        await terminal.close();
      }
    });

    test('is at home at a terminal', { skip: noTerminal }, async () => {
      const prompt = `127.0.0.1:${proxy.port}> `;
      for (const version of ['-2', '-3']) {
        const terminal = await Terminal.open(`${server.cli} ${version} -p ${proxy.port}`, prompt, env);
        try {
          assert.equal(await terminal.type('SET t 1'), 'OK\n');
          assert.equal(await terminal.type('MGET t none'), '1) "1"\n2) (nil)\n');
          assert.match(await terminal.type('HELP ZADD'), /ZADD key \[NX.*\n.*summary:.*\n.*since: 1\.2\.0/);
          assert.equal(
            await terminal.type('GET'),
            "(error) ERR wrong number of arguments for 'get' command\n",
          );
          assert.match(await terminal.type('CLIENT INFO'), version === '-3' ? /resp=3/ : /resp=2/);
          // The hint comes from the server's COMMAND DOCS or from the program itself.
          await terminal.shows('ZRANGE ', 'key start stop');
          assert.equal(await terminal.leave('\x15exit'), 0);
        } finally {
          await terminal.close();
        }
      }
    });
  });
}
