/**
 * A hostile node in a cluster of three: two keep their slots and their word, the third says anything.
 *
 * Clients ask for keys of the hostile node, for keys of all, and for what goes to every node; each must be
 * answered or closed within a bound. A healthy client asks for keys of the two others, and must be answered
 * exactly. Between times a proxy is started before nodes that are all hostile: it may fail, in one clear line,
 * or go on trying, but not crash.
 */

import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import slotOf from 'cluster-key-slot';
import { ReplyFramer } from '../../src/resp/reply.ts';
import { type Argument, encode } from '../support/client.ts';
import {
  type Answer,
  commandReply,
  type FakeCluster,
  type FakeNode,
  type Received,
  shardNode,
  shardsReply,
  startFake,
} from '../support/fake-node.ts';
import { startProxy } from '../support/proxy.ts';
import type { Options } from './client-side.ts';
import { healthy } from './healthy.ts';
import { Random } from './random.ts';
import { anyAnswer, drip, HOST, like } from './replies.ts';
import { Trail, Watch, within } from './watch.ts';

/** Short, so that what hangs is found out often. */
const SETTINGS = {
  // Long enough for a healthy node that shares two cores with all the others.
  requestTimeout: '600ms',
  'failover.holdFor': '300ms',
  'link.connectTimeout': '400ms',
  'link.backoffMax': '50ms',
  'refresh.every': '500ms',
  'refresh.minGap': '50ms',
};
const LINKS = 12;
const HANDSHAKE = new Set(['PING', 'AUTH', 'CLIENT', 'HELLO', 'READONLY', 'ASKING']);
const MAP = new Set(['CLUSTER', 'COMMAND', 'INFO']);

export async function fuzzNodes(options: Options): Promise<Record<string, unknown>> {
  const { seconds, seed, parallel = 20, hangMs = 5000 } = options;
  const commands = await commandReply();
  const trail = new Trail();
  const count = { commands: 0, answers: 0, mutated: 0, bytes: 0, connections: 0, closedByProxy: 0 };
  const cluster = await startFake({ commands, primaries: 3, host: HOST });
  const bad = cluster.nodes[2]!;
  const random = new Random(seed);
  const ports = cluster.nodes.map(({ port }) => port);
  const note = (received: Received, answer: Answer) => {
    const bytes =
      typeof answer === 'string'
        ? Buffer.from(answer, 'latin1')
        : Buffer.isBuffer(answer)
          ? answer
          : Buffer.from(JSON.stringify(answer));
    count.mutated++;
    count.bytes += bytes.length;
    trail.note(count.mutated, received.words.join(' ').slice(0, 60), bytes);
    return answer;
  };
  bad.script = (received) => {
    count.answers++;
    if (HANDSHAKE.has(received.name) && random.chance(0.95)) return undefined;
    if (MAP.has(received.name))
      return random.chance(0.5) ? undefined : note(received, ofMap(random, received));
    const plain = bytesOf(bad.byDefault(received));
    if (random.chance(0.5)) return plain;
    if (random.chance(0.05)) return drip(random, received, plain);
    const answer = anyAnswer(random, slotOf(received.words[1] ?? ''), ports);
    return answer instanceof Promise ? answer : note(received, answer);
  };
  const proxy = await startProxy({ cluster: { seeds: cluster.seeds }, settings: SETTINGS });
  const watch = new Watch(proxy);
  const end = performance.now() + seconds * 1000;
  let broken: unknown;
  const done = () => broken !== undefined || performance.now() > end;
  const nothing = /Uncaught|UnhandledPromise/;
  const badKeys = keysOf(cluster, bad, 60);
  const goodKeys = [0, 1].flatMap((i) => keysOf(cluster, cluster.nodes[i]!, 30));
  const asking = async () => {
    while (!done()) {
      const session = count.connections++;
      const mine = new Random(seed, session);
      const asked = Array.from({ length: mine.size(60) }, () => command(mine, badKeys, goodKeys));
      count.commands += asked.length;
      const sent = [encode(['HELLO', mine.pick([2, 3])]), ...asked.map(encode)];
      const answered = await within(
        4 * hangMs,
        `${sent.length} replies on connection ${session}`,
        play(proxy.port, sent),
      );
      if (!answered) count.closedByProxy++;
      // What the nodes remember of a run is of no use here.
      cluster.received.length = cluster.executed.length = 0;
      watch.check(nothing);
    }
  };
  const kept = new Set(Array.from({ length: 24 }, (_, i) => goodKeys[i]!));
  const good = ([2, 3] as const).map((resp) => {
    const keys = [...kept].filter((_, i) => i % 2 === resp % 2);
    return healthy(proxy, new Random(seed, -resp), { keys, resp, hangMs, fake: true }, done);
  });
  let starts: Record<string, number> = {};
  const all: Promise<unknown>[] = [
    ...good,
    ...Array.from({ length: parallel }, asking),
    startAgain(commands, seed, done, trail).then((counts) => {
      starts = counts;
    }),
  ];
  try {
    for (const one of all)
      one.catch((error) => {
        broken ??= error;
      });
    await Promise.all([watch.sample(done), ...all.map((one) => one.catch(() => {}))]);
    if (broken !== undefined) throw broken;
    watch.check(nothing);
    bad.script = undefined;
    await watch.closed(LINKS, 15_000);
    return { ...count, starts, healthy: await Promise.all(good), files: watch.files, memoryMB: watch.flat() };
  } catch (error) {
    throw trail.failure(seed, error);
  } finally {
    await proxy.stop();
    await cluster.stop();
  }
}

