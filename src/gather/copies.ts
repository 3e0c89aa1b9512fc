// Keys as they are taken to another slot: looked at, dumped, and restored there under a name of the proxy's own.
//
// A copy is made, used and removed in one transaction, so nobody ever sees it, and none is left behind by whoever dies.
// It has a lifetime all the same.
//
// RESTORE may refuse what another version of the server has dumped, and in a transaction the commands behind it are
// executed nonetheless. So where something would be written of copies, a node is first shown that it takes dumps of
// that version: once for each node and version (`Proofs`).

import { temporaryKey } from '../command/reserved.ts';
import * as errors from '../resp/errors.ts';
import { type Reach, Refusal, type Words } from './reach.ts';
import { bulkOf, integerOf, succeeded } from './replies.ts';
import { step } from './steps.ts';

/** A key to be copied. */
export interface Source {
  readonly name: Buffer;
  readonly slot: number;
}

/** What DUMP gave of a key; undefined where there is no such key. */
export interface Copy extends Source {
  readonly payload: Buffer | undefined;
  /** When it expires, ms since 1970; -1: never, or not asked. */
  readonly expires: number;
}

/** Of a copy that is forgotten, ms. */
const LIFETIME = 60_000;

/** Sizes of keys in memory, bytes; 0 where there is no such key. */
export async function sizesOf(reach: Reach, sources: readonly Source[]): Promise<number[]> {
  step('copy: look');
  return Promise.all(
    sources.map(
      async ({ slot, name }) => integerOf(await reach.ask(slot, ['MEMORY', 'USAGE', name], true)) ?? 0,
    ),
  );
}

/** @throws Refusal where that is more than a command may copy */
export function mayCopy(bytes: number, most: number): void {
  if (bytes > most) throw new Refusal(errors.tooMuchToCopy(bytes, most));
}

/** Dumps keys; `expiring`: with the time at which they expire, of the same instant. */
export async function dump(reach: Reach, sources: readonly Source[], expiring: boolean): Promise<Copy[]> {
  step('copy: dump');
  return Promise.all(
    sources.map((source) => (expiring ? dumpExpiring(reach, source) : dumpOne(reach, source))),
  );
}

async function dumpOne(reach: Reach, source: Source): Promise<Copy> {
  return {
    ...source,
    payload: bulkOf(await reach.ask(source.slot, ['DUMP', source.name], true)),
    expires: -1,
  };
}

async function dumpExpiring(reach: Reach, source: Source): Promise<Copy> {
  const { slot, name } = source;
  const [payload, expires] = await reach.atomically(
    slot,
    [
      ['DUMP', name],
      ['PEXPIRETIME', name],
    ],
    true,
  );
  return { ...source, payload: bulkOf(payload!), expires: integerOf(expires!) ?? -1 };
}

/** Copies in one slot, by the names they stand for. */
export class Copies {
  readonly slot: number;
  private readonly made: { readonly name: Buffer; readonly as: Buffer; readonly copy: Copy }[] = [];
  private readonly byName = new Map<string, Buffer>();

  /** `id`: of this command alone. */
  constructor(slot: number, id: string, copies: readonly Copy[]) {
    this.slot = slot;
    copies.forEach((copy, i) => {
      const as = temporaryKey(slot, id, i);
      this.byName.set(copy.name.toString('latin1'), as);
      if (copy.payload !== undefined) this.made.push({ name: copy.name, as, copy });
    });
  }

  /** What a key is called here; its own name where it is no copy. */
  nameOf(key: Buffer): Buffer {
    return this.byName.get(key.toString('latin1')) ?? key;
  }

  /** The commands that make them, none for a key that is not there. */
  get restores(): Words[] {
    return this.made.map(({ as, copy: { payload, expires } }) =>
      expires < 0
        ? ['RESTORE', as, LIFETIME, payload!, 'REPLACE']
        : ['RESTORE', as, expires, payload!, 'REPLACE', 'ABSTTL'],
    );
  }

  /** The commands that remove them, with what else is to be removed. */
  removals(...others: readonly Buffer[]): Words[] {
    const names = [...this.made.map(({ as }) => as), ...others];
    return names.length === 0 ? [] : [['UNLINK', ...names]];
  }

  get payloads(): readonly Buffer[] {
    return this.made.map(({ copy }) => copy.payload!);
  }

  /** A reply or error in which keys have the names the client knows. */
  rename(reply: Buffer): Buffer {
    return this.made.reduce((said, { name, as }) => renamed(said, as, name), reply);
  }
}

/** Every bulk that is `from` as `to`; in a line, every mention. */
function renamed(reply: Buffer, from: Buffer, to: Buffer): Buffer {
  if (!reply.includes(from)) return reply;
  const bulk = (name: Buffer) => `$${name.length}\r\n${name.toString('latin1')}\r\n`;
  const text = reply.toString('latin1').replaceAll(bulk(from), () => bulk(to));
  const isLine = text.startsWith('-') || text.startsWith('+');
  return Buffer.from(
    isLine ? text.replaceAll(from.toString('latin1'), () => to.toString('latin1')) : text,
    'latin1',
  );
}

/** Which nodes have taken dumps of which version. Of a worker. */
export class Proofs {
  private readonly proven = new Map<string, Set<number>>();

  /** Shows that the owner of a slot takes these copies. @throws Refusal when it does not */
  async require(reach: Reach, copies: Copies): Promise<void> {
    const owner = reach.ownerOf(copies.slot);
    const known = this.proven.get(owner);
    const lacking = copies.payloads.filter((payload) => !isPlain(payload) || !known?.has(versionOf(payload)));
    if (lacking.length === 0) return;
    step('copy: prove');
    const replies = await reach.atomically(copies.slot, [...copies.restores, ...copies.removals()], true);
    for (const reply of replies) succeeded(reply);
    const versions = known ?? new Set<number>();
    for (const payload of lacking) versions.add(versionOf(payload));
    if (owner !== '' && owner === reach.ownerOf(copies.slot)) this.proven.set(owner, versions);
  }
}

/** A dump ends with the version of its format, 2 bytes, and a checksum of 8 (cluster.c, createDumpPayload). */
function versionOf(payload: Buffer): number {
  return payload.readUInt16LE(payload.length - 10);
}

/** No module's own type, of which the version says nothing (rdb.h: RDB_TYPE_MODULE, RDB_TYPE_MODULE_2). */
function isPlain(payload: Buffer): boolean {
  return payload[0] !== 6 && payload[0] !== 7;
}
