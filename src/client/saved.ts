// For commands that are worked out over several turns: their arguments, kept, and replies as values. Cold.

import RedisParser from 'redis-parser';
import type { Arguments } from '../command/arguments.ts';
import { COMMAND, Frame, frame, type RequestLimits } from '../resp/request.ts';
import { command } from '../resp/write.ts';

export class SavedArguments implements Arguments {
  /** The whole command as RESP. */
  readonly request: Buffer;
  readonly bytes: Buffer;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly argc: number;

  constructor(f: Frame) {
    this.request = Buffer.from(f.bytes.subarray(f.from, f.to));
    this.bytes = this.request;
    this.argc = f.argc;
    this.starts = f.starts.slice(0, f.argc).map((at) => at - f.from);
    this.ends = f.ends.slice(0, f.argc).map((at) => at - f.from);
  }

  word(i: number): Buffer {
    return this.bytes.subarray(this.starts[i], this.ends[i]);
  }

  text(i: number): string {
    return this.bytes.toString('latin1', this.starts[i], this.ends[i]);
  }

  /** All arguments from one on, the command's name being the first. */
  words(from = 0): Buffer[] {
    return Array.from({ length: this.argc - from }, (_, i) => this.word(from + i));
  }

  texts(from = 0): string[] {
    return Array.from({ length: this.argc - from }, (_, i) => this.text(from + i));
  }
}

export function savedArguments(f: Frame): SavedArguments {
  return new SavedArguments(f);
}

const NO_LIMITS: RequestLimits = { arguments: 2 ** 30, bulk: 2 ** 30, inline: 2 ** 30 };

const scratch = new Frame();

/** A command that the proxy has made: its words, the name first. */
export function argumentsOf(words: readonly Uint8Array[]): SavedArguments {
  const bytes = command(words);
  const f = scratch;
  f.reset(0);
  if (frame(f, bytes, bytes.length, NO_LIMITS, true) !== COMMAND) throw new Error('a command has a name');
  return new SavedArguments(f);
}

/** A text as errors are written: in UTF-8, one character per byte. */
export function inBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** An error reply without its type byte and line break. */
export function textOf(error: Buffer): string {
  return error.toString('latin1', 1, error.length - 2);
}

/** A RESP2 reply as nested arrays of Buffers and numbers; an error reply as an Error. */
export function parseReply(raw: Buffer): unknown {
  let value: unknown;
  const parser = new RedisParser({
    returnReply: (reply: unknown) => {
      value = reply;
    },
    returnError: (error: Error) => {
      value = error;
    },
    returnFatalError: (error: Error) => {
      value = error;
    },
    returnBuffers: true,
  });
  try {
    parser.execute(raw);
  } catch (error) {
    return error;
  }
  return value;
}
