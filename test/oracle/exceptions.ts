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
  butForRows,
  clientLine,
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

const SEEDED = 'the order is that of a hash table with a random seed';
const RANDOM = 'chosen at random';
const TIME = 'time goes on';
const COUNTED = 'each server counts its connections for itself';

/** How far apart two numbers may be that were taken one after the other. */
const SECONDS = 2;
const MILLISECONDS = 2000;
const MICROSECONDS = 2_000_000;
const CLIENT_FIELDS = ['name', 'redir', 'db', 'multi', 'cmd', 'user', 'resp', 'lib-name', 'lib-ver', 'flags'];

/** What the proxy serves and no server has. */
const OWN = [
  'proxy',
  'redisgears_2.infocluster',
  'redisgears_2.refreshcluster',
  'rmr.fanout',
  'rmr.map',
  'tfcall',
  'tfcallasync',
  'tfunction',
];

export const COMPARED: readonly Compared[] = [
  {
    calls: ['SMEMBERS', 'SINTER', 'SUNION', 'SDIFF', 'SRANDMEMBER', 'SPOP', 'HKEYS', 'HVALS', 'KEYS'],
    alike: anyOrder,
    reason: SEEDED,
  },
  { calls: ['HGETALL', 'CONFIG GET'], alike: pairsInAnyOrder, reason: SEEDED },
  { calls: ['SSCAN'], alike: scanned, reason: SEEDED },
  { calls: ['HSCAN', 'ZSCAN'], alike: scannedPairs, reason: SEEDED },
  {
    calls: ['COMMAND', 'COMMAND LIST'],
    alike: butForRows(OWN),
    reason: "the proxy's own commands are listed as well",
  },
  {
    calls: ['COMMAND COUNT'],
    alike: near(OWN.length),
    reason: "the proxy's own commands are counted as well",
  },
  {
    calls: ['COMMAND INFO', 'COMMAND DOCS', 'ACL CAT', 'FUNCTION LIST'],
    alike: anyOrderInside,
    reason: SEEDED,
  },
  { calls: ['HRANDFIELD', 'ZRANDMEMBER'], alike: shaped, reason: RANDOM },
  { calls: ['ACL GENPASS'], alike: shaped, reason: RANDOM },
  { calls: ['TTL', 'OBJECT IDLETIME'], alike: near(SECONDS), reason: TIME },
  { calls: ['PTTL', 'LASTSAVE', 'XPENDING'], alike: near(MILLISECONDS), reason: TIME },
  { calls: ['XINFO CONSUMERS'], alike: near(MILLISECONDS), reason: TIME },
  { calls: ['TIME'], alike: near(MICROSECONDS), reason: TIME },
  {
    calls: ['XADD', 'XINFO STREAM'],
    alike: masked(/\b1[0-9]{12}(-[0-9]+)?\b/),
    reason: 'ids and times are taken from the clock',
  },
  { calls: ['HELLO'], alike: butFor('id'), reason: COUNTED },
  { calls: ['CLIENT ID'], alike: shaped, reason: COUNTED },
  {
    calls: ['CLIENT INFO', 'CLIENT LIST'],
    alike: clientLine(CLIENT_FIELDS),
    reason: 'addresses, ages and buffers are those of the connection to the proxy',
  },
  {
    calls: ['MEMORY USAGE'],
    alike: near(64),
    reason: 'a node of a cluster keeps a few more bytes with a key',
  },
];

/** Commands that no table calls. */
export const ELSEWHERE: readonly { readonly commands: RegExp; readonly reason: string }[] = [
  { commands: /^quit$/, reason: 'in the tables of bytes, since it closes the connection' },
  { commands: /^cluster(\||$)/, reason: 'a lone server has no cluster to show' },
  { commands: /^bgrewriteaof$/, reason: 'its answer depends on whether the one before is done' },
  { commands: /^pfselftest$/, reason: 'it keeps a server busy for seconds' },
];

