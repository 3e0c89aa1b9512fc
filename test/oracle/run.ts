/** Runs a sequence of calls on both and says where the replies are not alike. */

import type { RawClient } from '../support/client.ts';
import { nodeOf } from './alike.ts';
import { comparedOf } from './exceptions.ts';
import { connectBoth, type Stand, show } from './stand.ts';
import type { Call, Sequence } from './tables.ts';

const REPLY_WITHIN_MS = 5000;

/** What is not alike, a few lines for each call. `atOnce`: all calls are sent before the first reply is read. */
export async function compare(
  stand: Stand,
  sequence: Sequence,
  resp: 2 | 3,
  atOnce: boolean,
): Promise<string[]> {
  const clients = await connectBoth(stand, resp);
  const pipelined = atOnce && !sequence.oneByOne;
  const [lone, proxy] = await Promise.all([
    run(clients.lone, sequence.calls, pipelined),
    run(clients.proxy, sequence.calls, pipelined),
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
export async function run(client: RawClient, calls: readonly Call[], atOnce: boolean): Promise<Buffer[]> {
  const kept = new Map<string, Buffer>();
  const replies: Promise<Buffer>[] = [];
  for (const [i, call] of calls.entries()) {
    if (i === 0 || !atOnce || call.words.some((word) => 'kept' in word)) {
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

/** The words of a call as text, one character a byte. */
export function wordsOf(call: Call): string[] {
  return call.words.map((word) => ('kept' in word ? '' : word.toString('latin1')));
}

/** A reply; or in its place, that none came. */
async function answered(reply: Promise<Buffer>): Promise<Buffer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Buffer>((resolve) => {
    timer = setTimeout(() => resolve(Buffer.from('-no reply came\r\n')), REPLY_WITHIN_MS);
  });
  const lost = (error: Error) => Buffer.from(`-${error.message}\r\n`);
  return Promise.race([reply.catch(lost), late]).finally(() => clearTimeout(timer));
}

function bulkOf(reply: Buffer): Buffer {
  return reply.subarray(reply.indexOf('\r\n') + 2, -2);
}
