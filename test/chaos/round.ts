/** One round: the load runs, something is done to the cluster, the load goes on, and all is counted. */

import type { Server } from '../support/servers.ts';
import type { Kind } from './endpoints.ts';
import type { Fault } from './faults.ts';
import { holdings, ownersOf } from './holdings.ts';
import { Load } from './load.ts';
import { Stand } from './stand.ts';

export interface RoundOptions {
  readonly clients: number;
  /** Commands a second. */
  readonly rate: number;
  /** How long the load runs before the fault, and behind it, ms. */
  readonly span: number;
}

/** What one round has shown. Times in ms. */
export interface Figures {
  readonly answered: number;
  /** By text, without those that say that the outcome is unknown. */
  readonly errors: Readonly<Record<string, number>>;
  readonly unknown: number;
  /** Reads that were under way when their node was lost, and could not be asked again. */
  readonly unread: number;
  /** Acknowledged writes that are gone, and that no lost primary had executed; or that WAIT had confirmed. */
  readonly lost: number;
  /** Those that a lost primary had executed, and its replica had not got. */
  readonly lostByCluster: number;
  readonly doubled: number;
  readonly disordered: number;
  readonly stale: number;
  readonly malformed: number;
  readonly pause: number;
  /** The load's own longest pause: `pause` can't be shorter. */
  readonly ownPause: number;
  /** How long the cluster itself needed until all slots were served again. */
  readonly took: number;
  /** p99 of the other nodes' commands before and while one was slow. */
  readonly others: readonly [before: number, slow: number] | undefined;
  readonly examples: readonly string[];
}

/** Clients that wait for a replica behind each write, where the cluster may lose some. */
const SAFE = 8;

/** Plays `times` rounds of a fault on one stand; `tell` hears of each. */
export async function playRounds(
  server: Server,
  kind: Kind,
  fault: Fault,
  times: number,
  options: RoundOptions,
  tell: (figures: Figures, round: number) => void = () => {},
): Promise<{ rounds: Figures[]; nodeTimeout: number }> {
  const { relayed = false, replicas = false } = fault;
  const stand = await Stand.open(server, kind, { relayed, reads: replicas ? 'always' : 'half' });
  try {
    const rounds: Figures[] = [];
    for (let round = 0; round < times; round++) {
      const figures = await play(stand, fault, round, options);
      rounds.push(figures);
      tell(figures, round);
    }
    return { rounds, nodeTimeout: stand.nodeTimeout };
  } finally {
    await stand.close();
  }
}

/** One round on a stand. `round` chooses what is hit. */
export async function play(
  stand: Stand,
  fault: Fault,
  round: number,
  options: RoundOptions,
): Promise<Figures> {
  const { cluster, endpoints } = stand;
  const endpoint = endpoints[round % endpoints.length]!;
  const { clients, rate, span } = options;
  await stand.begin(`${fault.id}-${round}`);
  const owners = await ownersOf(cluster);
  const load = new Load({
    port: endpoint.port,
    clients,
    rate,
    round: stand.round,
    inFlight: endpoint.inFlight,
    safe: fault.lossy && endpoint.waits ? SAFE : 0,
  });
  await load.start();
  try {
    await load.runs(span);
    await fault.make(stand, load, round);
    await load.runs(span);
  } finally {
    await load.stop();
  }
  await stand.mover.agreed();
  const { findings, sight, ledgers, ownPause, marks } = load;
  const values = await holdings(
    cluster,
    ledgers.map(({ key }) => key),
  );
  for (const ledger of ledgers) ledger.check(values.get(ledger.key) ?? null);
  const { losses, doubled, disordered, stale, malformed, examples } = findings;
  const byCluster = losses.filter((loss) => !loss.safe && stand.evidence.shows(loss)).length;
  const slowNode = cluster.nodes[0]!.port;
  const others = marks.map((latencies) =>
    p99(latencies.filter(({ slot }) => owners[slot] !== slowNode).map(({ ms }) => ms)),
  );
  return {
    answered: sight.answered,
    errors: Object.fromEntries(sight.errors),
    unknown: sight.unknown,
    unread: sight.unread,
    lost: losses.length - byCluster,
    lostByCluster: byCluster,
    doubled,
    disordered,
    stale,
    malformed,
    pause: sight.pause,
    ownPause,
    took: stand.took,
    others: others.length < 2 ? undefined : [others[0]!, others[1]!],
    examples,
  };
}

function p99(values: number[]): number {
  const sorted = values.sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN;
}