export interface Otherwise {
  /** Each on a connection of its own, after those of `before`. */
  readonly calls: readonly string[];
  readonly before?: readonly string[];
  /** What the proxy answers. */
  readonly reply: RegExp;
  readonly reason: string;
  /** A lone server would stop, or says the same in some versions: it is not asked. */
  readonly proxyOnly?: true;
}

const CROSS_SLOT =
  /^-CROSSSLOT Keys in request don't hash to the same slot; slotless: '[a-z]+' is refused over several slots; the setting 'crossSlot: all' permits it\r\n$/;
const REFUSED = /^-ERR slotless: '[a-z|-]+' is refused; the setting 'allow' permits it \(.+\)\r\n$/;

export const OTHERWISE: readonly Otherwise[] = [
  {
    calls: ['MSETNX a 1 b 2', 'EVAL "return 1" 2 a b', 'FCALL f 2 a b'],
    reply: CROSS_SLOT,
    reason: 'what can not be atomic in several slots is refused unless a setting permits it',
  },
  {
    calls: ['WAIT 0 0', 'WAIT -1 0', 'WAIT 1 0'],
    reply: /^:[01]\r\n$/,
    reason: 'a lone server has no replica',
    proxyOnly: true,
  },
  {
    calls: ['WAITAOF 0 0 10', 'WAITAOF 1 0 10', 'WAITAOF 2 0 10', 'WAITAOF x 0 10'],
    reply: /^\*2\r\n:0\r\n:[01]\r\n|^-ERR (unknown command|WAITAOF cannot be used|value is )/,
    reason: 'its counts are those of the replicas, and old servers do not know it',
    proxyOnly: true,
  },
  {
    calls: [
      'SHUTDOWN',
      'REPLICAOF NO ONE',
      'SLAVEOF NO ONE',
      'FAILOVER',
      'DEBUG SLEEP 0',
      'MIGRATE 127.0.0.1 1 k 0 1',
      'MOVE k 1',
      'SWAPDB 0 1',
      'SYNC',
      'PSYNC ? -1',
      'REPLCONF ack 1',
      'RESTORE-ASKING k 0 x',
      'SCRIPT DEBUG NO',
      'CLUSTER ADDSLOTS 1',
      'CLUSTER ADDSLOTSRANGE 1 2',
      'CLUSTER BUMPEPOCH',
      'CLUSTER DELSLOTS 1',
      'CLUSTER DELSLOTSRANGE 1 2',
      'CLUSTER FAILOVER',
      'CLUSTER FLUSHSLOTS',
      'CLUSTER FORGET x',
      'CLUSTER MEET 127.0.0.1 1',
      'CLUSTER REPLICATE x',
      'CLUSTER RESET',
      'CLUSTER SAVECONFIG',
      'CLUSTER SET-CONFIG-EPOCH 1',
      'CLUSTER SETSLOT 1 STABLE',
    ],
    reply: REFUSED,
    reason: 'it would stop a node, change the cluster behind the proxy, or spoil a shared link',
    proxyOnly: true,
  },
  {
    calls: ['SELECT 1'],
    reply: /^-ERR SELECT is not allowed in cluster mode\r\n$/,
    reason: 'a cluster has one database',
  },
  {
    calls: ['COPY {t}a {t}b DB 1'],
    reply: /^-ERR (DB index is out of range|.*cluster mode.*)\r\n$/,
    reason: 'a cluster has one database',
  },
  {
    calls: ['READONLY', 'READWRITE', 'ASKING'],
    reply: /^\+OK\r\n$/,
    proxyOnly: true,
    reason: 'a client that knows clusters is served, too',
  },
  {
    calls: ['CONFIG GET cluster-enabled'],
    reply: /yes\r\n$/,
    reason: 'CONFIG is about the servers',
  },
  {
    before: ['RPUSH {t}l 1 2', 'MULTI', 'SORT {t}l GET #', 'SORT_RO {t}l BY w:*'],
    calls: ['EXEC'],
    reply: /^\*2\r\n-ERR GET option of SORT denied in [Cc]luster mode.*\r\n-ERR BY option of SORT denied/,
    reason:
      'servers in a cluster refuse most patterns of SORT, and in a transaction nothing else can be done',
  },
  {
    calls: [`EVAL "return redis.call('GET','b')" 1 a`, `EVAL "return redis.call('MGET',KEYS[1],'b')" 1 a`],
    reply: /^-ERR (Script|Command 'mget' in script) attempted to access /,
    reason: "a script's keys must be named and lie in one slot",
  },
  {
    before: ['ACL SETUSER ann reset on >pass ~b* +@all', 'AUTH ann pass'],
    calls: ['MGET b1 a1', 'DEL a1 b1 b2', 'MSET b1 x a1 x'],
    reply: /^-NOPERM slotless: part slot \d+ failed: NOPERM /,
    reason: 'a part that failed is named',
  },
  {
    before: ['ACL SETUSER ann reset on >pass ~* +hello +reset', 'AUTH ann pass'],
    calls: ['PING', 'ECHO x', 'SELECT 0', 'CLIENT GETNAME', 'TIME', 'ROLE'],
    reply: /^[^-]/,
    reason: 'rights are about the servers: what the proxy itself answers needs none',
  },
  {
    before: ['ACL SETUSER ann reset on >pass ~* +@all &news', 'AUTH ann pass', 'MULTI', 'PUBLISH other m'],
    calls: ['EXEC'],
    reply: /^-EXECABORT Transaction discarded because of: NOPERM /,
    reason: 'the servers look at rights when a transaction comes to them, which is at its end',
  },
  {
    before: ['ACL SETUSER ann reset on >pass ~* +@all &news', 'AUTH ann pass', 'MULTI', 'SUBSCRIBE other'],
    calls: ['EXEC'],
    reply: /^\*1\r\n-NOPERM /,
    reason: 'the servers are asked about the right to subscribe when it is done',
  },
  {
    before: ['MULTI', 'SUBSCRIBE a', 'PING'],
    calls: ['EXEC'],
    reply: /^\*2\r\n[*>]3\r\n\$9\r\nsubscribe\r\n\$1\r\na\r\n:1\r\n\+PONG\r\n$/,
    reason:
      'PING is answered as by a server that is not subscribed, which old programs would tell from the other',
    proxyOnly: true,
  },
  {
    calls: ['CLIENT PAUSE 9223372036854775807', 'CLIENT PAUSE 9223372036854775000 WRITE'],
    reply: /^-ERR timeout is out of range\r\n$/,
    reason: 'old servers let the time overflow, and pause nobody',
    proxyOnly: true,
  },
  {
    calls: ['SCAN -1', 'SCAN " 0"', 'SCAN +0'],
    reply: /^-ERR invalid cursor\r\n$/,
    reason: 'old servers take any number that C does for a cursor',
    proxyOnly: true,
  },
  {
    calls: [
      'UNSUBSCRIBE',
      'UNSUBSCRIBE x',
      'PUNSUBSCRIBE',
      'PUNSUBSCRIBE x',
      'SUNSUBSCRIBE',
      'SUNSUBSCRIBE x',
    ],
    reply: /^[*>]3\r\n\$1[12]\r\n[ps]?unsubscribe\r\n(\$-1|_|\$1\r\nx)\r\n:0\r\n$/,
    reason:
      'Valkey 8.0 alone has an error for clients without subscriptions: it was taken back (valkey-io/valkey 1265)',
    proxyOnly: true,
  },
  {
    calls: ['CLIENT HELP'],
    reply: /SETNAME/,
    reason: 'it lists what the proxy serves',
  },
];

/** The row for a call by its first words, the longest first. */
export function comparedOf(words: readonly string[]): Compared | undefined {
  const name = words.slice(0, 2).join(' ').toUpperCase();
  const has = (wanted: string) => COMPARED.find(({ calls }) => calls.includes(wanted));
  return has(name) ?? has(words[0]?.toUpperCase() ?? '');
}
