// The table of commands, made from a COMMAND reply and the overrides. COLD but for `find`.
//
// The server knows its commands best, those of modules and of versions yet to come included. So a row is
// read for what it says (arity, flags, key specs, tips, subcommands) and only what is missing or wrong in it
// is overridden. Rows have 7 elements before Redis 7.0 and 10 since; what a row lacks, is derived: the key
// range stands in for key specs, the overrides for tips and subcommands.
//
//     name arity flags first last step acl-categories | tips key-specs subcommands
//      0     1     2     3    4    5        6         |   7      8         9

import type { Arguments } from './arguments.ts';
import {
  ACCESS,
  BEGIN,
  Command,
  type CommandFields,
  FIND,
  FLAG,
  HAND,
  type KeySpec,
  REQUEST,
  RESPONSE,
  ROUTE,
} from './command.ts';
import { NameIndex } from './names.ts';
import { BLOCKING, type Override, overrideOf, PUBSUB, SPLIT, subcommandsWithOverride } from './overrides.ts';

export class CommandTable {
  /** By id. Subcommands come right after their container. */
  readonly commands: readonly Command[];
  private readonly index: NameIndex<Command>;

  private constructor(commands: readonly Command[]) {
    this.commands = commands;
    const top = commands.filter((command) => !command.name.includes('|'));
    this.index = new NameIndex(
      top.map((command) => command.name),
      top,
    );
  }

  /**
   * @param reply of COMMAND in RESP2, as redis-parser gives it: nested arrays of strings and numbers
   * @param allow names of refused commands that shall pass (`debug`, `cluster|failover`)
   * @throws TypeError where the reply is not a COMMAND reply
   */
  static parse(reply: unknown, allow: readonly string[] = []): CommandTable {
    const rows = list(reply).map((row) => list(row));
    const allowed = new Set(allow.map((name) => name.toLowerCase().replace(' ', '|')));
    const commands: Command[] = [];
    for (const row of rows.sort(byName)) addRow(commands, row, allowed);
    return new CommandTable(commands);
  }

  /**
   * The command of a call, its subcommand where it is a container's; the container itself where argument 1
   * is missing or unknown; undefined where the server has no such command. HOT.
   */
  find(args: Arguments): Command | undefined {
    const command = this.index.find(args.bytes, args.starts[0]!, args.ends[0]!);
    if (command === undefined || command.subcommands === undefined || args.argc < 2) return command;
    return command.subcommands.find(args.bytes, args.starts[1]!, args.ends[1]!) ?? command;
  }

  /** By name in lower case, `config|get` for a subcommand. Not for the hot path. */
  byName(name: string): Command | undefined {
    return this.commands.find((command) => command.name === name);
  }
}

type Row = readonly unknown[];

/** Appends a row's command, then its subcommands, so that ids are dense and in the order of names. */
function addRow(commands: Command[], row: Row, allowed: ReadonlySet<string>): Command {
  const fields = fieldsOf(row, row.length > 7, allowed);
  const id = commands.length;
  const subRows = row.length > 9 ? list(row[9]).map((sub) => list(sub)) : impliedSubcommands(fields, row);
  if (subRows.length === 0) return push(commands, new Command(id, fields, undefined));

  // The container's place is taken first, and filled when its subcommands are known.
  commands.length++;
  const subcommands: Command[] = [];
  for (const subRow of [...subRows].sort(byName)) subcommands.push(addRow(commands, subRow, allowed));
  const names = subcommands.map((command) => command.name.slice(command.name.indexOf('|') + 1));
  const container = new Command(id, fields, new NameIndex(names, subcommands));
  commands[id] = container;
  return container;
}

function push(commands: Command[], command: Command): Command {
  commands.push(command);
  return command;
}

/** Rows for the subcommands with an override, for a server that lists none. All of them are keyless. */
function impliedSubcommands(container: CommandFields, row: Row): Row[] {
  return subcommandsWithOverride(container.name).map((name) => [
    `${container.name}|${name}`,
    container.arity,
    row[2],
    0,
    0,
    0,
    [],
  ]);
}

