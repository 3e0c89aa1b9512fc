// Functions that a node lacks and others have: a shard that has joined since they were loaded.
//
// Libraries are copied one by one by their code, FUNCTION LOAD without REPLACE: so nothing that is there is
// overwritten, and each is there wholly or not at all. (FUNCTION RESTORE of a dump would fail as a whole over one
// library that is there, or overwrite it.) All that is missing is copied at once. A library that is being deleted
// looks like one that is missing: where the source has lost it meanwhile, the copy is taken away again. Those that
// carry remote functions are not copied here: who keeps them sees to that, and knows which is the latest. Cold.

import type { Node } from '../cluster/node.ts';
import { isReserved } from '../functions/record.ts';
import type { Asker } from './asker.ts';

/** Library -> the names of its functions. */
type Libraries = Map<string, readonly string[]>;

/**
 * Copies to a node the libraries that it lacks, unless it has the function that is wanted.
 * @returns the names of the functions that it has afterwards. Throws where it can't be asked.
 */
export async function copyFunctions(asker: Asker, node: Node, wanted: string): Promise<Set<string>> {
  const there = await librariesOf(asker, node);
  if (namesIn(there).has(wanted)) return namesIn(there);
  for (const source of asker.cluster.primaries) {
    if (source !== node) await copyFrom(asker, source, node, there).catch(() => {});
  }
  return namesIn(await librariesOf(asker, node));
}

async function copyFrom(asker: Asker, source: Node, target: Node, there: Libraries): Promise<void> {
  const offered = await librariesOf(asker, source);
  const copied: string[] = [];
  for (const [library, names] of offered) {
    if (there.has(library) || isReserved(library)) continue;
    const [found] = (await asker.value(source, [
      'FUNCTION',
      'LIST',
      'LIBRARYNAME',
      library,
      'WITHCODE',
    ])) as unknown[][];
    const code = fieldOf(found ?? [], 'library_code');
    // An error: another has just done it, or a function of that name is there in another library.
    const reply = await asker.raw(target, ['FUNCTION', 'LOAD', code as Buffer], false);
    if (reply[0] === MINUS) continue;
    there.set(library, names);
    copied.push(library);
  }
  if (copied.length === 0) return;
  const still = await librariesOf(asker, source);
  for (const library of copied) {
    if (!still.has(library)) await asker.raw(target, ['FUNCTION', 'DELETE', library], false);
  }
}

async function librariesOf(asker: Asker, node: Node): Promise<Libraries> {
  const list = (await asker.value(node, ['FUNCTION', 'LIST'])) as unknown[][];
  return new Map(
    list.map((library) => [
      String(fieldOf(library, 'library_name')),
      (fieldOf(library, 'functions') as unknown[][]).map((one) => textOf(fieldOf(one, 'name'))),
    ]),
  );
}

/** Whether a raw reply of FUNCTION LIST, in either version, has a function of this name (one character a byte). */
export function hasFunction(list: Buffer, name: string): boolean {
  return list.includes(`$4\r\nname\r\n$${name.length}\r\n${name}\r\n`, 0, 'latin1');
}

const MINUS = 45;

/** Of a flat list of names and values. */
function fieldOf(flat: readonly unknown[], name: string): unknown {
  const at = flat.findIndex((each, i) => i % 2 === 0 && String(each) === name);
  return flat[at + 1];
}

function textOf(value: unknown): string {
  return (value as Buffer).toString('latin1');
}

function namesIn(libraries: Libraries): Set<string> {
  return new Set([...libraries.values()].flat());
}
