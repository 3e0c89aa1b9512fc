/** A client without a socket, before a cluster that is only a map: for what a client's commands are by themselves. */

import { Gathered, type Part } from '../../src/client/gathered.ts';
import { Order } from '../../src/client/order.ts';
import { Outbox } from '../../src/client/outbox.ts';
import { type Piece, type Place, Replies } from '../../src/client/replies.ts';
import { type Downstream, Request } from '../../src/client/request.ts';
import type { Call } from '../../src/cluster/call.ts';
import type { Cluster } from '../../src/cluster/cluster.ts';
import { Lanes } from '../../src/cluster/lanes.ts';
import type { Node } from '../../src/cluster/node.ts';
import { Turn } from '../../src/cluster/turn.ts';
import type { Command } from '../../src/command/command.ts';
import { CommandTable } from '../../src/command/table.ts';
import type { Area } from '../../src/resp/copy.ts';
import { laneKey } from '../cluster/rig.ts';
import { FakeSocket } from './sink.ts';

const table = CommandTable.parse([
  ['get', 2, ['readonly', 'fast'], 1, 1, 1, [], [], [], []],
  ['set', -3, ['write', 'denyoom'], 1, 1, 1, [], [], [], []],
  ['publish', 3, ['pubsub', 'loading', 'stale', 'fast', 'may_replicate'], 0, 0, 0, [], [], [], []],
]);

/** A command of a small table: get, set. */
export function command(name: string): Command {
  const found = table.commands.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no ${name} in the table`);
  return found;
}

/** Who owns which slot, and nothing else of a cluster. */
export class MapOnly {
  roads = 0;
  readonly turn = new Turn();
  readonly gates = { left: () => {}, settled: () => {} };
  private readonly owners = new Map<number, Node>();
  private readonly nodes = new Map<string, Node>();

  constructor() {
    for (const slot of [0, 1, 2, 3]) this.move(slot, 'x');
  }

  move(slot: number, to: string): void {
    let node = this.nodes.get(to);
    if (node === undefined) {
      node = { address: to } as Node;
      this.nodes.set(to, node);
    }
    this.owners.set(slot, node);
    this.roads++;
  }

  ownerOf(slot: number): Node | undefined {
    return this.owners.get(slot);
  }
}

export class BareClient implements Downstream {
  readonly cluster: Cluster;
  readonly lane = new Lanes('').enter(laneKey());
  readonly socket = new FakeSocket();
  readonly turn: Turn;
  readonly outbox: Outbox;
  readonly replies: Replies;
  readonly order: Order;
  readonly repertoire = { ready: () => true, lacks: () => false };
  closed = false;
  /** What `close` was told. */
  reason: string | undefined;
  /** The names of the commands that were answered whole. */
  readonly log: string[] = [];
  private readonly map: MapOnly;

  constructor(map: MapOnly) {
    this.map = map;
    this.cluster = map as unknown as Cluster;
    this.turn = map.turn;
    this.outbox = new Outbox(this.socket.socket, this.turn, new Float64Array(64));
    this.replies = new Replies(this.outbox);
    this.order = new Order(this.cluster, this.replies);
  }

  /** A command that is at the owner of its slot. */
  request(what: Command, slot: number, loose = false): Request {
    const request = new Request(this, what, slot, loose);
    this.replies.push(request);
    request.node = this.map.ownerOf(slot);
    return request;
  }

  /** A command with a part at each of these slots, and its parts' replies behind each other as its reply. */
  gathered(what: Command, slots: readonly number[], wide = false, joined = false): Gathered {
    const whole = new Gathered(this, what, { wide, joined, merge: (replies) => Buffer.concat(replies) });
    for (const slot of slots) whole.add(slot, wide);
    this.replies.push(whole);
    for (const part of whole.parts) part.node = this.map.ownerOf(part.slot);
    return whole;
  }

  /** A node answers. The bytes are valid during the call only. */
  reply(call: Request | Part, text: string): void {
    const bytes = Buffer.from(`<<${text}>>`, 'latin1');
    call.reply(bytes, 2, bytes.length - 2);
    bytes.fill('!');
  }

  /** A node sends a long reply in pieces. */
  replyInPieces(call: Request | Part, texts: readonly string[]): void {
    texts.forEach((text, i) => {
      const bytes = Buffer.from(`<<${text}>>`, 'latin1');
      call.piece(bytes, 2, bytes.length - 2, i === texts.length - 1);
      bytes.fill('!');
    });
  }

  /** What the client has got. */
  get text(): string {
    this.outbox.flush();
    this.socket.drain();
    return this.socket.text;
  }

  answer(place: Place, what: Command, _since: number, bytes: Buffer, from: number, to: number): void {
    this.log.push(what.name);
    this.replies.answer(place, bytes, from, to);
  }

  answerJoined(what: Command, _since: number, head: Area, pieces: readonly Piece[]): void {
    this.log.push(what.name);
    this.replies.answerJoined(head, pieces);
  }

  answerPiece(
    place: Place,
    _what: Command,
    _since: number,
    bytes: Buffer,
    from: number,
    to: number,
    last: boolean,
  ): void {
    this.replies.answerPiece(place, bytes, from, to, last);
  }

  gathering(bytes: number): void {
    this.replies.heldBytes += bytes;
  }

  touchesAll(change: 1 | -1): void {
    this.order.touchesAll(change);
  }

  callStarted(call: Call): void {
    this.order.started(call);
  }

  callLoose(call: Call): void {
    this.order.loosened(call);
  }

  callHeld(call: Call, change: 1 | -1): void {
    this.order.held(call, change);
  }

  callSettled(call: Call): void {
    this.order.settled(call);
  }

  holdsMore(call: Call): boolean {
    return this.order.holdsMore(call);
  }

  writesBehind(call: Call): boolean {
    return this.order.writesBehind(call);
  }

  close(reason: string): void {
    this.closed = true;
    this.reason = reason;
  }
}
