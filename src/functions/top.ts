// Reducers that keep the n highest: topk:<n> over members and scores, topk:<n>:<i> over rows.
//
// Twice as many as are wanted are kept before they are sorted and the lower half is dropped, so that a row costs
// little, and one that is lower than all that is kept costs nothing. Of equal ones the first in order is higher.

import type { Decoded } from '../resp/value.ts';
import { type Numeric, numberOf } from './numbers.ts';
import { entriesOf, inPairs, listOf, owned, type Part, type Reducer, Unreducible } from './reducer.ts';

interface Ranked {
  readonly score: Numeric;
  readonly place: number;
  /** Within its reply. */
  readonly position: number;
  readonly row: Decoded;
}

/** What a row takes besides its bytes, about. */
const ROW = 128;

function byRank(a: Ranked, b: Ranked): number {
  if (a.score > b.score) return -1;
  return a.score < b.score ? 1 : a.place - b.place || a.position - b.position;
}

abstract class Top implements Reducer {
  readonly onError = 'fail';
  readonly ordered = false;
  readonly done = false;
  held = 0;
  private readonly most: number;
  private rows: Ranked[] = [];
  /** The lowest that counts. */
  private floor: Ranked | undefined = undefined;

  constructor(most: number) {
    this.most = most;
  }

  abstract add(part: Part): void;
  abstract result(): Decoded;

  /** `bytes` of it, about. */
  protected rank(score: Numeric, place: number, position: number, row: Decoded, bytes: number): void {
    const ranked = { score, place, position, row };
    if (this.floor !== undefined && byRank(this.floor, ranked) <= 0) return;
    this.rows.push({ ...ranked, row: owned(row) });
    this.held += ROW + bytes;
    if (this.rows.length >= 2 * this.most) this.cut();
  }

  protected sorted(): Decoded[] {
    this.cut();
    return this.rows.map(({ row }) => row);
  }

  private cut(): void {
    const before = this.rows.length;
    this.rows.sort(byRank).splice(this.most);
    if (this.rows.length === this.most) this.floor = this.rows.at(-1);
    // Rows of one kind are about as long as each other.
    if (before > 0) this.held = Math.ceil((this.held * this.rows.length) / before);
  }
}

/** Replies as ZRANGE ... WITHSCORES gives them: flat in RESP2, pairs in RESP3. The result is in the same shape. */
export class TopScores extends Top {
  private paired = false;

  add({ reply, place, bytes }: Part): void {
    this.paired ||= inPairs(listOf(reply) ?? []);
    const entries = entriesOf(reply);
    const scores = entries.map(([, score]) => numberOf(score));
    if (scores.includes(undefined)) throw new Unreducible('a score is no number');
    entries.forEach((entry, i) => {
      this.rank(scores[i]!, place, i, entry, bytes / entries.length);
    });
  }

  result(): Decoded {
    return this.paired ? this.sorted() : this.sorted().flat();
  }
}

/** Replies are arrays of rows, ordered by one of their fields. */
export class TopRows extends Top {
  private readonly field: number;

  /** `field`: counted from 0. */
  constructor(most: number, field: number) {
    super(most);
    this.field = field;
  }

  add({ reply, place, bytes }: Part): void {
    const rows = reply === null ? [] : listOf(reply);
    if (rows === undefined) throw new Unreducible('it is no array of rows');
    const scores = rows.map((row) => numberOf(listOf(row)?.[this.field] ?? null));
    if (scores.includes(undefined)) throw new Unreducible(`a row has no number as its field ${this.field}`);
    rows.forEach((row, i) => {
      this.rank(scores[i]!, place, i, row, bytes / rows.length);
    });
  }

  result(): Decoded {
    return this.sorted();
  }
}
