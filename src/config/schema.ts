/**
 * Every setting there is: its default, bounds, unit and meaning, once.
 *
 * The type `Config`, the check of what was given, `--help` and proxy.yaml all come from this table, so
 * none of them can say something else than the others. A setting's name is its path ("limits.arguments").
 * The values are what the rest of the house reads: times in milliseconds, sizes in bytes, addresses
 * taken apart; how they are written by people is in values.ts.
 */

import type { Static, TSchema } from 'typebox';
import Type from 'typebox';

/** How a setting is written and shown. */
export type Kind =
  | 'ms'
  | 'bytes'
  | 'count'
  | 'ratio'
  | 'choice'
  | 'text'
  | 'name'
  | 'nodes'
  | 'doors'
  | 'door or off'
  | 'nat'
  | 'commands'
  | 'output limit'
  | 'lag'
  | 'ms or off'
  | 'hedge'
  | 'zones'
  | 'groups';

const kb = 1024;
const mb = 1024 * kb;
const gb = 1024 * mb;
const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

const number = (kind: Kind) => (fallback: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ kind, default: fallback, minimum, maximum, description });
const ms = number('ms');
const bytes = number('bytes');
const count = number('count');
const ratio = (fallback: number, minimum: number, maximum: number, description: string) =>
  Type.Number({ kind: 'ratio', default: fallback, minimum, maximum, description });
const text = (fallback: string, description: string, secret = false) =>
  Type.String({ kind: 'text', default: fallback, description, secret });
const choice = <const Names extends readonly string[]>(names: Names, description: string) =>
  Type.Enum<[...Names]>(names, { kind: 'choice', default: names[0], description });

const CROSS_SLOT = ['refuse', 'reads', 'writes', 'all'] as const;
const READ_FROM = ['primary', 'prefer-replica', 'replica', 'any', 'nearest'] as const;
const OUTPUT = { minimum: 0, maximum: 64 * gb };
const PORT = { minimum: 1, maximum: 65535 };
const HostPort = Type.Object({ host: Type.String({ minLength: 1 }), port: Type.Integer(PORT) });
const Door = Type.Union([
  Type.Object({ host: Type.String({ minLength: 1 }), port: Type.Integer({ ...PORT, minimum: 0 }) }),
  Type.Object({ path: Type.String({ pattern: '^/' }) }),
]);

