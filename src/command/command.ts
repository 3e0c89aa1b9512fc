// One command or subcommand, as the proxy knows it: a row of the server's COMMAND reply with the overrides
// laid over it, boiled down to integers that dispatch can branch on.
//
// A Command never changes once the table is made. A container (CONFIG, XGROUP) is a Command as well: it
// stands for its unknown subcommands, and `subcommands` finds the known ones.
//
// `route` answers what is to be done; the key specs answer where. The commonest case, one range of keys at
// a fixed place, is unfolded into keyFirst, keyLast and keyStep so that no spec has to be walked for it.

import type { NameIndex } from './names.ts';

/** What is done with a command. */
export const ROUTE = {
  /** Forwarded as it is to the owner of its keys' slot. */
  oneSlot: 0,
  /** One of the basic six: cut by slot where its keys lie in several. */
  split: 1,
  /** Forwarded as it is to one primary, no matter which; kept stable for a client. */
  anyShard: 2,
  /** Asked of every primary, merged by the response policy. */
  allShards: 3,
  /** Asked of every node, replicas too, merged by the response policy. */
  allNodes: 4,
  /** Answered by the proxy itself. */
  door: 5,
  /** The walk over all slots. */
  scan: 6,
  /** Asked of several and merged by hand; `request` says of whom. */
  special: 7,
  /** A message for a channel, by the channel's slot. */
  publish: 8,
  /** Refused unless the setting `allow` names it; `refusal` says why. */
  refused: 9,
  /** Keeps its connection until it is answered: on a link of its own. */
  blocks: 10,
} as const;
export type Route = (typeof ROUTE)[keyof typeof ROUTE];

/** Command flags by the server's names in camel case, as bits of `Command.flags`. Unknown ones are dropped. */
export const FLAG = {
  write: 1 << 0,
  readonly: 1 << 1,
  denyoom: 1 << 2,
  module: 1 << 3,
  admin: 1 << 4,
  pubsub: 1 << 5,
  noscript: 1 << 6,
  blocking: 1 << 7,
  loading: 1 << 8,
  stale: 1 << 9,
  skipMonitor: 1 << 10,
  skipSlowlog: 1 << 11,
  asking: 1 << 12,
  fast: 1 << 13,
  noAuth: 1 << 14,
  /** The server hides this one; the overrides set it. Such a command is never safe on a replica. */
  mayReplicate: 1 << 15,
  noMandatoryKeys: 1 << 16,
  noAsyncLoading: 1 << 17,
  noMulti: 1 << 18,
  movableKeys: 1 << 19,
  allowBusy: 1 << 20,
  touchesArbitraryKeys: 1 << 21,
  /** No server's: the proxy's own (own.ts). */
  own: 1 << 22,
} as const;

/** Whom to ask (command tips, "request_policy"). */
export const REQUEST = { none: 0, allNodes: 1, allShards: 2, multiShard: 3, special: 4 } as const;
export type Request = (typeof REQUEST)[keyof typeof REQUEST];

/** How to merge (command tips, "response_policy"). `none` joins arrays, or keeps the order of the keys. */
export const RESPONSE = {
  none: 0,
  oneSucceeded: 1,
  allSucceeded: 2,
  aggSum: 3,
  aggMin: 4,
  aggMax: 5,
  aggLogicalAnd: 6,
  aggLogicalOr: 7,
  special: 8,
} as const;
export type Response = (typeof RESPONSE)[keyof typeof RESPONSE];

/** Where a key spec begins to look, how it finds the keys from there, and what is done to them. */
export const BEGIN = { unknown: 0, index: 1, keyword: 2 } as const;
export const FIND = { unknown: 0, range: 1, keynum: 2 } as const;
export const ACCESS = {
  RO: 1 << 0,
  RW: 1 << 1,
  OW: 1 << 2,
  RM: 1 << 3,
  notKey: 1 << 4,
  incomplete: 1 << 5,
  variableFlags: 1 << 6,
} as const;

