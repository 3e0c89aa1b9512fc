// SORT and SORT_RO, whose key, destination and patterns may each lie in other slots.
//
//     SORT k BY w_* GET o_* LIMIT 0 10 STORE d      k's slot     SORT k BY nosort             all its elements
//                                                   any slots    MGET w_1 w_7 ..              their weights
//                                                   here         in order, the first ten
//                                                   any slots    MGET o_7 o_3 ..              what is asked of them
//                                                   d's slot     MULTI, RPUSH tmp .., SORT tmp BY nosort STORE d,
//                                                                UNLINK tmp, EXEC
//
// Elements that are their own weights come from the server in their order, LIMIT and all; texts are put in order by the
// server too, since it alone knows its language (LC_COLLATE). Numbers are ordered here. The elements are those of one
// instant, what patterns name is read behind it, key by key; the destination changes at once.
//
// A server of a cluster refuses patterns, a newer one only those without a hash tag in the key's slot. So where
// everything lies in one slot it is asked first.

import { temporaryKey } from '../command/reserved.ts';
import { allIn, named, ownOrder, type Pattern, parseSort, type Sort, windowOf } from '../command/sort.ts';
import { byScores, byTexts, distinct, scoreOf, untilNul } from '../command/weights.ts';
import * as errors from '../resp/errors.ts';
import { array, bulk, nil, ZERO } from '../resp/write.ts';
import { inSomeSlot } from './aside.ts';
import { mayCopy, newId, sizesOf } from './copies.ts';
import { copyAndRun, storeDump } from './copy.ts';
import type { Crossing } from './crossing.ts';
import { lookUp } from './lookups.ts';
import { Meter } from './meter.ts';
import { isOnTheMove, type Reach, Refusal, type Words } from './reach.ts';
import { bulksOf, succeeded } from './replies.ts';
import { step } from './steps.ts';

type Cell = Buffer | undefined;

/** Elements in one RPUSH. */
const TOGETHER = 1000;

const DENIED = /^-ERR (BY|GET) option of SORT denied in cluster mode/i;
const EMPTY = Buffer.alloc(0);

export async function sort(call: Crossing): Promise<Buffer> {
  const { words, keys, reach, limits } = call;
  const wanted = parseSort(words);
  if (Buffer.isBuffer(wanted)) return wanted;
  if (wanted.patterns.length === 0) return copyAndRun(call);
  // The servers look for STORE in another way than they execute it: `SORT k STORE by STORE d`.
  const written = keys.find((key) => key.written);
  if (wanted.store !== undefined && written?.name.equals(wanted.store) !== true) return errors.syntax();

  const { name, slot } = keys[0]!;
  if (keys.every((key) => key.slot === slot) && allIn(slot, wanted)) {
    const reply = await reach.ask(slot, words, written === undefined);
    if (!DENIED.test(reply.toString('latin1', 0, 100))) return reply;
  }
  const [size] = await sizesOf(reach, [{ name, slot }]);
  mayCopy(size!, limits.maxBytes);
  return reach.within(size!, async () => {
    const cells = await new Sorting(call, wanted).cells();
    if (written !== undefined) return store(call, written.name, written.slot, cells);
    return array(cells.map((cell) => (cell === undefined ? nil(reach.resp) : bulk(cell))));
  });
}

/** A call with patterns, as it is worked out. */
class Sorting {
  private readonly call: Crossing;
  private readonly wanted: Sort;
  private readonly slot: number;
  private readonly meter: Meter;

  constructor(call: Crossing, wanted: Sort) {
    this.call = call;
    this.wanted = wanted;
    this.slot = call.keys[0]!.slot;
    this.meter = new Meter(call.limits.maxBytes);
  }

  /** What is replied, or stored. */
  async cells(): Promise<Cell[]> {
    const { gets, by } = this.wanted;
    const elements = by === undefined ? await this.inOwnOrder() : await this.byWeights(by);
    if (gets.length === 0) return elements;
    const asked = elements.flatMap((element) => gets.map((pattern) => ({ pattern, element })));
    const found = await this.found(asked);
    const cells = asked.map(({ pattern, element }, i) => (pattern.names === 'element' ? element : found[i]));
    // One value may be replied many times.
    const reply = new Meter(this.call.limits.maxBytes);
    for (const cell of cells) reply.count(cell?.length ?? 0);
    return cells;
  }

