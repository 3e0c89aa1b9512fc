/**
 * The table: one row for each fault, flavour and endpoint, with the bars and whether they are held.
 *
 * Counts are sums of all rounds; the pause is the worst of them, and the median behind it.
 */

import type { Kind } from './endpoints.ts';
import type { Fault } from './faults.ts';
import type { Figures } from './round.ts';

export interface Row {
  readonly fault: Fault;
  /** `redis 7.0.15`. */
  readonly server: string;
  readonly kind: Kind;
  readonly rounds: readonly Figures[];
  readonly nodeTimeout: number;
  /** What broke it off. */
  readonly broken?: string;
}

/** Other nodes' p99 while one node is slow, to what it was before. */
const MOST_SLOWER = 2;
const SECOND = 1000;

const HEAD = [
  'fault',
  'server',
  'rounds',
  'commands',
  'errors',
  'unknown (reads)',
  'lost',
  'lost by the cluster',
  'doubled',
  'out of order',
  'stale reads',
  'longest pause (median), ms',
  'bar',
  'held',
];

/** What a row misses, one short text each; none: all its bars are held. */
export function missed(row: Row): string[] {
  const { fault, rounds, broken } = row;
  const bars: [what: string, value: number][] = [
    ['errors', errorsOf(row)],
    ['lost', sum(rounds, 'lost')],
    ['doubled', sum(rounds, 'doubled')],
    ['out of order', sum(rounds, 'disordered')],
    ['malformed', sum(rounds, 'malformed')],
  ];
  // What the cluster has lost was read before, and where it may lose writes, some may be left open.
  if (!fault.lossy) {
    bars.push(['unknown', sum(rounds, 'unknown') + sum(rounds, 'unread')], ['stale', sum(rounds, 'stale')]);
    bars.push(['lost by the cluster', sum(rounds, 'lostByCluster')]);
  }
  const failed = bars.filter(([, value]) => value > 0).map(([what, value]) => `${what} ${value}`);
  const late = rounds.filter((figures) => figures.pause > pauseBar(row, figures)).map(({ pause }) => pause);
  if (late.length > 0) failed.push(`pause ${Math.round(Math.max(...late))} ms`);
  const slower = slowdown(rounds);
  if (slower !== undefined && slower >= MOST_SLOWER) failed.push(`p99 of other nodes x ${slower.toFixed(2)}`);
  if (broken !== undefined) failed.push(broken);
  return failed;
}

/** All rows as a table in Markdown, and below it what stands behind the figures. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => cellsOf(row));
  const widths = HEAD.map((head, i) => Math.max(head.length, ...cells.map((row) => row[i]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  const rule = widths.map((width) => '-'.repeat(width));
  return [line(HEAD), line(rule), ...cells.map(line), '', ...rows.flatMap(notes)].join('\n');
}

function cellsOf(row: Row): string[] {
  const { fault, server, rounds, kind } = row;
  const slower = slowdown(rounds);
  const failed = missed(row);
  return [
    kind === 'slotless' ? fault.name : `${fault.name} (${kind})`,
    server,
    String(rounds.length),
    String(sum(rounds, 'answered')),
    String(errorsOf(row)),
    `${sum(rounds, 'unknown')} (${sum(rounds, 'unread')})`,
    String(sum(rounds, 'lost')),
    String(sum(rounds, 'lostByCluster')),
    String(sum(rounds, 'doubled')),
    String(sum(rounds, 'disordered')),
    String(sum(rounds, 'stale')),
    slower === undefined
      ? `${round(worst(rounds))} (${round(median(pauses(rounds)))})`
      : `others' p99 x ${slower.toFixed(2)}`,
    barOf(row),
    failed.length === 0 ? 'yes' : `no: ${failed.join(', ')}`,
  ];
}

/** Error texts, the first findings in words, and what bounds the pause from below. */
function notes({ fault, server, kind, rounds }: Row): string[] {
  const head = `${fault.name}, ${server}, ${kind}`;
  const lines: string[] = [];
  const texts = new Map<string, number>();
  for (const { errors } of rounds) {
    for (const [text, count] of Object.entries(errors)) texts.set(text, (texts.get(text) ?? 0) + count);
  }
  for (const [text, count] of texts) lines.push(`${head}: ${count} x ${text}`);
  for (const text of rounds.flatMap(({ examples }) => examples).slice(0, 5)) lines.push(`${head}: ${text}`);
  const took = rounds.map((one) => one.took).filter((ms) => ms > 0);
  if (took.length > 0) {
    lines.push(`${head}: the cluster itself took ${round(Math.max(...took))} ms (${round(median(took))})`);
  }
  const own = Math.max(...rounds.map(({ ownPause }) => ownPause));
  if (own > 50) lines.push(`${head}: the load itself was held up for ${round(own)} ms`);
  return lines;
}

/** A cluster may need longer than its node timeout to replace a primary: the second counts from there. */
function pauseBar({ fault, nodeTimeout }: Row, { took }: Figures): number {
  if (fault.pause === 'node timeout') return Math.max(nodeTimeout, took) + SECOND;
  return fault.pause ?? Number.POSITIVE_INFINITY;
}

function barOf({ fault, nodeTimeout, rounds }: Row): string {
  if (fault.pause === undefined) return `x ${MOST_SLOWER}`;
  if (fault.pause !== 'node timeout') return `< ${fault.pause}`;
  const took = Math.max(...rounds.map((one) => one.took));
  return took > nodeTimeout ? `< ${round(took)} (the cluster's) + ${SECOND}` : `< ${nodeTimeout + SECOND}`;
}

function errorsOf({ rounds }: Row): number {
  return rounds.flatMap(({ errors }) => Object.values(errors)).reduce((all, count) => all + count, 0);
}

/** The median over all rounds. */
function slowdown(rounds: readonly Figures[]): number | undefined {
  const ratios = rounds.flatMap(({ others }) => (others === undefined ? [] : [others[1] / others[0]]));
  return ratios.length === 0 ? undefined : median(ratios);
}

type Counted =
  | 'answered'
  | 'unknown'
  | 'unread'
  | 'lost'
  | 'lostByCluster'
  | 'doubled'
  | 'disordered'
  | 'stale'
  | 'malformed';

function sum(rounds: readonly Figures[], what: Counted): number {
  return rounds.reduce((all, figures) => all + figures[what], 0);
}

function pauses(rounds: readonly Figures[]): number[] {
  return rounds.map(({ pause }) => pause);
}

function worst(rounds: readonly Figures[]): number {
  return Math.max(0, ...pauses(rounds));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

function round(ms: number): string {
  return String(Math.round(ms));
}
