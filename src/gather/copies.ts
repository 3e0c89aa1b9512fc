// Keys as they are taken to another slot: looked at, dumped, and restored there under a name of the proxy's own.
//
// A copy is made, used and removed in one transaction, so nobody ever sees it, and none is left behind by whoever dies.
// It has a lifetime all the same.
//
// RESTORE may refuse what another version of the server has dumped, and in a transaction the commands behind it are
// executed nonetheless. So where something would be written of copies, a node is first shown that it takes dumps of
// that version: once for each node and version (`Proofs`).

import { randomBytes } from 'node:crypto';
import { temporaryKey } from '../command/reserved.ts';
import * as errors from '../resp/errors.ts';
import { type Queued, type Reach, Refusal, type Words } from './reach.ts';
import { bulkOf, integerOf, statusOf, succeeded } from './replies.ts';
import { step } from './steps.ts';

/** A key to be copied. */
export interface Source {
  readonly name: Buffer;
  readonly slot: number;
}

/** A key on its way: what DUMP gave of it, or, of a large one, nothing before it is poured. */
export interface Copy extends Source {
  /** Undefined where there is no such key, or it is poured. */
  readonly payload: Buffer | undefined;
  readonly poured: boolean;
  /** When it expires, ms since 1970; -1: never, or not asked. */
  readonly expires: number;
}

/** Of a copy that is forgotten, ms. */
const LIFETIME = 10_000;

/** Sizes of keys in memory, bytes; 0 where there is no such key. */
export async function sizesOf(reach: Reach, sources: readonly Source[]): Promise<number[]> {
  step('copy: look');
  return Promise.all(
    sources.map(async ({ slot, name }) =>
      Math.max(0, integerOf(await reach.ask(slot, ['MEMORY', 'USAGE', name], true)) ?? 0),
    ),
  );
}

/** @throws Refusal where that is more than a command may copy */
export function mayCopy(bytes: number, most: number): void {
  if (bytes > most) throw new Refusal(errors.tooMuchToCopy(bytes, most));
}

/** Dumps keys, but for large ones; `expiring`: with the time at which they expire, of the same instant. */
export async function dump(
  reach: Reach,
  sources: readonly Source[],
  sizes: readonly number[],
  expiring: boolean,
): Promise<Copy[]> {
  step('copy: dump');
  return Promise.all(
    sources.map((source, i) => {
      if (sizes[i] === 0) return { ...source, payload: undefined, poured: false, expires: -1 };
      if (sizes[i]! > reach.pourAbove) return { ...source, payload: undefined, poured: true, expires: -1 };
      return expiring ? dumpExpiring(reach, source) : dumpOne(reach, source);
    }),
  );
}

async function dumpOne(reach: Reach, source: Source): Promise<Copy> {
  const payload = bulkOf(await reach.ask(source.slot, ['DUMP', source.name], true));
  return { ...source, payload, poured: false, expires: -1 };
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
  return { ...source, payload: bulkOf(payload!), poured: false, expires: integerOf(expires!) ?? -1 };
}

export interface CopiesOptions {
  readonly slot: number;
  /** Of this command alone. */
  readonly id: string;
  /** They live as long as their sources. */
  readonly expiring: boolean;
  /** Bytes that each of them may have. */
  readonly most: number;
}

/** Copies in one slot, by the names they stand for. */
export class Copies {
  readonly slot: number;
  /** Those that are there. */
  readonly made: readonly { readonly as: Buffer; readonly copy: Copy }[];
  private readonly options: CopiesOptions;
  private readonly byName = new Map<string, Buffer>();

  constructor(options: CopiesOptions, copies: readonly Copy[]) {
    this.options = options;
    this.slot = options.slot;
    const named = copies.map((copy, i) => ({ copy, as: temporaryKey(options.slot, options.id, i) }));
    for (const { copy, as } of named) this.byName.set(copy.name.toString('latin1'), as);
    this.made = named.filter(({ copy: { payload, poured } }) => poured || payload !== undefined);
  }

  /** What a key is called here; its own name where it is no copy. */
  nameOf(key: Buffer): Buffer {
    return this.byName.get(key.toString('latin1')) ?? key;
  }

