/**
 * What one key must hold, by the replies its only writer has got: each reply is checked when it comes, and what
 * the nodes hold is checked at the end.
 *
 * Three kinds, each good at seeing something: a counter shows at once that a write was lost or doubled, a journal
 * (appended records, numbered) shows which one and in which order, a register (numbered values) shows reads that
 * are older or newer than the client's own last write. A write has one of three outcomes: it was acknowledged
 * (must be there once), refused (must not be there), or is open (may be there, once, at its place).
 *
 *   acknowledged   1 2 3 . 5 6        a node's journal   1 2 3 5 5 6   -> 5 doubled
 *   open                 4                               1 2 3 4 6     -> 5 lost (4 is fine)
 *                                                        1 2 3 6 5     -> 5 out of order
 */

/** An acknowledged write that is not there: the `number`-th of its key. */
export interface Loss {
  readonly key: string;
  readonly number: number;
  /** A replica had confirmed it (WAIT). */
  readonly safe: boolean;
}

/** What was found wrong, over all keys. */
export class Findings {
  readonly losses: Loss[] = [];
  doubled = 0;
  disordered = 0;
  /** Reads that showed something older than the client's own last write. */
  stale = 0;
  /** Replies that no server gives to such a command. */
  malformed = 0;
  /** The first few, in words. */
  readonly examples: string[] = [];

  note(text: string): void {
    if (this.examples.length < EXAMPLES) this.examples.push(text);
  }
}

const EXAMPLES = 10;

interface Acknowledged {
  readonly number: number;
  safe: boolean;
}

export abstract class Ledger {
  readonly key: string;
  protected readonly findings: Findings;
  protected acknowledged: Acknowledged[] = [];
  private latest: Acknowledged | undefined;

  constructor(key: string, findings: Findings) {
    this.key = key;
    this.findings = findings;
  }

  /** What the node holds at the end. */
  abstract check(value: string | null): void;

  /** WAIT has said that a replica has what was acknowledged last. */
  confirm(): void {
    if (this.latest !== undefined) this.latest.safe = true;
  }

  protected acknowledge(number: number): void {
    const one = { number, safe: false };
    this.acknowledged.push(one);
    this.latest = one;
  }

  protected lose({ number, safe }: Acknowledged): void {
    this.findings.losses.push({ key: this.key, number, safe });
    this.findings.note(`${this.key}: write ${number} is lost`);
  }
}

/** INCR: its n-th execution is answered with n. */
export class Counter extends Ledger {
  private highest = 0;
  /** How many had been sent when the highest reply came: later ones can't have changed places with it. */
  private sentThen = 0;
  private sent = 0;
  private open = 0;
  private doubled = 0;
  /** Numbers that nobody was given. Open writes account for as many. */
  private readonly skipped = new Set<number>();

  /** Returns the place of this write among the key's. */
  send(): number {
    return ++this.sent;
  }

  take(place: number, number: number): void {
    if (number > this.highest) {
      for (let n = this.highest + 1; n < number; n++) this.skipped.add(n);
      this.reach(number);
      this.excess(0);
    } else if (this.skipped.delete(number) && place <= this.sentThen) {
      this.findings.disordered++;
      this.findings.note(`${this.key}: ${number} was given after ${this.highest}`);
      this.doubled = Math.max(0, this.doubled - 1);
    } else {
      this.fallBack(number - 1);
      this.reach(number);
    }
    this.acknowledge(number);
  }

  leaveOpen(): void {
    this.open++;
  }

  override check(value: string | null): void {
    const found = Number(value ?? 0);
    if (found < this.highest) this.fallBack(found);
    else this.excess(found - this.highest);
    this.findings.doubled += this.doubled;
  }

  private reach(number: number): void {
    this.highest = number;
    this.sentThen = this.sent;
  }