/** A key spec (redis.io "Command key specifications"). Fields that its kinds do not use are 0 or ''. */
export interface KeySpec {
  readonly access: number;
  readonly begin: number;
  /** The index, or for a keyword the argument to start from; negative counts from the end. */
  readonly index: number;
  /** In lower case. */
  readonly keyword: string;
  readonly find: number;
  /** Range: relative to the first key, or counted from the end when negative. */
  readonly lastKey: number;
  readonly keyStep: number;
  /** Range: take one in `limit` of what is left; 0 and 1 mean all. */
  readonly limit: number;
  /** Keynum: both relative to where the search began. */
  readonly keyNumIndex: number;
  readonly firstKey: number;
}

/** Commands whose key specs say less than the server knows; keys.ts has a finder by hand for each. */
export const HAND = { none: 0, sort: 1, sortRo: 2, geoRadius: 3, migrate: 4, xread: 5 } as const;

/** What a command runs: nothing, the script whose text or SHA1 it brings, or a function. */
export const SCRIPT = { none: 0, source: 1, sha: 2, function: 3 } as const;

const SCRIPTS: ReadonlyMap<string, number> = new Map([
  ['eval', SCRIPT.source],
  ['eval_ro', SCRIPT.source],
  ['evalsha', SCRIPT.sha],
  ['evalsha_ro', SCRIPT.sha],
  ['fcall', SCRIPT.function],
  ['fcall_ro', SCRIPT.function],
]);

export interface CommandFields {
  /** In lower case; `config|get` for a subcommand. */
  name: string;
  /** Counts the name (and the subcommand's); negative means at least. 0 when unknown. */
  arity: number;
  flags: number;
  keySpecs: readonly KeySpec[];
  /** ACL categories, with their `@`. */
  categories: readonly string[];
  request: Request;
  response: Response;
  route: Route;
  /** Argument index of the first key of a plain range; 0 when the keys are no plain range. */
  keyFirst: number;
  /** Index of the last key; negative counts from the end, -1 being the last argument. */
  keyLast: number;
  keyStep: number;
  /** One of HAND. */
  hand: number;
  /** Whether COMMAND GETKEYS alone knows the keys. */
  keysUnknown: boolean;
  /** Of a pending or refused command: why, as a clause that completes "refused: ...". */
  refusal: string;
}

export class Command {
  /** Dense, from 0, in the order of the names: the same in every worker that saw the same commands. */
  readonly id: number;
  readonly name: string;
  readonly arity: number;
  readonly flags: number;
  readonly route: Route;
  readonly keyFirst: number;
  readonly keyLast: number;
  readonly keyStep: number;
  readonly hand: number;
  /** One of SCRIPT. */
  readonly script: number;
  readonly keysUnknown: boolean;
  readonly request: Request;
  readonly response: Response;
  readonly keySpecs: readonly KeySpec[];
  /** ACL categories, with their `@`. */
  readonly categories: readonly string[];
  readonly refusal: string;
  /** Finds a subcommand by argument 1; undefined where the command is no container. */
  readonly subcommands: NameIndex<Command> | undefined;

  constructor(id: number, fields: CommandFields, subcommands: NameIndex<Command> | undefined) {
    this.id = id;
    this.name = fields.name;
    this.arity = fields.arity;
    this.flags = fields.flags;
    this.route = fields.route;
    this.keyFirst = fields.keyFirst;
    this.keyLast = fields.keyLast;
    this.keyStep = fields.keyStep;
    this.hand = fields.hand;
    this.script = SCRIPTS.get(fields.name) ?? SCRIPT.none;
    this.keysUnknown = fields.keysUnknown;
    this.request = fields.request;
    this.response = fields.response;
    this.keySpecs = fields.keySpecs;
    this.categories = fields.categories;
    this.refusal = fields.refusal;
    this.subcommands = subcommands;
  }

  /** Whether a call with this many arguments, the name counted, is accepted. */
  takes(argc: number): boolean {
    return this.arity >= 0 ? argc === this.arity || this.arity === 0 : argc >= -this.arity;
  }
}