  /** The elements that LIMIT leaves, ordered by the server: by other rules for texts that are stored. */
  private async inOwnOrder(): Promise<Buffer[]> {
    const { key, store } = this.wanted;
    const native: Words = [this.call.words[0]!, key, ...ownOrder(this.wanted)];
    if (store === undefined) return this.elementsOf(native);
    const { reach } = this.call;
    const as = temporaryKey(this.slot, newId(), 0);
    step('sort: read');
    const replies = await reach.atomically(
      this.slot,
      [
        [...native, 'STORE', as],
        ['LRANGE', as, 0, -1],
        ['UNLINK', as],
      ],
      true,
    );
    succeeded(replies[0]);
    return this.counted(replies[1]!);
  }

  private async byWeights(by: Pattern): Promise<Buffer[]> {
    const { key, desc, alpha } = this.wanted;
    const elements = await this.elementsOf([this.call.words[0]!, key, 'BY', 'nosort']);
    const weights = await this.found(elements.map((element) => ({ pattern: by, element })));
    const order = alpha ? await this.byTexts(weights) : byScores(elements, scoresOf(weights), desc);
    const [from, to] = windowOf(this.wanted, order.length);
    return order.slice(from, to).map((i) => elements[i]!);
  }

  /** What is stored is ordered by bytes, so that all servers store the same; what is replied, by the server's language. */
  private async byTexts(weights: readonly Cell[]): Promise<number[]> {
    const { store, desc } = this.wanted;
    if (store !== undefined) return byTexts(weights, distinct(weights).sort(Buffer.compare), desc);
    const texts = weights.map((weight) => weight && untilNul(weight));
    return byTexts(texts, await this.collated(distinct(texts)), desc);
  }

  private async collated(texts: readonly Buffer[]): Promise<Buffer[]> {
    if (texts.length < 2) return [...texts];
    const as = temporaryKey(this.slot, newId(), 0);
    const commands: Words[] = [...pushes(as, texts), ['SORT', as, 'ALPHA'], ['UNLINK', as]];
    step('sort: collate');
    const replies = await this.call.reach.atomically(this.slot, commands, true);
    return present(bulksOf(replies.at(-2)!));
  }

  private found(asked: readonly { pattern: Pattern; element: Buffer }[]): Promise<Cell[]> {
    step('sort: look up');
    return lookUp(
      this.call.reach,
      asked.map(({ pattern, element }) => named(pattern, element)),
      this.meter,
    );
  }

  private async elementsOf(command: Words): Promise<Buffer[]> {
    step('sort: read');
    return this.counted(await this.call.reach.ask(this.slot, command, true));
  }

  private counted(reply: Buffer): Buffer[] {
    this.meter.count(reply.length);
    return present(bulksOf(reply));
  }
}

/** A missing weight is 0. @throws Refusal where one is no number */
function scoresOf(weights: readonly Cell[]): number[] {
  return weights.map((weight) => {
    const score = weight === undefined ? 0 : scoreOf(weight);
    if (score === undefined) throw new Refusal(errors.noWeight());
    return score;
  });
}

/** Stores a result as the server would have: the list, or nothing, whatever was there. */
async function store(
  { reach }: Crossing,
  name: Buffer,
  slot: number,
  cells: readonly Cell[],
): Promise<Buffer> {
  const as = temporaryKey(slot, newId(), 0);
  const elements = cells.map((cell) => cell ?? EMPTY);
  const commands: Words[] = [
    ...pushes(as, elements),
    ['SORT', as, 'BY', 'nosort', 'STORE', name],
    ['UNLINK', as],
  ];
  step('sort: store');
  try {
    const replies = await reach.atomically(slot, commands, false, true);
    for (const reply of replies) succeeded(reply);
    step('sort: done');
    return replies.at(-2)!;
  } catch (error) {
    if (!isOnTheMove(error)) throw error;
    return storeMoving(reach, name, slot, elements);
  }
}

/** The same while the slot is on the move: the list is made in some other. */
function storeMoving(reach: Reach, name: Buffer, slot: number, elements: readonly Buffer[]): Promise<Buffer> {
  return inSomeSlot(async (other) => {
    const as = temporaryKey(other, newId(), 0);
    const made = await reach.atomically(
      other,
      [...pushes(as, elements), ['DUMP', as], ['UNLINK', as]],
      true,
      true,
    );
    for (const reply of made) succeeded(reply);
    return storeDump(reach, { name, slot }, made.at(-2)!, made.at(-3) ?? ZERO);
  });
}

function pushes(key: Buffer, elements: readonly Buffer[]): Words[] {
  const commands: Words[] = [];
  for (let i = 0; i < elements.length; i += TOGETHER)
    commands.push(['RPUSH', key, ...elements.slice(i, i + TOGETHER)]);
  return commands;
}

function present(cells: readonly Cell[]): Buffer[] {
  return cells.filter((cell) => cell !== undefined);
}
