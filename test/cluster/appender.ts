/**
 * A client that appends numbers to a key of its own, and can tell afterwards what has become of them. Unlike a
 * Writer (writer.ts) it bears that servers lose what they have acknowledged, as they do in a failover: it tells what
 * is missing, and throws for what must never be, a number twice or behind a greater one.
 */

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { RawClient } from '../support/client.ts';

/** Under way at a time. */
const DEPTH = 8;
/** How long it rests after each batch, ms: a failover takes long, and needs the machine itself. */
const PAUSE = 5;

export class Appender {
  readonly acknowledged: number[] = [];
  errors = 0;
  private readonly client: RawClient;
  private readonly key: string;
  private readonly allowed: RegExp;
  private next = 0;
  private stopping = false;

  /** @param allowed errors that it may be given */
  constructor(client: RawClient, key: string, allowed = /the outcome of this write is unknown/) {
    this.client = client;
    this.key = key;
    this.allowed = allowed;
  }

  /** Appends until it is stopped. */
  async run(): Promise<void> {
    while (!this.stopping) {
      const from = this.next;
      const batch = Array.from({ length: DEPTH }, () => ['APPEND', this.key, `${this.next++},`]);
      for (const [i, reply] of (await this.client.pipeline(batch)).map(String).entries()) {
        if (reply.startsWith(':')) {
          this.acknowledged.push(from + i);
          continue;
        }
        assert.match(reply, this.allowed);
        this.errors++;
      }
      await delay(PAUSE);
    }
  }

  stop(): void {
    this.stopping = true;
  }

  /** How many acknowledged numbers are missing, and in how many runs; asked of `client`. */
  async check(client = this.client): Promise<{ missing: number; runs: number }> {
    const value = String((await client.ask('GET', this.key)) ?? '');
    const there = value.split(',').slice(0, -1).map(Number);
    for (const [i, number] of there.entries())
      assert.ok(i === 0 || there[i - 1]! < number, `${this.key}: ${there[i - 1]} before ${number}`);
    const found = new Set(there);
    const missing = this.acknowledged.map((number) => !found.has(number));
    const runs = missing.filter((gone, i) => gone && missing[i - 1] !== true).length;
    return { missing: missing.filter(Boolean).length, runs };
  }
}
