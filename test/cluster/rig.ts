/**
 * Links, nodes and clusters in the test's own process, and the other end of their connections.
 *
 * A Peer is a node of raw bytes: it lets a test see what a link has written and write whatever it likes, in
 * the pieces it likes. Scripted nodes that answer what a node is asked are in support/fake-node.ts.
 */

import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Choice } from '../../src/cluster/attempt.ts';
import { Call } from '../../src/cluster/call.ts';
import { Cluster, type ClusterOptions } from '../../src/cluster/cluster.ts';
import type { Greeting } from '../../src/cluster/connection.ts';
import type { Lane, LaneKey } from '../../src/cluster/lanes.ts';
import { Link, type LinkOptions, type LinkOwner, type Pending } from '../../src/cluster/link.ts';
import type { Caller } from '../../src/cluster/sending.ts';
import { SLOTS, type Topology } from '../../src/cluster/topology.ts';
import { Turn } from '../../src/cluster/turn.ts';
import { Counters, TOTAL } from '../../src/telemetry/counters.ts';
import { encode } from '../support/client.ts';
import { type FakeCluster, startFake } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';

/** What a link sends first here, unless a test says otherwise. */
export const GREETING: Greeting = { bytes: encode(['PING']), onError: 'ready' };

export function linkOptions(port: number, more: Partial<LinkOptions> = {}): LinkOptions {
  return {
    host: '127.0.0.1',
    port,
    handshake: [],
    connectTimeout: 5000,
    requestTimeout: 60_000,
    silence: 30_000,
    keepAlive: 0,
    backoffMin: 1,
    backoffMax: 5,
    replyDepth: 8,
    maxPending: 1000,
    maxPendingBytes: 1_000_000,
    ...more,
  };
}

export function counters(): Counters {
  return Counters.create(['get']);
}

/** A node of raw bytes. */
export class Peer {
  readonly sockets: Socket[] = [];
  port = 0;
  /** What has come on each connection. */
  private readonly input: Buffer[] = [];
  private readonly server: Server;

  private constructor() {
    this.server = createServer({ noDelay: true }, (socket) => {
      const index = this.sockets.push(socket) - 1;
      this.input.push(Buffer.alloc(0));
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        this.input[index] = Buffer.concat([this.input[index]!, chunk]);
      });
    });
  }

  static async listen(t: TestContext): Promise<Peer> {
    const peer = new Peer();
    peer.server.listen(0, '127.0.0.1');
    await once(peer.server, 'listening');
    peer.port = (peer.server.address() as { port: number }).port;
    t.after(() => {
      for (const socket of peer.sockets) socket.destroy();
      peer.server.close();
    });
    return peer;
  }

  /** What has come on a connection so far, as text. */
  received(index = this.sockets.length - 1): string {
    return (this.input[index] ?? '').toString('latin1');
  }

  /** Waits until this has come, on the last connection or on the one that is meant. */
  async gets(what: string | Buffer, index?: number): Promise<void> {
    const text = what.toString('latin1');
    await until(`the node to get ${text.slice(0, 60)}`, () => this.received(index).includes(text), 5000, 1);
  }

  /** Writes on the last connection. */
  say(bytes: string | Buffer): void {
    this.sockets.at(-1)!.write(bytes);
  }

  /** Writes in pieces, each of them when the one before it has been read. */
  async sayInPieces(bytes: Buffer, ends: readonly number[], totals: Float64Array): Promise<void> {
    let at = 0;
    for (const end of ends) {
      if (end === at) continue;
      const read = totals[TOTAL.bytesFromNodes]! + end - at;
      this.say(bytes.subarray(at, end));
      at = end;
      while (totals[TOTAL.bytesFromNodes]! < read) {
        if (this.sockets.at(-1)!.destroyed) throw new Error('the connection was lost');
        await nextTurn();
      }
    }
  }
}

/** What becomes of one thing that is pending, in words. */
export class Waiter implements Pending {
  readonly events: string[] = [];
  bytes: Buffer = Buffer.alloc(0);
  /** Done at a reply or a piece, while its bytes are valid. */
  onBytes: (bytes: Buffer, from: number, to: number) => void = () => {};

  reply(bytes: Buffer, from: number, to: number): void {
    this.take(bytes, from, to);
    this.events.push('reply');
  }

  piece(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.take(bytes, from, to);
    this.events.push(last ? 'last piece' : 'piece');
  }

  lost(sent: boolean, begun: boolean, _reason: string): void {
    this.events.push(`lost${sent ? ' sent' : ''}${begun ? ' begun' : ''}`);
  }

  get text(): string {
    return this.bytes.toString('latin1');
  }

  /** How it ended: 'reply', 'last piece', 'lost ...'; undefined as long as it waits. */
  get end(): string | undefined {
    const last = this.events.at(-1);
    return last === 'piece' ? undefined : last;
  }

  private take(bytes: Buffer, from: number, to: number): void {
    this.bytes = Buffer.concat([this.bytes, bytes.subarray(from, to)]);
    this.onBytes(bytes, from, to);
  }
}

/** An owner that remembers what it was told. */
export class Owner implements LinkOwner {
  readonly log: string[] = [];
  linkReady(): void {
    this.log.push('ready');
  }
  linkLost(_link: Link, reason: string, failures: number): void {
    this.log.push(`lost ${failures}: ${reason}`);
  }
  linkPush(_link: Link, bytes: Buffer, from: number, to: number): void {
    this.log.push(`push ${bytes.toString('latin1', from, to)}`);
  }
}

/** Sends words on a link. */
export function send(link: Link, waiter: Pending, ...words: string[]): void {
  const bytes = encode(words);
  link.send(waiter, bytes, 0, bytes.length).release();
}

// ---- one link

