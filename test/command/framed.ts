// Commands as the framer gives them, for the tests of this folder.

import type { Arguments } from '../../src/command/arguments.ts';
import { encode } from '../support/client.ts';

/** A framed command of these words, with some bytes before it so that no test depends on offset 0. */
export function framed(...words: (string | Buffer)[]): Arguments {
  return framedOf(words);
}

export function framedOf(words: readonly (string | Buffer)[]): Arguments {
  const before = Buffer.from('+left from before\r\n');
  const starts: number[] = [];
  const ends: number[] = [];
  let at = before.length + `*${words.length}\r\n`.length;
  for (const word of words) {
    const length = Buffer.byteLength(word);
    at += `$${length}\r\n`.length;
    starts.push(at);
    at += length;
    ends.push(at);
    at += 2;
  }
  const bytes = Buffer.concat([before, encode([...words]), Buffer.from('*1\r\n$4\r\nPING\r\n')]);
  // Longer than needed, as the framer's arrays are.
  return {
    bytes,
    starts: Int32Array.from(starts.concat(7, 7)),
    ends: Int32Array.from(ends.concat(9, 9)),
    argc: words.length,
  };
}
