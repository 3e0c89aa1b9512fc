// WATCH: a link of one's own to the owner of the watched keys, from WATCH to EXEC, DISCARD or UNWATCH. Cold.
//
// The node remembers on the connection which keys are watched, so the transaction has to come over the same one.
// The invariant: EXEC never runs unguarded. When the connection was lost in between, when the slot has moved, or
// when the client has become another user, the watch is broken and EXEC answers nil, as if a key had changed.

import { READY } from '../cluster/connection.ts';
import type { Lane } from '../cluster/lanes.ts';
import type { Link } from '../cluster/link.ts';
import type { Node } from '../cluster/node.ts';
import { DOWN, NONE, redirectOf } from '../cluster/redirect.ts';
import * as errors from '../resp/errors.ts';
import { command as encode } from '../resp/write.ts';
import { askOnce } from './asker.ts';
import { collect, type Lost } from './collect.ts';
import type { Context } from './context.ts';
import { ASKING, askOwner, type Owner, SWALLOW } from './owner.ts';
import type { Downstream } from './request.ts';
import { Before, discardedBy, leavesOpen } from './run.ts';
import type { SavedArguments } from './saved.ts';
import type { Watched } from './session.ts';

const MINUS = 45;
const PLUS = 43;
const UNWATCH = encode(['UNWATCH']);

export class Watch implements Watched {
  readonly slot: number;
  readonly node: Node;
  readonly link: Link;
  private readonly lane: Lane;
  private readonly asking: boolean;
  private readonly connection: number;
  private moved = false;
  private readonly names = new Set<string>();

  private constructor(lane: Lane, slot: number, { node, link, asking }: Owner) {
    this.slot = slot;
    this.node = node;
    this.link = link;
    this.lane = lane;
    this.asking = asking;
    this.connection = link.connections;
  }

  /** Watches the keys of `request`, a WATCH whose keys lie in `slot`. The error for the client when it can't be. */
  static async begin(
    client: Downstream & { readonly context: Context },
    slot: number,
    request: SavedArguments,
  ): Promise<Watch | Buffer> {
    const owner = await askOwner(client, slot, request.request, () => !client.closed);
    if (Buffer.isBuffer(owner)) return owner;
    const watch = new Watch(client.lane, slot, owner);
    if (owner.reply[0] === PLUS && !client.closed) return watch.note(request);
    watch.release();
    return owner.reply;
  }

  async more(request: SavedArguments, ok: Buffer): Promise<Buffer> {
    if (!this.holds(this.lane)) return ok;
    this.beforeKeys();
    const reply = await askOnce(this.link, request.request);
    const kind = reply[0] === MINUS ? redirectOf(reply, 0, reply.length) : NONE;
    // What was watched before has moved meanwhile.
    if (kind === NONE) {
      if (reply[0] === PLUS) this.note(request);
      return reply;
    }
    this.moved = true;
    return ok;
  }

  holds(lane: Lane): boolean {
    const { link } = this;
    return !this.moved && lane === this.lane && link.state === READY && link.connections === this.connection;
  }

  async exec(run: Buffer, count: number, reads: boolean, nil: Buffer): Promise<Buffer> {
    this.beforeKeys();
    const before = new Before();
    const reply = await new Promise<Buffer | Lost>((resolve) => {
      this.link.sendRun(collect(resolve, resolve), before, count, run, 0, run.length).release();
    });
    if (!Buffer.isBuffer(reply)) {
      this.node.discard(this.link);
      return reply.sent && !reads ? errors.outcomeUnknown(reply.reason) : nil;
    }
    if (reply[0] === MINUS && leavesOpen(reply, 0, reply.length)) this.node.discard(this.link);
    else this.node.giveBack(this.lane, this.link);
    if (reply[0] !== MINUS) return reply;
    const decisive = before.refusal === '' ? reply : errors.asServerSaid(before.refusal);
    const kind = redirectOf(decisive, 0, decisive.length);
    return kind === NONE || kind === DOWN ? discardedBy(before, reply, 0, reply.length) : nil;
  }

  release(): void {
    const { node, lane, link } = this;
    if (link.state !== READY || !link.quiet) return this.abandon();
    void askOnce(link, UNWATCH).then((reply) => {
      if (reply[0] === PLUS) node.giveBack(lane, link);
      else node.discard(link);
    });
  }

  abandon(): void {
    this.node.discard(this.link);
  }

  get keys(): number {
    return this.names.size;
  }

  private note(request: SavedArguments): this {
    for (let i = 1; i < request.argc; i++) this.names.add(request.text(i));
    return this;
  }

  private beforeKeys(): void {
    if (this.asking) this.link.send(SWALLOW, ASKING, 0, ASKING.length).release();
  }
}
