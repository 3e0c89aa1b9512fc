// One server's INFO from those of all primaries.
//
// A counter or an amount is summed, a duration or a peak is the largest, a ratio is computed anew from what it
// is a ratio of; what has no common value is the first node's. The table below says which is which; a field it
// does not have goes by its section, so that counters of later servers are summed as well.

/** How the values of one field become one. */
type Rule = 'sum' | 'max' | 'min' | 'first' | 'worst' | 'pairs' | 'largest' | 'calls' | 'keyspace' | 'line';

/** What the proxy says for itself. */
export interface OwnInfo {
  /** Values that replace those of fields which the nodes have, by field: `tcp_port`, `connected_clients`. */
  readonly fields?: Readonly<Record<string, string>>;
  /** Sections to add at the end, by title (`Slotless`), with their `field:value` lines. */
  readonly sections?: readonly { readonly title: string; readonly lines: readonly string[] }[];
}

/** By section, in lower case; all others give the first node's value. */
const SECTIONS = tableOf<Rule>({
  stats: 'sum',
  cpu: 'sum',
  modules: 'line',
  commandstats: 'calls',
  errorstats: 'pairs',
  latencystats: 'largest',
  keysizes: 'pairs',
  keyspace: 'keyspace',
});

/** By field, before the section; a star stands for any end. The first that fits counts. */
const FIELDS: readonly (readonly [Rule, string])[] = [
  ['sum', 'used_memory* maxmemory mem_* allocator_* rss_overhead_bytes lazyfree*'],
  ['first', 'maxmemory_policy mem_allocator'],
  ['sum', 'connected_clients connected_slaves cluster_connections *blocked_clients tracking_clients'],
  ['sum', 'pubsub_clients watching_clients clients_in_timeout_table total_watched_keys total_blocking_keys*'],
  ['max', 'client_recent_max* client_longest_output_list client_biggest_input_buf'],
  ['max', 'number_of_cached_scripts number_of_functions number_of_libraries active_defrag_running'],
  ['max', 'uptime_in* io_threads_active loading async_loading *_in_progress *_scheduled *_time_sec'],
  ['max', 'current_cow* current_fork_perc module_fork* loading_eta_seconds aof_enabled *_failures'],
  ['sum', 'current_save* rdb_changes* rdb_saves rdb_last_load* rdb_last_cow* aof_rewrites aof_*_size'],
  ['sum', 'aof_buffer_length aof_rewrite_buffer_length aof_delayed_fsync loading_*_bytes'],
  ['min', 'rdb_last_save_time loading_start_time min_slaves_good_slaves'],
  ['worst', '*_status'],
  ['sum', 'master_repl_offset repl_backlog_size repl_backlog_histlen replicas_waiting_psync'],
  ['max', 'repl_backlog_active expired_stale_perc latest_fork_usec instantaneous_eventloop_duration_usec'],
  ['max', 'current_eviction_exceeded_time current_active_defrag_time'],
];

/** What a client that knows nothing of clusters is to see. */
const FIXED: Readonly<Record<string, string>> = {
  redis_mode: 'standalone',
  server_mode: 'standalone',
  cluster_enabled: '0',
  role: 'master',
};

/** Ratios, of other fields once these are merged: dividend, divisor, unit. The divisor may be a difference. */
const RATIOS = tableOf<readonly [string, string, '' | '%', string?]>({
  used_memory_peak_perc: ['used_memory', 'used_memory_peak', '%'],
  used_memory_dataset_perc: ['used_memory_dataset', 'used_memory', '%', 'used_memory_startup'],
  allocator_frag_ratio: ['allocator_active', 'allocator_allocated', ''],
  allocator_rss_ratio: ['allocator_resident', 'allocator_active', ''],
  rss_overhead_ratio: ['used_memory_rss', 'allocator_resident', ''],
  mem_fragmentation_ratio: ['used_memory_rss', 'used_memory', ''],
});

interface Section {
  readonly title: string;
  readonly fields: Map<string, string[]>;
}

/** @param texts the primaries' INFO replies, at least one, of the same sections; the proxy shows the first's order */
export function mergeInfo(texts: readonly string[], own: OwnInfo = {}): string {
  const sections = collect(texts);
  const merged = new Map<string, string>();
  for (const { title, fields } of sections.values()) {
    for (const [field, values] of fields) merged.set(field, combine(ruleOf(field, title), values));
  }
  for (const [field, value] of merged) merged.set(field, derive(field, value, merged));
  for (const [field, value] of [...Object.entries(FIXED), ...Object.entries(own.fields ?? {})]) {
    if (merged.has(field)) merged.set(field, value);
  }
  const written = [...sections.values()].map(({ title, fields }) =>
    section(
      title,
      [...fields.keys()].map((field) => lineOf(field, merged.get(field)!)),
    ),
  );
  for (const { title, lines } of own.sections ?? []) written.push(section(title, lines));
  return written.join('\r\n');
}

function section(title: string, lines: readonly string[]): string {
  return [`# ${title}`, ...lines].map((line) => `${line}\r\n`).join('');
}

function lineOf(field: string, value: string): string {
  return field.startsWith('module:') ? field : `${field}:${value}`;
}

