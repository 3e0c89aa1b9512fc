// From rounds to figures: medians, ratios to a baseline, and the table.
//
// A ratio is taken within each round, between neighbours in time, and its median is what counts: what else the
// machine does changes from minute to minute and hits both sides of one round alike. The lowest and highest
// round are shown, so that a lucky median can be seen for what it is.

import type { Sample } from './meter.ts';

/** All rounds of one endpoint under one workload. */
export interface Series {
  readonly name: string;
  readonly rounds: readonly Sample[];
  /** Why there are no (more) rounds. */
  readonly error?: string;
}

export interface Ratio {
  readonly to: string;
  readonly rounds: readonly number[];
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export interface Summary extends Series {
  readonly median: Sample;
  /** CPU per command by that of the baseline; absent for the baseline, and where either is not known. */
  readonly ratio?: Ratio;
}

/** What is counted. */
export type Unit = 'command' | 'delivery';
const PER_SECOND = { command: 'commands/s', delivery: 'deliveries/s' } as const;

/** The middle value; the mean of the two middle ones for an even number; NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Medians of every series, and its ratio to the series named `baseline`. */
export function summarize(all: readonly Series[], baseline: string): Summary[] {
  const base = all.find(({ name }) => name === baseline);
  return all.map((series) => {
    const figure = (field: keyof Sample) => median(series.rounds.map((sample) => sample[field]));
    const summary: Summary = {
      ...series,
      median: {
        cpu: figure('cpu'),
        perSecond: figure('perSecond'),
        p50: figure('p50'),
        p99: figure('p99'),
        p999: figure('p999'),
        rss: figure('rss'),
        busy: figure('busy'),
        loader: figure('loader'),
      },
    };
    const ratio = base === undefined || base === series ? undefined : ratioOf(series, base);
    return ratio === undefined ? summary : { ...summary, ratio };
  });
}

function ratioOf(series: Series, base: Series): Ratio | undefined {
  const rounds = series.rounds
    .map((sample, i) => sample.cpu / (base.rounds[i]?.cpu ?? Number.NaN))
    .filter((value) => Number.isFinite(value));
  if (rounds.length === 0) return undefined;
  return {
    to: base.name,
    rounds,
    min: Math.min(...rounds),
    median: median(rounds),
    max: Math.max(...rounds),
  };
}

/** The table of one workload, whose figures are per `unit`. */
export function table(title: string, summaries: readonly Summary[], unit: Unit): string {
  const to = summaries.find(({ ratio }) => ratio !== undefined)?.ratio?.to;
  const head = [
    'endpoint',
    `µs CPU/${unit}`,
    PER_SECOND[unit],
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
    'MiB',
    'busy',
    'loader',
  ];
  if (to !== undefined) head.push(`CPU : ${to} (min .. max)`);
  const rows = summaries.map(({ name, median: m, ratio }) => {
    const row = [
      name,
      digits(m.cpu, 2),
      digits(m.perSecond, 0),
      digits(m.p50, 3),
      digits(m.p99, 3),
      digits(m.p999, 3),
      digits(m.rss / 2 ** 20, 1),
      percent(m.busy),
      percent(m.loader),
    ];
    if (to === undefined) return row;
    const range = ratio && `${digits(ratio.median, 2)} (${digits(ratio.min, 2)} .. ${digits(ratio.max, 2)})`;
    return [...row, range ?? (name === to ? '1' : '-')];
  });
  const failures = summaries.flatMap(({ name, error }) =>
    error === undefined ? [] : [`  ${name}: ${error}`],
  );
  return [title, align([head, ...rows]), ...failures, ''].join('\n');
}

/** Columns of one width: the first to the left, figures to the right. */
export function align(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ');
  return rows.map((row) => `  ${line(row)}`).join('\n');
}

function percent(share: number): string {
  return `${digits(share * 100, 0)} %`;
}

export function digits(value: number, decimals: number): string {
  return Number.isFinite(value) ? value.toFixed(decimals) : '-';
}