export interface LinkStage {
  readonly peer: Peer;
  readonly link: Link;
  readonly owner: Owner;
  readonly turn: Turn;
  readonly totals: Float64Array;
}

/** A link to a peer; it connects when something is sent. */
export async function linkStage(t: TestContext, more: Partial<LinkOptions> = {}): Promise<LinkStage> {
  const peer = await Peer.listen(t);
  const owner = new Owner();
  const turn = new Turn();
  const all = counters();
  const link = new Link(linkOptions(peer.port, more), owner, turn, all);
  t.after(() => link.close());
  return { peer, link, owner, turn, totals: all.totals };
}

/** Sends words, each its own command, and waits until the node has them. */
export async function sendAll({ link, peer }: LinkStage, ...words: string[]): Promise<Waiter[]> {
  const waiters = words.map((word) => {
    const waiter = new Waiter();
    send(link, waiter, word);
    return waiter;
  });
  await peer.gets(Buffer.concat(words.map((word) => encode([word]))));
  return waiters;
}

export function ended(waiters: readonly Waiter[]): Promise<unknown> {
  return until('all replies', () => waiters.every(({ end }) => end !== undefined), 5000, 1);
}

// ---- a whole cluster

export function clusterOptions(more: Partial<ClusterOptions> = {}): ClusterOptions {
  const { host: _host, port: _port, handshake: _handshake, ...link } = linkOptions(0);
  return {
    ...link,
    username: '',
    password: '',
    dedicated: 2,
    blocked: 2,
    redirects: 5,
    holdFor: 5000,
    natMap: {},
    linkName: 'test',
    links: 1,
    reads: { maxLag: { unit: 'ms', most: 10_000 }, silence: 100, zone: '' },
    replicasKnowMoves: false,
    ...more,
  };
}

/** The map that a fake cluster's `owners` make; a node without slots is in none of its shards. */
export function mapOf(fake: FakeCluster): Topology {
  const owning = [...new Set(fake.owners)].filter((owner) => owner >= 0);
  return {
    version: 1,
    epoch: fake.epoch,
    slots: Uint16Array.from({ length: SLOTS }, (_, slot) => {
      const shard = owning.indexOf(fake.owners[slot]!);
      return shard < 0 ? 0xffff : shard;
    }),
    shards: owning.map((owner) => {
      const { id, host, port } = fake.nodes[owner]!;
      return { primary: { id, host, port, hostname: '' }, replicas: [] };
    }),
  };
}

/** The lane of a client that has not logged in, unless a test says otherwise. */
export function laneKey(more: Partial<LaneKey> = {}): LaneKey {
  return { resp: 2, username: '', password: '', readOnly: false, copy: 0, ...more };
}

export interface Rig {
  readonly fake: FakeCluster;
  readonly cluster: Cluster;
  /** Why a newer map was wanted, each time. */
  readonly stale: string[];
  /** `address (failures): reason`, each time. */
  readonly lost: string[];
}

/** A fake cluster of two nodes, and a Cluster that knows its map. */
export async function rig(t: TestContext, more: Partial<ClusterOptions> = {}): Promise<Rig> {
  const fake = await startFake({ commands: Buffer.alloc(0) });
  const stale: string[] = [];
  const lost: string[] = [];
  const cluster = new Cluster(clusterOptions(more), new Turn(), counters(), {
    stale: (why) => stale.push(why),
    linkLost: (address, reason, failures) => lost.push(`${address} (${failures}): ${reason}`),
    turned: () => {},
  });
  cluster.adopt(mapOf(fake));
  t.after(async () => {
    cluster.close();
    await fake.stop();
  });
  return { fake, cluster, stale, lost };
}

/** Who sends calls, and remembers what it was told of them. */
export class Sender implements Caller {
  readonly cluster: Cluster;
  readonly lane: Lane;
  started = 0;
  settled = 0;
  readonly loose: Call[] = [];
  /** What `writesBehind` says. */
  behind = false;

  constructor(cluster: Cluster, resp: 2 | 3 = 2) {
    this.cluster = cluster;
    this.lane = cluster.enterLane(laneKey({ resp }));
  }

  callStarted(): void {
    this.started++;
  }
  callLoose(call: Call): void {
    this.loose.push(call);
  }
  callHeld(): void {}

  callSettled(): void {
    this.settled++;
  }
  holdsMore(): boolean {
    return false;
  }

  writesBehind(): boolean {
    return this.behind;
  }
}

/** A call whose answer a test waits for. */
export class Asked extends Call {
  readonly answered: Promise<string>;
  /** Answers of any kind; more than one is a mistake. */
  answers = 0;
  pieces: Buffer[] = [];
  private resolve: (text: string) => void = () => {};

  constructor(sender: Sender, slot: number, reads: boolean, loose = false, choice?: Choice) {
    super(sender, slot, reads, loose, choice);
    this.answered = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  /** Sends words to the owner of a slot; `reads` follows from the name. */
  static to(sender: Sender, slot: number, ...words: string[]): Asked {
    const call = new Asked(sender, slot, words[0] === 'GET');
    const bytes = encode(words);
    call.start(bytes, 0, bytes.length);
    return call;
  }

  protected override answer(bytes: Buffer, from: number, to: number): void {
    this.done(bytes.toString('latin1', from, to));
  }

  protected override answerPiece(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.pieces.push(Buffer.from(bytes.subarray(from, to)));
    if (last) this.done(Buffer.concat(this.pieces).toString('latin1'));
  }

  protected override answerBroken(reason: string): void {
    this.done(`broken: ${reason}`);
  }

  private done(text: string): void {
    this.answers++;
    this.resolve(text);
  }
}

/** Some turns of the loop: what was on its way between two sockets of this process has come. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn();
}
