// What the server's COMMAND reply does not say, says too late or gets wrong: one row per command, laid over
// what the server says. Everything else, module commands too, routes by the server's own words.
//
// `name|*` stands for a container and for those of its subcommands that have no row of their own.
// A refused command passes where the setting `allow` names it; it then routes as if it had no row.
//
// A command without keys and tips goes to any primary over a link shared by many clients. So each one that
// changes the state of a connection, or of one node alone, must be found here.

import { FLAG, REQUEST, RESPONSE, type Request, type Response, ROUTE, type Route } from './command.ts';

export interface Override {
  readonly route?: Route;
  readonly request?: Request;
  readonly response?: Response;
  /** Bits of FLAG to add to the server's. */
  readonly flags?: number;
  readonly refusal?: string;
}

const door: Override = { route: ROUTE.door };
const oneSlot: Override = { route: ROUTE.oneSlot, request: REQUEST.none, response: RESPONSE.none };
const mayReplicate: Override = { flags: FLAG.mayReplicate };

const refused = (why: string): Override => ({ route: ROUTE.refused, refusal: why });
const shards = (response: keyof typeof RESPONSE): Override => over('allShards', response);
const nodes = (response: keyof typeof RESPONSE): Override => over('allNodes', response);
const byHand = (request: 'allShards' | 'allNodes'): Override => ({
  route: ROUTE.special,
  request: REQUEST[request],
  response: RESPONSE.special,
});

function over(whom: 'allShards' | 'allNodes', response: keyof typeof RESPONSE): Override {
  return { route: ROUTE[whom], request: REQUEST[whom], response: RESPONSE[response] };
}

/** Of commands with the flag `blocking` or `pubsub` that have no row. */
export const BLOCKING: Override = { route: ROUTE.blocks };
export const PUBSUB = refused('it would change what a shared link is told');

const replicates = refused('it would make a shared link the stream of a replica');
const rebuilds = refused('it would change the cluster behind the proxy');

const ALWAYS: Readonly<Record<string, Override>> = {
  // About this connection, or about the one server that the proxy is: the proxy answers.
  ping: door,
  echo: door,
  quit: door,
  reset: door,
  hello: door,
  auth: door,
  select: door,
  readonly: door,
  readwrite: door,
  asking: door,
  role: door,
  time: door,
  'client|*': door,
  'cluster|*': door,

  // A transaction is queued by the proxy.
  multi: door,
  exec: door,
  discard: door,
  watch: door,
  unwatch: door,

  // Subscriptions are shared by clients.
  subscribe: door,
  unsubscribe: door,
  psubscribe: door,
  punsubscribe: door,
  ssubscribe: door,
  sunsubscribe: door,
  'pubsub|channels': door,
  'pubsub|numsub': door,
  'pubsub|numpat': door,
  'pubsub|shardchannels': door,
  'pubsub|shardnumsub': door,
  'pubsub|help': { route: ROUTE.anyShard },

  monitor: door,
  // Blocking only in Valkey's flags. Its answer is about the writes of the link it comes over.
  wait: BLOCKING,
  waitaof: BLOCKING,
  // Blocking in the flags, but only with BLOCK in the call: see `blocks` in keys.ts.
  xread: oneSlot,
  xreadgroup: oneSlot,

  // Refused.
  shutdown: refused('it would stop a node of the cluster'),
  replicaof: rebuilds,
  slaveof: rebuilds,
  failover: rebuilds,
  // Some of its subcommands crash, stall or reconfigure the node they reach.
  debug: refused('it would reach one node of the cluster, and some of its subcommands stop it'),
  migrate: refused('it would move keys between servers behind the proxy'),
  move: refused('a cluster has one database'),
  swapdb: refused('a cluster has one database'),
  sync: replicates,
  psync: replicates,
  replconf: replicates,
  // Writes to a slot that is being imported, as the nodes do among themselves.
  'restore-asking': refused('it is for the nodes of a cluster among themselves'),
  // Would turn the shared link it comes over into a debugging session.
  'script|debug': refused('it would stop a node of the cluster for its own session'),
  // Who changes the cluster does so at its nodes. The last rows are those of newer servers.
  'cluster|addslots': rebuilds,
  'cluster|addslotsrange': rebuilds,
  'cluster|bumpepoch': rebuilds,
  'cluster|delslots': rebuilds,
  'cluster|delslotsrange': rebuilds,
  'cluster|failover': rebuilds,
  'cluster|flushslots': rebuilds,
  'cluster|forget': rebuilds,
  'cluster|meet': rebuilds,
  'cluster|replicate': rebuilds,
  'cluster|reset': rebuilds,
  'cluster|saveconfig': rebuilds,
  'cluster|set-config-epoch': rebuilds,
  'cluster|setslot': rebuilds,
  'cluster|cancelslotmigrations': rebuilds,
  'cluster|migrateslots': rebuilds,
  'cluster|migration': rebuilds,
  'cluster|syncslots': rebuilds,
  trimslots: rebuilds,

  // All or nothing over their keys, so never split. 7.0 (MSETNX) and 8.4 (MSETEX) say multi_shard.
  msetnx: oneSlot,
  msetex: oneSlot,

  // Without tips in every version.
  bgsave: shards('allSucceeded'),
  bgrewriteaof: shards('allSucceeded'),
  save: shards('allSucceeded'),
  // The time up to which all shards are saved.
  lastsave: shards('aggMin'),
  // Subscribers may have lost their rights then.
  'acl|load': byHand('allNodes'),
  // RESET must reach every node's log.
  'acl|log': nodes('none'),
  'module|load': nodes('allSucceeded'),
  'module|loadex': nodes('allSucceeded'),
  'module|unload': nodes('allSucceeded'),
  // Their texts are kept, and what a shard lacks is made good: see client/scripts.ts and functions.ts.
  'script|load': byHand('allNodes'),
  'script|flush': byHand('allNodes'),
  'script|exists': byHand('allShards'),
  'script|show': byHand('allShards'),
  'function|load': byHand('allShards'),
  'function|delete': byHand('allShards'),
  'function|flush': byHand('allShards'),
  'function|restore': byHand('allShards'),
  'function|list': byHand('allShards'),
  'function|dump': byHand('allShards'),
  // Their entries are to be ordered and counted over all nodes.
  'slowlog|get': byHand('allNodes'),
  'commandlog|get': byHand('allNodes'),
  // Over all series of the cluster; modules give no tips.
  'ts.mget': shards('none'),
  'ts.mrange': shards('none'),
  'ts.mrevrange': shards('none'),
  'ts.queryindex': shards('none'),

  // Missing or other in 7.0.
  'acl|deluser': byHand('allNodes'),
  'acl|save': nodes('allSucceeded'),
  'acl|setuser': byHand('allNodes'),
  'config|resetstat': nodes('allSucceeded'),
  'config|rewrite': nodes('allSucceeded'),
  'latency|reset': nodes('aggSum'),
  randomkey: byHand('allShards'),
  scan: { route: ROUTE.scan, request: REQUEST.special, response: RESPONSE.special },

  // A flag that the server hides.
  eval: mayReplicate,
  evalsha: mayReplicate,
  fcall: mayReplicate,
  pfcount: mayReplicate,
  // The nodes pass a message on among themselves.
  publish: { ...mayReplicate, route: ROUTE.publish },
  spublish: { ...mayReplicate, route: ROUTE.publish },
};

