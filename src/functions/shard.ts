// What one primary has of the proxies' records, and of their lock: asked and changed with FUNCTION. Cold.

import type { Control } from '../cluster/control.ts';
import {
  carrier,
  carrierOf,
  decodeRecord,
  encodeRecord,
  isNewer,
  type LibraryRecord,
  nameCarried,
  RESERVED,
  versionCarried,
} from './record.ts';

/** Library -> its version. Without their code: it is short. */
export async function versionsAt(control: Control): Promise<Map<string, string>> {
  const versions = new Map<string, string>();
  for (const [library, functionName] of await reserved(control)) {
    const name = nameCarried(library);
    const version = versionCarried(functionName);
    if (name !== undefined && version !== undefined) versions.set(name, version);
  }
  return versions;
}

/** A library's record; undefined where there is none that can be read. */
export async function recordAt(control: Control, name: string): Promise<LibraryRecord | undefined> {
  const wanted = carrierOf(name);
  const list = (await control.ask('FUNCTION', 'LIST', 'LIBRARYNAME', wanted, 'WITHCODE')) as unknown[][];
  // The server compares without regard to case.
  const found = list.find((each) => fieldOf(each, 'library_name') === wanted);
  return found === undefined ? undefined : decodeRecord(String(fieldOf(found, 'library_code')));
}

/** Has a record where there was none or another before: all at once, or not at all. */
export async function putAt(control: Control, record: LibraryRecord): Promise<void> {
  await control.ask('FUNCTION', 'LOAD', 'REPLACE', encodeRecord(record));
}

/** Takes a record away, unless it has become a newer one. */
export async function dropAt(control: Control, record: LibraryRecord): Promise<void> {
  const there = (await versionsAt(control)).get(record.name);
  if (there === undefined || isNewer(there, record)) return;
  await deleteAt(control, carrierOf(record.name));
}

// ---- the lock: a library that can be loaded only where it is not

const LOCK = `${RESERVED}lock`;
const HOLDER = `${LOCK}_`;
const ALREADY_THERE = /^ERR Library '\w+' already exists/;
const NOT_THERE = /^ERR Library not found/;

/** Takes the lock, if nobody has it. `holder`: letters and digits. */
export async function lockAt(control: Control, holder: string): Promise<boolean> {
  try {
    await control.ask('FUNCTION', 'LOAD', carrier(LOCK, HOLDER + holder, ''));
    return true;
  } catch (error) {
    if (ALREADY_THERE.test((error as Error).message)) return false;
    throw error;
  }
}

/** Who has the lock, if anybody. */
export async function holderAt(control: Control): Promise<string | undefined> {
  return (await reserved(control, LOCK)).get(LOCK)?.slice(HOLDER.length);
}

/** Takes the lock away from who has it. */
export async function unlockAt(control: Control, holder: string): Promise<void> {
  if ((await holderAt(control)) === holder) await deleteAt(control, LOCK);
}

async function deleteAt(control: Control, library: string): Promise<void> {
  try {
    await control.ask('FUNCTION', 'DELETE', library);
  } catch (error) {
    if (!NOT_THERE.test((error as Error).message)) throw error;
  }
}

/** The server's libraries of a name, each with the name of its function. */
async function reserved(control: Control, pattern = `${RESERVED}*`): Promise<Map<string, string>> {
  const list = (await control.ask('FUNCTION', 'LIST', 'LIBRARYNAME', pattern)) as unknown[][];
  return new Map(
    list.map((library) => {
      const [first = []] = fieldOf(library, 'functions') as unknown[][];
      return [String(fieldOf(library, 'library_name')), String(fieldOf(first, 'name'))] as const;
    }),
  );
}

/** Of a flat list of names and values. */
function fieldOf(flat: readonly unknown[], name: string): unknown {
  return flat[flat.findIndex((each, i) => i % 2 === 0 && each === name) + 1];
}