/** Sends commands and counts replies. True when all came; false when the proxy closed before. */
function play(port: number, sent: readonly Buffer[]): Promise<boolean> {
  const framer = new ReplyFramer(1024);
  let missing = sent.length;
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => {});
    socket.on('close', () => resolve(missing <= 0));
    socket.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; missing--) {
        at = framer.measure(chunk, at, chunk.length);
        if (at === -2) reject(new Error('the proxy passed on what is no reply'));
        if (at < 0) break;
      }
      if (missing <= 0) socket.destroy();
    });
    for (const bytes of sent) socket.write(bytes);
  });
}

function command(random: Random, bad: readonly string[], good: readonly string[]): Argument[] {
  const key = () => random.pick(bad);
  const several = () =>
    Array.from({ length: 1 + random.int(10) }, () => (random.chance(0.5) ? key() : random.pick(good)));
  return random.pick<() => Argument[]>([
    () => ['GET', key()],
    () => ['GET', key()],
    () => ['SET', key(), random.bytes(random.size(200))],
    () => ['INCR', key()],
    () => ['HGETALL', key()],
    () => ['LRANGE', key(), 0, -1],
    () => ['EVAL', 'return 1', 1, key()],
    () => ['MGET', ...several()],
    () => ['EXISTS', ...several()],
    () => ['TOUCH', ...several()],
    () => ['SCAN', random.pick(['0', '17', '4096', '9007199254740991'])],
    () => ['KEYS', 'nothing'],
    () => ['RANDOMKEY'],
    () => ['DBSIZE'],
    () => ['INFO', random.pick(['all', 'server', 'keyspace', 'everything'])],
    () => ['SLOWLOG', 'GET'],
    () => ['SLOWLOG', 'LEN'],
    () => ['LATENCY', random.pick(['LATEST', 'DOCTOR', 'RESET'])],
    () => ['MEMORY', random.pick(['STATS', 'DOCTOR', 'MALLOC-STATS'])],
    () => ['SCRIPT', 'EXISTS', 'a', 'b'],
    () => ['SCRIPT', 'LOAD', 'return 1'],
    () => ['FUNCTION', random.pick(['LIST', 'STATS', 'DUMP'])],
    () => ['CONFIG', 'GET', 'maxmemory'],
    () => ['CONFIG', 'SET', 'maxmemory', '0'],
    () => ['CLIENT', random.pick(['LIST', 'INFO', 'ID'])],
    () => ['CLUSTER', random.pick(['SLOTS', 'INFO', 'NODES', 'COUNTKEYSINSLOT', 'GETKEYSINSLOT']), 1, 2],
    () => ['SORT', key(), 'BY', 'w_*'],
    () => ['AUTH', 'x', 'y'],
    () => ['SET', key(), Buffer.alloc(random.size(2_000_000))],
  ])();
}