function fieldsOf(row: Row, tips: boolean, allowed: ReadonlySet<string>): CommandFields {
  const name = text(row[0]).toLowerCase();
  const flagNames = list(row[2]).map(text);
  const keySpecs = row.length > 8 ? list(row[8]).map(keySpecOf) : legacyRange(row);
  const fields: CommandFields = {
    name,
    arity: integer(row[1]),
    flags: bits(flagNames.map(camel), FLAG),
    keySpecs,
    categories: row.length > 6 ? list(row[6]).map(text) : [],
    request: REQUEST.none,
    response: RESPONSE.none,
    route: ROUTE.anyShard,
    keyFirst: 0,
    keyLast: 0,
    keyStep: 0,
    hand: handOf(name),
    keysUnknown: false,
    refusal: '',
  };
  fields.keysUnknown = keysUnknown(fields);
  if (fields.hand === HAND.none && !fields.keysUnknown) unfoldRange(fields);
  readTips(fields, tips ? list(row[7] ?? []).map(text) : []);
  const override = overrideOf(name, tips);
  applyOverride(fields, override?.route === ROUTE.refused && isAllowed(name, allowed) ? undefined : override);
  return fields;
}

/** `allow: [cluster]` means its subcommands as well. */
function isAllowed(name: string, allowed: ReadonlySet<string>): boolean {
  return allowed.has(name) || allowed.has(name.slice(0, Math.max(0, name.indexOf('|'))));
}

/**
 * Whether only COMMAND GETKEYS knows where the keys are: a spec is of a kind unknown here or says itself
 * that it is incomplete, or there is none though keys there are. A module's own finder goes before specs
 * that leave open what is done to the keys (db.c, getKeysFromCommandWithSpecs).
 */
function keysUnknown(fields: CommandFields): boolean {
  if (fields.hand !== HAND.none) return false;
  const movable = (fields.flags & FLAG.movableKeys) !== 0;
  if (movable && fields.keySpecs.length === 0) return true;
  const module = movable && (fields.flags & FLAG.module) !== 0;
  return fields.keySpecs.some(
    (spec) =>
      spec.begin === BEGIN.unknown ||
      spec.find === FIND.unknown ||
      (spec.access & ACCESS.incomplete) !== 0 ||
      (module && (spec.access & ACCESS.variableFlags) !== 0),
  );
}

function unfoldRange(fields: CommandFields): void {
  const spec = fields.keySpecs[0];
  if (fields.keySpecs.length !== 1 || spec === undefined) return;
  if (spec.begin !== BEGIN.index || spec.find !== FIND.range || spec.limit > 1 || spec.index < 1) return;
  // The arity must promise the keys, so that the hot path need not look whether they are there.
  if (Math.abs(fields.arity) <= spec.index + Math.max(0, spec.lastKey)) return;
  fields.keyFirst = spec.index;
  fields.keyLast = spec.lastKey >= 0 ? spec.index + spec.lastKey : spec.lastKey;
  fields.keyStep = Math.max(1, spec.keyStep);
}

function readTips(fields: CommandFields, tips: readonly string[]): void {
  for (const tip of tips) {
    const [kind = '', policy = ''] = tip.split(':');
    // A policy of a later time than this table must not pass for "none": it is merged by hand, or not at all.
    if (kind === 'request_policy') {
      fields.request = pick(REQUEST, camel(policy)) ?? REQUEST.special;
    } else if (kind === 'response_policy') {
      fields.response = pick(RESPONSE, camel(policy)) ?? RESPONSE.special;
    }
  }
}

function applyOverride(fields: CommandFields, override: Override | undefined): void {
  fields.flags |= override?.flags ?? 0;
  fields.request = override?.request ?? fields.request;
  fields.response = override?.response ?? fields.response;
  const byFlags = override?.route === undefined ? pendingByFlags(fields) : undefined;
  fields.route = override?.route ?? byFlags?.route ?? routeByTips(fields);
  fields.refusal = override?.refusal ?? byFlags?.refusal ?? '';
}

function pendingByFlags(fields: CommandFields): Override | undefined {
  if (fields.flags & FLAG.blocking) return BLOCKING;
  return fields.flags & FLAG.pubsub ? PUBSUB : undefined;
}

