// CLUSTER: by default what a cluster of one node would say, a node that owns all slots and is this proxy, at the
// address where the client has reached it. So a client that insists on a cluster finds one, and everything in
// one place. With `clusterView: real` the servers' own replies are shown instead.
//
// What counts or lists keys is asked of who has them, in either view.

import { toInteger } from '../command/arguments.ts';
import type { Command } from '../command/command.ts';
import { SLOTS, slotOf } from '../command/slot.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { bulkString, EMPTY_ARRAY, encode, integer, type Value, verbatim, ZERO } from '../resp/write.ts';
import { reachedAt } from './address.ts';
import { Asker } from './asker.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { SavedArguments } from './saved.ts';
import { Survey } from './survey.ts';

export const CLUSTER_COMMANDS: Readonly<Record<string, Handler>> = {
  'cluster|info': inView((client) => verbatim(client.session.resp, infoText(client))),
  'cluster|slots': inView((client) => encode(client.session.resp, slots(client))),
  'cluster|shards': inView((client) => encode(client.session.resp, shards(client))),
  'cluster|nodes': inView((client) => verbatim(client.session.resp, `${nodeLine(client)}\n`)),
  'cluster|myid': inView((client) => bulkString(client.context.server.runId)),
  'cluster|myshardid': inView((client) => bulkString(client.context.server.runId)),
  'cluster|replicas': inView(ofNode(EMPTY_ARRAY)),
  'cluster|slaves': inView(ofNode(EMPTY_ARRAY)),
  'cluster|count-failure-reports': inView(ofNode(ZERO)),
  'cluster|links': inView(() => EMPTY_ARRAY),
  'cluster|help': showReal,
  'cluster|keyslot': (client, command, f) =>
    client.say(command, integer(slotOf(f.bytes, f.starts[2]!, f.ends[2]!))),
  'cluster|countkeysinslot': countKeys,
  'cluster|getkeysinslot': getKeys,
  'cluster|slot-stats': slotStats,
};

/** Says it for the one node, or shows what a server says. */
function inView(say: (client: Client, f: Frame) => Buffer): Handler {
  return (client, command, f) => {
    if (client.context.config.clusterView === 'real') return showReal(client, command, f);
    return client.say(command, say(client, f));
  };
}

function showReal(client: Client, command: Command, f: Frame): boolean {
  return client.toSlot(command, f, client.cluster.anySlot(client.session.id), false);
}

/** A reply about the one node; an error about any other. */
function ofNode(reply: Buffer): (client: Client, f: Frame) => Buffer {
  return (client, f) => {
    return new SavedArguments(f).text(2) === client.context.server.runId ? reply : errors.unknownNode(f, 2);
  };
}

function infoText({ cluster }: Client): string {
  const owned = cluster.slots.reduce(
    (count, shard) => count + (cluster.primaries[shard] === undefined ? 0 : 1),
    0,
  );
  const fields: Record<string, string | number> = {
    cluster_state: owned === SLOTS ? 'ok' : 'fail',
    cluster_slots_assigned: owned,
    cluster_slots_ok: owned,
    cluster_slots_pfail: 0,
    cluster_slots_fail: 0,
    cluster_known_nodes: 1,
    cluster_size: 1,
    cluster_current_epoch: 1,
    cluster_my_epoch: 1,
    cluster_stats_messages_sent: 0,
    cluster_stats_messages_received: 0,
    total_cluster_links_buffer_limit_exceeded: 0,
  };
  return Object.entries(fields)
    .map(([field, value]) => `${field}:${value}\r\n`)
    .join('');
}

/** [[from, to, [host, port, id, {more}]]] */
function slots({ session, context }: Client): Value {
  const { host, port } = reachedAt(session);
  return [[0, SLOTS - 1, [host, port, context.server.runId, new Map()]]];
}

function shards({ session, context }: Client): Value {
  const { host, port } = reachedAt(session);
  const node: Record<string, Value> = {
    id: context.server.runId,
    port,
    ip: host,
    endpoint: host,
    role: 'master',
    'replication-offset': 0,
    health: 'online',
  };
  return [
    new Map<Value, Value>([
      ['slots', [0, SLOTS - 1]],
      ['nodes', [new Map(Object.entries(node))]],
    ]),
  ];
}

