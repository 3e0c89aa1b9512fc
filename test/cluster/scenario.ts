/**
 * One random schedule: some clients, what they write and how, and what is done to the cluster meanwhile.
 *
 * Everything about the clients' commands follows from the seeds; what the nodes and the network make of the
 * schedule does not, so a failure names its schedule and may need more than one run to be seen again.
 */

import fc from 'fast-check';
import type { Cluster } from '../support/cluster.ts';
import { type Move, Mover, tagOf } from './moves.ts';
import { Writer } from './writer.ts';

/** Slots that are moved, and one of each other shard that stays. */
export const SLOTS_MOVED = [1, 2, 3] as const;
const SLOTS_LEFT = [8000, 16000] as const;

export interface Schedule {
  readonly clients: readonly {
    readonly seed: number;
    readonly resp: 2 | 3;
    readonly depth: number;
    /** How many of the slots it writes to; the moved ones first. */
    readonly slots: number;
    readonly keys: number;
    readonly padding: number;
  }[];
  readonly moves: readonly Move[];
}

const slotMove: fc.Arbitrary<Move> = fc.record({
  what: fc.constant('slot' as const),
  slot: fc.constantFrom(...SLOTS_MOVED),
  few: fc.constantFrom(1, 3, 10, 100),
  pause: fc.constantFrom(0, 0, 0, 1, 5, 30),
});

const wait: fc.Arbitrary<Move> = fc.record({
  what: fc.constant('wait' as const),
  pause: fc.integer({ min: 0, max: 60 }),
});

const failover: fc.Arbitrary<Move> = fc.record({
  what: fc.constant('failover' as const),
  slot: fc.constantFrom(...SLOTS_MOVED),
});

/** Schedules with about `moves` moves each. */
export function schedules(moves: number, failovers: boolean): fc.Arbitrary<Schedule> {
  const client = fc.record({
    seed: fc.nat(),
    resp: fc.constantFrom(2 as const, 3 as const),
    depth: fc.oneof(fc.constantFrom(1, 2, 16), fc.integer({ min: 1, max: 300 })),
    slots: fc.integer({ min: 1, max: SLOTS_MOVED.length + SLOTS_LEFT.length }),
    keys: fc.integer({ min: 1, max: 8 }),
    padding: fc.constantFrom(0, 0, 20, 2000),
  });
  const one = fc.oneof({ weight: 3, arbitrary: slotMove }, { weight: 1, arbitrary: wait });
  const list = fc.array(one, { minLength: moves, maxLength: moves });
  return fc.record({
    clients: fc.array(client, { minLength: 1, maxLength: 5 }),
    moves: failovers
      ? fc.tuple(list, failover, list).map(([before, change, after]) => [...before, change, ...after])
      : list,
  });
}

/** Plays schedules until `ms` have passed; none is broken off. A failure names the schedule and its seed. */
export async function playFor(
  ms: number,
  arbitrary: fc.Arbitrary<Schedule>,
  one: (schedule: Schedule) => Promise<unknown>,
): Promise<void> {
  const end = performance.now() + ms;
  do {
    // One run at a time, and no shrinking: a schedule can't be played again as it was.
    await fc.assert(
      fc.asyncProperty(arbitrary, async (schedule) => {
        await one(schedule);
      }),
      { numRuns: 1, endOnFailure: true, verbose: 1 },
    );
  } while (performance.now() < end);
}

const tags = [...SLOTS_MOVED, ...SLOTS_LEFT].map(tagOf);
let runs = 0;

/**
 * Plays a schedule through the proxy. Throws with what a client was told wrongly. `meanwhile` is done in place
 * of the schedule's moves; `pause` is the clients' after each batch, ms. Returns how many replies were checked.
 */
export async function play(
  cluster: Cluster,
  port: number,
  { clients, moves }: Schedule,
  options: { unknown?: RegExp; pause?: number; meanwhile?: () => Promise<void> } = {},
): Promise<{ replies: number; unknown: number }> {
  const { meanwhile, ...common } = options;
  const writers = await Promise.all(
    clients.map(({ slots, ...client }) =>
      Writer.start({ ...client, ...common, client: runs++, port, tags: tags.slice(0, slots) }),
    ),
  );
  try {
    const runs = writers.map((writer) => writer.run());
    const mover = new Mover(cluster);
    if (meanwhile !== undefined) await meanwhile();
    else
      for (const move of moves) {
        if (writers.some(({ failure }) => failure !== undefined)) break;
        await mover.make(move);
      }
    for (const writer of writers) writer.stop();
    await Promise.all(runs);
    await Promise.all(writers.map((writer) => writer.readBack()));
    await Promise.all(writers.map((writer) => writer.clear()));
    const failures = writers.flatMap(({ failure }) => failure ?? []);
    if (failures.length > 0) throw new Error(failures.join('\n'));
    return {
      replies: writers.reduce((sum, { replies }) => sum + replies, 0),
      unknown: writers.reduce((sum, { model }) => sum + model.unknown, 0),
    };
  } finally {
    for (const writer of writers) writer.close();
  }
}
