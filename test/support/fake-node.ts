/**
 * A cluster that says what a test tells it to: nodes that listen on loopback ports, answer what a proxy asks
 * of a cluster, keep a few keys, and for everything else follow a script.
 *
 *   command --> script(command) --> an Answer: bytes, a promise of bytes, or what happens to the connection
 *                    '-- undefined --> the default: a tiny store that all nodes of the cluster share
 *
 * Answers of one connection leave in the order of its commands, as with a real node: one that is held back
 * holds back those behind it. `executed` lists what has touched the keys, over all nodes, in that order; it is
 * what tests of order look at. The store knows no slots: what is refused, and by whom, is the script's.
 */

import { once } from 'node:events';
import { createServer, type Server as Listener, type Socket } from 'node:net';
import { connect } from './client.ts';
import { SLOTS, startLone } from './cluster.ts';
import type { Server } from './servers.ts';

/** Bytes to answer with, or what becomes of the connection instead. */
export type Answer =
  | string
  | Buffer
  /** The bytes, and then the connection is ended (`cut`) or reset. */
  | { readonly fate: 'cut' | 'reset'; readonly after?: string | Buffer }
  /** Nothing, and nothing more on this connection. */
  | { readonly fate: 'hang' };

export interface Received {
  readonly node: FakeNode;
  readonly connection: FakeConnection;
  readonly words: readonly string[];
  /** The command's name in upper case. */
  readonly name: string;
  /** ASKING came before it. */
  readonly asking: boolean;
}

export type Script = (received: Received) => Answer | Promise<Answer> | undefined;

export interface FakeOptions {
  /** The COMMAND reply, as `commandReply` gets it of a real server. */
  commands: Buffer;
  /** Primaries; the slots are shared out evenly. */
  primaries?: number;
  host?: string;
}

/** The raw COMMAND reply of a real server, in RESP2. */
export async function commandReply(server?: Server): Promise<Buffer> {
  const lone = await startLone(server ? { server } : {});
  const client = await connect(lone.port);
  const reply = await client.call('COMMAND');
  client.destroy();
  await lone.stop();
  return reply;
}

export async function startFake(options: FakeOptions): Promise<FakeCluster> {
  const cluster = new FakeCluster(options);
  const { primaries = 2, host = '127.0.0.1' } = options;
  for (let i = 0; i < primaries; i++) await cluster.add(host);
  cluster.shareOut();
  return cluster;
}

export class FakeCluster {
  readonly nodes: FakeNode[] = [];
  readonly commands: Buffer;
  /** Slot -> index of its owner in `nodes`, as every node tells it. -1: nobody. */
  readonly owners = new Int16Array(SLOTS).fill(-1);
  epoch = 1;
  /** Before the default answers, for every node; a node's own script comes first. */
  script: Script | undefined;
  readonly store = new Map<string, string>();
  /** What has touched the keys: `SET a 1`. */
  readonly executed: string[] = [];
  /** Everything that came and is no part of a handshake or of a look at the map or at the libraries. */
  readonly received: Received[] = [];

  constructor({ commands }: FakeOptions) {
    this.commands = commands;
  }