/** A line of CLUSTER NODES. The one node has no bus: its port is 0. */
function nodeLine({ session, context }: Client): string {
  const { host, port } = reachedAt(session);
  return `${context.server.runId} ${host}:${port}@0 myself,master - 0 0 1 connected 0-${SLOTS - 1}`;
}

/** CLUSTER COUNTKEYSINSLOT slot: of a slot that is being moved, what both its nodes have. */
function countKeys(client: Client, command: Command, f: Frame): boolean {
  const slot = toInteger(f, 2);
  if (slot === undefined) return client.refuse(command, errors.notInteger());
  if (slot < 0 || slot >= SLOTS) return client.refuse(command, errors.invalidSlot());
  return client.workOut(command, async () => {
    const counts = await ofHolders(client, slot, ['CLUSTER', 'COUNTKEYSINSLOT', slot]);
    return integer(counts.reduce((sum: number, count) => sum + Number(count), 0));
  });
}

/** CLUSTER GETKEYSINSLOT slot count */
function getKeys(client: Client, command: Command, f: Frame): boolean {
  const slot = toInteger(f, 2);
  const count = toInteger(f, 3);
  if (slot === undefined || count === undefined) return client.refuse(command, errors.notInteger());
  if (slot < 0 || slot >= SLOTS || count < 0) return client.refuse(command, errors.invalidSlotOrCount());
  const word = new SavedArguments(f).word(3);
  return client.workOut(command, async () => {
    const keys = await ofHolders(client, slot, ['CLUSTER', 'GETKEYSINSLOT', slot, word]);
    // A key that has just left its owner may be listed by both.
    const listed = new Map((keys.flat() as Buffer[]).map((key) => [key.toString('latin1'), key]));
    return encode(client.session.resp, [...listed.values()].slice(0, count));
  });
}

/** What a slot's owner replies and, while the slot is being moved, the node that it goes to. */
function ofHolders(
  client: Client,
  slot: number,
  words: readonly (string | Buffer | number)[],
): Promise<unknown[]> {
  return Survey.with(client, (survey) =>
    survey.persist(async () => {
      const owner = survey.ownerOf(slot);
      const [reply, standing] = await survey.withStanding(owner, () => survey.asker.value(owner, words));
      survey.mustOwn(owner, slot, standing);
      const heir = standing.leaving.get(slot);
      return heir === undefined ? [reply] : [reply, await survey.asker.value(survey.nodeOf(heir), words)];
    }),
  );
}

/** [slot, [name, value, ...]] */
type SlotStats = readonly [number, readonly (Buffer | number)[]];

/** CLUSTER SLOT-STATS SLOTSRANGE from to | ORDERBY metric [LIMIT count] [ASC | DESC]: each shard of its own slots. */
function slotStats(client: Client, command: Command, f: Frame): boolean {
  const args = new SavedArguments(f);
  const words = args.words();
  return client.workOut(command, async () => {
    const replies = await Asker.with(client, (asker) => asker.ofShards(words));
    const all = (replies.flat() as SlotStats[]).sort(([a], [b]) => a - b);
    const options = words.slice(2).map((word) => String(word).toLowerCase());
    if (options[0] === 'orderby') {
      const sign = options.includes('asc') ? 1 : -1;
      const metric = options[1]!;
      all.sort((a, b) => sign * (statOf(a, metric) - statOf(b, metric)));
      const limit = options.indexOf('limit');
      if (limit > 0) all.splice(Number(options[limit + 1]));
    }
    return encode(
      client.session.resp,
      all.map(([slot, stats]) => [slot, new Map(pairsOf(stats))]),
    );
  });
}

function statOf([, stats]: SlotStats, metric: string): number {
  return Number(pairsOf(stats).find(([name]) => String(name) === metric)?.[1] ?? 0);
}

function pairsOf(flat: readonly (Buffer | number)[]): [Buffer | number, Buffer | number][] {
  return Array.from({ length: flat.length >> 1 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!]);
}
