// How soon the map is asked for again when it is wanted: at once at first, and less often the longer that brings
// nothing new.
//
//   since news | 1 s | 5 s | 10 s | 50 s | hours         a fiftieth of the time since the last news, but no less
//   pause      | 100 | 100 |  200 | 1000 | 1000 ms       than the shortest pause, nor more than a second
//
// So a failover that takes some time is seen within a fiftieth of that time, and a node that stays away for good
// does not have the whole cluster asked ten times a second.

/** The longest pause, ms. */
const LONGEST = 1000;
const PART = 50;
/** Without any want for so long, ms, the next one is news. */
const QUIET = 5000;

export class Pace {
  private readonly shortest: number;
  private readonly clock: () => number;
  private newsAt = Number.NEGATIVE_INFINITY;
  private wantedAt = Number.NEGATIVE_INFINITY;

  /** `shortest`: the least pause, ms. `clock` in ms. */
  constructor(shortest: number, clock: () => number = () => performance.now()) {
    this.shortest = shortest;
    this.clock = clock;
  }

  /** A map is wanted. `news`: for something that has not been asked for before. */
  want(news: boolean): void {
    const now = this.clock();
    if (news || !this.busy) this.newsAt = now;
    this.wantedAt = now;
  }

  /** The map has been wanted not long ago, and may be again. */
  get busy(): boolean {
    return this.clock() - this.wantedAt <= QUIET;
  }

  /** The time between two questions, ms. */
  get pause(): number {
    const age = this.clock() - this.newsAt;
    return Math.max(this.shortest, Math.min(LONGEST, age / PART));
  }
}
