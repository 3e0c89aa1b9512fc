// Reads that are asked of a second node, since the first lets itself be waited for. Cold: looks at what is under way
// a few times a second.
//
//   silence   the node says nothing at all to what it owes: all its reads are asked elsewhere, and it is doubted
//   hedging   a read takes longer than most: it is asked elsewhere as well, within a budget (`reads.hedgeAfter`)

import { BUCKETS, bucketOf, quantile } from '../telemetry/buckets.ts';
import { type Counters, TOTAL } from '../telemetry/counters.ts';
import { Attempt } from './attempt.ts';
import { READY } from './connection.ts';
import type { Copies, Copy } from './copies.ts';
import type { Link } from './link.ts';
import { elapsed, type Turn } from './turn.ts';

export interface HedgesOptions {
  /** ms. */
  readonly silence: number;
  /** After so long, ms, or after longer than 99 of 100 take. */
  readonly hedgeAfter: number | 'p99' | 'off';
  /** The part of all reads that may be hedged. */
  readonly budget: number;
}

/** The most hedges at once, after a time without any. */
const BURST = 10;
const SECOND = 1_000_000;
/** Fewer reads than this say nothing of the slowest of a hundred. */
const ENOUGH = 200;

export class Hedges {
  private readonly copies: Copies;
  private readonly turn: Turn;
  private readonly totals: Float64Array;
  private readonly options: HedgesOptions;
  /** How long reads took, of late. */
  private readonly took = new Float64Array(BUCKETS);
  private fadedAt = 0;
  /** Microseconds in which 99 of 100 are answered, as of a moment ago. */
  private p99: number | undefined = undefined;
  private seen = 0;
  private credit = BURST;

  constructor(copies: Copies, turn: Turn, counters: Counters, options: HedgesOptions) {
    this.copies = copies;
    this.turn = turn;
    this.totals = counters.totals;
    this.options = options;
    if (options.hedgeAfter !== 'off') copies.onReply = (micros) => this.note(micros);
  }

  tick(now: number): void {
    const { silence, hedgeAfter } = this.options;
    const after = hedgeAfter === 'off' ? undefined : this.threshold(hedgeAfter);
    this.copies.each((copy) => {
      if (copy.inFlight === 0) return;
      for (const link of copy.node.lanes) {
        if (link === undefined || link.quiet) continue;
        if (isSilent(link, now, silence)) this.leave(copy, link);
        else if (after !== undefined) this.hedge(link, after);
      }
    });
  }

  /** Asks elsewhere what a silent node owes. */
  private leave(copy: Copy, link: Link): void {
    // A link that is not up has been waited for by those that were sent long ago alone.
    const micros = link.state === READY ? -1 : this.options.silence * 1000;
    let reads = 0;
    link.eachPending((pending) => {
      if (!(pending instanceof Attempt)) return;
      reads++;
      if (!pending.waits(micros, this.turn.micros)) return;
      copy.doubted = true;
      if (pending.askBeside()) this.totals[TOTAL.readsElsewhere]! += 1;
    });
    // It is given up for now: what has nobody else to ask waits for whoever can answer.
    if (reads > 0 && copy.node.shut !== undefined && !copy.isPrimary) link.breakOff(copy.node.shut);
  }

  private hedge(link: Link, after: number): void {
    link.eachPending((pending) => {
      if (this.credit < 1) return;
      if (!(pending instanceof Attempt) || !pending.waits(after, this.turn.micros)) return;
      if (!pending.askBeside()) return;
      this.credit--;
      this.totals[TOTAL.readsHedged]! += 1;
    });
  }

  /** Microseconds, or undefined as long as too little is known. */
  private threshold(hedgeAfter: number | 'p99'): number | undefined {
    if (hedgeAfter !== 'p99') return hedgeAfter * 1000;
    if (this.seen < ENOUGH) return undefined;
    if (this.p99 === undefined || elapsed(this.fadedAt, this.turn.micros) > SECOND) {
      this.fadedAt = this.turn.micros;
      this.p99 = quantile([this.took], 0.99);
      for (let i = 0; i < BUCKETS; i++) this.took[i]! /= 2;
    }
    return this.p99;
  }

  private note(micros: number): void {
    this.took[bucketOf(micros)]! += 1;
    this.seen++;
    this.credit = Math.min(BURST, this.credit + this.options.budget);
  }
}

/** What it owes has been waited for longer than it may. */
function isSilent(link: Link, now: number, silence: number): boolean {
  return link.state !== READY || link.silentFor(now) > silence;
}