  get seeds(): string[] {
    return this.nodes.map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`));
  }

  /** One more node, which owns nothing. */
  async add(host = '127.0.0.1'): Promise<FakeNode> {
    const node = new FakeNode(this, host, this.nodes.length);
    await node.listen();
    this.nodes.push(node);
    return node;
  }

  shareOut(): void {
    const { length } = this.nodes;
    this.nodes.forEach((_, i) => {
      this.owners.fill(i, Math.ceil((SLOTS * i) / length), Math.ceil((SLOTS * (i + 1)) / length));
    });
  }

  /** From now on every node says that the slot is this node's. */
  give(slot: number, node: FakeNode): void {
    this.owners[slot] = this.nodes.indexOf(node);
    this.epoch++;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.close()));
  }

  /** Does a command on the shared store: the default, and what a script may do before it answers. */
  execute(words: readonly string[]): string {
    const [name = '', key = '', value = ''] = words;
    const { store } = this;
    this.executed.push(words.join(' '));
    switch (name.toUpperCase()) {
      case 'GET':
        return bulk(store.get(key));
      case 'SET':
        store.set(key, value);
        return '+OK\r\n';
      case 'APPEND':
        store.set(key, (store.get(key) ?? '') + value);
        return `:${store.get(key)!.length}\r\n`;
      case 'INCR':
        store.set(key, String(Number(store.get(key) ?? 0) + 1));
        return `:${store.get(key)}\r\n`;
      case 'DEL':
        return `:${words.slice(1).filter((one) => store.delete(one)).length}\r\n`;
      case 'MGET':
        return `*${words.length - 1}\r\n${words
          .slice(1)
          .map((one) => bulk(store.get(one)))
          .join('')}`;
      case 'MSET':
        for (let i = 1; i + 1 < words.length; i += 2) store.set(words[i]!, words[i + 1]!);
        return '+OK\r\n';
      case 'DBSIZE':
        return `:${store.size}\r\n`;
      case 'FLUSHALL':
        store.clear();
        return '+OK\r\n';
    }
    return '+OK\r\n';
  }
}

function bulk(value: string | undefined): string {
  return value === undefined ? '$-1\r\n' : `$${Buffer.byteLength(value)}\r\n${value}\r\n`;
}

export class FakeNode {
  readonly cluster: FakeCluster;
  readonly host: string;
  readonly id: string;
  port = 0;
  script: Script | undefined;
  /** What this node says of the map instead of what the cluster's `owners` say: a reply to CLUSTER SHARDS. */
  shards: string | undefined;
  /** CLUSTER SHARDS is unknown here, as before 7.0. */
  old = false;
  /** Connections that have been accepted. */
  accepted = 0;
  readonly connections = new Set<FakeConnection>();
  private listener: Listener | undefined;

  constructor(cluster: FakeCluster, host: string, index: number) {
    this.cluster = cluster;
    this.host = host;
    this.id = `${index.toString(16)}f`.padStart(40, '0');
  }

  /** Listens, on the port it had if it had one. */
  async listen(): Promise<void> {
    const listener = createServer({ noDelay: true }, (socket) => {
      this.accepted++;
      const connection = new FakeConnection(this, socket);
      this.connections.add(connection);
      socket.on('close', () => this.connections.delete(connection));
    });
    listener.listen(this.port, this.host);
    await once(listener, 'listening');
    this.listener = listener;
    this.port = (listener.address() as { port: number }).port;
  }

  /** Ends all connections and listens no more. */
  async close(): Promise<void> {
    const { listener } = this;
    this.listener = undefined;
    this.drop();
    if (listener !== undefined) await new Promise((resolve) => listener.close(resolve));
  }

  /** Resets all connections. */
  drop(): void {
    for (const { socket } of this.connections) socket.resetAndDestroy();
  }

  /** `-MOVED slot host:port` to this node, for other nodes to say. */
  moved(slot: number): string {
    return `-MOVED ${slot} ${this.host}:${this.port}\r\n`;
  }

  ask(slot: number): string {
    return `-ASK ${slot} ${this.host}:${this.port}\r\n`;
  }

  /** What is answered where no script has anything to say. */
  byDefault({ words, name }: Received): Answer {
    const { cluster } = this;
    switch (name) {
      case 'PING':
        return '+PONG\r\n';
      case 'AUTH':
      case 'ASKING':
      case 'READONLY':
      case 'CLIENT':
        return '+OK\r\n';
      case 'COMMAND':
        return cluster.commands;
      case 'INFO':
        return bulk('# Server\r\nredis_version:7.0.15\r\nredis_mode:cluster\r\nrole:master\r\n');
      case 'HELLO':
        return words[1] === '3'
          ? '%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n'
          : '*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:2\r\n';
      case 'CLUSTER':
        return this.ofMap(words[1]?.toUpperCase());
    }
    return cluster.execute(words);
  }

  private ofMap(what: string | undefined): Answer {
    const { cluster } = this;
    if (what === 'INFO')
      return bulk(`cluster_state:ok\r\ncluster_current_epoch:${cluster.epoch}\r\ncluster_size:1\r\n`);
    if (what === 'SHARDS' && !this.old) return this.shards ?? shardsOf(cluster);
    if (what === 'SLOTS') return slotsOf(cluster);
    return `-ERR Unknown subcommand or wrong number of arguments for '${what}'. Try CLUSTER HELP.\r\n`;
  }
}

/** A node's end of one connection. */
export class FakeConnection {
  readonly node: FakeNode;
  readonly socket: Socket;
  private input: Buffer = Buffer.alloc(0);
  private asking = false;
  private silent = false;
  private answers: Promise<void> | undefined;
  private count = 0;

  constructor(node: FakeNode, socket: Socket) {
    this.node = node;
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.input = this.input.length === 0 ? chunk : Buffer.concat([this.input, chunk]);
      this.takeAll();
    });
  }

  private takeAll(): void {
    let at = 0;
    for (;;) {
      const taken = readCommand(this.input, at);
      if (taken === undefined) break;
      at = taken.end;
      this.take(taken.words);
      if (this.silent) break;
    }
    this.input = this.input.subarray(at);
  }

  private take(words: string[]): void {
    const { node } = this;
    const name = (words[0] ?? '').toUpperCase();
    // Proxies ask it all the time, whatever a test is about: there are none.
    if (name === 'FUNCTION' && words[3]?.startsWith('__slotless_')) return this.give('*0\r\n');
    const received: Received = { node, connection: this, words, name, asking: this.asking };
    this.asking = name === 'ASKING';
    if (!HANDSHAKE.has(name)) node.cluster.received.push(received);
    const answer = node.script?.(received) ?? node.cluster.script?.(received) ?? node.byDefault(received);
    // A promise begins a queue in which the answers behind it wait, too.
    if (answer instanceof Promise || this.answers !== undefined) {
      this.count++;
      this.answers = (this.answers ?? Promise.resolve()).then(async () => {
        this.give(await answer);
        if (--this.count === 0) this.answers = undefined;
      });
    } else this.give(answer);
  }

  private give(answer: Answer): void {
    const { socket } = this;
    if (this.silent || socket.destroyed) return;
    if (typeof answer === 'string' || Buffer.isBuffer(answer)) {
      socket.write(answer);
      return;
    }
    this.silent = true;
    if (answer.fate === 'hang') return;
    const end = () => (answer.fate === 'cut' ? socket.destroy() : socket.resetAndDestroy());
    // The bytes first reach the other side, in a turn of their own, or a reset would take them along.
    if (answer.after === undefined) end();
    else socket.write(answer.after, () => setTimeout(end, 20));
  }
}

const HANDSHAKE = new Set([
  'PING',
  'AUTH',
  'ASKING',
  'READONLY',
  'CLIENT',
  'COMMAND',
  'INFO',
  'HELLO',
  'CLUSTER',
]);

/** A reply that is given when the test says so. */
export interface Held {
  readonly answer: Promise<Answer>;
  release(answer: Answer): void;
}

export function held(): Held {
  let release: (answer: Answer) => void = () => {};
  const answer = new Promise<Answer>((resolve) => {
    release = resolve;
  });
  return { answer, release };
}

function readCommand(bytes: Buffer, from: number): { words: string[]; end: number } | undefined {
  let at = from;
  const number = () => {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return -1;
    const value = Number(bytes.toString('latin1', at + 1, end));
    at = end + 2;
    return value;
  };
  if (at >= bytes.length) return undefined;
  if (bytes[at] !== 42)
    throw new Error(`a proxy sent what is no array: ${bytes.toString('latin1', at, at + 60)}`);
  const count = number();
  if (count < 0) return undefined;
  const words: string[] = [];
  for (let i = 0; i < count; i++) {
    if (at >= bytes.length) return undefined;
    const length = number();
    if (length < 0 || at + length + 2 > bytes.length) return undefined;
    words.push(bytes.toString('latin1', at, at + length));
    at += length + 2;
  }
  return { words, end: at };
}

/** Runs of slots with the same owner. */
function runsOf(cluster: FakeCluster): { from: number; to: number; node: FakeNode }[] {
  const runs: { from: number; to: number; node: FakeNode }[] = [];
  const { owners, nodes } = cluster;
  for (let from = 0; from < SLOTS; ) {
    let to = from;
    while (to + 1 < SLOTS && owners[to + 1] === owners[from]) to++;
    const node = nodes[owners[from]!];
    if (node !== undefined) runs.push({ from, to, node });
    from = to + 1;
  }
  return runs;
}

/** A reply to CLUSTER SHARDS out of ranges and their nodes, each the primary of its own. */
export function shardsReply(
  shards: readonly { ranges: readonly number[]; nodes: readonly ShardNode[] }[],
): string {
  const text = (value: string | number | null) =>
    typeof value === 'number' ? `:${value}\r\n` : bulk(value ?? undefined);
  return `*${shards.length}\r\n${shards
    .map(({ ranges, nodes }) => {
      const lines = nodes.map((node) => {
        const fields = Object.entries(node).flat();
        return `*${fields.length}\r\n${fields.map(text).join('')}`;
      });
      return `*4\r\n$5\r\nslots\r\n*${ranges.length}\r\n${ranges.map(text).join('')}$5\r\nnodes\r\n*${nodes.length}\r\n${lines.join('')}`;
    })
    .join('')}`;
}

export type ShardNode = Readonly<Record<string, string | number | null>>;

/** A node as CLUSTER SHARDS lists it. */
export function shardNode(node: Pick<FakeNode, 'id' | 'host' | 'port'>, more: ShardNode = {}): ShardNode {
  const { id, host, port } = node;
  const common = { id, port, ip: host, endpoint: host, role: 'master' };
  return { ...common, 'replication-offset': 1, health: 'online', ...more };
}

function shardsOf(cluster: FakeCluster): string {
  const ranges = new Map<FakeNode, number[]>();
  for (const { from, to, node } of runsOf(cluster)) ranges.set(node, [...(ranges.get(node) ?? []), from, to]);
  return shardsReply([...ranges].map(([node, slots]) => ({ ranges: slots, nodes: [shardNode(node)] })));
}

function slotsOf(cluster: FakeCluster): string {
  const runs = runsOf(cluster).map(({ from, to, node }) => {
    return `*3\r\n:${from}\r\n:${to}\r\n*4\r\n${bulk(node.host)}:${node.port}\r\n${bulk(node.id)}*0\r\n`;
  });
  return `*${runs.length}\r\n${runs.join('')}`;
}