export const SCHEMA = Type.Object({
  cluster: Type.Array(HostPort, {
    kind: 'nodes',
    default: [],
    minItems: 1,
    description: 'nodes of the cluster to ask first; the others are found from them',
  }),
  username: text('', "the proxy's own user at the nodes; empty for the default user"),
  password: text('', "the password of the proxy's own user; better given in the environment", true),
  listen: Type.Array(Door, {
    kind: 'doors',
    default: [{ host: '127.0.0.1', port: 6379 }],
    minItems: 1,
    description: 'where clients connect; several are allowed, port 0 takes a free one',
  }),
  workers: count(1, 1, 64, 'threads, each with its own clients and links'),
  admin: Type.Union([Door, Type.Literal('off')], {
    kind: 'door or off',
    default: { host: '127.0.0.1', port: 9121 },
    description: 'where /metrics, /livez and /readyz are served',
  }),
  clientAuth: choice(
    ['passthrough', 'proxy'],
    "as whom a client's commands run: the user it logs in as, or the proxy's own user",
  ),
  clusterView: choice(
    ['single', 'real'],
    'what CLUSTER shows to clients: one node that owns every slot, or the nodes there are',
  ),
  natMap: Type.Record(Type.String(), HostPort, {
    kind: 'nat',
    default: {},
    description: 'addresses that nodes announce, and where they are reached from here',
  }),
  allow: Type.Array(Type.String({ pattern: '^[a-z0-9._|-]+$' }), {
    kind: 'commands',
    default: [],
    description: 'commands that are refused by default and shall pass, as debug or cluster|failover',
  }),
  transactions: choice(
    ['one-slot', 'per-slot'],
    'what EXEC does with keys in several slots: refuse them, or run one transaction per slot',
  ),
  crossSlot: Type.Object({
    level: Type.Enum([...CROSS_SLOT], {
      kind: 'choice',
      default: 'writes',
      description:
        'which commands may have keys in several slots: none; those that only read; those that write as well; also those that are atomic no more then (MSETNX, scripts, transactions)',
    }),
    commands: Type.Record(Type.String({ pattern: '^@?[a-z0-9._|-]+$' }), Type.Enum([...CROSS_SLOT]), {
      kind: 'groups',
      default: {},
      description: 'the same for some commands, by name or by category (@scripting)',
    }),
    maxBytes: bytes(
      64 * mb,
      kb,
      2047 * mb,
      'keys that one such command may copy from slot to slot, as MEMORY USAGE tells their size',
    ),
    atOnce: bytes(256 * mb, kb, 64 * gb, 'bytes of them that a worker copies at once; what is more, waits'),
    waitFor: ms(
      10 * second,
      100,
      10 * minute,
      'how long a command that moves a value (RENAME, SMOVE, LMOVE) waits for others that move the same keys',
    ),
  }),
  requestTimeout: ms(
    60 * second,
    100,
    15 * minute,
    'how long a command may wait for its reply, redirects included',
  ),
  zone: text('', 'where this proxy runs: replicas of the same zone are read from before others; empty: none'),
  zones: Type.Record(Type.String(), Type.String({ minLength: 1 }), {
    kind: 'zones',
    default: {},
    description:
      'zones of nodes, by host:port or host, where they do not say it themselves (availability-zone)',
  }),
  reads: Type.Object({
    from: choice(
      READ_FROM,
      'which nodes answer commands that only read: the primary; replicas, or the primary where none may be asked; replicas alone; any node; the one that answers soonest',
    ),
    groups: Type.Record(Type.String({ pattern: '^@?[a-z0-9._|-]+$' }), Type.Enum(READ_FROM), {
      kind: 'groups',
      default: {},
      description: 'the same for some commands, by name or by category (@hash)',
    }),
    ownWrites: Type.Union([Type.Integer({ minimum: 1, maximum: hour }), Type.Literal('off')], {
      kind: 'ms or off',
      default: 10 * second,
      description:
        'for how long a client is sure to read what it has written itself, however far replicas are behind',
    }),
    maxLag: Type.Object(
      { unit: Type.Enum(['ms', 'bytes']), most: Type.Integer({ minimum: 0, maximum: 64 * gb }) },
      {
        kind: 'lag',
        default: { unit: 'ms', most: 10 * second },
        description: 'how far a replica may be behind, a time or a size; one that is further is not asked',
      },
    ),
    check: ms(
      100,
      10,
      minute,
      'how often replicas are asked how far they are, while anybody reads from them',
    ),
    silence: ms(100, 10, minute, 'silence of a node after which reads that it owes are asked of another'),
    hedgeAfter: Type.Union([Type.Integer({ minimum: 1, maximum: minute }), Type.Enum(['off', 'p99'])], {
      kind: 'hedge',
      default: 'off',
      description:
        'a read that takes longer is asked of another node as well: a time, p99 for what 99 of 100 take, or off',
    }),
    hedgeBudget: ratio(0.05, 0, 1, 'the part of all reads that may be asked twice for that'),
  }),
  redirects: Type.Object({
    max: count(400, 1, 10000, 'how often one command may be sent on by MOVED, ASK and the like'),
  }),
  failover: Type.Object({
    holdFor: ms(5 * second, 0, 10 * minute, 'how long commands wait for a slot that has no owner'),
  }),
  clientOutputLimit: bytes(gb, mb, 64 * gb, 'replies a client may leave unread before it is dropped'),
  limits: Type.Object({
    clients: count(10000, 1, 1000000, 'clients at the same time, over all workers'),
    arguments: count(1024 * 1024, 1, 2147483647, 'arguments of one command'),
    bulk: bytes(512 * mb, mb, 2047 * mb, 'length of one argument'),
    inline: bytes(64 * kb, kb, 64 * mb, 'length of an inline command'),
    clientQuery: bytes(gb, mb, 64 * gb, 'bytes of one command that are kept until it is whole'),
    clientPending: count(
      10000,
      1,
      10000000,
      'commands of one client under way before it is read from no more',
    ),
    transactionCommands: count(100000, 1, 10000000, 'commands of one transaction'),
    transactionBytes: bytes(64 * mb, kb, 2047 * mb, 'bytes of one transaction that are kept until EXEC'),
    replyDepth: count(128, 8, 1024, 'how deep a reply may be nested'),
    trackedKeys: count(
      1000000,
      1,
      100000000,
      'keys that CLIENT TRACKING remembers per worker; beyond, the oldest count as changed',
    ),
    subscriptions: count(1000000, 1, 100000000, 'channels and patterns that one client is subscribed to'),
    users: count(64, 1, 10000, 'users of clients that links are kept for'),
  }),
  pubsub: Type.Object({
    mode: choice(
      ['cluster', 'sharded'],
      'what PUBLISH is at the nodes: PUBLISH, which reaches every node, or SPUBLISH, which stays in one shard',
    ),
    from: choice(
      ['primary', 'any'],
      "where channels are heard: at their slot's primary, or at its replicas as well",
    ),
    onGap: choice(
      ['keep', 'disconnect'],
      'what becomes of subscribers whose node was lost: they miss messages, or are disconnected',
    ),
    silence: ms(5 * second, 50, minute, 'silence after which a node, pinged, is left for another'),
    outputLimit: Type.Object(
      {
        hard: Type.Integer(OUTPUT),
        soft: Type.Integer(OUTPUT),
        softFor: Type.Integer({ minimum: 0, maximum: hour }),
      },
      {
        kind: 'output limit',
        default: { hard: 32 * mb, soft: 8 * mb, softFor: minute },
        description: 'messages a subscriber may leave unread before it is dropped: at once, or for a time',
      },
    ),
  }),
  functions: Type.Object({
    dir: text(
      '',
      'folder of libraries of remote functions (*.js) that this proxy has besides those in the cluster',
    ),
    threads: count(8, 1, 256, 'threads per worker on which remote functions run'),
    memory: bytes(128 * mb, mb, 2 * gb, 'memory of one library on one thread'),
    maxCode: bytes(mb, kb, 16 * mb, 'length of one library'),
    libraries: count(1000, 1, 100000, 'libraries in the cluster; one that was deleted counts for a day'),
    maxRunTime: ms(30 * second, 1, hour, 'how long one call of a function may take, however it waits'),
    maxReplyBytes: bytes(
      64 * mb,
      kb,
      gb,
      'replies that one call of a function, or of RMR.FANOUT, may gather or give',
    ),
    remoteTaskTimeout: ms(
      500,
      1,
      hour,
      'how long runOnKey, runOnShards and RMR wait for a shard (redisgears_2.remote-task-default-timeout)',
    ),
    lockTimeout: ms(
      500,
      1,
      hour,
      'how long a function may go on without waiting for anything (redisgears_2.lock-redis-timeout)',
    ),
  }),
  scripts: Type.Object({
    count: count(10000, 1, 10000000, 'scripts whose text is kept, for each worker'),
    bytes: bytes(64 * mb, 64 * kb, 64 * gb, 'bytes of their texts'),
  }),
  streamAbove: bytes(mb, 64 * kb, gb, 'an argument longer than this is passed on while it still comes'),
  node: Type.Object({
    links: count(1, 1, 64, 'shared links to a node, for each protocol version and worker'),
    maxPending: count(100000, 1, 10000000, 'commands that may wait for one node'),
    maxPendingBytes: bytes(256 * mb, mb, 64 * gb, 'bytes that may wait for one node'),
    dedicated: count(256, 1, 10000, "links to a node that are one client's own for a while"),
    blocked: count(1024, 1, 100000, 'links to a node on which blocking commands wait, beside those'),
  }),
  link: Type.Object({
    connectTimeout: ms(2 * second, 10, 10 * minute, 'how long connecting and the handshake may take'),
    timeout: ms(
      second,
      50,
      10 * minute,
      'silence of a node that owes a reply after which the cluster is asked whether it has replaced it',
    ),
    backoffMin: ms(50, 1, minute, 'the first wait before connecting again'),
    backoffMax: ms(2 * second, 1, 10 * minute, 'the longest wait before connecting again'),
    keepAlive: ms(30 * second, second, hour, 'silence after which TCP asks whether the node is there'),
    name: Type.String({
      kind: 'name',
      default: 'slotless',
      pattern: '^[!-~]{1,64}$',
      description: 'the name of the links in CLIENT LIST of the nodes',
    }),
  }),
  refresh: Type.Object({
    every: ms(10 * second, 100, hour, 'how often the map of the slots is asked for without a cause'),
    jitter: ratio(0.2, 0, 1, 'the part of that time by which it may come earlier or later'),
    minGap: ms(100, 0, minute, 'the shortest time between two questions, whatever the cause'),
    ask: count(3, 1, 9, 'nodes that are asked for the map'),
  }),
  drain: Type.Object({
    grace: ms(3 * second, 0, hour, 'how long clients that are connected may go on at the end'),
    timeout: ms(5 * second, 0, hour, 'how long commands under way may then take to finish'),
  }),
  log: Type.Object({
    level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
      kind: 'choice',
      default: 'info',
      description: 'the least grave lines that are written',
    }),
  }),
});

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** The value of every setting, by its path. */
export type Settings = DeepReadonly<Static<typeof SCHEMA>>;

