/**
 * The oracle: the calls of the tables, the same to a lone server and through the proxy, answered alike.
 *
 * Each sequence runs in RESP2 and in RESP3, one call after the other, and again with all its calls sent at
 * once. Replies are equal to the byte but for the rows of `exceptions.ts`.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RawClient } from '../support/client.ts';
import { availableServers } from '../support/servers.ts';
import { nodeOf } from './alike.ts';
import { COMPARED, comparedOf } from './exceptions.ts';
import { type Both, closeStand, connectBoth, empty, openStand, type Stand } from './stand.ts';
import { type Call, readCalls, type Sequence } from './tables.ts';

const REPLY_WITHIN_MS = 5000;

const tables = readCalls(new URL('calls/', import.meta.url));
const calls = [...tables.values()].flat().flatMap((sequence) => sequence.calls);

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
      stand = await openStand(server);
      control = await connectBoth(stand);
    });

    after(() => closeStand(stand));

    for (const [name, sequences] of tables) {
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
  });
}

/** Runs a sequence on both; what is not alike, a few lines for each call. */
async function compare(stand: Stand, sequence: Sequence, resp: 2 | 3, atOnce: boolean): Promise<string[]> {
  const clients = await connectBoth(stand, resp);
  const [lone, proxy] = await Promise.all([
    run(clients.lone, sequence.calls, atOnce),
    run(clients.proxy, sequence.calls, atOnce),
  ]);
  clients.lone.destroy();
  clients.proxy.destroy();
  return sequence.calls.flatMap((call, i) => {
    const [expected, found] = [lone[i] ?? Buffer.alloc(0), proxy[i] ?? Buffer.alloc(0)];
    if (expected.equals(found)) return [];
    if (comparedOf(wordsOf(call))?.alike(nodeOf(expected), nodeOf(found))) return [];
    return [`${call.at}: ${call.text}\n    alone: ${show(expected)}\n    proxy: ${show(found)}`];
  });
}

/** The replies of a sequence's calls. A call that needs a kept reply waits for all before it. */
async function run(client: RawClient, calls: readonly Call[], atOnce: boolean): Promise<Buffer[]> {
  const kept = new Map<string, Buffer>();
  const replies: Promise<Buffer>[] = [];
  for (const [i, call] of calls.entries()) {
    const waits = !atOnce || call.words.some((word) => 'kept' in word);
    if (waits || i === 0) {
      await Promise.all(replies);
      for (const [j, reply] of (await Promise.all(replies)).entries()) {
        const name = calls[j]?.keep;
        if (name !== undefined) kept.set(name, bulkOf(reply));
      }
      // Until the end of this turn, what is written goes out as one.
      client.socket.cork();
      process.nextTick(() => client.socket.uncork());
    }
    const words = call.words.map((word) => ('kept' in word ? (kept.get(word.kept) ?? '') : word));
    replies.push(answered(client.call(...words)));
  }
  return Promise.all(replies);
}

/** A reply; or in its place that none came. */
async function answered(reply: Promise<Buffer>): Promise<Buffer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Buffer>((resolve) => {
    timer = setTimeout(() => resolve(Buffer.from(`no reply in ${REPLY_WITHIN_MS} ms`)), REPLY_WITHIN_MS);
  });
  const lost = (error: Error) => Buffer.from(error.message);
  return Promise.race([reply.catch(lost), late]).finally(() => clearTimeout(timer));
}

function bulkOf(reply: Buffer = Buffer.alloc(0)): Buffer {
  return reply.subarray(reply.indexOf('\r\n') + 2, -2);
}

function wordsOf(call: Call): string[] {
  return call.words.map((word) => ('kept' in word ? '' : word.toString('latin1')));
}

function show(reply: Buffer): string {
  const text = JSON.stringify(reply.toString('latin1'));
  return text.length > 400 ? `${text.slice(0, 400)}... (${reply.length} bytes)` : text;
}
