/**
 * The demo's live line, out of two looks at the proxy's /metrics.
 *
 * Counters only grow, so a rate and a percentile are of the time between two looks: the difference of the
 * counts, and of each histogram bucket summed over all commands.
 */

export class Figures {
  private readonly at: number;
  private readonly samples: { name: string; labels: string; value: number }[] = [];

  /** `text` is in Prometheus's text format; `at` is when it was asked for, in milliseconds. */
  constructor(text: string, at: number) {
    this.at = at;
    for (const line of text.split('\n')) {
      const match = /^(\w+)(?:\{(.*)\})? ([-+\w.]+)/.exec(line);
      if (!match) continue;
      this.samples.push({ name: match[1] ?? '', labels: match[2] ?? '', value: Number(match[3]) });
    }
  }

  /** `2 clients   51234 commands/s   p99 0.4 ms   6 nodes (3 primary, 3 replica)` */
  line(before?: Figures): string {
    const clients = this.sum('slotless_clients');
    const parts = [`${clients} client${clients === 1 ? '' : 's'}`];
    if (before) {
      const done = this.sum('slotless_commands_total') - before.sum('slotless_commands_total');
      parts.push(`${Math.round((done * 1000) / (this.at - before.at))} commands/s`);
    }
    const p99 = this.percentile(0.99, before);
    parts.push(p99 === undefined ? 'p99 -' : `p99 ${milliseconds(p99)}`);
    const roles = this.of('slotless_nodes').filter(({ value }) => value > 0);
    const named = roles.map(({ labels, value }) =>
      `${value} ${/role="(\w+)"/.exec(labels)?.[1] ?? ''}`.trim(),
    );
    parts.push(`${this.sum('slotless_nodes')} nodes${named.length > 0 ? ` (${named.join(', ')})` : ''}`);
    return parts.join('   ');
  }

  /** Seconds below which the share `q` of the commands since `before` took; undefined if there were none. */
  private percentile(q: number, before?: Figures): number | undefined {
    const now = this.buckets();
    const then = before?.buckets();
    const counts = [...now].map(([le, count]) => [le, count - (then?.get(le) ?? 0)] as const);
    counts.sort(([a], [b]) => a - b);
    const total = counts.at(-1)?.[1] ?? 0;
    if (total <= 0) return undefined;
    return counts.find(([, count]) => count >= total * q)?.[0];
  }

  /** Commands no slower than each bound, in seconds, summed over all commands. */
  private buckets(): Map<number, number> {
    const sums = new Map<number, number>();
    for (const { labels, value } of this.of('slotless_command_duration_seconds_bucket')) {
      const bound = /le="([^"]+)"/.exec(labels)?.[1];
      const le = bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound);
      sums.set(le, (sums.get(le) ?? 0) + value);
    }
    return sums;
  }

  private of(name: string) {
    return this.samples.filter((sample) => sample.name === name);
  }

  private sum(name: string): number {
    return this.of(name).reduce((sum, { value }) => sum + value, 0);
  }
}

function milliseconds(seconds: number): string {
  const ms = seconds * 1000;
  return `${ms < 10 ? Number(ms.toPrecision(2)) : Math.round(ms)} ms`;
}
