/**
 * Random calls with keys in several slots, and all that a server holds of them: what `across.test.ts` runs.
 *
 * Calls are the lines of `across.txt`, section by section, with keys and values chosen anew. Times are instants far
 * ahead or long past, and ids of entries are given, so that nothing depends on when a call is executed.
 */

import fc from 'fast-check';
import { type Argument, encode, type RawClient } from '../support/client.ts';
import { nodeOf } from './alike.ts';
import { readCall, sections } from './tables.ts';

/** The sections of `across.txt` that are run. */
export const READY: readonly string[] = ['data', 'split', 'streams', 'copy', 'move', 'pop'];

/**
 * Those behind which a value may be encoded otherwise: one that has travelled is encoded as one that was loaded, as
 * after a server's restart, and so is what a script has written; and SORT encodes anew the sorted set that it reads, where it is and not its copy.
 */
export const RECODES: readonly string[] = ['copy whole', 'rename', 'sort', 'relaxed'];

/** Keys that anything is written to: among those of each kind. */
const WILD = ['w1', '{q}w'];
const KINDS = ['s', 'l', 't', 'z', 'h', 'x', 'p', 'g'];
const own = (kind: string) => [`${kind}1`, `${kind}2`, `{q}${kind}1`, `{q}${kind}2`];

const LEXICAL = ['y1', 'y2', '{q}y'];
const LISTS = ['r1', '{q}r'];

/** Every key there may be. */
export const KEYS: readonly string[] = [...KINDS.flatMap(own), ...WILD, ...LEXICAL, ...LISTS];

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  // Twice their own: most calls find the type they want.
  ...Object.fromEntries(KINDS.map((kind) => [kind, [...own(kind), ...own(kind), ...WILD]])),
  k: [...KINDS.flatMap(own), ...WILD],
  y: LEXICAL,
  r: LISTS,
  m: ['a', 'b', 'c', '1', '2', '3', '-7', 'two words', 'x'.repeat(70)],
  v: ['', 'a', '7', '-1', 'ohmytext', 'mynewtext', '3.5', '\r\n', '\xff\x00\x0f', 'xy'.repeat(300)],
  n: ['0', '1', '2', '3', '5', '12'],
  f: ['0', '1', '-1', '2.5', '0.1', '3', '1e10', 'inf', '-inf', '100', '1', '2', '0.5', '-3', '2', 'nan'],
  e: ['4102444800000', '4102444800001', '7258118400000', '7258118400007'],
  i: ['0-1', '1-1', '1-2', '2-0', '5-5', '0'],
  c: ['LEFT', 'RIGHT', 'left'],
  a: ['SUM', 'MIN', 'MAX', 'max'],
  o: ['NOPE', 'WITHSCORES', 'LIMIT', 'REPLACE', 'GET', 'BY', 'STORE', ''],
  j: ['home', 'away', 'Catania'],
};

/** Words that stand for many: as such they are easier to read where a call is shown. */
const MANY: Readonly<Record<string, readonly string[]>> = {
  '%M': Array.from({ length: 1500 }, (_, i) => `m${i * 7}`),
  '%N': Array.from({ length: 300 }, (_, i) => [String(i / 4), `m${i * 7}`]).flat(),
};

/** A call as it is sent. */
export function sent(words: readonly string[]): Buffer {
  return encode(words.flatMap((word) => MANY[word] ?? [word]).map((word) => Buffer.from(word, 'latin1')));
}

/** A call: a line of a section, its choices made. */
export function callOf(...names: readonly string[]): fc.Arbitrary<string[]> {
  const templates = sections(new URL('across.txt', import.meta.url))
    .filter(({ name }) => names.includes(name))
    .flatMap(({ lines }) =>
      lines.map(({ text, at }) => readCall(text, at).words.map((word) => word.toString('latin1'))),
    );
  return fc
    .tuple(fc.constantFrom(...templates), fc.array(fc.nat(1000), { minLength: 12, maxLength: 12 }))
    .map(([words, chosen]) => {
      let at = 0;
      const choose = (from: string): string => {
        const choices = CHOICES[from] ?? [];
        return choices[(chosen[at++ % chosen.length] ?? 0) % choices.length] ?? '';
      };
      return words.map((word) => (word in MANY ? word : word.replace(/%(\w)/g, (_, from) => choose(from))));
    });
}

/** How a value is read, by its type; the calls that give it in any order have `sorted`. */
const READS: Readonly<Record<string, { readonly words: readonly string[][]; readonly sorted?: true }>> = {
  string: { words: [['GET']] },
  list: { words: [['LRANGE', '0', '-1']] },
  set: { words: [['SMEMBERS']], sorted: true },
  zset: { words: [['ZRANGE', '0', '-1', 'WITHSCORES']] },
  hash: { words: [['HGETALL']], sorted: true },
  stream: {
    words: [
      ['XRANGE', '-', '+'],
      ['XINFO', 'GROUPS'],
      ['XINFO', 'STREAM'],
      ['XPENDING', 'g'],
    ],
  },
};

/** All keys with types, values, times to live and, if asked for, encodings, as text. The client speaks RESP3. */
export async function holdingsOf(
  client: RawClient,
  encodings: boolean,
  keys: readonly string[] = KEYS,
): Promise<Map<string, string>> {
  const asking = [['TYPE'], ['PEXPIRETIME'], encodings ? ['OBJECT', 'ENCODING'] : ['EXISTS']];
  const heads = await client.pipeline(keys.flatMap((key) => asking.map((words) => withKey(words, key))));
  const failed = heads.find((reply) => reply[0] === MINUS);
  if (failed !== undefined) throw new Error(String(failed));
  const types = keys.map((_, i) => nodeOf(heads[i * asking.length]!).text);
  const asked = keys.flatMap((key, i) =>
    (READS[types[i]!]?.words ?? []).map((words) => ({ key, type: types[i]!, words: withKey(words, key) })),
  );
  const replies = await client.pipeline(asked.map(({ words }) => words));
  const found = new Map<string, string>();
  keys.forEach((key, i) => {
    if (types[i] === 'none') return;
    const head = heads.slice(i * asking.length, (i + 1) * asking.length);
    found.set(key, head.map((reply) => nodeOf(reply).text).join(' '));
  });
  asked.forEach(({ key, type }, i) => {
    found.set(key, `${found.get(key)} ${textOf(replies[i]!, READS[type]?.sorted === true)}`);
  });
  return found;
}

const MINUS = 45;

/** The key behind the name of a command; XINFO and OBJECT have two words. */
function withKey(words: readonly string[], key: string): Argument[] {
  const name = words[0] === 'XINFO' || words[0] === 'OBJECT' ? 2 : 1;
  return [...words.slice(0, name), key, ...words.slice(name)].map((word) => Buffer.from(word, 'latin1'));
}

function textOf(reply: Buffer, sorted: boolean): string {
  const { type, items } = nodeOf(reply);
  if (!sorted) return reply.toString('latin1');
  const texts = items.map((item) => JSON.stringify(item));
  return type + texts.sort().join();
}