/** The fields of all texts by section, each with its values in the order of the texts. */
function collect(texts: readonly string[]): Map<string, Section> {
  const sections = new Map<string, Section>();
  let replicas = 0;
  for (const text of texts) {
    let fields = new Map<string, string[]>();
    let own = 0;
    for (const line of text.split('\r\n')) {
      const title = line.startsWith('# ') ? line.slice(2) : undefined;
      if (title !== undefined) {
        const found = sections.get(title) ?? { title, fields: new Map() };
        sections.set(title, found);
        fields = found.fields;
        continue;
      }
      const colon = line.indexOf(':');
      if (colon < 1) continue;
      let field = line.slice(0, colon);
      // Replicas are numbered on through all primaries; modules have one line each, all of one name.
      if (/^slave\d+$/.test(field)) field = `slave${replicas + own++}`;
      else if (field === 'module') field = line;
      const values = fields.get(field);
      if (values) values.push(line.slice(colon + 1));
      else fields.set(field, [line.slice(colon + 1)]);
    }
    replicas += own;
  }
  return sections;
}

function ruleOf(field: string, title: string): Rule {
  const byField = RULES.find(([pattern]) => pattern.test(field));
  const bySection = SECTIONS.get(title.toLowerCase());
  return byField?.[1] ?? bySection ?? 'first';
}

/** Whole names come before stars. */
const RULES: readonly (readonly [RegExp, Rule])[] = FIELDS.flatMap(([rule, patterns]) =>
  patterns.split(' ').map((pattern) => [pattern, rule] as const),
)
  .sort(([a], [b]) => Number(a.includes('*')) - Number(b.includes('*')))
  .map(([pattern, rule]) => [new RegExp(`^${pattern.replaceAll('*', '.*')}$`), rule]);

function combine(rule: Rule, values: readonly string[]): string {
  const first = values[0]!;
  switch (rule) {
    case 'sum':
      return values.every(isNumber) ? sum(values) : first;
    case 'max':
      return values.every(isNumber) ? most(values) : first;
    case 'min':
      return values.every(isNumber) ? values.reduce((a, b) => (Number(b) < Number(a) ? b : a)) : first;
    case 'worst':
      return values.find((value) => value !== 'ok') ?? first;
    case 'pairs':
      return writePairs(mergePairs(values, sum));
    case 'largest':
      return writePairs(mergePairs(values, most));
    case 'calls':
      return calls(values);
    case 'keyspace':
      return keyspace(values);
    default:
      return first;
  }
}

/** Ratios and the forms for people, from what is merged. */
function derive(field: string, value: string, merged: ReadonlyMap<string, string>): string {
  const number = (name: string | undefined): number => Number(merged.get(name ?? '') ?? 0);
  const ratio = RATIOS.get(field);
  if (ratio) {
    const [dividend, divisor, unit, less] = ratio;
    const by = number(divisor) - number(less);
    return by > 0 ? `${((number(dividend) / by) * (unit === '%' ? 100 : 1)).toFixed(2)}${unit}` : value;
  }
  const bytes = field.endsWith('_human') ? merged.get(field.slice(0, -'_human'.length)) : undefined;
  return bytes === undefined ? value : human(Number(bytes));
}

/** As the server's bytesToHuman. */
function human(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`;
  const power = Math.min(5, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(2)}${'BKMGTP'[power]}`;
}

function calls(values: readonly string[]): string {
  const merged = mergePairs(values, sum);
  const perCall = Number(merged.get('usec') ?? 0) / Math.max(1, Number(merged.get('calls') ?? 0));
  if (merged.has('usec_per_call')) merged.set('usec_per_call', perCall.toFixed(2));
  return writePairs(merged);
}

/** Sums; but the average time to live, which is that of the keys that expire, is weighted by these. */
function keyspace(values: readonly string[]): string {
  const merged = mergePairs(values, sum);
  if (!merged.has('avg_ttl')) return writePairs(merged);
  let total = 0;
  for (const value of values) {
    const pairs = readPairs(value);
    total += Number(pairs.get('avg_ttl') ?? 0) * Number(pairs.get('expires') ?? 0);
  }
  const expires = Number(merged.get('expires') ?? 0);
  merged.set('avg_ttl', String(expires > 0 ? Math.round(total / expires) : 0));
  return writePairs(merged);
}

/** `a=1,b=2` lists in one, each name's values by `by`. */
function mergePairs(
  values: readonly string[],
  by: (values: readonly string[]) => string,
): Map<string, string> {
  const all = new Map<string, string[]>();
  for (const value of values) {
    for (const [name, number] of readPairs(value)) all.set(name, [...(all.get(name) ?? []), number]);
  }
  return new Map([...all].map(([name, numbers]) => [name, by(numbers)]));
}

function readPairs(text: string): Map<string, string> {
  return new Map(
    text.split(',').map((pair) => {
      const equals = pair.indexOf('=');
      return [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}

function writePairs(pairs: ReadonlyMap<string, string>): string {
  return [...pairs].map(([name, value]) => `${name}=${value}`).join(',');
}

function tableOf<T>(rows: Readonly<Record<string, T>>): ReadonlyMap<string, T> {
  return new Map(Object.entries(rows));
}

function isNumber(text: string): boolean {
  return /^-?\d+(\.\d+)?$/.test(text);
}

/** The sum, with as many decimals as the values have. */
function sum(values: readonly string[]): string {
  if (!values.every(isNumber)) return values[0]!;
  if (values.every((value) => !value.includes('.')))
    return String(values.reduce((a, b) => a + BigInt(b), 0n));
  const decimals = Math.max(...values.map((value) => (value.split('.')[1] ?? '').length));
  return values.reduce((a, b) => a + Number(b), 0).toFixed(decimals);
}

function most(values: readonly string[]): string {
  return values.reduce((a, b) => (Number(b) > Number(a) ? b : a));
}
