// The loader of PUBLISH: one publisher, many subscribers, and a message that counts when all of them have it.
//
//   published   k      k+1    k+2      (in a ring: when each was due, and how many have heard it)
//   subscriber  ======|======|===·     (bytes: frame k is whole, k+1 is come as far as ·)
//
// All messages are of one length and made beforehand, so nothing is parsed: what a subscriber reads is held against
// the bytes that must come, and how many messages that is follows from its length. So none can be lost, come twice
// or change places unseen. At the end of a round everything that was published must have come, and no byte more.
//
// Messages go to the channels in turn: message k to channel k % channels, which every subscriber number s with the
// same s % channels hears. Closed loop: at most `pipeline` messages are not heard by all yet; what becomes free in
// one read is published in one write. Open loop: see loader.ts. Latency is counted for each delivery.

import { connect, type Socket } from 'node:net';
import type { Job } from './loader.ts';
import { Meter, type Sample } from './meter.ts';
import { type FanOutBytes, fanOutBytes, type Workload } from './workloads.ts';

/** Messages under way at the most: a power of two. Only an open loop comes near. */
const IN_FLIGHT = 16384;
/** Subscribers that are being connected at a time. */
const WINDOW = 100;
const COLON = 58;
const LINE_FEED = 10;

const READ_BUFFER = Buffer.allocUnsafe(256 * 1024);

class Subscriber {
  readonly channel: number;
  /** Bytes of messages; messages. */
  bytes = 0;
  heard = 0;
  /** Bytes of the confirmation that are still to come. */
  unconfirmed: number;

  constructor(channel: number, confirmation: number) {
    this.channel = channel;
    this.unconfirmed = confirmation;
  }
}

export class FanOut {
  readonly #job: Job;
  readonly #workload: Workload;
  readonly #end: (result: Sample | Error) => void;
  readonly #made: FanOutBytes;
  readonly #meter: Meter;
  readonly #sockets: Socket[] = [];
  readonly #subscribers: Subscriber[] = [];
  readonly #perChannel: number;
  readonly #due = new Float64Array(IN_FLIGHT);
  readonly #hearers = new Uint32Array(IN_FLIGHT);
  #publisher: Socket | undefined;
  #published = 0;
  /** The first message that has not been heard by all. */
  #oldest = 0;
  #replies = 0;
  #starting = true;
  #stopping = false;
  #over = false;
  #sample: Sample | Error | undefined;

  constructor(job: Job, workload: Workload, end: (result: Sample | Error) => void) {
    this.#job = job;
    this.#workload = workload;
    this.#end = end;
    this.#made = fanOutBytes(workload);
    this.#meter = new Meter(job.pid);
    this.#perChannel = workload.connections / workload.keys;
  }

