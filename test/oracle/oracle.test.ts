/**
 * The oracle: the calls of the tables, the same to a lone server and through the proxy, answered alike.
 *
 * Each sequence runs in RESP2 and in RESP3, one call after the other, and again with all its calls sent at
 * once. Replies are equal to the byte but for the rows of `exceptions.ts`; those that the proxy gives in its
 * own way are held to what they say there.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RawClient } from '../support/client.ts';
import { availableServers } from '../support/servers.ts';
import { everything } from './bytes.ts';
import { COMPARED, comparedOf, ELSEWHERE, OTHERWISE } from './exceptions.ts';
import { compare, run, wordsOf } from './run.ts';
import { type Both, closeStand, connectBoth, empty, openStand, type Stand, show } from './stand.ts';
import { readBytes, readCall, readCalls } from './tables.ts';

const PASSWORD = 'secret';

const open = readCalls(new URL('calls/', import.meta.url));
const locked = readCalls(new URL('locked/', import.meta.url));
const calls = [...open.values(), ...locked.values()].flat().flatMap((sequence) => sequence.calls);

test('the tables hold more than 600 different calls', () => {
  const different = new Set(calls.map(({ text }) => text)).size;
  assert.ok(different >= 600, `${different} different calls`);
});

test('every exception is about a call of the tables', () => {
  const used = new Set(calls.map((call) => comparedOf(wordsOf(call))));
  const idle = COMPARED.filter((row) => !used.has(row));
  assert.deepEqual(idle, []);
});

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let stand: Stand;
    let control: Both<RawClient>;

    before(async () => {
      stand = await openStand({ server });
      control = await connectBoth(stand);
    });

    after(() => closeStand(stand));

    test('every command of the server is called', async () => {
      const commands = (await stand.lone.ask('COMMAND')) as unknown[][];
      const names = commands.flatMap((row) => [row, ...(row[9] as unknown[][])]).map((row) => String(row[0]));
      const others = OTHERWISE.flatMap((row) => row.calls.map((text) => readCall(text)));
      const called = new Set(
        [...calls, ...others].flatMap((call) => {
          const [name = '', subcommand = ''] = wordsOf(call).map((word) => word.toLowerCase());
          return [name, `${name}|${subcommand}`];
        }),
      );
      const elsewhere = (name: string) => ELSEWHERE.some(({ commands }) => commands.test(name));
      assert.deepEqual(
        names.filter((name) => !called.has(name) && !elsewhere(name)),
        [],
      );
    });

    for (const [name, sequences] of open) {
      for (const resp of [2, 3] as const) {
        for (const atOnce of [false, true]) {
          const how = atOnce ? 'all at once' : 'one after the other';
          test(`${name} in RESP${resp}, ${how}, as one server`, async () => {
            const differences: string[] = [];
            for (const sequence of sequences) {
              await empty(control);
              differences.push(...(await compare(stand, sequence, resp, atOnce)));
            }
            assert.equal(differences.join('\n'), '');
          });
        }
      }
    }

    for (const { name, lines } of readBytes(new URL('bytes/open.bytes', import.meta.url))) {
      test(`bytes: ${name}, as one server`, async () => {
        for (const { bytes, at } of lines) {
          for (const first of ['', 'HELLO 3\r\n']) {
            await empty(control);
            const input = Buffer.concat([Buffer.from(first), bytes]);
            assert.equal(
              await everything(stand.proxy.port, input),
              await everything(stand.lone.port, input),
              at,
            );
          }
        }
      });
    }

    for (const { reason, calls, before = [], reply, proxyOnly } of OTHERWISE) {
      test(`otherwise: ${reason}`, async () => {
        for (const text of calls) {
          await empty(control);
          const sequence = [...before, text].map((line) => readCall(line));
          for (const resp of [2, 3] as const) {
            const clients = await connectBoth(stand, resp);
            const found = (await run(clients.proxy, sequence, false)).at(-1) ?? Buffer.alloc(0);
            assert.match(found.toString('latin1'), reply, text);
            if (!proxyOnly) {
              const alone = (await run(clients.lone, sequence, false)).at(-1) ?? Buffer.alloc(0);
              assert.notEqual(show(found), show(alone), `${text} needs no exception`);
            }
            clients.lone.destroy();
            clients.proxy.destroy();
          }
        }
      });
    }
  });

  describe(`${server.flavour} ${server.version} with a password`, () => {
    let stand: Stand;
    let control: Both<RawClient>;

    before(async () => {
      stand = await openStand({ server, replicas: 0, password: PASSWORD });
      control = await connectBoth(stand);
      for (const client of [control.lone, control.proxy]) await client.call('AUTH', PASSWORD);
    });

    after(() => closeStand(stand));

    for (const [name, sequences] of locked) {
      test(`${name}, as one server`, async () => {
        for (const sequence of sequences) {
          await empty(control);
          assert.equal((await compare(stand, sequence, 2, false)).join('\n'), '');
        }
      });
    }

    for (const { name, lines } of readBytes(new URL('bytes/locked.bytes', import.meta.url))) {
      test(`bytes: ${name}, as one server`, async () => {
        for (const { bytes, at } of lines) {
          await empty(control);
          assert.equal(
            await everything(stand.proxy.port, bytes),
            await everything(stand.lone.port, bytes),
            at,
          );
        }
      });
    }
  });
}
