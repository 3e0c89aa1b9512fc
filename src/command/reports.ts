// One report of those of several nodes: SLOWLOG, LATENCY, MEMORY, FUNCTION STATS. Each says what one server
// would that had done what all of them did: times in order, counts and amounts summed, ratios computed anew.
//
// Replies come as RESP2 has them, nested arrays of numbers and bytes, a map as names and values in turn.

import type { Value } from '../resp/write.ts';

export type Reply = number | Buffer | null | readonly Reply[];

/** Samples that a server keeps of an event (latency.h, LATENCY_TS_LEN). */
const SAMPLES = 160;

/** A node's reply to SLOWLOG GET or COMMANDLOG GET: [[id, time, micros, arguments, client, name], ...] */
export interface NodeLog {
  /** Of the node. */
  readonly name: string;
  readonly entries: readonly Reply[];
}

/**
 * The newest entries of all nodes, newest first. Ids are given anew, since each node counts for itself: they
 * rise with time, and stay the same from call to call while the nodes do.
 * @param count how many, -1 for all
 */
export function mergeLogs(logs: readonly NodeLog[], count: number): Value[] {
  const names = logs.map(({ name }) => name).sort();
  const entries = logs.flatMap(({ name, entries }) =>
    (entries as readonly (readonly Reply[])[]).map(([id, time, ...rest]) => {
      // 31 bits of seconds, 12 of the node's own count, 10 of the node: 53.
      const number =
        Number(time) * 2 ** 22 + (Number(id) % 2 ** 12) * 2 ** 10 + (names.indexOf(name) % 2 ** 10);
      return [number, time, ...rest] as Value[];
    }),
  );
  entries.sort((a, b) => Number(b[0]) - Number(a[0]));
  return count < 0 ? entries : entries.slice(0, count);
}

/** LATENCY LATEST: [[event, time, latest, highest], ...] */
export function mergeLatest(replies: readonly Reply[]): Value[] {
  const events = new Map<string, [Value, number, number, number]>();
  for (const [event, time, latest, highest] of replies.flat() as [Buffer, number, number, number][]) {
    const before = events.get(String(event));
    const newest = before === undefined || time > before[1] || (time === before[1] && latest > before[2]);
    const top = Math.max(highest, before?.[3] ?? 0);
    events.set(String(event), newest ? [event, time, latest, top] : [before[0], before[1], before[2], top]);
  }
  return [...events.values()];
}

/** LATENCY HISTORY: [[time, latency], ...]; as a server does, of each second the highest, and the last 160. */
export function mergeHistory(replies: readonly Reply[]): Value[] {
  const seconds = new Map<number, number>();
  for (const [time, latency] of replies.flat() as [number, number][]) {
    seconds.set(time, Math.max(latency, seconds.get(time) ?? 0));
  }
  return [...seconds].sort(([a], [b]) => a - b).slice(-SAMPLES);
}

/** LATENCY HISTOGRAM: command -> calls, and how many of them took up to so many microseconds. */
export function mergeHistograms(replies: readonly Reply[]): Map<Value, Value> {
  const commands = new Map<string, { calls: number; steps: Map<number, number>[] }>();
  for (const reply of replies) {
    for (const [name, fields] of pairsOf(reply)) {
      const { calls, histogram_usec: steps } = Object.fromEntries(pairsOf(fields));
      const all = commands.get(name) ?? { calls: 0, steps: [] };
      commands.set(name, all);
      all.calls += Number(calls);
      all.steps.push(new Map(pairsOf(steps!).map(([bound, count]) => [Number(bound), Number(count)])));
    }
  }
  return new Map(
    [...commands].map(([name, { calls, steps }]) => [
      name,
      new Map<Value, Value>([
        ['calls', calls],
        ['histogram_usec', addSteps(steps)],
      ]),
    ]),
  );
}

/** Sums of cumulative counts, each of which stays as it is until its next bound. */
function addSteps(all: readonly Map<number, number>[]): Map<number, number> {
  const bounds = [...new Set(all.flatMap((steps) => [...steps.keys()]))].sort((a, b) => a - b);
  const last = all.map(() => 0);
  return new Map(
    bounds.map((bound) => {
      for (const [i, steps] of all.entries()) last[i] = steps.get(bound) ?? last[i]!;
      return [bound, last.reduce((a, b) => a + b, 0)];
    }),
  );
}

