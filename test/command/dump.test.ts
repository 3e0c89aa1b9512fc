import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { crc64, withoutLibraries } from '../../src/command/dump.ts';
import { connect, type RawClient } from '../support/client.ts';
import { type Lone, startLone } from '../support/cluster.ts';
import { availableServers } from '../support/servers.ts';

const SHOWN = 256;
const secret = (code: string) => code.includes('secret');

test('the checksum is that of the servers', () => {
  assert.equal(crc64(Buffer.from('123456789')).readBigUInt64LE(), 0xe9c6d914c4b8d9can);
  assert.equal(crc64(Buffer.alloc(0)).readBigUInt64LE(), 0n);
});

test('what is no payload is not touched', () => {
  for (const text of [
    '',
    'x',
    'x'.repeat(40),
    `\xf5\x7f\xff${'x'.repeat(20)}`,
    `\xf5\xc3\x05\x05${'\xff'.repeat(20)}`,
  ])
    assert.equal(withoutLibraries(Buffer.from(text, 'latin1'), SHOWN, secret), undefined);
});

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let lone: Lone;
    let client: RawClient;

    before(async () => {
      lone = await startLone({ server });
      client = await connect(lone.port);
    });

    after(async () => {
      client?.destroy();
      await lone?.stop();
    });

    for (const compressed of ['yes', 'no']) {
      test(`libraries are left out, and a server takes the rest (compressed: ${compressed})`, async () => {
        await lone.ask('CONFIG', 'SET', 'rdbcompression', compressed);
        const lengths = [1, 20, 100, 20_000, 300_000];
        const load = (name: string, length: number) => {
          const body = `return '${'abcdefgh'.repeat(length / 8)}'`;
          const code = `#!lua name=${name}\nredis.register_function('${name}', function() ${body} end)`;
          return client.ask('FUNCTION', 'LOAD', code);
        };
        for (const length of lengths) {
          assert.equal(await load(`open_${length}`, length), `open_${length}`);
          assert.equal(await load(`secret_${length}`, length), `secret_${length}`);
        }
        const list = async () => {
          const all = (await client.ask('FUNCTION', 'LIST', 'WITHCODE')) as string[][];
          return new Map(all.map((each) => [each[1], each[7]] as const).sort());
        };
        const before = await list();
        const raw = await client.call('FUNCTION', 'DUMP');
        const payload = raw.subarray(raw.indexOf('\n') + 1, -2);
        const rest = withoutLibraries(payload, SHOWN, secret)!;
        await client.ask('FUNCTION', 'FLUSH');
        assert.equal(await client.ask('FUNCTION', 'RESTORE', rest), 'OK');
        assert.deepEqual(await list(), new Map([...before].filter(([name]) => !secret(name!))));
        assert.deepEqual(
          withoutLibraries(payload, SHOWN, () => false),
          payload,
        );
        await client.ask('FUNCTION', 'FLUSH');
      });
    }
  });
}
