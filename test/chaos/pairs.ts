/**
 * Clients that write and then read what they have written: at once, and again some time later.
 *
 *   one by one    SET k 7 -> OK, GET k -> 7, GET (one written before) -> its last
 *   pipelined     SET a 8, GET a, GET b, SET c 9, GET c, GET d ... in one write
 *
 * A read at once is what clients do that trust what they have written. One some time later is what may be answered
 * by a replica that has caught up in between, or has not.
 */

import { type Argument, connect, decode, type RawClient } from '../support/client.ts';

export interface PairOptions {
  readonly port: number;
  /** In the names of the keys. */
  readonly run: string;
  readonly clients: number;
  /** Pairs of a write and a read, of all clients together. */
  readonly pairs: number;
}

export interface PairCount {
  /** All reads of own keys. */
  reads: number;
  /** Those that showed an older value than the client's own last. */
  stale: number;
  /** Those that showed any other value than that. */
  wrong: number;
  readonly errors: Map<string, number>;
}

/** Keys of each client, over all slots. */
const KEYS = 500;
const DEPTH = 16;

/** Resolves when all pairs are done. */
export async function playPairs({ port, run, clients, pairs }: PairOptions): Promise<PairCount> {
  const count: PairCount = { reads: 0, stale: 0, wrong: 0, errors: new Map() };
  const each = Math.ceil(pairs / clients);
  await Promise.all(
    Array.from({ length: clients }, async (_, i) => {
      const client = await connect(port);
      try {
        await new Pairs(client, `${run}:${i}`, count).run(each, i % 2 === 0 ? 1 : DEPTH);
      } finally {
        client.destroy();
      }
    }),
  );
  return count;
}

class Pairs {
  private readonly client: RawClient;
  private readonly name: string;
  private readonly count: PairCount;
  /** By key: the number of the last write, also one that has only been sent. */
  private readonly written: number[] = new Array(KEYS).fill(0);

  constructor(client: RawClient, name: string, count: PairCount) {
    this.client = client;
    this.name = name;
    this.count = count;
  }

  async run(pairs: number, depth: number): Promise<void> {
    for (let done = 0; done < pairs; done += depth) {
      const commands: Argument[][] = [];
      const expected: (number | undefined)[] = [];
      for (let n = 0; n < depth; n++) {
        const [key, earlier] = [this.anyKey(), this.anyKey()];
        const number = ++this.written[key]!;
        commands.push(['SET', this.nameOf(key), number], ['GET', this.nameOf(key)]);
        commands.push(['GET', this.nameOf(earlier)]);
        expected.push(undefined, number, this.written[earlier]);
      }
      if (depth === 1)
        for (const [i, one] of commands.entries()) this.take(await this.client.call(...one), expected[i]);
      else
        for (const [i, reply] of (await this.client.pipeline(commands)).entries())
          this.take(reply, expected[i]);
    }
  }

  /** `expected`: what a read must show; undefined for a write. */
  private take(bytes: Buffer, expected: number | undefined): void {
    const { count } = this;
    const reply = decode(bytes);
    if (reply instanceof Error) {
      const text = reply.message.replace(/\d+/g, 'N');
      count.errors.set(text, (count.errors.get(text) ?? 0) + 1);
    } else if (expected !== undefined) {
      count.reads++;
      if (Number(reply ?? 0) < expected) count.stale++;
      else if (Number(reply ?? 0) !== expected) count.wrong++;
    }
  }

  private nameOf(key: number): string {
    return `${this.name}:${key}`;
  }

  private anyKey(): number {
    return Math.floor(Math.random() * KEYS);
  }
}