/** One row of the table. `low` and `high` are there for numbers, `choices` for kind 'choice'. */
export interface Setting {
  readonly path: string;
  readonly kind: Kind;
  readonly fallback: unknown;
  readonly meaning: string;
  readonly secret: boolean;
  readonly low: number;
  readonly high: number;
  readonly choices: readonly string[];
  readonly schema: TSchema;
}

/** All settings, in the order of the table. */
export const SETTINGS: readonly Setting[] = rows(SCHEMA, '');

/** Paths that hold other settings and no value: "limits", "link". */
export const GROUPS: ReadonlySet<string> = new Set(
  SETTINGS.flatMap(({ path }) => (path.includes('.') ? [path.slice(0, path.indexOf('.'))] : [])),
);

interface Row extends TSchema {
  kind?: Kind;
  default?: unknown;
  description?: string;
  secret?: boolean;
  minimum?: number;
  maximum?: number;
  enum?: string[];
}

function rows(group: { properties: Record<string, TSchema> }, prefix: string): Setting[] {
  return Object.entries(group.properties).flatMap(([key, schema]) => {
    const row = schema as Row;
    const path = prefix + key;
    if (row.kind === undefined) return rows(schema as typeof SCHEMA, `${path}.`);
    return {
      path,
      kind: row.kind,
      fallback: row.default,
      meaning: row.description ?? '',
      secret: row.secret ?? false,
      low: row.minimum ?? 0,
      high: row.maximum ?? 0,
      choices: row.enum ?? [],
      schema,
    };
  });
}
