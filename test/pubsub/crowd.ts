/**
 * Many subscribers on many channels, and publishers whose messages are numbered: who has heard what, how often and
 * in which order.
 *
 * Each publisher numbers its messages on each channel. A message counts as published when its reply says that
 * all have heard it; one whose outcome is unknown may be heard or not, once.
 */

import assert from 'node:assert/strict';
import { connect as open, type Socket } from 'node:net';
import { connect, type RawClient } from '../support/client.ts';
import type { Cluster, Node } from '../support/cluster.ts';
import { until } from '../support/wait.ts';

export interface CrowdOptions {
  readonly subscribers: number;
  readonly channels: number;
  readonly publishers: number;
  /** Shard channels: SSUBSCRIBE and SPUBLISH. */
  readonly shard?: boolean;
}

/** What all subscribers together have heard. */
export interface Account {
  /** Messages that were published, and how often they were to be heard. */
  readonly published: number;
  readonly expected: number;
  readonly heard: number;
  /** Not heard although the publisher was told that all have; heard twice; heard behind a later one of the same publisher. */
  readonly missing: number;
  readonly twice: number;
  readonly late: number;
  /** Publishes without an outcome, refused ones, and those that not all have heard, as the publisher was told. */
  readonly unknown: number;
  readonly refused: number;
  readonly unheard: number;
  /** The longest time in which a subscriber heard nothing, ms. */
  readonly silence: number;
}

const MESSAGE = /\*3\r\n\$[78]\r\ns?message\r\n\$\d+\r\n([^\r]+)\r\n\$\d+\r\n(\d+):(\d+)\r\n/g;

/** One connection that is subscribed to one channel. */
class Subscriber {
  readonly channel: number;
  readonly socket: Socket;
  /** By publisher: the numbers heard, in their order. */
  readonly heard: number[][];
  confirmed = false;
  silence = 0;
  private lastAt = 0;
  private carry = '';

  constructor(port: number, channel: number, publishers: number, shard: boolean) {
    this.channel = channel;
    this.heard = Array.from({ length: publishers }, () => []);
    this.socket = open(port, '127.0.0.1');
    this.socket.setNoDelay(true);
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => this.take(chunk.toString('latin1')));
    this.socket.write(`${shard ? 'SSUBSCRIBE' : 'SUBSCRIBE'} ${channelName(channel)}\r\n`);
  }

  private take(text: string): void {
    const all = this.carry + text;
    let end = 0;
    if (!this.confirmed && /subscribe\r\n.*\r\n.*\r\n:1\r\n/.test(all)) {
      this.confirmed = true;
      end = all.indexOf(':1\r\n') + 4;
    }
    MESSAGE.lastIndex = 0;
    for (let found = MESSAGE.exec(all); found !== null; found = MESSAGE.exec(all)) {
      assert.equal(found[1], channelName(this.channel));
      this.heard[Number(found[2])]!.push(Number(found[3]));
      end = MESSAGE.lastIndex;
      const now = performance.now();
      if (this.lastAt > 0) this.silence = Math.max(this.silence, now - this.lastAt);
      this.lastAt = now;
    }
    this.carry = all.slice(end);
  }
}

export class Crowd {
  private readonly options: CrowdOptions;
  private readonly subscribers: Subscriber[];
  private readonly publishers: RawClient[] = [];
  /** By publisher and channel: the last number given, and those without an outcome or refused. */
  private readonly given: number[][];
  private readonly doubtful: Set<number>[][];
  private unknown = 0;
  private refused = 0;
  private unheard = 0;
  private running: Promise<unknown> | undefined = undefined;
  private stopped = false;

  /** Resolves when all subscriptions are confirmed. Publishers may be at another proxy. */
  static async open(port: number, options: CrowdOptions, publishAt = port): Promise<Crowd> {
    const crowd = new Crowd(port, options);
    await until(
      'all subscriptions to be confirmed',
      () => crowd.subscribers.every(({ confirmed }) => confirmed),
      60_000,
    );
    for (let i = 0; i < options.publishers; i++) crowd.publishers.push(await connect(publishAt));
    return crowd;
  }

  private constructor(port: number, options: CrowdOptions) {
    this.options = options;
    const { subscribers, channels, publishers, shard = false } = options;
    this.subscribers = Array.from(
      { length: subscribers },
      (_, i) => new Subscriber(port, i % channels, publishers, shard),
    );
    this.given = Array.from({ length: publishers }, () => new Array<number>(channels).fill(0));
    this.doubtful = this.given.map((row) => row.map(() => new Set<number>()));
  }

