/**
 * HOT. What is counted, in typed arrays over shared memory: one buffer for each worker.
 *
 *   totals     Float64 [totals]              clients, links, bytes ... by TOTAL
 *   calls      Float64 [commands]            replies to clients, by the command's id
 *   errors     Float64 [commands]            those of them that were errors
 *   micros     Float64 [commands]            sum of the latencies in microseconds
 *   histogram  Float64 [commands x BUCKETS]  latencies, see buckets.ts
 *
 * A worker alone writes to its buffer, with a plain `+= 1` on the exposed arrays and no call; whoever else
 * reads it sees each number a little late but never torn, since 64-bit machines store an aligned double at
 * once. Doubles and not 32-bit integers: those would wrap within hours. Ids are those of the command
 * table; when a new table is made, new Counters are made with it, and carry on from the old ones.
 */
import { BUCKETS } from './buckets.ts';

/** Index into `totals`. The first ones go up and down, those from `clientsTotal` on only up. */
export const TOTAL = {
  /** Clients connected now. */
  clients: 0,
  /** Links to nodes that are ready now, and those of them that are one client's own. */
  links: 1,
  dedicatedLinks: 2,
  /** Commands sent to nodes whose replies have not come. */
  pending: 3,
  /** Written by vitals.ts: heap in bytes, the loop's lag in seconds, its busy part from 0 to 1. */
  heapBytes: 4,
  loopLag: 5,
  loopBusy: 6,
  clientsTotal: 7,
  /** Links that were ready and were lost; attempts to connect that failed. */
  linkDrops: 8,
  linkFailures: 9,
  redirectsMoved: 10,
  redirectsAsk: 11,
  /** TRYAGAIN, CLUSTERDOWN, LOADING, MASTERDOWN and READONLY that were followed. */
  redirectsOther: 12,
  /** Commands that were sent again because their link was lost before they were. */
  retries: 13,
  bytesFromClients: 14,
  bytesToClients: 15,
  bytesFromNodes: 16,
  bytesToNodes: 17,
  /** Clients turned away at the limit; commands the proxy refused by itself. */
  clientsRejected: 18,
  rejected: 19,
  protocolErrors: 20,
  slowClientsDropped: 21,
  timeouts: 22,
  /** Writes that were answered with "the outcome is unknown". */
  unknownOutcomes: 23,
  /** Times the map of the slots was asked for, and times it was another. */
  refreshes: 24,
  topologyChanges: 25,
  /** Written by vitals.ts: seconds of CPU of the worker's thread. */
  cpuSeconds: 26,
  /** Clients that wait for a blocking command now; up and down. */
  blockedClients: 27,
  /** Channels, patterns and shard channels that any client is subscribed to now, for each worker; up and down. */
  subscriptions: 28,
  /** Clients that are subscribed to any; up and down. */
  subscribers: 29,
  /** Messages that nodes have sent, and that were written to clients. */
  messagesFromNodes: 30,
  messagesToClients: 31,
  /** Times a subscription was not heard for a while, and for how many seconds in all. */
  subscriptionGaps: 32,
  subscriptionGapSeconds: 33,
  /** Messages of this proxy's clients that its subscriptions at the node had no part in. */
  messagesMissed: 34,
  /** Reads that replicas have answered; that were asked of the primary again, since a replica said nothing certain; that were asked elsewhere since a node was lost or silent; that were hedged. */
  readsAtReplicas: 35,
  readsConfirmed: 36,
  readsElsewhere: 37,
  readsHedged: 38,
  /** Nodes that are sent nothing for now, for each worker, and commands that wait for their slot; up and down. */
  nodesShut: 40,
  held: 41,
} as const;

/** Those that go up and down with what a worker has: at its end they are 0. */
export const GAUGES: readonly number[] = [
  TOTAL.clients,
  TOTAL.links,
  TOTAL.dedicatedLinks,
  TOTAL.pending,
  TOTAL.heapBytes,
  TOTAL.loopLag,
  TOTAL.loopBusy,
  TOTAL.blockedClients,
  TOTAL.subscriptions,
  TOTAL.subscribers,
  TOTAL.nodesShut,
  TOTAL.held,
];

export type Total = (typeof TOTAL)[keyof typeof TOTAL];

/** Room for totals that are not there yet; a multiple of a cache line. */
const TOTALS = 64;

export class Counters {
  /** Commands' names by id: "get", "config|get". */
  readonly names: readonly string[];
  /** The shared memory: what another thread attaches to. */
  readonly buffer: SharedArrayBuffer;
  readonly totals: Float64Array;
  readonly calls: Float64Array;
  readonly errors: Float64Array;
  readonly micros: Float64Array;
  /** All histograms: the one of command `id` begins at `id * BUCKETS`. */
  readonly histogram: Float64Array;

  private constructor(names: readonly string[], buffer: SharedArrayBuffer) {
    const count = names.length;
    let offset = 0;
    const take = (length: number) => {
      const array = new Float64Array(buffer, offset, length);
      offset += array.byteLength;
      return array;
    };
    this.names = names;
    this.buffer = buffer;
    this.totals = take(TOTALS);
    this.calls = take(count);
    this.errors = take(count);
    this.micros = take(count);
    this.histogram = take(count * BUCKETS);
  }

  /** New counters, all zero, for the commands `names` (by id). */
  static create(names: readonly string[]): Counters {
    return new Counters(names, new SharedArrayBuffer(size(names)));
  }

  /** The counters that another thread created with the same names. Throws a RangeError if the sizes differ. */
  static attach(buffer: SharedArrayBuffer, names: readonly string[]): Counters {
    if (buffer.byteLength !== size(names))
      throw new RangeError(`counters: ${buffer.byteLength} bytes shared, ${size(names)} expected`);
    return new Counters(names, buffer);
  }

  /** Takes over all numbers of `old`, commands by their names; what these names lack is dropped. */
  carry(old: Counters): this {
    const ids = new Map(this.names.map((name, id) => [name, id]));
    this.totals.set(old.totals);
    for (const [before, name] of old.names.entries()) {
      const id = ids.get(name);
      if (id === undefined) continue;
      this.calls[id] = old.calls[before]!;
      this.errors[id] = old.errors[before]!;
      this.micros[id] = old.micros[before]!;
      this.latencies(id).set(old.latencies(before));
    }
    return this;
  }

  /** The histogram of one command, as a view: its length is BUCKETS. */
  latencies(id: number): Float64Array {
    return this.histogram.subarray(id * BUCKETS, (id + 1) * BUCKETS);
  }
}

function size(names: readonly string[]): number {
  return (TOTALS + names.length * (3 + BUCKETS)) * Float64Array.BYTES_PER_ELEMENT;
}
