/** A worker's rooms in the test's own process: a door for clients, before scripted nodes. */

import type { Server } from 'node:net';
import type { TestContext } from 'node:test';
import { Attention } from '../../src/client/attention.ts';
import type { Connection, Context } from '../../src/client/context.ts';
import { type Door, listen } from '../../src/client/listener.ts';
import { policiesOf } from '../../src/client/reading.ts';
import { Scripts } from '../../src/client/repertoire.ts';
import { Revoked } from '../../src/client/revoked.ts';
import { Tracking } from '../../src/client/tracking.ts';
import type { ClusterOptions } from '../../src/cluster/cluster.ts';
import { withOwn } from '../../src/command/own.ts';
import { CommandTable } from '../../src/command/table.ts';
import { Functions } from '../../src/functions/functions.ts';
import { Pool } from '../../src/functions/pool.ts';
import { Budget } from '../../src/gather/budget.ts';
import { createLog } from '../../src/log.ts';
import { PubSub } from '../../src/pubsub/pubsub.ts';
import { Roll } from '../../src/pubsub/roll.ts';
import { Counters } from '../../src/telemetry/counters.ts';
import { type Rig, rig } from '../cluster/rig.ts';
import { parse } from '../command/tables.ts';
import { SEED, withFiles } from '../config/given.ts';
import { connect, encode, type RawClient } from '../support/client.ts';
import { commandReply, type FakeNode } from '../support/fake-node.ts';

let commands: Promise<Buffer> | undefined;

export interface Room extends Rig {
  readonly context: Context;
  readonly port: number;
  /** What was logged. */
  readonly log: string[];
  connect(): Promise<RawClient>;
  /** One more door. Closed with the test. */
  open(door: Door): Promise<Server>;
}

/** Opens a door on a free port. `settings` as flags: `{ 'limits.clients': 3 }`. */
export async function room(
  t: TestContext,
  settings: Record<string, string | number> = {},
  more: Partial<Context> = {},
  cluster: Partial<ClusterOptions> = {},
): Promise<Room> {
  commands ??= commandReply();
  const table = CommandTable.parse(withOwn(parse(await commands)));
  const flags = Object.entries(settings).flatMap(([path, value]) => [`--${path}`, String(value)]);
  const config = withFiles([...SEED, ...flags]);
  const stage = await rig(t, cluster);
  const log: string[] = [];
  let [ids, clients] = [1, 0];
  const accepted = new Map<number, Connection>();
  const peers = {
    clientLines: async () => [],
    killClients: async () => 0,
    unblockClient: async () => false,
    totals: async () => [],
    findScript: async () => undefined,
    signal: async () => [],
    forgetScripts: async () => {},
  };
  const { connectTimeout, backoffMin, backoffMax, keepAlive } = config.link;
  const { username, password } = config;
  const feed = { username, password, connectTimeout, backoffMin, backoffMax, keepAlive, frameBytes: 1048576 };
  const silent = createLog('silent');
  const context: Context = {
    config,
    cluster: stage.cluster,
    turn: stage.cluster.turn,
    counters: Counters.create(table.commands.map(({ name }) => name)),
    table,
    server: {
      helloName: 'redis',
      helloVersion: '7.0.15',
      slotCursors: false,
      pushesLast: false,
      replicasKnowMoves: false,
      authRequired: false,
      runId: 'a'.repeat(40),
      startedAt: Date.now(),
    },
    policies: policiesOf(config.reads, table, false),
    clients: accepted,
    peers,
    attention: new Attention(accepted, {
      worker: 0,
      outputLimit: config.clientOutputLimit,
      signal: async () => [],
    }),
    repertoire: new Scripts(config, stage.cluster, peers),
    tracking: new Tracking(stage.cluster, accepted, {
      feed: { ...feed, pingEvery: config.link.connectTimeout, pings: 1 },
      timeout: config.link.connectTimeout,
      most: config.limits.trackedKeys,
      signal: async () => [],
    }),
    pubsub: new PubSub(stage.cluster, new Roll({ worker: -1, signal: async () => [] }), silent, {
      feed: { ...feed, pingEvery: 250, pings: 3 },
      replicas: false,
      disconnect: false,
      holdFor: config.failover.holdFor,
    }),
    functions: new Functions(
      new Pool({ ...config.functions, lockTimeout: () => config.functions.lockTimeout }),
      { load: async () => {}, delete: async () => {}, restore: async () => {} },
      { remoteTaskTimeout: config.functions.remoteTaskTimeout, lockTimeout: config.functions.lockTimeout },
    ),
    copying: new Budget(config.crossSlot.atOnce),
    revoked: new Revoked(accepted, {
      cluster: stage.cluster,
      context: { config },
      every: 60_000,
      signal: async () => [],
    }),
    log: createLog('info', {}, { write: (line) => log.push(line) }),
    user: { username: '', password: '' },
    openToAll: true,
    admit: () => {
      if (clients >= config.limits.clients) return false;
      clients++;
      return true;
    },
    dismiss: () => {
      clients--;
    },
    nextId: () => ids++,
    ...more,
  };
  const open = async (door: Door) => {
    const server = await listen(door, context, false);
    t.after(() => server.close());
    return server;
  };
  const server = await open({ host: '127.0.0.1', port: 0 });
  const { port } = server.address() as { port: number };
  const opened: RawClient[] = [];
  t.after(() => {
    for (const client of opened) client.destroy();
    for (const client of context.clients.values()) client.close();
  });
  return {
    ...stage,
    context,
    port,
    log,
    open,
    connect: async () => {
      const client = await connect(port);
      opened.push(client);
      return client;
    },
  };
}

// ---- huge arguments

/** Longer than what the doors of these tests keep. */
export const BIG = 'x'.repeat(300_000);
export const STREAM_ABOVE = 65_536;

/** All of a command but its last bytes, and those. */
export function halves(...words: string[]): [Buffer, Buffer] {
  const bytes = encode(words);
  return [bytes.subarray(0, bytes.length - 100_000), bytes.subarray(bytes.length - 100_000)];
}

/** What a node has read on all its connections, understood or not. */
export function readBy(node: FakeNode): number {
  return [...node.connections].reduce((sum, { socket }) => sum + socket.bytesRead, 0);
}

/** The next reply, as text. */
export async function reply(client: RawClient): Promise<string> {
  const [bytes] = await client.read();
  return String(bytes);
}
