/**
 * The figures for /metrics, through OpenTelemetry: read from the counters when somebody asks.
 *
 * Every instrument is an observable one, so a command costs nothing here. The rows below are the whole
 * list: name, meaning (the HELP line) and where the value is taken from. The latency histogram comes
 * from histogram.ts. A registered global MeterProvider (an operator's own OpenTelemetry set-up) gets the
 * same instruments; the Prometheus text is made by a provider of our own, which listens nowhere.
 */
import process from 'node:process';
import { type Meter, metrics, type ObservableResult } from '@opentelemetry/api';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { type Counters, TOTAL, type Total } from './counters.ts';
import { histogramProducer } from './histogram.ts';

/** Where the figures are read from, each time anew. */
export interface MetricsSource {
  /** One for each worker, in their order. */
  counters(): readonly Counters[];
  /** How many nodes of each role the map has: { primary: 3, replica: 3 }. */
  nodes(): Readonly<Record<string, number>>;
  ready(): boolean;
}

export interface Metrics {
  /** All figures in Prometheus's text format, version 0.0.4. */
  text(): Promise<string>;
  close(): Promise<void>;
}

/** Registers all instruments. */
export function openMetrics(source: MetricsSource): Metrics {
  const exporter = new PrometheusExporter({
    preventServerStart: true,
    metricProducers: [
      histogramProducer(
        'slotless_command_duration_seconds',
        'Time from a command read whole to its reply handed over for writing.',
        source.counters,
      ),
    ],
  });
  const provider = new MeterProvider({ readers: [exporter] });
  const closers = [provider.getMeter('slotless'), metrics.getMeter('slotless')].map((meter) =>
    register(meter, source),
  );
  const serializer = new PrometheusSerializer(undefined, false, undefined, true, true);
  return {
    text: async () => `${serializer.serialize((await exporter.collect()).resourceMetrics)}\n`,
    close: async () => {
      for (const close of closers) close();
      await provider.shutdown();
    },
  };
}

type Observe = (result: ObservableResult, source: MetricsSource) => void;
type Row = readonly [kind: 'gauge' | 'counter', name: string, help: string, observe: Observe];