  private excess(beyond: number): void {
    const unexplained = this.skipped.size + beyond - this.open;
    if (unexplained <= this.doubled) return;
    this.doubled = unexplained;
    this.findings.note(`${this.key}: ${unexplained} more than were written, at ${this.highest + beyond}`);
  }

  /** The counter has gone back to `value`: what was acknowledged beyond is lost. */
  private fallBack(value: number): void {
    for (const one of this.acknowledged) if (one.number > value) this.lose(one);
    this.acknowledged = this.acknowledged.filter(({ number }) => number <= value);
    for (const number of this.skipped) if (number > value) this.skipped.delete(number);
    this.highest = value;
  }
}

/** Bytes of a journal's record: `0000042,`. */
const RECORD = 8;

/** APPEND of numbered records. */
export class Journal extends Ledger {
  private last = 0;
  private readonly open = new Set<number>();

  /** The next record and its number. */
  next(): { number: number; record: string } {
    const number = ++this.last;
    return { number, record: `${String(number).padStart(RECORD - 1, '0')},` };
  }

  take(number: number, length: number): void {
    if (length % RECORD !== 0) {
      this.findings.malformed++;
      this.findings.note(`${this.key}: APPEND of record ${number} -> ${length}`);
    }
    this.acknowledge(number);
  }

  leaveOpen(number: number): void {
    this.open.add(number);
  }

  override check(value: string | null): void {
    const numbers = recordsOf(value ?? '');
    const seen = new Set<number>();
    const may = new Set(this.acknowledged.map(({ number }) => number));
    let before = 0;
    for (const number of numbers) {
      if (seen.has(number) || !(may.has(number) || this.open.has(number))) {
        this.findings.doubled++;
        const what = seen.has(number) ? 'is there twice' : 'was refused, and is there';
        this.findings.note(`${this.key}: record ${number} ${what}`);
      } else if (number < before) {
        this.findings.disordered++;
        this.findings.note(`${this.key}: record ${number} behind ${before}`);
      }
      seen.add(number);
      before = Math.max(before, number);
    }
    for (const one of this.acknowledged) if (!seen.has(one.number)) this.lose(one);
  }
}

/** The numbers of a journal's records. */
export function recordsOf(value: string): number[] {
  return value
    .split(',')
    .filter((part) => part !== '')
    .map(Number);
}

/** What a register may hold: eight digits. */
export const VALUE = /^\d{8}$/;

/** SET and MSET of numbered values, and GET and MGET that must show the last. */
export class Register extends Ledger {
  private last = 0;
  /** The newest that must be there: acknowledged, or seen. */
  private floor = 0;
  private readonly open = new Set<number>();

  next(): { number: number; value: string } {
    const number = ++this.last;
    return { number, value: String(number).padStart(8, '0') };
  }

  take(number: number): void {
    this.floor = number;
    this.acknowledge(number);
  }

  leaveOpen(number: number): void {
    this.open.add(number);
  }

  /** A read in its turn: all earlier writes have been answered, no later one has. */
  read(value: string | null): void {
    if (value !== null && !VALUE.test(value)) {
      this.findings.malformed++;
      this.findings.note(`${this.key}: GET -> ${value.slice(0, 60)}`);
      return;
    }
    const number = Number(value ?? 0);
    if (number < this.floor) {
      this.findings.stale++;
      this.findings.note(`${this.key}: read ${number} after ${this.floor} was written`);
    } else if (number > this.floor && !this.open.has(number)) {
      this.findings.disordered++;
      this.findings.note(`${this.key}: read ${number} before it was written, at ${this.floor}`);
    } else this.floor = number;
  }

  override check(value: string | null): void {
    const found = Number(value ?? 0);
    for (const one of this.acknowledged.slice(-1)) {
      if (found < one.number) this.lose(one);
    }
    const newest = this.acknowledged.at(-1)?.number ?? 0;
    if (found > newest && !this.open.has(found)) {
      this.findings.doubled++;
      this.findings.note(`${this.key}: holds ${found}, which was refused; acknowledged was ${newest}`);
    }
  }
}