function routeByTips(fields: CommandFields): CommandFields['route'] {
  if ((fields.flags & FLAG.own) !== 0) return ROUTE.door;
  const keyed = fields.keySpecs.length > 0 || fields.keysUnknown || fields.hand !== HAND.none;
  if (fields.request === REQUEST.multiShard) {
    return SPLIT.has(fields.name) && fields.keyLast === -1 ? ROUTE.split : ROUTE.oneSlot;
  }
  if (fields.request === REQUEST.special || fields.response === RESPONSE.special) return ROUTE.special;
  if (fields.request === REQUEST.allShards) return ROUTE.allShards;
  if (fields.request === REQUEST.allNodes) return ROUTE.allNodes;
  return keyed ? ROUTE.oneSlot : ROUTE.anyShard;
}

const HANDS: Readonly<Record<string, number>> = {
  sort: HAND.sort,
  sort_ro: HAND.sortRo,
  georadius: HAND.geoRadius,
  georadiusbymember: HAND.geoRadius,
  migrate: HAND.migrate,
  xread: HAND.xread,
  xreadgroup: HAND.xread,
};

function handOf(name: string): number {
  return pick(HANDS, name) ?? HAND.none;
}

/** One key spec: a flat list of names and values, nested. */
function keySpecOf(reply: unknown): KeySpec {
  const spec = pairs(reply);
  const begin = pairs(spec.get('begin_search'));
  const find = pairs(spec.get('find_keys'));
  const beginSpec = pairs(begin.get('spec'));
  const findSpec = pairs(find.get('spec'));
  const number = (from: Map<string, unknown>, key: string): number => integer(from.get(key) ?? 0);
  const access = list(spec.get('flags') ?? []).map((flag) => camel(text(flag)));
  return {
    access: bits(access, ACCESS),
    begin: pick(BEGIN, text(begin.get('type'))) ?? BEGIN.unknown,
    index: number(beginSpec, beginSpec.has('keyword') ? 'startfrom' : 'index'),
    keyword: beginSpec.has('keyword') ? text(beginSpec.get('keyword')).toLowerCase() : '',
    find: pick(FIND, text(find.get('type'))) ?? FIND.unknown,
    lastKey: number(findSpec, 'lastkey'),
    keyStep: number(findSpec, 'keystep'),
    limit: number(findSpec, 'limit'),
    keyNumIndex: number(findSpec, 'keynumidx'),
    firstKey: number(findSpec, 'firstkey'),
  };
}

/** The first, last and step of a row without key specs; none where keys are movable or there are none. */
function legacyRange(row: Row): KeySpec[] {
  const first = integer(row[3]);
  const last = integer(row[4]);
  if (first < 1 || list(row[2]).includes('movablekeys')) return [];
  return [
    {
      access: ACCESS.RW,
      begin: BEGIN.index,
      index: first,
      keyword: '',
      find: FIND.range,
      lastKey: last < 0 ? last : last - first,
      keyStep: integer(row[5]),
      limit: 0,
      keyNumIndex: 0,
      firstKey: 0,
    },
  ];
}

/** `no_multi` to `noMulti`; `movablekeys` alone has no underscore to go by. */
function camel(name: string): string {
  if (name === 'movablekeys') return 'movableKeys';
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function bits(names: readonly string[], of: Readonly<Record<string, number>>): number {
  return names.reduce((sum, name) => sum | (pick(of, name) ?? 0), 0);
}

/** A server's word looked up in a table, without the words that every object inherits. */
function pick<T>(of: Readonly<Record<string, T>>, word: string): T | undefined {
  return Object.hasOwn(of, word) ? of[word] : undefined;
}

function byName(a: Row, b: Row): number {
  return text(a[0]) < text(b[0]) ? -1 : 1;
}

function pairs(flat: unknown): Map<string, unknown> {
  const items = list(flat ?? []);
  const map = new Map<string, unknown>();
  for (let i = 0; i + 1 < items.length; i += 2) map.set(text(items[i]), items[i + 1]);
  return map;
}

function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new TypeError(`not a COMMAND reply: an array was expected where ${typeof value} stands`);
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`not a COMMAND reply: a string was expected where ${typeof value} stands`);
}

function integer(value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value)) return value;
  throw new TypeError(`not a COMMAND reply: an integer was expected where ${typeof value} stands`);
}
