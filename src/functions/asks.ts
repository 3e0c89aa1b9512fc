// What one run has asked and has no answer to yet, and what an answer says to it. Bounded in number and in bytes: a
// library may ask in a loop.

import { decode } from '../resp/value.ts';
import type { ReduceOptions } from './job.ts';
import { asBuffer, type Carrier, sentToCarrier, toCarrier, toSent, toWord, toWords } from './marshal.ts';
import type { Answer, Question } from './protocol.ts';

/** The client, or its run, has ended. */
export const INVALID = 'Used on invalid client';
/** Questions of one run that may wait for their answers. */
export const MAX_ASKS = 10_000;

export interface Ask {
  readonly kind: Question['kind'];
  /** The promises inside: one, or one for each command of `calls`. */
  readonly ids: readonly number[];
  /** For each, whether its bulks are to be ArrayBuffers. */
  readonly raw: readonly boolean[];
  readonly bytes: number;
}

export class Asks {
  private readonly waiting = new Map<number, Ask>();
  private readonly maxBytes: number;
  private count = 0;
  private bytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /**
   * Takes what the prelude has written for a question, and names it by its first promise.
   * @throws an Error where it is nonsense, or where too much is under way
   */
  add(written: unknown, buffers: readonly Uint8Array[]): { ask: number; question: Question } {
    const { ids, raw } = written as { ids: unknown; raw?: unknown };
    if (!Array.isArray(ids) || ids.length === 0 || !ids.every(Number.isSafeInteger))
      throw new TypeError('A question without a name');
    const question = toQuestion(written as Readonly<Record<string, unknown>>, buffers);
    const ask: Ask = {
      kind: question.kind,
      ids: ids as number[],
      raw: Array.isArray(raw) ? raw.map(Boolean) : [],
      bytes: size(question),
    };
    if (this.count + ask.ids.length > MAX_ASKS || this.bytes + ask.bytes > this.maxBytes) {
      throw new Error('Too many calls are under way');
    }
    this.waiting.set(ids[0] as number, ask);
    this.count += ask.ids.length;
    this.bytes += ask.bytes;
    return { ask: ids[0] as number, question };
  }

  /** It is answered. */
  take(id: number): Ask | undefined {
    const ask = this.waiting.get(id);
    if (!ask) return undefined;
    this.waiting.delete(id);
    this.count -= ask.ids.length;
    this.bytes -= ask.bytes;
    return ask;
  }
}

export interface Settlement {
  /** What its promise is: fulfilled, rejected with an Error, rejected with a string. */
  readonly how: 'value' | 'error' | 'string';
  readonly carrier: Carrier;
  readonly buffers: readonly Uint8Array[];
}

/** What the answer says to one of the promises of what was asked. */
export function settlement(answer: Answer, index: number, kind: Ask['kind'], raw: boolean): Settlement {
  const buffers: Uint8Array[] = [];
  const toValue = (carrier: Carrier): Settlement => ({ how: 'value', carrier, buffers });
  const refuse = (text: string): Settlement => ({
    how: kind === 'runOnKey' ? 'string' : 'error',
    carrier: text,
    buffers,
  });
  if ('gone' in answer) return refuse(INVALID);
  if ('error' in answer) return refuse(answer.error);
  if ('sent' in answer) return toValue(sentToCarrier(answer.sent, buffers));
  if ('results' in answer) {
    const results = answer.results.map((sent) => sentToCarrier(sent, buffers));
    return toValue(['a', ['a', ...results], ['a', ...answer.errors]]);
  }
  const reply = answer.replies[index];
  if (!reply) return refuse('There is no reply to this command');
  try {
    return toValue(toCarrier(decode(asBuffer(reply)), raw ? 'raw' : 'text', buffers));
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function toQuestion(written: Readonly<Record<string, unknown>>, buffers: readonly Uint8Array[]): Question {
  const { kind } = written;
  const name = String(written['name']);
  switch (kind) {
    case 'calls':
      return { kind, commands: list(written['commands']).map((each) => toWords(each, buffers)) };
    case 'runOnKey': {
      const args = list(written['args']).map((arg) => toSent(arg, buffers));
      return { kind, key: toWord(written['key'], buffers), name, args };
    }
    case 'runOnShards':
      return { kind, name, args: list(written['args']).map((arg) => toSent(arg, buffers)) };
    case 'map':
    case 'fanout':
      return {
        kind,
        commands: list(written['commands']).map((each) => toWords(each, buffers)),
        reducer: String(written['reducer']),
        options: (written['options'] ?? {}) as ReduceOptions,
      };
  }
  throw new TypeError('A question of no kind');
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('A question without a list');
  return value;
}

/** Bytes of what it carries. */
function size(question: Question): number {
  const parts: { readonly length: number }[] =
    'commands' in question
      ? question.commands.flat()
      : question.args.map((arg) => ('json' in arg ? arg.json : arg.raw));
  return parts.reduce((sum, part) => sum + part.length, 0);
}