const split = (response: keyof typeof RESPONSE): Override => ({
  request: REQUEST.multiShard,
  response: RESPONSE[response],
});

/** The tips of 7.0 for servers before it, whose COMMAND rows have neither tips nor subcommands. */
const BEFORE_TIPS: Readonly<Record<string, Override>> = {
  del: split('aggSum'),
  exists: split('aggSum'),
  touch: split('aggSum'),
  unlink: split('aggSum'),
  mget: split('none'),
  mset: split('allSucceeded'),
  dbsize: shards('aggSum'),
  flushall: shards('allSucceeded'),
  flushdb: shards('allSucceeded'),
  info: byHand('allShards'),
  keys: shards('none'),
  'config|set': nodes('allSucceeded'),
  'latency|doctor': byHand('allNodes'),
  'latency|graph': byHand('allNodes'),
  'latency|history': byHand('allNodes'),
  'latency|latest': byHand('allNodes'),
  'memory|doctor': byHand('allShards'),
  'memory|malloc-stats': byHand('allShards'),
  'memory|purge': shards('allSucceeded'),
  'memory|stats': byHand('allShards'),
  'script|kill': shards('oneSucceeded'),
  'slowlog|len': nodes('aggSum'),
  'slowlog|reset': nodes('allSucceeded'),
};

/** The six that are cut by slot. Another command with the tip multi_shard is sent whole, to one slot. */
export const SPLIT: ReadonlySet<string> = new Set(['mget', 'mset', 'del', 'exists', 'touch', 'unlink']);

/**
 * The row for a command, if it has one.
 * @param name in lower case, `config|get` for a subcommand
 * @param tips whether the server gives tips, as servers from 7.0 on do
 */
export function overrideOf(name: string, tips: boolean): Override | undefined {
  const bar = name.indexOf('|');
  const group = `${bar < 0 ? name : name.slice(0, bar)}|*`;
  return row(ALWAYS, name) ?? (tips ? undefined : row(BEFORE_TIPS, name)) ?? row(ALWAYS, group);
}

/** The subcommands with a row, for servers that list none: `rewrite`, `resetstat`, ... of `config`. */
export function subcommandsWithOverride(container: string): string[] {
  const names = new Set([...Object.keys(ALWAYS), ...Object.keys(BEFORE_TIPS)]);
  const prefix = `${container}|`;
  return [...names].flatMap((name) =>
    name.startsWith(prefix) && !name.endsWith('*') ? [name.slice(prefix.length)] : [],
  );
}

function row(table: Readonly<Record<string, Override>>, name: string): Override | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
