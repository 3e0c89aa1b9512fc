/**
 * The one table of what is not the same to the byte, and why.
 *
 * COMPARED: calls whose replies are compared in another way, since a server alone would not give the same
 * bytes twice either, or says how it is built. OTHERWISE: calls that the proxy answers in its own way.
 * Everything that is in neither must be equal to the last byte.
 */

import {
  type Alike,
  anyOrder,
  anyOrderInside,
  butFor,
  clientLines,
  masked,
  near,
  pairsInAnyOrder,
  scanned,
  scannedPairs,
  shaped,
} from './alike.ts';

export interface Compared {
  /** The first words of the calls. */
  readonly calls: readonly string[];
  readonly alike: Alike;
  readonly reason: string;
}

const SECONDS = 2;
const MILLISECONDS = 2000;
const CLIENT_FIELDS = ['name', 'db', 'multi', 'cmd', 'user', 'resp', 'lib-name', 'lib-ver', 'flags'];

export const COMPARED: readonly Compared[] = [
  {
    calls: ['SMEMBERS', 'SINTER', 'SUNION', 'SDIFF', 'SRANDMEMBER', 'SPOP', 'HKEYS', 'HVALS', 'KEYS'],
    alike: anyOrder,
    reason: 'the order is that of a hash table with a random seed',
  },
  {
    calls: ['HGETALL'],
    alike: pairsInAnyOrder,
    reason: 'the order is that of a hash table with a random seed',
  },
  {
    calls: ['SSCAN'],
    alike: scanned,
    reason: 'the order is that of a hash table with a random seed',
  },
  {
    calls: ['HSCAN', 'ZSCAN'],
    alike: scannedPairs,
    reason: 'the order is that of a hash table with a random seed',
  },
  {
    calls: ['COMMAND', 'COMMAND LIST', 'COMMAND INFO', 'COMMAND DOCS', 'ACL CAT'],
    alike: anyOrderInside,
    reason: 'the order is that of a hash table with a random seed',
  },
  {
    calls: ['FUNCTION LIST'],
    alike: anyOrderInside,
    reason: 'the order is that of a hash table with a random seed',
  },
  { calls: ['HRANDFIELD', 'ZRANDMEMBER'], alike: shaped, reason: 'chosen at random' },
  { calls: ['ACL GENPASS'], alike: shaped, reason: 'chosen at random' },
  { calls: ['TTL', 'OBJECT IDLETIME'], alike: near(SECONDS), reason: 'time goes on' },
  { calls: ['PTTL', 'TIME', 'LASTSAVE', 'XPENDING'], alike: near(MILLISECONDS), reason: 'time goes on' },
  {
    calls: ['XINFO CONSUMERS'],
    alike: near(MILLISECONDS),
    reason: 'time goes on',
  },
  {
    calls: ['XADD', 'XINFO STREAM'],
    alike: masked(/\b1[0-9]{12}(-[0-9]+)?\b/),
    reason: 'ids and times are taken from the clock',
  },
  { calls: ['HELLO'], alike: butFor('id'), reason: 'connections are counted by each server for itself' },
  { calls: ['CLIENT ID'], alike: shaped, reason: 'connections are counted by each server for itself' },
  {
    calls: ['CLIENT INFO', 'CLIENT LIST'],
    alike: clientLines(CLIENT_FIELDS),
    reason: 'addresses, ages and buffers are those of the connection to the proxy',
  },
  {
    calls: ['MEMORY USAGE'],
    alike: near(64),
    reason: 'a node of a cluster keeps a few more bytes with a key',
  },
];

/** The row for a call by its first words, the longest first. */
export function comparedOf(words: readonly string[]): Compared | undefined {
  const name = words.slice(0, 2).join(' ').toUpperCase();
  const has = (wanted: string) => COMPARED.find(({ calls }) => calls.includes(wanted));
  return has(name) ?? has(words[0]?.toUpperCase() ?? '');
}
