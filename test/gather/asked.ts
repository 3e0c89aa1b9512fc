/** A cluster that writes down what it is asked, and answers as a test has it. */

import type { Held, Queued, Reach, Words } from '../../src/gather/reach.ts';

export interface Asked {
  readonly slot: number;
  /** One command, or those of a transaction, as text; of one that is poured, `POUR` and its names. */
  readonly lines: readonly string[];
}

/** The reply to a command in a slot; undefined: OK. */
export type Answers = (line: string, slot: number) => Buffer | string | undefined;

export class AskedReach implements Reach {
  readonly resp = 2;
  readonly links = 10;
  pourAbove = 1_000_000;
  /** Bytes that were asked for, one after the other. */
  readonly shares: number[] = [];
  readonly asked: Asked[] = [];
  private readonly answers: Answers;

  constructor(answers: Answers = () => undefined) {
    this.answers = answers;
  }

  async ask(slot: number, words: Words): Promise<Buffer> {
    return this.answer(slot, [words])[0]!;
  }

  async atomically(slot: number, commands: readonly Queued[]): Promise<Buffer[]> {
    return this.answer(slot, commands);
  }

  hold(): Promise<Held> {
    throw new Error('nothing is held here');
  }

  ownerOf(slot: number): string {
    return slot < 8192 ? 'one:1' : 'two:2';
  }

  replicasOf(): number {
    return 0;
  }

  within<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    this.shares.push(bytes);
    return work();
  }

  /** All lines, in the order in which they were asked. */
  get lines(): string[] {
    return this.asked.flatMap(({ lines }) => lines);
  }

  private answer(slot: number, commands: readonly Queued[]): Buffer[] {
    const lines = commands.map(lineOf);
    this.asked.push({ slot, lines });
    return lines.map((line) => {
      const said = this.answers(line, slot) ?? '+OK\r\n';
      return typeof said === 'string' ? Buffer.from(said) : said;
    });
  }
}

function lineOf(command: Queued): string {
  if ('as' in command) return `POUR ${command.name} ${command.as}`;
  return command
    .map((word) => (word instanceof Uint8Array ? Buffer.from(word).toString('latin1') : String(word)))
    .join(' ');
}

export const bulk = (bytes: Buffer | string): Buffer =>
  Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), Buffer.from(bytes), Buffer.from('\r\n')]);

/** What DUMP gives of a value: its type, itself, the version of the format, a checksum. */
export function payload(version: number, type = 0): Buffer {
  return Buffer.concat([
    Buffer.from([type]),
    Buffer.from('v'),
    Buffer.from([version, 0]),
    Buffer.alloc(8, 'c'),
  ]);
}
