/**
 * Hostile clients before a real cluster: many short connections, a few at a time, each with an input of its
 * own, while healthy clients go on.
 *
 * What must hold: the process lives, and says nothing grave; the healthy get every reply; a client that
 * has closed its side is closed; no link to a node is lost, which a node that was sent rubbish would close;
 * nothing that stood in a value was executed; memory is flat and what was opened is closed.
 */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { healthy } from './healthy.ts';
import { Random } from './random.ts';
import { type Input, input, SMUGGLED } from './requests.ts';
import { Trail, Watch, within } from './watch.ts';

export interface Options {
  seconds: number;
  seed: number;
  /** Hostile connections at a time. */
  parallel?: number;
  /** How long anything may take before it counts as hanging. */
  hangMs?: number;
}

/** Two of the proxy's own lanes (RESP2 and RESP3) to three nodes, and the users that came by. */
const LINKS = 40;
/** Nothing fails inside the proxy, and no node closes a link because it was sent rubbish. */
const FAULT = /a link was lost|"level":"error"/;
/** What a client may send never, so that a node that did it was told so by a mistake of the proxy's. */
const NEVER =
  /^cmdstat_(flush|shutdown|debug|failover|config\|set|script\||function\|(?!list)|replicaof|swapdb)/m;

export async function fuzzClients(options: Options): Promise<Record<string, unknown>> {
  const { seconds, seed, parallel = 12, hangMs = 5000 } = options;
  const cluster = await startCluster({ replicas: 0 });
  const proxy = await startProxy({
    cluster,
    settings: { 'limits.clientQuery': '64mb', 'log.level': 'info' },
  });
  const watch = new Watch(proxy);
  const trail = new Trail();
  const count = { connections: 0, bytes: 0, mutated: 0, closedByProxy: 0 };
  const kinds: Record<string, number> = {};
  const end = performance.now() + seconds * 1000;
  let broken: unknown;
  const done = () => broken !== undefined || performance.now() > end;
  const fails = (error: unknown) => {
    broken ??= error;
  };
  const hostile = async () => {
    while (!done()) {
      const session = count.connections++;
      const random = new Random(seed, session);
      const sent = input(random);
      kinds[sent.kind] = (kinds[sent.kind] ?? 0) + 1;
      count.mutated += sent.mutated ? 1 : 0;
      trail.note(session, sent.kind, Buffer.concat(sent.pieces));
      if (await within(4 * hangMs, `end of connection ${session}`, play(proxy.port, random, sent, hangMs)))
        count.closedByProxy++;
      for (const piece of sent.pieces) count.bytes += piece.length;
      if (session % 50 === 0) watch.check(FAULT);
    }
  };
  const good = ([2, 3] as const).map((resp) => {
    const keys = Array.from({ length: 24 }, (_, i) => `healthy:${resp}:${i}`);
    return healthy(proxy, new Random(seed, -resp), { keys, resp, hangMs }, done);
  });
  try {
    const all = [sweep(cluster, done), ...good, ...Array.from({ length: parallel }, hostile)];
    for (const one of all) one.catch(fails);
    await Promise.all([watch.sample(done), ...all.map((one) => one.catch(() => {}))]);
    if (broken !== undefined) throw broken;
    watch.check(FAULT);
    for (const { port } of cluster.nodes) {
      const found = await cluster.cli(port, 'KEYS', SMUGGLED);
      const stats = String(await cluster.cli(port, 'INFO', 'commandstats'));
      if (NEVER.test(stats)) throw new Error(`a node was told ${NEVER.exec(stats)![0]}`);
      if ((found as string[]).length > 0) throw new Error('a part of a value was executed');
    }
    await watch.closed(LINKS, 10_000);
    const [two, three] = await Promise.all(good);
    return { ...count, kinds, healthy: [two, three], files: watch.files, memoryMB: watch.flat() };
  } catch (error) {
    throw trail.failure(seed, error);
  } finally {
    await proxy.stop();
    await cluster.stop();
  }
}

/** What chance has written would fill the nodes in minutes. */
const SWEEP = `#!lua flags=allow-cross-slot-keys
for _, key in ipairs(redis.call('KEYS', '*')) do
  if key:sub(1, 8) ~= 'healthy:' and key ~= '${SMUGGLED}' then redis.call('UNLINK', key) end
end`;

async function sweep(cluster: Cluster, done: () => boolean): Promise<void> {
  while (!done()) {
    await delay(1000);
    for (const { port } of cluster.nodes) await cluster.cli(port, 'EVAL', SWEEP, 0);
  }
}

/** Sends it all and ends in one of the ways there are. True when the proxy closed first. */
async function play(port: number, random: Random, { pieces }: Input, hangMs: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  if (random.chance(0.9)) socket.resume();
  await Promise.race([once(socket, 'connect').catch(() => {}), closed]);
  const patient = random.chance(0.3);
  for (const piece of pieces) {
    if (socket.destroyed || !socket.writable) break;
    const taken = socket.write(piece);
    if (!taken) await Promise.race([once(socket, 'drain').catch(() => {}), closed, delay(hangMs)]);
    else if (patient && pieces.length < 40) await delay(1);
  }
  const byProxy = socket.destroyed;
  await leave(socket, random, hangMs, closed);
  return byProxy;
}

async function leave(socket: Socket, random: Random, hangMs: number, closed: Promise<void>): Promise<void> {
  switch (random.int(4)) {
    case 0:
      socket.destroy();
      break;
    case 1:
      socket.resetAndDestroy();
      break;
    case 2:
      await Promise.race([closed, delay(random.int(20))]);
      socket.destroy();
      break;
    default:
      // All that was asked is answered, and then the other side closes as well.
      socket.resume();
      socket.end();
      await within(3 * hangMs, 'close after the half-close', closed);
  }
  await closed;
}
