/**
 * Reads the tables of calls: one call a line, as one would type it.
 *
 *     # a comment
 *     == a sequence's name           a fresh keyspace and a fresh connection
 *     SET k "two words\r\n\x00"      quotes and escapes as redis-cli has them, anywhere in a word
 *     SET big <ab*600000>            ab, so many times
 *     dump = DUMP k                  keeps the reply, which must be a bulk
 *     RESTORE l 0 $dump              and uses it
 */

import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** An argument; or the name of a kept reply that stands in its place. */
export type Word = Buffer | { readonly kept: string };

export interface Call {
  /** As it stands in the table. */
  readonly text: string;
  /** File and line. */
  readonly at: string;
  readonly words: readonly Word[];
  /** The name its reply is kept under. */
  readonly keep: string | undefined;
}

export interface Sequence {
  readonly name: string;
  /** Never as a pipeline: the heading says so. */
  readonly oneByOne: boolean;
  readonly calls: readonly Call[];
}

/** Every table of a folder, by its file's name. */
export function readCalls(folder: URL): Map<string, Sequence[]> {
  const files = readdirSync(folder).filter((name) => name.endsWith('.calls'));
  return new Map(files.sort().map((name) => [basename(name, '.calls'), sequences(new URL(name, folder))]));
}

function sequences(file: URL): Sequence[] {
  return sections(file).map(({ name, lines }) => ({
    name,
    oneByOne: name.endsWith(', one after the other'),
    calls: lines.map(({ text, at }) => readCall(text, at)),
  }));
}

/** The lines of a table, in the order they stand, under the headings they stand under (at first, none). */
export function sections(file: URL): { name: string; lines: { text: string; at: string }[] }[] {
  const found: ReturnType<typeof sections> = [{ name: '', lines: [] }];
  readFileSync(file, 'utf8')
    .split('\n')
    .forEach((text, i) => {
      if (text === '' || text.startsWith('#')) return;
      const at = `${basename(file.pathname)}:${i + 1}`;
      if (text.startsWith('== ')) found.push({ name: text.slice(3), lines: [] });
      else found.at(-1)?.lines.push({ text, at });
    });
  return found.filter(({ lines }) => lines.length > 0);
}

/** One line of a table. */
export function readCall(text: string, at = text): Call {
  const named = /^([a-z]\w*) = (.*)$/.exec(text);
  const words = [...(named?.[2] ?? text).matchAll(/(?:"(?:\\.|[^"\\])*"|[^ "])+/g)].map(([word]) =>
    readWord(word),
  );
  if (words.length === 0) throw new Error(`${at}: no call`);
  return { text, at, words, keep: named?.[1] };
}

function readWord(word: string): Word {
  const kept = /^\$([a-z]\w*)$/.exec(word)?.[1];
  if (kept !== undefined) return { kept };
  const plain = word.replace(/"((?:\\.|[^"\\])*)"|([^"]+)/g, (_, quoted, bare) =>
    quoted === undefined ? withRepeats(bare) : withEscapes(quoted),
  );
  return Buffer.from(plain, 'latin1');
}

/** `<ab*3>` as ababab. */
export function withRepeats(text: string): string {
  return text.replace(/<([^<>*]+)\*(\d+)>/g, (_, what: string, times: string) => what.repeat(Number(times)));
}

/** `\r`, `\n`, `\t`, `\xHH`, and any other character for itself; one character a byte. */
export function withEscapes(text: string): string {
  return text.replace(/\\(x[0-9a-f]{2}|.)/gi, (_, code: string) => {
    if (code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return { r: '\r', n: '\n', t: '\t' }[code] ?? code;
  });
}

/** A table of bytes: every line is what a client sends, with escapes and repeats. */
export function readBytes(file: URL): { name: string; lines: { bytes: Buffer; at: string }[] }[] {
  return sections(file).map(({ name, lines }) => ({
    name,
    lines: lines.map(({ text, at }) => ({
      bytes: Buffer.from(withEscapes(withRepeats(text)), 'latin1'),
      at,
    })),
  }));
}
