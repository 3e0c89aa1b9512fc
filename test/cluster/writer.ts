/**
 * A client that pipelines steps of its own, without a pause if none is asked for, and checks every reply against its model.
 *
 *   steps --> batches of 1..depth --> socket, in cuts --> replies, in order --> model
 *
 * At most `depth` commands are under way. It stops at the first reply that is wrong and remembers it, with
 * what came before and after, since a reply in the wrong place is best seen among its neighbours.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { type Argument, connect, encode, type RawClient } from '../support/client.ts';
import { bulkText, chance, type Mix, Model, type Step, steps } from './model.ts';

export interface WriterOptions extends Mix {
  readonly port: number;
  readonly depth: number;
  readonly seed: number;
  /** How long it rests after each batch, ms: where it writes for long, and the machine has other things to do. */
  readonly pause?: number;
  /** Error replies that leave a write's outcome open. None: no error is allowed. */
  readonly unknown?: RegExp;
}

export class Writer {
  /** What went wrong first. */
  failure: string | undefined;
  replies = 0;
  readonly model = new Model();
  private readonly options: WriterOptions;
  private readonly client: RawClient;
  private stopping = false;
  /** Sent, and not answered yet. */
  private readonly under: Step[] = [];
  private readonly recent: string[] = [];

  static async start(options: WriterOptions): Promise<Writer> {
    const client = await connect(options.port);
    if (options.resp === 3) await client.call('HELLO', 3);
    return new Writer(options, client);
  }

  private constructor(options: WriterOptions, client: RawClient) {
    this.options = options;
    this.client = client;
  }

  /** Writes and reads until it is stopped. Resolves when all its replies have come. */
  async run(): Promise<void> {
    const { depth, seed, pause = 0 } = this.options;
    const random = chance(seed);
    const next = steps(this.options, random);
    while (!this.stopping && this.failure === undefined) {
      const room = depth - this.under.length;
      const batch = Array.from({ length: 1 + Math.floor(random() * room) }, next);
      this.send(batch, random() < 0.2 ? random() : 0);
      // The next batch goes when there is room, or only when some more or all of these have been answered.
      await this.take(Math.floor(random() * depth));
      if (pause > 0) await delay(pause);
    }
    await this.take(0);
  }

  /** No more batches. */
  stop(): void {
    this.stopping = true;
  }

  /** Reads every key back that GET can read, and checks it. */
  async readBack(): Promise<void> {
    const keys = this.model.keys.filter((key) => !/:[eu]\d+$/.test(key));
    if (this.failure !== undefined) return;
    const read = (key: string): Step => ({
      words: ['GET', key],
      keys: [key],
      play: ([state]) => ({ reply: bulkText(state, this.options.resp), after: [state] }),
    });
    this.send(keys.map(read), 0);
    await this.take(0);
  }

  /** Removes every key, so that the next schedule does not move them about. */
  async clear(): Promise<void> {
    const { keys } = this.model;
    if (this.failure !== undefined || keys.length === 0) return;
    await this.client.call('DEL', ...keys);
  }

  close(): void {
    this.client.destroy();
  }

  /** `cut`: where the bytes are parted, as a fraction. */
  private send(batch: Step[], cut: number): void {
    this.under.push(...batch);
    const commands = batch.flatMap(({ before = [], words }) => [...before.map((one) => one.words), words]);
    const bytes = Buffer.concat(commands.map((words) => encode([...words])));
    const at = Math.floor(cut * bytes.length);
    if (at > 0) this.client.send(bytes.subarray(0, at)).catch(() => {});
    this.client.send(bytes.subarray(at)).catch(() => {});
  }

  /** Takes replies until no more than `rest` are missing. */
  private async take(rest: number): Promise<void> {
    const { unknown, client } = this.options;
    while (this.under.length > rest) {
      const step = this.under[0]!;
      let reply: string;
      try {
        for (const { words, reply: expected } of step.before ?? []) {
          const found = await this.read(words);
          if (found !== expected) this.failure ??= `client ${client}: ${words.join(' ')} -> ${found}`;
        }
        reply = await this.read(step.words);
      } catch (error) {
        this.failure ??= `client ${client}: ${step.words.join(' ')}: ${(error as Error).message}`;
        this.under.length = 0;
        return;
      }
      this.under.shift();
      const wrong = this.model.take(step, reply, unknown);
      if (wrong === undefined) continue;
      this.failure ??= `client ${client}: ${wrong}\nbefore it:\n  ${this.recent.join('\n  ')}`;
    }
  }

  /** The next reply, to the command `words`. */
  private async read(words: readonly Argument[]): Promise<string> {
    const reply = (await this.client.read())[0]!.toString('latin1').replaceAll('\r\n', '|');
    this.replies++;
    this.recent.push(`${words.join(' ')} -> ${reply}`.slice(0, 200));
    if (this.recent.length > 20) this.recent.shift();
    return reply;
  }
}
