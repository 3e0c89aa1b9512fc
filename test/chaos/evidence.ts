/**
 * What a primary had executed when it was killed or frozen, from its append-only file: whether an acknowledged write
 * that is gone was lost by the failover (it stands there: replication is asynchronous) or by the proxy (it does not).
 *
 * A server writes to its file before it replies, and what it has handed to the kernel outlives its process. So the
 * file holds every write that it acknowledged. Keys belong to one round, so that what stands in the file's base, from
 * before, does not matter.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Loss, recordsOf } from './ledger.ts';

export class Evidence {
  /** By key: how often it was counted up, and the numbers that were appended or set. */
  private readonly counts = new Map<string, number>();
  private readonly numbers = new Map<string, Set<number>>();

  /** Reads the file of the node that works in `folder`. Others' keys than those of `round` are left out. */
  read(folder: string, round: string): void {
    const files = join(folder, 'appendonlydir');
    for (const file of readdirSync(files)) {
      if (!/\.incr\.aof$/.test(file)) continue;
      for (const words of commandsOf(readFileSync(join(files, file)))) this.take(words, `${round}:`);
    }
  }

  /** The node had executed the write, and so it was the cluster that lost it. */
  shows({ key, number }: Loss): boolean {
    return (this.counts.get(key) ?? 0) >= number || this.numbers.get(key)?.has(number) === true;
  }

  private take([name, ...words]: string[], prefix: string): void {
    if (words[0]?.startsWith(prefix) !== true) return;
    const command = name?.toUpperCase();
    const [key = '', value = ''] = words;
    if (command === 'INCR') this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    if (command === 'APPEND') this.note(key, recordsOf(value)[0]);
    if (command === 'SET') this.note(key, Number(value));
    if (command === 'MSET')
      for (let i = 0; i < words.length; i += 2) this.note(words[i]!, Number(words[i + 1]));
  }

  private note(key: string, number = 0): void {
    const set = this.numbers.get(key);
    if (set === undefined) this.numbers.set(key, new Set([number]));
    else set.add(number);
  }
}

/** The whole commands of an append-only file, as their words. */
function* commandsOf(bytes: Buffer): Generator<string[]> {
  let at = 0;
  const number = () => {
    const end = bytes.indexOf('\r\n', at);
    const value = Number(bytes.toString('latin1', at + 1, end));
    at = end < 0 ? bytes.length : end + 2;
    return value;
  };
  while (at < bytes.length) {
    const words: string[] = [];
    for (let left = number(); left > 0 && at < bytes.length; left--) {
      const length = number();
      words.push(bytes.toString('latin1', at, at + length));
      at += length + 2;
    }
    // The last one may be cut where the process was killed.
    if (at <= bytes.length) yield words;
  }
}
