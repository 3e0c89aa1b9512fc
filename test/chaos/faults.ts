/**
 * What is done to a cluster while the load runs, and what clients may see of it.
 *
 * Each fault leaves the cluster as whole as it found it. The bars are those that the README's table shows.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { reshard } from '../cluster/moves.ts';
import type { Node } from '../support/cluster.ts';
import { until } from '../support/wait.ts';
import type { Load } from './load.ts';
import type { Stand } from './stand.ts';

export interface Fault {
  /** For --only. */
  readonly id: string;
  readonly name: string;
  /** The longest pause that is allowed, ms; `node timeout`: that and a second more. */
  readonly pause: number | 'node timeout' | undefined;
  /**
   * Primaries go before their replicas have everything: writes may be left without an outcome, and the cluster may
   * lose what it acknowledged.
   */
  readonly lossy?: boolean;
  /** Replicas are read from in every round, not in every second. */
  readonly replicas?: boolean;
  /** One node is reached through a relay. */
  readonly relayed?: boolean;
  make(stand: Stand, load: Load, round: number): Promise<void>;
}

/** Slots of the three shards a cluster begins with; one of them is hit, in turn. */
const SHARDS = [0, 8000, 16_000] as const;
const MOVED = 1000;
/** Of a shard's slots, for a node that is added. */
const SHARE = 0.3;
const SLOW_MS = 100;
const SLOW_FOR_MS = 3000;
const NOTHING_FOR_MS = 5000;
const CLI_MS = 120_000;

export const FAULTS: readonly Fault[] = [
  // What the machine itself does to the figures: bars are missed by it alone where others work on it.
  {
    id: 'nothing',
    name: 'nothing',
    pause: 100,
    make: ({ scale }, load) => load.runs(NOTHING_FOR_MS * scale),
  },
  { id: 'slots', name: '1,000 slots moved, back and forth', pause: 100, make: moveSlots },
  { id: 'nodes', name: 'node added + rebalance, node removed', pause: 100, make: addAndRemove },
  { id: 'failover', name: 'planned failover', pause: 1000, make: failOver },
  { id: 'replica-killed', name: 'replica killed', pause: 300, replicas: true, make: loseReplica('kill') },
  { id: 'replica-frozen', name: 'replica frozen', pause: 300, replicas: true, make: loseReplica('freeze') },
  {
    id: 'primary-killed',
    name: 'primary killed',
    pause: 'node timeout',
    lossy: true,
    make: losePrimary('kill'),
  },
  {
    id: 'primary-frozen',
    name: 'primary frozen',
    pause: 'node timeout',
    lossy: true,
    make: losePrimary('freeze'),
  },
  {
    id: 'restarts',
    name: 'all nodes restarted one by one',
    pause: 'node timeout',
    lossy: true,
    make: restartAll,
  },
  { id: 'slow', name: `a slow node (${SLOW_MS} ms)`, pause: undefined, relayed: true, make: slowDown },
];

/** The lowest slots of the first shard go to another, and come back. */
async function moveSlots({ cluster, scale }: Stand, _: Load, round: number): Promise<void> {
  const home = await cluster.ownerOf(SHARDS[0]);
  const away = await cluster.ownerOf(SHARDS[1 + (round % 2)]!);
  await reshard(cluster, home.id, away.id, MOVED * scale);
  await reshard(cluster, away.id, home.id, MOVED * scale);
}

async function addAndRemove({ cluster, mover, config, scale }: Stand): Promise<void> {
  const { cli, env } = cluster.server;
  const redisCli = async (...args: string[]) => {
    await mover.agreed();
    await promisify(execFile)(cli, ['--cluster', ...args], { env, timeout: CLI_MS });
  };
  const seed = cluster.seeds[0]!;
  const node = await cluster.start({ config: [...config] });
  const address = `${node.host}:${node.port}`;
  await promisify(execFile)(cli, ['--cluster', 'add-node', address, seed], { env, timeout: CLI_MS });
  await redisCli(
    'rebalance',
    seed,
    '--cluster-use-empty-masters',
    '--cluster-weight',
    `${node.id}=${SHARE * scale}`,
  );
  await redisCli('rebalance', seed, '--cluster-weight', `${node.id}=0`);
  await redisCli('del-node', seed, node.id);
  await cluster.leave(node.port);
}

/** A replica takes over, and the one it has replaced takes over again. */
async function failOver({ mover }: Stand, _: Load, round: number): Promise<void> {
  const slot = SHARDS[round % SHARDS.length]!;
  await mover.make({ what: 'failover', slot });
  await mover.make({ what: 'failover', slot });
}

function loseReplica(how: 'kill' | 'freeze') {
  return async (stand: Stand, _: Load, round: number) => {
    const { cluster, mover } = stand;
    const primary = await cluster.ownerOf(SHARDS[round % SHARDS.length]!);
    const replica = await mover.heirOf(primary);
    await stand.lose(replica, how);
    await until(`${replica.port} to be missed`, async () =>
      /\bfail\b/.test(await stand.sees(primary, replica)),
    );
    await stand.comeBack(replica, how);
  };
}

function losePrimary(how: 'kill' | 'freeze') {
  return async (stand: Stand, load: Load, round: number) => {
    const { cluster, mover } = stand;
    const primary = await cluster.ownerOf(SHARDS[round % SHARDS.length]!);
    const heir = await mover.heirOf(primary);
    const at = performance.now();
    await stand.lose(primary, how);
    stand.witness(primary);
    await until(`${heir.port} to take over`, () => isPrimary(stand, heir));
    stand.tookOver(performance.now() - at);
    await load.runs(1000);
    await stand.comeBack(primary, how);
  };
}

/** SIGTERM, as a service manager ends a server. In short: the nodes of one shard. */
async function restartAll(stand: Stand): Promise<void> {
  const { cluster, mover, scale } = stand;
  const primary = await cluster.ownerOf(SHARDS[0]);
  const nodes = scale < 1 ? [primary, await mover.heirOf(primary)] : [...cluster.nodes];
  for (const node of nodes) {
    const at = performance.now();
    await stand.lose(node, 'end');
    stand.witness(node);
    await cluster.restart(node.port);
    const serves = async () =>
      /cluster_state:ok/.test(String(await cluster.cli(node.port, 'CLUSTER', 'INFO')));
    await until(`${node.port} to serve`, serves);
    stand.tookOver(performance.now() - at);
    await mover.agreed();
  }
}

async function slowDown({ relay, scale }: Stand, load: Load): Promise<void> {
  if (relay === undefined) throw new Error('no relay stands before any node');
  load.mark();
  relay.delay = SLOW_MS;
  await load.runs(SLOW_FOR_MS * scale);
  load.mark();
  relay.delay = 0;
}

async function isPrimary(stand: Stand, node: Node): Promise<boolean> {
  const { cluster } = stand;
  if (!/master/.test(await stand.sees(node, node))) return false;
  return String(await cluster.cli(node.port, 'CLUSTER', 'INFO')).includes('cluster_state:ok');
}