/** Distinct keys whose slots are this node's. */
function keysOf(cluster: FakeCluster, node: FakeNode, count: number): string[] {
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++)
    if (cluster.nodes[cluster.owners[slotOf(`k:${i}`)]!] === node) keys.push(`k:${i}`);
  return keys;
}

/**
 * What a hostile node says of the cluster. It names nodes that nobody else knows, and no address but its
 * own, which an empty endpoint stands for: mutated it would be a stranger's.
 */
function ofMap(random: Random, { node, name, words }: Received): Answer {
  if (name === 'COMMAND') return like(random, node.cluster.commands);
  if (name === 'CLUSTER' && words[1]?.toUpperCase() === 'SHARDS')
    return like(random, Buffer.from(strange(random, node)));
  if (name === 'CLUSTER' && words[1]?.toUpperCase() === 'SLOTS')
    return like(
      random,
      Buffer.from(
        `*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$0\r\n\r\n:${node.port}\r\n$40\r\n${'e'.repeat(40)}\r\n`,
      ),
    );
  return like(
    random,
    Buffer.from('$72\r\ncluster_state:ok\r\ncluster_current_epoch:1\r\nredis_version:7.0.15\r\nx:yyyyy\r\n'),
  );
}

function strange(random: Random, node: FakeNode): string {
  const shards = Array.from({ length: random.size(8) }, (_, i) => {
    const nodes = Array.from({ length: random.size(4) }, (_, j) =>
      shardNode(
        { id: `${i}${j}`.padStart(40, 'e'), host: '', port: node.port },
        { role: random.pick(['master', 'replica', '']), health: random.pick(['online', 'fail', 'loading']) },
      ),
    );
    const edge = () => random.pick([0, 1, 8191, 8192, 16383, 16384, -1, 65536, 4294967296]);
    return { ranges: random.chance(0.5) ? [0, 16383] : Array.from({ length: random.int(6) }, edge), nodes };
  });
  return shardsReply(shards);
}

function bytesOf(answer: Answer): Buffer {
  return Buffer.isBuffer(answer) ? answer : Buffer.from(String(answer), 'latin1');
}

/** Starts proxies before clusters that are all hostile, one after the other, until `done`. */
async function startAgain(commands: Buffer, seed: number, done: () => boolean, trail: Trail) {
  const counts = { ready: 0, failed: 0, trying: 0 };
  for (let session = 1; !done(); session++) {
    const random = new Random(seed, -1000 - session);
    const cluster = await startFake({ commands, primaries: 2, host: HOST });
    const badly = random.pick([0.02, 0.1, 0.5, 1]);
    cluster.script = (received) => {
      if (random.chance(1 - badly)) return undefined;
      const answer = MAP.has(received.name) ? ofMap(random, received) : anyAnswer(random, 0, [1]);
      trail.note(
        -session,
        received.words.join(' '),
        answer instanceof Promise ? Buffer.alloc(0) : bytesOf(answer),
      );
      return answer;
    };
    const proxy = await startProxy({ cluster: { seeds: cluster.seeds }, settings: SETTINGS, unready: true });
    try {
      const ready = proxy.logged(/"ready on/).then(
        () => 'ready' as const,
        () => 'failed' as const,
      );
      const what = await Promise.race([ready, delay(4000, 'trying' as const)]);
      if (what === 'ready') await delay(random.int(500));
      counts[what]++;
      if (what === 'failed') {
        const clear =
          (await proxy.exited) === 1 &&
          proxy.log.some((line) => line.includes('"the proxy could not start"'));
        if (!clear) throw new Error(`start ${session} crashed:\n${proxy.log.slice(-20).join('\n')}`);
      } else new Watch(proxy).check(/Uncaught|Unhandled/);
      const code = await within(
        8000,
        `end of proxy ${session}`,
        proxy.stop().then(() => proxy.exited),
      );
      // Without a line in its log it had not come to listen to signals.
      const expected = what === 'failed' ? 1 : proxy.log.length === 0 ? code : 0;
      if (code !== expected)
        throw new Error(`proxy ${session} ended with ${code}:\n${proxy.log.slice(-20).join('\n')}`);
    } finally {
      await proxy.stop();
      await cluster.stop();
    }
    await delay(500);
  }
  return counts;
}
