// Stand-ins of a command's keys: made of their copies, run on, looked at and removed, all in one transaction.
//
//     MULTI | COPY k tmp:0, RESTORE tmp:1 .. | the command | DUMP tmp:0, PEXPIRETIME tmp:0, .. | UNLINK tmp:.. | EXEC
//
// A key has changed when its dump has. The members of a set that is a hash table may stand in another order once
// they have been copied, so such a value is compared with what its stand-in was before the command.

import { temporaryKey } from '../command/reserved.ts';
import { type Copy, renamed, restore } from './copies.ts';
import type { Target } from './places.ts';
import type { Reach, Words } from './reach.ts';
import { bulkOf, integerOf, succeeded } from './replies.ts';

/** A key, and what a command has made of it. */
export interface Change {
  readonly before: Copy;
  readonly after: Copy;
  /** False: only when it expires. */
  readonly value: boolean;
}

/** What comes of a run. */
interface Outcome {
  /** The command's own reply, an error too. */
  readonly reply: Buffer;
  readonly changes: readonly Change[];
}

/**
 * Values whose dump is the same for every copy of them (rdb.h: RDB_TYPE_...): strings, and what is stored as one
 * block or as a list of such: integer sets, list packs, lists and streams.
 */
const ALIKE: ReadonlySet<number> = new Set([0, 11, 16, 17, 18, 20, 19, 21]);
/** Values of modules, of which COPY may know nothing. */
const MODULES: ReadonlySet<number> = new Set([6, 7]);

interface Standin {
  readonly copy: Copy;
  readonly as: Buffer;
  readonly written: boolean;
}

export class Standins {
  private readonly slot: number;
  private readonly all: readonly Standin[];
  private readonly byName: ReadonlyMap<string, Buffer>;

  /** In a slot; `id`: of this command alone. */
  constructor(slot: number, id: string, copies: readonly Copy[], targets: readonly Target[]) {
    const written = new Set(
      targets.filter((each) => each.written).map(({ name }) => name.toString('latin1')),
    );
    this.slot = slot;
    this.all = copies.map((copy, i) => ({
      copy,
      as: temporaryKey(slot, id, i),
      written: written.has(copy.name.toString('latin1')),
    }));
    this.byName = new Map(this.all.map(({ copy, as }) => [copy.name.toString('latin1'), as]));
  }

  nameOf(key: Buffer): Buffer {
    return this.byName.get(key.toString('latin1'))!;
  }

  /**
   * Runs a command that names them.
   * @throws Refusal when they could not be made, or their slot is on the move: then nothing has happened
   */
  async run(reach: Reach, native: Words): Promise<Outcome> {
    const present = this.all.filter(({ copy }) => copy.payload !== undefined);
    const written = this.all.filter((each) => each.written);
    const unlike = written.filter(
      ({ copy: { payload } }) => payload !== undefined && !ALIKE.has(payload[0]!),
    );
    const looks: Words[] = written.flatMap(({ as }) => [
      ['DUMP', as],
      ['PEXPIRETIME', as],
    ]);
    const replies = await reach.atomically(
      this.slot,
      [
        ...present.map((each) => this.make(each)),
        ...unlike.map(({ as }): Words => ['DUMP', as]),
        native,
        ...looks,
        ['UNLINK', ...this.all.map(({ as }) => as)],
      ],
      true,
      true,
    );
    for (const reply of replies.splice(0, present.length)) succeeded(reply);
    const first = new Map(replies.splice(0, unlike.length).map((reply, i) => [unlike[i]!, bulkOf(reply)]));
    const [reply] = replies.splice(0, 1);
    const changes = written.flatMap((each, i) => {
      const { copy } = each;
      const payload = bulkOf(replies[2 * i]!);
      const expires = payload === undefined ? -1 : integerOf(replies[2 * i + 1]!)!;
      const value = !isSame(payload, first.has(each) ? first.get(each) : copy.payload);
      if (!value && expires === copy.expires) return [];
      return [{ before: copy, after: { ...copy, payload, expires }, value }];
    });
    return { reply: reply!, changes };
  }

  /** A reply or error in which keys have the names the client knows. */
  rename(reply: Buffer): Buffer {
    return this.all.reduce((said, { copy: { name }, as }) => renamed(said, as, name), reply);
  }

  private make({ copy: { slot, name, payload, expires }, as }: Standin): Words {
    if (slot === this.slot && !MODULES.has(payload![0]!)) return ['COPY', name, as, 'REPLACE'];
    return restore(as, payload!, expires);
  }
}

export function isSame(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}
