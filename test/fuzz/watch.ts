/**
 * Watches a proxy's process from outside: that it is there, how much memory it holds, how many files it has
 * open, what it says in its log. Everything comes from /proc, so that a proxy that hangs can be watched, too.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

/** What is found is flat: at most this much more in the last fifth of the time than in the second. */
const GROWTH = 1.25;
const GROWTH_MB = 48;

export class Watch {
  /** Resident memory, MB, one a second. */
  readonly rss: number[] = [];
  private readonly proxy: RunningProxy;
  private readonly filesBefore: number;
  private over = false;

  constructor(proxy: RunningProxy) {
    this.proxy = proxy;
    this.filesBefore = this.files;
    proxy.exited.then(() => {
      this.over = true;
    });
  }

  get dead(): boolean {
    return this.over;
  }

  get files(): number {
    return readdirSync(`/proc/${this.proxy.pid}/fd`).length;
  }

  /** Samples until `done`; a problem, if there is one, ends it. */
  async sample(done: () => boolean): Promise<void> {
    while (!done() && !this.over) {
      this.rss.push(this.megabytes());
      await delay(1000);
    }
  }

  /** Throws when the process is not as it should be. `forbidden`: lines that are a fault here. */
  check(forbidden: RegExp): void {
    const { log } = this.proxy;
    if (this.over) throw new Error(`the proxy has ended:\n${log.slice(-20).join('\n')}`);
    const bad = log.find((line) => line.includes('"level":"fatal"') || forbidden.test(line));
    if (bad !== undefined) throw new Error(`the proxy has logged: ${bad}`);
  }

  /** Medians of the second and of the last fifth, MB. Throws when there is a rise worth the name. */
  flat(): { early: number; late: number; peak: number; each20s: number[] } {
    const { rss } = this;
    const fifth = Math.max(1, Math.floor(rss.length / 5));
    const early = median(rss.slice(fifth, 2 * fifth));
    const late = median(rss.slice(-fifth));
    if (rss.length >= 60 && late > early * GROWTH + GROWTH_MB)
      throw new Error(`memory has grown from ${early} to ${late} MB: ${rss.join(' ')}`);
    return { early, late, peak: Math.max(...rss), each20s: rss.filter((_, i) => i % 20 === 0) };
  }

  /** Waits until no more than the files of the start and `links` more are open. */
  async closed(links: number, limitMs: number): Promise<void> {
    await until(
      `the ${this.files} open files to be ${this.filesBefore} and ${links}`,
      () => this.files <= this.filesBefore + links,
      limitMs,
    );
  }

  private megabytes(): number {
    try {
      const line = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.proxy.pid}/status`, 'latin1'));
      return Math.round(Number(line?.[1] ?? 0) / 1024);
    } catch {
      return 0;
    }
  }
}

function median(list: readonly number[]): number {
  return list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
}

/** The last things that were sent, for whoever looks for what did it. */
export class Trail {
  private readonly last: { session: number; what: string; bytes: Buffer }[] = [];

  note(session: number, what: string, bytes: Buffer): void {
    this.last.push({ session, what, bytes: Buffer.from(bytes.subarray(0, 256)) });
    if (this.last.length > 24) this.last.shift();
  }

  text(): string {
    return this.last
      .map(({ session, what, bytes }) => `#${session} ${what}: ${bytes.toString('hex')}`)
      .join('\n');
  }

  /** An error with the seed and with what was sent last. */
  failure(seed: number, error: unknown): Error {
    const { message } = error as Error;
    return new Error(`seed ${seed}: ${message}\nlast inputs:\n${this.text()}`, { cause: error });
  }
}

/** Rejects when it takes longer than `limitMs`: something hangs. Time in which this process itself hung is no part of it. */
export async function within<T>(limitMs: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    let left = 20;
    const wait = () => {
      timer = setTimeout(
        () => (--left > 0 ? wait() : reject(new Error(`no ${what} within ${limitMs} ms`))),
        limitMs / 20,
      );
    };
    wait();
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