  /** Every publisher publishes on its channels in turn, a few at a time, until `stop`. */
  start(atATime = 20): void {
    this.stopped = false;
    this.running = Promise.all(this.publishers.map((client, i) => this.publish(client, i, atATime)));
  }

  /** How many messages have been published. */
  get published(): number {
    return this.given.flat().reduce((sum, last) => sum + last, 0);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async publish(client: RawClient, publisher: number, atATime: number): Promise<void> {
    const verb = this.options.shard ? 'SPUBLISH' : 'PUBLISH';
    const given = this.given[publisher]!;
    for (let next = publisher; !this.stopped; ) {
      const batch = Array.from({ length: atATime }, () => next++ % this.options.channels);
      const numbers = batch.map((channel) => ++given[channel]!);
      const replies = await client.pipeline(
        batch.map((channel, i) => [verb, channelName(channel), `${publisher}:${numbers[i]!}`]),
      );
      replies.forEach((reply, i) => {
        const text = String(reply);
        if (this.allHeard(text)) return;
        if (text.startsWith(':')) this.unheard++;
        else if (/outcome of this write is unknown/.test(text)) this.unknown++;
        else this.refused++;
        this.doubtful[publisher]![batch[i]!]!.add(numbers[i]!);
      });
    }
  }

  /** The reply says that all subscribers of a channel have heard. */
  private allHeard(reply: string): boolean {
    const { subscribers, channels } = this.options;
    return reply.startsWith(':') && Number(reply.slice(1)) >= Math.floor(subscribers / channels);
  }

  /** Waits until the last message of every publisher has come to all, and counts. `limitMs`: for what may be missing. */
  async account(limitMs = 30_000): Promise<Account> {
    const last = await Promise.all(
      this.publishers.map((client, publisher) => this.finish(client, publisher)),
    );
    await until(
      'the last messages',
      () =>
        this.subscribers.every(({ channel, heard }) =>
          heard.every((numbers, publisher) => numbers.at(-1) === last[publisher]![channel]),
        ),
      limitMs,
    );
    return this.count();
  }

  /** One last message on each channel, that is certain to have been published. */
  private async finish(client: RawClient, publisher: number): Promise<number[]> {
    const verb = this.options.shard ? 'SPUBLISH' : 'PUBLISH';
    const given = this.given[publisher]!;
    for (let channel = 0; channel < given.length; channel++) {
      await until('a last message', async () => {
        const number = ++given[channel]!;
        const reply = String(await client.call(verb, channelName(channel), `${publisher}:${number}`));
        const heard = this.allHeard(reply);
        if (!heard) this.doubtful[publisher]![channel]!.add(number);
        return heard;
      });
    }
    return given;
  }

  private count(): Account {
    let [expected, heard, missing, twice, late, silence] = [0, 0, 0, 0, 0, 0];
    for (const subscriber of this.subscribers) {
      silence = Math.max(silence, subscriber.silence);
      subscriber.heard.forEach((numbers, publisher) => {
        const doubtful = this.doubtful[publisher]![subscriber.channel]!;
        const seen = new Set(numbers);
        heard += numbers.filter((number) => !doubtful.has(number)).length;
        twice += numbers.length - seen.size;
        const certain = numbers.filter((number) => !doubtful.has(number));
        for (let i = 1; i < certain.length; i++) if (certain[i]! < certain[i - 1]!) late++;
        for (let number = 1; number <= this.given[publisher]![subscriber.channel]!; number++) {
          if (doubtful.has(number)) continue;
          expected++;
          if (!seen.has(number)) missing++;
        }
      });
    }
    const { unknown, refused, unheard, published } = this;
    return {
      published,
      expected,
      heard,
      missing,
      twice,
      late,
      unknown,
      refused,
      unheard,
      silence: Math.round(silence),
    };
  }

  close(): void {
    for (const { socket } of this.subscribers) socket.destroy();
    for (const client of this.publishers) client.destroy();
  }
}

/** The node at which a channel is heard, which may not be its slot's owner any more. */
export async function heardAt(cluster: Cluster, channel: number, shard = false): Promise<Node> {
  return until(`channel ${channel} to be heard somewhere`, async () => {
    for (const node of cluster.nodes) {
      const ask = ['PUBSUB', shard ? 'SHARDNUMSUB' : 'NUMSUB', channelName(channel)] as const;
      const reply = (await cluster.cli(node.port, ...ask)) as unknown[];
      if (Number(reply[1]) > 0) return node;
    }
    return undefined;
  });
}

export function channelName(channel: number): string {
  return `channel:${channel}`;
}