  /** What makes them, nothing for a key that is not there. */
  get restores(): Queued[] {
    return this.made.map(({ as, copy }) => this.restore(as, copy));
  }

  restore(as: Buffer, { name, slot, payload, expires }: Copy): Queued {
    const { expiring, most } = this.options;
    if (payload === undefined)
      return { name, slot, as, replace: true, lifetime: expiring ? undefined : LIFETIME, most };
    if (!expiring) return ['RESTORE', as, LIFETIME, payload, 'REPLACE'];
    return restore(as, payload, expires);
  }

  /** The commands that remove them, with what else is to be removed. */
  removals(...others: readonly Buffer[]): Words[] {
    const names = [...this.made.map(({ as }) => as), ...others];
    return names.length === 0 ? [] : [['UNLINK', ...names]];
  }

  /** A reply or error in which keys have the names the client knows. */
  rename(reply: Buffer): Buffer {
    return this.made.reduce((said, { as, copy }) => renamed(said, as, copy.name), reply);
  }
}

/** The command that makes a key of its dump. `expires`: ms since 1970; negative: never. */
export function restore(key: Buffer, payload: Buffer, expires: number, replace = true): Words {
  const options = [...(replace ? ['REPLACE'] : []), ...(expires < 0 ? [] : ['ABSTTL'])];
  return ['RESTORE', key, Math.max(expires, 0), payload, ...options];
}

/** Every bulk that is `from` as `to`; in a line, every mention. */
export function renamed(reply: Buffer, from: Buffer, to: Buffer): Buffer {
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

  /** Shows that the owner of a slot takes these copies. `leaves`: see Reach. @throws Refusal when it does not */
  async require(reach: Reach, copies: Copies, leaves = false): Promise<void> {
    const owner = reach.ownerOf(copies.slot);
    const known = this.proven.get(owner) ?? new Set();
    const samples = await Promise.all(
      copies.made.map(async ({ as, copy }) => ({ as, copy: await sampleOf(reach, copy) })),
    );
    const lacking = samples.filter(
      ({ copy: { payload } }) => !isPlain(payload) || !known.has(versionOf(payload)),
    );
    if (lacking.length === 0) return;
    step('copy: prove');
    const restores = lacking.map(({ as, copy }) => copies.restore(as, copy));
    const replies = await reach.atomically(copies.slot, [...restores, ...copies.removals()], true, leaves);
    for (const reply of replies) succeeded(reply);
    for (const { copy } of lacking) if (isPlain(copy.payload)) known.add(versionOf(copy.payload));
    if (owner !== '' && owner === reach.ownerOf(copies.slot)) this.proven.set(owner, known);
  }
}

/** In place of a copy that is poured: a little one that its node has dumped as well. Of a module's type: the copy. */
async function sampleOf(reach: Reach, copy: Copy): Promise<Copy> {
  if (!copy.poured) return copy;
  const { slot, name } = copy;
  if (!PLAIN_TYPES.has(statusOf(await reach.ask(slot, ['TYPE', name], true)))) return copy;
  const as = temporaryKey(slot, newId(), 0);
  const replies = await reach.atomically(
    slot,
    [
      ['SET', as, 1, 'PX', LIFETIME],
      ['DUMP', as],
      ['UNLINK', as],
    ],
    true,
  );
  return { ...copy, payload: bulkOf(replies[1]!), poured: false };
}

/** A dump ends with the version of its format, 2 bytes, and a checksum of 8 (cluster.c, createDumpPayload). */
function versionOf(payload: Buffer): number {
  return payload.readUInt16LE(payload.length - 10);
}

/** No module's own type, of which the version says nothing (rdb.h: RDB_TYPE_MODULE, RDB_TYPE_MODULE_2). */
function isPlain(payload: Buffer | undefined): payload is Buffer {
  return payload !== undefined && payload[0] !== 6 && payload[0] !== 7;
}

const PLAIN_TYPES: ReadonlySet<string> = new Set(['string', 'list', 'set', 'zset', 'hash', 'stream']);

const worker = randomBytes(9).toString('base64url');
let commands = 0;

/** A name that no other command has, of any proxy. */
export function newId(): string {
  return `${worker}:${(commands++).toString(36)}`;
}
