/**
 * One client of the load: it sends what its work gives it, at its pace, and takes the replies in their order.
 *
 * A pause is the time in which it waited and nothing came, whatever it waited for (WAIT apart). A connection that
 * is closed is opened again; what was under way on it is open.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { connect, decode, encode, type RawClient } from '../support/client.ts';
import type { Step, Work } from './work.ts';

/** What all clients together have seen. */
export interface Sight {
  /** Replies that are no errors. */
  answered: number;
  /** Error replies by command and text, and closed connections; without those that are `unknown`. */
  readonly errors: Map<string, number>;
  /** Error replies to WAIT. */
  readonly unconfirmed: Map<string, number>;
  /** Writes whose outcome is not known. */
  unknown: number;
  /** Reads in flight that could not be asked again, since a write of the same client was behind them. */
  unread: number;
  /** The longest pause, ms. */
  pause: number;
  /** Latencies in ms, by slot, of commands sent one at a time. */
  latencies: { slot: number; ms: number }[];
}

export interface Pace {
  /** The most commands under way; 1: each waits for the reply to the one before. */
  readonly depth: number;
  /** Commands a second, when there is no pause. */
  readonly rate: number;
}

/** Errors that say that a command was under way when its node was lost. */
export interface InFlight {
  /** They leave the outcome of a write open. */
  readonly write: RegExp;
  readonly read?: RegExp;
}

export class Caller {
  readonly work: Work;
  private readonly port: number;
  private readonly pace: Pace;
  private readonly sight: Sight;
  private readonly inFlight: InFlight;
  private client: RawClient | undefined;
  private under: { readonly step: Step; readonly at: number }[] = [];
  private since = 0;
  private credit = 0;
  private tickedAt = performance.now();
  private stopped = false;

  constructor(port: number, work: Work, pace: Pace, sight: Sight, inFlight: InFlight) {
    this.port = port;
    this.work = work;
    this.pace = pace;
    this.sight = sight;
    this.inFlight = inFlight;
  }

  /** Commands under way. */
  get pending(): number {
    return this.under.length;
  }

  /** Connects; rejects if nobody listens. */
  async start(): Promise<void> {
    this.client = await connect(this.port);
    this.listen(this.client);
  }

  /** Sends what is due. Called every few milliseconds. */
  tick(now: number): void {
    const { depth, rate } = this.pace;
    this.credit = Math.min(depth, this.credit + ((now - this.tickedAt) * rate) / 1000);
    this.tickedAt = now;
    const batch = depth === 1 ? 1 : depth >> 1;
    if (this.client === undefined || this.credit < batch || this.under.length + batch > depth) return;
    this.credit -= batch;
    if (this.under.length === 0) this.since = Math.max(this.since, now);
    const steps = Array.from({ length: batch }, () => this.work.step());
    for (const step of steps) this.under.push({ step, at: now });
    this.client.send(Buffer.concat(steps.map(({ words }) => encode([...words])))).catch(() => {});
  }

  /** What is still under way is open: nobody waits for it any longer. */
  close(): void {
    this.stopped = true;
    this.client?.destroy();
    if (this.under.length > 0) this.count('no reply', this.under.length);
    this.abandon();
  }

  private async listen(client: RawClient): Promise<void> {
    for (;;) {
      const reply = await client.read().then(
        ([bytes]) => bytes,
        () => undefined,
      );
      if (reply === undefined) break;
      this.take(reply);
    }
    if (this.stopped) return;
    this.client = undefined;
    this.count('connection closed', 1);
    // It has waited for what was under way, and goes on waiting until it is answered again.
    if (this.under.length === 0) this.since = performance.now();
    this.abandon();
    while (!this.stopped && this.client === undefined) {
      await this.start().catch(() => delay(20));
    }
  }

  private take(bytes: Buffer): void {
    const now = performance.now();
    const first = this.under.shift();
    if (first === undefined) {
      this.count('a reply to nothing', 1);
      return;
    }
    const { step, at } = first;
    if (step.patient !== true) this.sight.pause = Math.max(this.sight.pause, now - this.since);
    this.since = now;
    const reply = decode(bytes);
    if (reply instanceof Error) return this.fail(step, reply.message);
    this.sight.answered++;
    if (this.pace.depth === 1 && step.slot !== undefined)
      this.sight.latencies.push({ slot: step.slot, ms: now - at });
    step.take(reply);
  }

  private fail(step: Step, text: string): void {
    const open = this.inFlight.write.test(text);
    if (step.leaveOpen !== undefined && (open || step.parts)) {
      if (open) this.sight.unknown++;
      step.leaveOpen();
      if (open) return;
    }
    if (step.leaveOpen === undefined && this.inFlight.read?.test(text)) {
      this.sight.unread++;
      return;
    }
    // WAIT asks nodes that may be gone, and is followed to no others: its error says that nothing is confirmed.
    this.count(`${step.words[0]}: ${text}`, 1, step.patient ? this.sight.unconfirmed : this.sight.errors);
  }

  private abandon(): void {
    for (const { step } of this.under.splice(0)) {
      if (step.leaveOpen === undefined) continue;
      this.sight.unknown++;
      step.leaveOpen();
    }
  }

  private count(text: string, times: number, counts = this.sight.errors): void {
    const kind = text.replace(/\d+/g, 'N').slice(0, 160);
    counts.set(kind, (counts.get(kind) ?? 0) + times);
  }
}