const ROWS: readonly Row[] = [
  ['gauge', 'slotless_ready', 'Whether commands are served, 1 or 0.', (r, s) => r.observe(s.ready() ? 1 : 0)],
  ['gauge', 'slotless_workers', 'Worker threads.', (r, s) => r.observe(s.counters().length)],
  ['gauge', 'slotless_nodes', 'Nodes in the map of the cluster.', eachNode],
  ['gauge', 'slotless_clients', 'Clients connected.', sum(TOTAL.clients)],
  ['counter', 'slotless_clients_total', 'Clients accepted since the start.', sum(TOTAL.clientsTotal)],
  [
    'counter',
    'slotless_clients_rejected_total',
    'Clients turned away at limits.clients.',
    sum(TOTAL.clientsRejected),
  ],
  [
    'counter',
    'slotless_slow_clients_dropped_total',
    'Clients dropped at clientOutputLimit.',
    sum(TOTAL.slowClientsDropped),
  ],
  [
    'counter',
    'slotless_commands_total',
    'Commands answered, by command and outcome (ok, error).',
    eachCommand,
  ],
  [
    'counter',
    'slotless_rejected_total',
    'Commands the proxy refused by itself, without asking a node.',
    sum(TOTAL.rejected),
  ],
  [
    'counter',
    'slotless_protocol_errors_total',
    'Clients that sent what is no command.',
    sum(TOTAL.protocolErrors),
  ],
  [
    'counter',
    'slotless_replica_reads_total',
    'Reads that replicas have answered, that the primary was asked again, that another node was asked instead or as well.',
    each('outcome', {
      answered: TOTAL.readsAtReplicas,
      confirmed: TOTAL.readsConfirmed,
      elsewhere: TOTAL.readsElsewhere,
      hedged: TOTAL.readsHedged,
    }),
  ],
  ['gauge', 'slotless_subscribers', 'Clients that are subscribed to anything.', sum(TOTAL.subscribers)],
  [
    'gauge',
    'slotless_subscriptions',
    'Channels, patterns and shard channels that the workers are subscribed to for their clients.',
    sum(TOTAL.subscriptions),
  ],
  [
    'counter',
    'slotless_messages_total',
    'Messages of subscriptions, from nodes and to clients.',
    each('direction', { from_nodes: TOTAL.messagesFromNodes, to_clients: TOTAL.messagesToClients }),
  ],
  [
    'counter',
    'slotless_subscription_gaps_total',
    'Times a subscription was not heard for a while: its node was lost, or its slot has moved.',
    sum(TOTAL.subscriptionGaps),
  ],
  [
    'counter',
    'slotless_subscription_gap_seconds_total',
    'For how long subscriptions were not heard, all together.',
    sum(TOTAL.subscriptionGapSeconds),
  ],
  [
    'counter',
    'slotless_messages_missed_total',
    "Messages that clients published and the proxy's subscribers could not hear, as their publishers were told.",
    sum(TOTAL.messagesMissed),
  ],
  ['gauge', 'slotless_pending', 'Commands sent to nodes and not yet answered.', sum(TOTAL.pending)],
  [
    'gauge',
    'slotless_nodes_shut',
    'Nodes that are sent nothing for now, since they are silent or not there; once for each worker.',
    sum(TOTAL.nodesShut),
  ],
  ['gauge', 'slotless_held', 'Commands that wait until their slot is served.', sum(TOTAL.held)],
  ['counter', 'slotless_timeouts_total', 'Commands that passed requestTimeout.', sum(TOTAL.timeouts)],
  [
    'counter',
    'slotless_unknown_outcomes_total',
    'Writes whose outcome is unknown since their link was lost.',
    sum(TOTAL.unknownOutcomes),
  ],
  [
    'counter',
    'slotless_retries_total',
    'Commands sent again since their link was lost before them.',
    sum(TOTAL.retries),
  ],
  [
    'counter',
    'slotless_redirects_total',
    'Replies of nodes that were followed and not shown, by kind (moved, ask, other).',
    each('kind', { moved: TOTAL.redirectsMoved, ask: TOTAL.redirectsAsk, other: TOTAL.redirectsOther }),
  ],
  [
    'counter',
    'slotless_bytes_total',
    'Bytes read and written, by direction.',
    each('direction', {
      from_clients: TOTAL.bytesFromClients,
      to_clients: TOTAL.bytesToClients,
      from_nodes: TOTAL.bytesFromNodes,
      to_nodes: TOTAL.bytesToNodes,
    }),
  ],
  ['gauge', 'slotless_links', 'Links to nodes that are ready.', sum(TOTAL.links)],
  ['gauge', 'slotless_dedicated_links', "Links that are one client's own.", sum(TOTAL.dedicatedLinks)],
  ['gauge', 'slotless_blocked_clients', 'Clients that a command blocks.', sum(TOTAL.blockedClients)],
  ['counter', 'slotless_link_drops_total', 'Links that were ready and were lost.', sum(TOTAL.linkDrops)],
  ['counter', 'slotless_link_failures_total', 'Links that could not be made ready.', sum(TOTAL.linkFailures)],
  ['counter', 'slotless_refreshes_total', 'Times the map was asked for.', sum(TOTAL.refreshes)],
  [
    'counter',
    'slotless_topology_changes_total',
    'Times the map was another than before.',
    sum(TOTAL.topologyChanges),
  ],
  [
    'counter',
    'slotless_worker_cpu_seconds_total',
    "CPU of each worker's thread.",
    eachWorker(TOTAL.cpuSeconds),
  ],
  ['gauge', 'slotless_worker_heap_bytes', 'JavaScript heap of each worker.', eachWorker(TOTAL.heapBytes)],
  [
    'gauge',
    'slotless_event_loop_lag_seconds',
    "How late each worker's last timer was.",
    eachWorker(TOTAL.loopLag),
  ],
  [
    'gauge',
    'slotless_event_loop_busy',
    'Part of the last second each worker was busy.',
    eachWorker(TOTAL.loopBusy),
  ],
  ['counter', 'process_cpu_seconds_total', 'CPU of the whole process.', (r) => r.observe(processCpu())],
  [
    'gauge',
    'process_resident_memory_bytes',
    'Resident memory of the process.',
    (r) => r.observe(process.memoryUsage.rss()),
  ],
  [
    'gauge',
    'process_start_time_seconds',
    'When the process started, in Unix time.',
    (r) => r.observe(Math.round(performance.timeOrigin) / 1000),
  ],
];

function register(meter: Meter, source: MetricsSource): () => void {
  const removers = ROWS.map(([kind, name, description, observe]) => {
    const instrument =
      kind === 'gauge'
        ? meter.createObservableGauge(name, { description })
        : meter.createObservableCounter(name, { description });
    const callback = (result: ObservableResult) => observe(result, source);
    instrument.addCallback(callback);
    return () => instrument.removeCallback(callback);
  });
  return () => {
    for (const remove of removers) remove();
  };
}

function sum(total: Total): Observe {
  return (result, source) => result.observe(added(source, total));
}

function each(label: string, totals: Record<string, Total>): Observe {
  return (result, source) => {
    for (const [value, total] of Object.entries(totals))
      result.observe(added(source, total), { [label]: value });
  };
}

function eachWorker(total: Total): Observe {
  return (result, source) => {
    source.counters().forEach(({ totals }, worker) => {
      result.observe(totals[total]!, { worker: String(worker) });
    });
  };
}

function eachNode(result: ObservableResult, source: MetricsSource): void {
  for (const [role, count] of Object.entries(source.nodes())) result.observe(count, { role });
}

function eachCommand(result: ObservableResult, source: MetricsSource): void {
  const commands = new Map<string, { calls: number; errors: number }>();
  for (const { names, calls, errors } of source.counters()) {
    for (let id = 0; id < names.length; id++) {
      if (calls[id] === 0) continue;
      const known = commands.get(names[id]!) ?? { calls: 0, errors: 0 };
      known.calls += calls[id]!;
      known.errors += errors[id]!;
      commands.set(names[id]!, known);
    }
  }
  for (const [command, { calls, errors }] of commands) {
    result.observe(calls - errors, { command, outcome: 'ok' });
    result.observe(errors, { command, outcome: 'error' });
  }
}

function added(source: MetricsSource, total: Total): number {
  return source.counters().reduce((value, { totals }) => value + totals[total]!, 0);
}

function processCpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
