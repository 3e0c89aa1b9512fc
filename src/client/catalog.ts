// COMMAND: what the servers say of their commands, with the proxy's own and those that libraries have registered
// behind it. Cold.

import { type Command, FLAG } from '../command/command.ts';
import { matchesGlob } from '../command/glob.ts';
import type { RegisteredCommand } from '../functions/library.ts';
import type { Frame } from '../resp/request.ts';
import { type Decoded, decode, encodeValue, Failure, Members, Status } from '../resp/value.ts';
import type { Client } from './client.ts';
import { Question } from './request.ts';
import { SavedArguments } from './saved.ts';

/** A row of COMMAND: arity, flags and the keys of a command. */
type Row = Pick<RegisteredCommand, 'name' | 'arity' | 'firstKey' | 'lastKey' | 'keyStep' | 'flags'>;

type Work = (theirs: Decoded, rows: ReadonlyMap<string, Row>, args: SavedArguments) => Decoded;

const WORKS: Readonly<Record<string, Work>> = {
  command: (theirs, rows) => [...items(theirs), ...[...rows.values()].map(rowOf)],
  'command|count': (theirs, rows) => BigInt(theirs as bigint) + BigInt(rows.size),
  'command|info': (theirs, rows, args) => {
    if (args.argc === 2) return [...items(theirs), ...[...rows.values()].map(rowOf)];
    const names = args.texts(2).map((name) => name.toLowerCase());
    return items(theirs).map((row, i) =>
      row === null && rows.has(names[i]!) ? rowOf(rows.get(names[i]!)!) : row,
    );
  },
  'command|list': (theirs, rows, args) => {
    const [filter, kind] = args.texts(2).map((word) => word.toLowerCase());
    // Of no module, and in no category.
    if (filter !== undefined && kind !== 'pattern') return theirs;
    const names = [...rows.keys()].filter(
      (name) => filter === undefined || matchesGlob(args.word(4), Buffer.from(name)),
    );
    return [...items(theirs), ...names.map((name) => Buffer.from(name))];
  },
};

/** Answers COMMAND and its kin. Undefined: it is the servers' affair alone. */
export function catalog(client: Client, command: Command, f: Frame): boolean | undefined {
  const work = Object.hasOwn(WORKS, command.name) ? WORKS[command.name] : undefined;
  if (work === undefined) return undefined;
  const args = new SavedArguments(f);
  return client.workOut(command, async () => {
    const slot = client.cluster.anySlot(client.session.id);
    const raw = await Question.ask(client, slot, args.request, true);
    const theirs = decode(raw);
    if (theirs instanceof Failure) return raw;
    return encodeValue(client.session.resp, work(theirs, ownRows(client), args));
  });
}

/** By name in lower case. */
function ownRows({ context: { table, functions } }: Client): Map<string, Row> {
  const own = table.commands.filter(({ name, flags }) => (flags & FLAG.own) !== 0 && !name.includes('|'));
  const rows: Row[] = own.map(({ name, arity, flags }) => ({
    name,
    arity,
    flags: Object.entries(FLAG).flatMap(([word, bit]) =>
      (flags & bit) !== 0 && bit !== FLAG.own ? [asServersSay(word)] : [],
    ),
    firstKey: 0,
    lastKey: 0,
    keyStep: 0,
  }));
  const registered = functions.all().flatMap(({ registrations }) => registrations.commands);
  return new Map([...rows, ...registered].map((row) => [row.name.toLowerCase(), row]));
}

function asServersSay(flag: string): string {
  if (flag === 'movableKeys') return 'movablekeys';
  return flag.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function rowOf({ name, arity, flags, firstKey, lastKey, keyStep }: Row): Decoded {
  const none = new Members([]);
  return [
    Buffer.from(name.toLowerCase()),
    BigInt(arity),
    new Members(flags.map((flag) => new Status(flag))),
    BigInt(firstKey),
    BigInt(lastKey),
    BigInt(keyStep),
    none,
    [],
    [],
    [],
  ];
}

function items(value: Decoded): readonly Decoded[] {
  return value instanceof Members ? value.items : (value as readonly Decoded[]);
}
