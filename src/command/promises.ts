// README's table of what is done, and promised, when the keys of a command lie in several slots: made of the same
// rows that the proxy goes by, so that the two cannot differ. A test compares them.

import {
  isWritten,
  type Key,
  LEVELS,
  type Level,
  levelOf,
  PROMISES,
  promiseOf,
  wayAcross,
} from './across.ts';
import { type Command, FIND, HAND, type KeySpec, ROUTE } from './command.ts';

/** What a row says of its commands. */
interface Row {
  readonly promise: string;
  readonly permittedBy: string;
}

/** In README's order: what is always permitted first. */
const PERMITS = ['always', ...LEVELS.map((level) => `\`crossSlot: ${level}\``), 'nothing'] as const;

/** A table in Markdown. @param commands of all servers that are promised something of, doubles and all */
export function promiseTable(commands: readonly Command[]): string {
  const rows = new Map<string, Row & { readonly names: Set<string> }>();
  for (const command of commands) {
    const keys = exampleKeys(command);
    if (keys.length < 2 || command.route === ROUTE.refused || command.route === ROUTE.door) continue;
    for (const [name, { promise, permittedBy }] of promisesOf(command, keys)) {
      const row = rows.get(promise + permittedBy) ?? { promise, permittedBy, names: new Set() };
      row.names.add(name);
      rows.set(promise + permittedBy, row);
    }
  }
  const rank = ({ permittedBy }: Row): number => PERMITS.indexOf(permittedBy);
  const lines = [...rows.values()]
    .sort((a, b) => rank(a) - rank(b) || (a.promise < b.promise ? -1 : 1))
    .map(
      ({ promise, permittedBy, names }) =>
        `| ${[...names].sort().join(', ')} | ${promise} | ${permittedBy} |`,
    );
  return ['| keys in several slots | guarantee | permitted by |', '|---|---|---|', ...lines].join('\n');
}

/** A command's calls by name, and what is promised of each. */
function promisesOf(command: Command, keys: readonly ExampleKey[]): [string, Row][] {
  const name = command.name.toUpperCase().replace('|', ' ');
  if (command.route === ROUTE.split) return [[name, { promise: 'atomic per slot', permittedBy: 'always' }]];
  const way = wayAcross(command, keys);
  if (way === 'never') return [[name, { promise: PROMISES.never, permittedBy: 'nothing' }]];
  const told = (level: Level): Row => ({
    promise: promiseOf(way, level),
    permittedBy: `\`crossSlot: ${level}\``,
  });
  // What SORT reads besides its key may lie elsewhere whether it stores anything or not.
  if (command.hand === HAND.sort)
    return [
      [name, told('reads')],
      [`${name} ... STORE`, told('writes')],
    ];
  if (command.hand === HAND.geoRadius) return [[`${name} ... STORE`, told('writes')]];
  return [[name, told(levelOf(way, keys))]];
}

type ExampleKey = Pick<Key, 'name' | 'written'>;

/** Keys as a call may have them: two where there may be any number. */
function exampleKeys(command: Command): ExampleKey[] {
  const key = (i: number, written: boolean): ExampleKey => ({ name: Buffer.from(String(i)), written });
  if (command.hand === HAND.sort || command.hand === HAND.geoRadius) return [key(0, false), key(1, true)];
  // By its patterns.
  if (command.hand === HAND.sortRo) return [key(0, false), key(1, false)];
  return command.keySpecs
    .flatMap((spec) => new Array<KeySpec>(several(spec) ? 2 : 1).fill(spec))
    .map((spec, i) => key(i, isWritten(command, spec)));
}

function several({ find, lastKey }: KeySpec): boolean {
  return find === FIND.keynum || lastKey !== 0;
}
