/**
 * A client that does nothing wrong, while others do: each of its replies has to come, soon and exactly.
 */

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { encode, type RawClient } from '../support/client.ts';
import type { RunningProxy } from '../support/proxy.ts';
import type { Random } from './random.ts';
import { within } from './watch.ts';

export interface HealthyOptions {
  /** Its keys: some twenty, nobody else's. */
  keys: readonly string[];
  resp: 2 | 3;
  /** How long any reply may take. */
  hangMs: number;
  /** Of fake nodes, which keep text and know RESP2 alone. */
  fake?: boolean;
}

/** Runs until `done`; gives the number of replies and the longest time one took, ms. Rejects at a wrong one. */
export async function healthy(
  proxy: RunningProxy,
  random: Random,
  { keys, resp, hangMs, fake = false }: HealthyOptions,
  done: () => boolean,
): Promise<{ replies: number; slowest: number }> {
  const client = await proxy.connect();
  await client.call('HELLO', resp);
  const mask = fake ? 0x7f : 0xff;
  const none = Buffer.from(resp === 3 && !fake ? '_\r\n' : '$-1\r\n');
  const values = new Map<string, Buffer>();
  const counts = new Map<string, number>();
  const plain = keys.slice(0, keys.length / 2);
  const counters = keys.slice(keys.length / 2);
  const [report, bulk] = [
    { replies: 0, slowest: 0 },
    (one: Buffer | undefined) => (one ? bulkOf(one) : none),
  ];
  const expectation = (): [(string | Buffer)[], Buffer] => {
    const key = random.pick(plain);
    switch (random.int(5)) {
      case 0: {
        const value = random.chance(0.05)
          ? Buffer.alloc(random.size(300_000), key)
          : masked(random.bytes(random.size(500)), mask);
        values.set(key, value);
        return [['SET', key, value], Buffer.from('+OK\r\n')];
      }
      case 1: {
        const counter = random.pick(counters);
        counts.set(counter, (counts.get(counter) ?? 0) + 1);
        return [['INCR', counter], Buffer.from(`:${counts.get(counter)}\r\n`)];
      }
      case 2: {
        const several = Array.from({ length: 1 + random.int(8) }, () => random.pick(plain));
        const parts = several.map((one) => bulk(values.get(one)));
        return [['MGET', ...several], Buffer.concat([Buffer.from(`*${several.length}\r\n`), ...parts])];
      }
      default:
        return [['GET', key], bulk(values.get(key))];
    }
  };
  try {
    while (!done()) {
      const some = Array.from({ length: random.size(12) }, expectation);
      const began = performance.now();
      client.send(Buffer.concat(some.map(([args]) => encode(args)))).catch(() => {});
      const replies = await within(hangMs, "healthy client's reply", client.read(some.length));
      report.slowest = Math.max(report.slowest, Math.round(performance.now() - began));
      for (const [i, [args, expected]] of some.entries()) {
        if (replies[i]!.equals(expected)) continue;
        assert.fail(`${args.slice(0, 2).join(' ')}: ${shown(replies[i]!)} instead of ${shown(expected)}`);
      }
      report.replies += some.length;
      await delay(random.int(10));
    }
  } finally {
    end(client);
  }
  return report;
}

function end(client: RawClient): void {
  client.destroy();
}

function masked(bytes: Buffer, mask: number): Buffer {
  for (let i = 0; i < bytes.length; i++) bytes[i] = bytes[i]! & mask;
  return bytes;
}

function bulkOf(value: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`$${value.length}\r\n`), value, Buffer.from('\r\n')]);
}

function shown(bytes: Buffer): string {
  return JSON.stringify(bytes.toString('latin1', 0, 120));
}
