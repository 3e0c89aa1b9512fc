/**
 * The latencies as a Prometheus histogram.
 *
 * OpenTelemetry's API knows only histograms that are fed value by value, which would be a call per
 * command. Its SDK asks MetricProducers for finished data next to its own: this is one, and makes the
 * histogram from the counters when it is collected.
 *
 * Four buckets to the octave would be a hundred lines for each command, so the outer ones are left out
 * and of the inner ones every second is kept: 16 us, 24, 32, 48 ... 16.8 s. All of these are starts of
 * our own buckets, so the counts are exact. (A latency that is exactly a boundary is counted above it;
 * Prometheus would count it below.)
 */
import { ValueType } from '@opentelemetry/api';
import type {
  CollectionResult,
  DataPoint,
  Histogram,
  MetricProducer,
  ScopeMetrics,
} from '@opentelemetry/sdk-metrics';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import { BUCKETS, bucketStart } from './buckets.ts';
import type { Counters } from './counters.ts';

const FIRST = 16;
const LAST = 96;
const STEP = 2;

/** Ends of the exposed buckets, in seconds; one more holds the rest. */
export const BOUNDARIES: readonly number[] = Array.from(
  { length: (LAST - FIRST) / STEP + 1 },
  (_, i) => bucketStart(FIRST + i * STEP) / 1e6,
);

/** Produces `name` with one histogram for each command that was called, from all workers' counters. */
export function histogramProducer(
  name: string,
  description: string,
  counters: () => readonly Counters[],
): MetricProducer {
  const startTime = hrTime();
  return {
    collect: async () => {
      const endTime = hrTime();
      const dataPoints = [...latencies(counters())].map(
        ([command, value]): DataPoint<Histogram> => ({ startTime, endTime, attributes: { command }, value }),
      );
      const scopeMetrics: ScopeMetrics[] = [
        {
          scope: { name: 'slotless' },
          metrics: [
            {
              descriptor: { name, description, unit: '', valueType: ValueType.DOUBLE },
              aggregationTemporality: AggregationTemporality.CUMULATIVE,
              dataPointType: DataPointType.HISTOGRAM,
              dataPoints,
            },
          ],
        },
      ];
      // The reader takes its own resource and leaves a producer's aside.
      return { resourceMetrics: { scopeMetrics }, errors: [] } as unknown as CollectionResult;
    },
  };
}

function latencies(workers: readonly Counters[]): Map<string, Histogram> {
  const commands = new Map<string, Histogram>();
  for (const { names, calls, micros, histogram } of workers) {
    for (let id = 0; id < names.length; id++) {
      if (calls[id] === 0) continue;
      const known = commands.get(names[id]!) ?? none();
      const { counts } = known.buckets;
      for (let i = 0; i < BUCKETS; i++) counts[exposed(i)]! += histogram[id * BUCKETS + i]!;
      known.sum = (known.sum ?? 0) + micros[id]! / 1e6;
      known.count = counts.reduce((sum, count) => sum + count, 0);
      commands.set(names[id]!, known);
    }
  }
  return commands;
}

function none(): Histogram {
  return {
    buckets: { boundaries: [...BOUNDARIES], counts: new Array<number>(BOUNDARIES.length + 1).fill(0) },
    sum: 0,
    count: 0,
  };
}

/** The exposed bucket that our bucket lies in. */
function exposed(bucket: number): number {
  if (bucket < FIRST) return 0;
  return Math.min(((bucket - FIRST) / STEP + 1) | 0, BOUNDARIES.length);
}

function hrTime(): [number, number] {
  const now = Date.now();
  return [Math.floor(now / 1000), (now % 1000) * 1e6];
}
