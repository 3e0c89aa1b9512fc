// The proxy's own commands, as rows of a COMMAND reply (table.ts says what stands where in one). They are appended to
// what the servers say of theirs; where a server has one of the same name, the server's counts.

/** Names that belong together: a server that has one of a family has the real thing, and its own commands stand alone. */
const GEARS = [
  'tfunction',
  'tfcall',
  'tfcallasync',
  'redisgears_2.refreshcluster',
  'redisgears_2.infocluster',
];

const KEYNUM = [
  [
    'flags',
    ['RW', 'access', 'update'],
    'begin_search',
    ['type', 'index', 'spec', ['index', 2]],
    'find_keys',
    ['type', 'keynum', 'spec', ['keynumidx', 0, 'firstkey', 1, 'keystep', 1]],
  ],
];

type Row = readonly unknown[];

const plain = (
  name: string,
  arity: number,
  flags: readonly string[],
  subcommands: readonly Row[] = [],
): Row => [name, arity, [...flags, 'own'], 0, 0, 0, [], [], [], subcommands];

/** In the order of the names. */
const ROWS: readonly Row[] = [
  plain('proxy', -2, ['fast'], [plain('proxy|default', -2, ['fast']), plain('proxy|nodes', -2, ['fast'])]),
  plain('redisgears_2.infocluster', 1, ['readonly']),
  plain('redisgears_2.refreshcluster', 1, ['readonly']),
  plain('rmr.fanout', -3, ['noscript', 'no_multi', 'may_replicate']),
  plain('rmr.map', -5, ['noscript', 'no_multi', 'may_replicate']),
  ['tfcall', -3, ['noscript', 'write', 'movablekeys', 'own'], 0, 0, 0, [], [], KEYNUM, []],
  ['tfcallasync', -3, ['noscript', 'write', 'movablekeys', 'own'], 0, 0, 0, [], [], KEYNUM, []],
  plain('tfunction', -2, ['noscript']),
];

/** A COMMAND reply of the servers with the proxy's own rows behind it. */
export function withOwn(reply: readonly unknown[]): readonly unknown[] {
  const theirs = new Set(reply.map((row) => String((row as Row)[0]).toLowerCase()));
  const gears = GEARS.some((name) => theirs.has(name));
  const own = ROWS.filter(([name]) => !theirs.has(String(name)) && !(gears && GEARS.includes(String(name))));
  return [...reply, ...own];
}