/**
 * FUNCTION STATS: what runs on the first node where something does; all nodes have the same functions.
 * @param hidden libraries in Lua, with a function each, that clients are not told of
 */
export function mergeFunctionStats(replies: readonly Reply[], hidden = 0): Map<Value, Value> {
  const all = replies.map((reply) => new Map(pairsOf(reply)));
  const running = all.map((one) => one.get('running_script')).find((script) => script != null);
  const engines = new Map<string, Map<string, number>>();
  for (const one of all) {
    for (const [engine, fields] of pairsOf(one.get('engines') ?? [])) {
      const most = engines.get(engine) ?? new Map<string, number>();
      engines.set(engine, most);
      for (const [field, count] of pairsOf(fields)) {
        most.set(field, Math.max(Number(count), most.get(field) ?? 0));
      }
    }
  }
  const lua = engines.get('LUA');
  for (const [field, count] of lua ?? []) lua!.set(field, Math.max(0, count - hidden));
  return new Map<Value, Value>([
    ['running_script', running == null ? null : new Map(pairsOf(running) as [Value, Value][])],
    ['engines', engines],
  ]);
}

/** Of a field of MEMORY STATS: a whole number, one with a fraction, or fields below it. */
export type Stat = { readonly sum: number } | { readonly ratio: number } | ReadonlyMap<string, Stat>;

/** MEMORY STATS: amounts are summed, the rest is computed from the sums as the server does (object.c). */
export function mergeMemoryStats(replies: readonly Reply[]): Map<string, Stat> {
  const merged = addStats(replies);
  const of = (field: string): number => {
    const stat = merged.get(field);
    return stat !== undefined && 'sum' in stat ? stat.sum : 0;
  };
  const net = of('total.allocated') - of('startup.allocated');
  const rss = of('allocator.resident') + of('rss-overhead.bytes');
  const ratios: Record<string, [number, number]> = {
    'dataset.percentage': [of('dataset.bytes') * 100, net],
    'peak.percentage': [of('total.allocated') * 100, of('peak.allocated')],
    'allocator-fragmentation.ratio': [of('allocator.active'), of('allocator.allocated')],
    'allocator-rss.ratio': [of('allocator.resident'), of('allocator.active')],
    'rss-overhead.ratio': [rss, of('allocator.resident')],
    fragmentation: [rss, of('total.allocated')],
  };
  for (const [field, [dividend, divisor]] of Object.entries(ratios)) {
    if (merged.has(field) && divisor > 0) merged.set(field, { ratio: dividend / divisor });
  }
  const keys = of('keys.count');
  if (merged.has('keys.bytes-per-key')) {
    merged.set('keys.bytes-per-key', { sum: keys > 0 ? Math.floor(net / keys) : 0 });
  }
  return merged;
}

function addStats(replies: readonly Reply[]): Map<string, Stat> {
  const values = new Map<string, Reply[]>();
  for (const reply of replies) {
    for (const [field, value] of pairsOf(reply)) {
      const all = values.get(field);
      if (all === undefined) values.set(field, [value]);
      else all.push(value);
    }
  }
  return new Map(
    [...values].map(([field, all]): [string, Stat] => {
      if (Array.isArray(all[0])) return [field, addStats(all)];
      // RESP2 has a double as a bulk; a ratio that is not known here is the largest.
      if (typeof all[0] !== 'number')
        return [field, { ratio: Math.max(...all.map((each) => Number(String(each)))) }];
      return [field, { sum: all.reduce((sum: number, each) => sum + Number(each), 0) }];
    }),
  );
}

/** Texts of several nodes in one, each under its node's name; one text where all say the same. */
export function mergeTexts(texts: readonly string[], names: readonly string[]): string {
  if (texts.every((text) => text === texts[0])) return texts[0] ?? '';
  return texts.map((text, i) => `${names[i]}\n${text.trimEnd()}\n`).join('\n');
}

/** Names and values in turn. */
function pairsOf(flat: Reply): [string, Reply][] {
  const list = flat as readonly Reply[];
  return Array.from({ length: list.length >> 1 }, (_, i) => [String(list[2 * i]), list[2 * i + 1]!]);
}