  async run(): Promise<void> {
    const { connections } = this.#workload;
    const { rate, warm, seconds, requests } = this.#job;
    while (this.#subscribers.length < connections && !this.#over) {
      const window = Math.min(WINDOW, connections - this.#subscribers.length);
      await Promise.all(Array.from({ length: window }, () => this.#subscribe()));
    }
    this.#publisher = await this.#open((count) => this.#replied(count));
    if (this.#over) return;
    if (rate > 0) this.#pump(performance.now(), 1000 / rate);
    else this.#publish(this.#workload.pipeline, performance.now());
    setTimeout(() => {
      this.#starting = false;
      this.#meter.start();
      if (requests === 0) setTimeout(() => this.#stop(), seconds * 1000);
    }, warm * 1000);
  }

  async #subscribe(): Promise<void> {
    const channel = this.#subscribers.length % this.#workload.keys;
    const { subscribe, confirmation } = this.#made.channels[channel]!;
    const subscriber = new Subscriber(channel, confirmation.length);
    this.#subscribers.push(subscriber);
    await new Promise<void>((resolve) => {
      this.#open((count) => {
        if (subscriber.unconfirmed === 0) return this.#hear(subscriber, count);
        const from = confirmation.length - subscriber.unconfirmed;
        if (count > subscriber.unconfirmed || READ_BUFFER.compare(confirmation, from, from + count, 0, count))
          return this.#fail(`wrong reply to SUBSCRIBE: ${excerpt(count)}`);
        subscriber.unconfirmed -= count;
        if (subscriber.unconfirmed === 0) resolve();
      }).then((socket) => socket.write(subscribe));
    });
  }

  #open(read: (count: number) => void): Promise<Socket> {
    const { host, port } = this.#job;
    return new Promise((resolve) => {
      const callback = (count: number) => {
        if (!this.#over) read(count);
        return true;
      };
      const socket = connect({ host, port, noDelay: true, onread: { buffer: READ_BUFFER, callback } });
      this.#sockets.push(socket);
      socket.once('connect', () => resolve(socket));
      socket.on('error', (error) => this.#fail(error.message));
      socket.on('close', () => this.#fail('the endpoint closed the connection'));
    });
  }

  // ---- what is published

  /** The next `count` messages, in as few writes as the ring of them allows. */
  #publish(count: number, due: number): void {
    const { requests, requestLength, variants } = this.#made;
    for (let left = count; left > 0; ) {
      const first = this.#published % variants;
      const together = Math.min(left, variants - first);
      for (let i = 0; i < together; i++) {
        const place = this.#published++ & (IN_FLIGHT - 1);
        this.#due[place] = due;
        this.#hearers[place] = 0;
      }
      this.#publisher!.write(requests.subarray(first * requestLength, (first + together) * requestLength));
      left -= together;
    }
  }

  /** The open loop: the message k is due at `from` + k * `gap`. */
  #pump(from: number, gap: number): void {
    const turn = () => {
      if (this.#stopping || this.#over) return;
      const now = performance.now();
      while (from + this.#published * gap <= now && this.#published - this.#oldest < IN_FLIGHT)
        this.#publish(1, from + this.#published * gap);
      setImmediate(turn);
    };
    turn();
  }

  #replied(count: number): void {
    let line = true;
    for (let i = 0; i < count; i++) {
      const byte = READ_BUFFER[i]!;
      if (line && byte !== COLON && (byte < 48 || byte > 57) && byte !== 13 && byte !== LINE_FEED)
        return this.#fail(`wrong reply to PUBLISH: ${excerpt(count)}`);
      line = byte === LINE_FEED;
      if (line) this.#replies++;
    }
    if (this.#stopping) this.#finishWhenDrained();
  }

  // ---- what is heard

  #hear(subscriber: Subscriber, count: number): void {
    const { frames, frameLength } = this.#made;
    const expected = frames[subscriber.channel]!;
    for (let from = 0; from < count; ) {
      const at = subscriber.bytes % expected.length;
      const take = Math.min(count - from, expected.length - at);
      if (READ_BUFFER.compare(expected, at, at + take, from, from + take) !== 0)
        return this.#fail(`wrong message: ${excerpt(count)}`);
      subscriber.bytes += take;
      from += take;
    }
    const { keys } = this.#workload;
    const now = performance.now();
    const heard = Math.floor(subscriber.bytes / frameLength);
    for (; subscriber.heard < heard; subscriber.heard++) {
      const place = (subscriber.heard * keys + subscriber.channel) & (IN_FLIGHT - 1);
      this.#meter.add(this.#due[place]!, now, 1);
      this.#hearers[place]!++;
    }
    const before = this.#oldest;
    while (
      this.#oldest < this.#published &&
      this.#hearers[this.#oldest & (IN_FLIGHT - 1)] === this.#perChannel
    )
      this.#oldest++;
    if (this.#stopping) return this.#finishWhenDrained();
    if (this.#job.rate === 0 && this.#oldest > before) this.#publish(this.#oldest - before, now);
    const { requests } = this.#job;
    if (requests > 0 && !this.#starting && this.#meter.count >= requests) this.#stop();
  }

  // ---- the end

  #stop(): void {
    if (this.#stopping || this.#over) return;
    this.#stopping = true;
    // A closed loop leaves out what is in flight at the end, as at the start; an open loop owes an account of all.
    if (this.#job.rate === 0) this.#sample = this.#meter.sample(performance.now());
    this.#finishWhenDrained();
  }

  #finishWhenDrained(): void {
    if (this.#over || this.#oldest < this.#published || this.#replies < this.#published) return;
    const { frameLength } = this.#made;
    const { keys } = this.#workload;
    const sample = this.#sample ?? this.#meter.sample(performance.now());
    const wrong = this.#subscribers.find(({ bytes, channel }) => {
      return bytes !== Math.ceil((this.#published - channel) / keys) * frameLength;
    });
    if (wrong !== undefined || this.#replies !== this.#published)
      return this.#fail(`${this.#published} messages were published, and a subscriber has not just these`);
    this.#close(sample);
  }

  #fail(message: string): void {
    this.#close(new Error(message));
  }

  #close(result: Sample | Error): void {
    if (this.#over) return;
    this.#over = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#end(result);
  }
}

function excerpt(count: number): string {
  return JSON.stringify(READ_BUFFER.subarray(0, Math.min(count, 120)).toString('latin1'));
}
