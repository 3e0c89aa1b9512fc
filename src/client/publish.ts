// PUBLISH and SPUBLISH: to one node, always the same for a channel, and how many have received it. Hot where they are.
//
// A node's reply counts the proxy's own subscriptions, and is set right (receivers.ts). While the proxy's own
// subscription to a channel is on its way, from a lost node to another or to the new owner of a shard channel's slot,
// what is published on it waits.

import type { Node } from '../cluster/node.ts';
import { SLOTS } from '../cluster/topology.ts';
import type { Command } from '../command/command.ts';
import { matchesGlob } from '../command/glob.ts';
import { slotOf } from '../command/slot.ts';
import { CHANNEL, SHARD } from '../pubsub/names.ts';
import type { PubSub } from '../pubsub/pubsub.ts';
import { receiversBeside } from '../pubsub/receivers.ts';
import type { Subscription } from '../pubsub/subscription.ts';
import { areaOf, copyArea, copyBytes } from '../resp/copy.ts';
import * as errors from '../resp/errors.ts';
import { Frame } from '../resp/request.ts';
import { integer } from '../resp/write.ts';
import { TOTAL } from '../telemetry/counters.ts';
import type { Client } from './client.ts';
import { Question, Request } from './request.ts';
import { partsOf } from './subscribed.ts';

/** Messages of plain channels are in order by themselves: whoever has the keys of a slot has no part in them. */
const CHANNEL_SLOTS = SLOTS;
/** How long until a message that waits for its subscribers is looked at again, ms. */
const AGAIN = 5;
const COLON = 58;
const SPUBLISH = areaOf(Buffer.from('*3\r\n$8\r\nSPUBLISH\r\n'));

/** Where a PUBLISH becomes an SPUBLISH. */
const SCRATCH_BYTES = 65536;
const scratch = areaOf(Buffer.allocUnsafeSlow(SCRATCH_BYTES));
const shardFrame = new Frame();
shardFrame.argc = shardFrame.expected = 3;

/** What a message is counted by. */
interface Counting {
  readonly pubsub: PubSub;
  readonly totals: Float64Array;
  /** The channel's bytes, written as Latin-1. */
  readonly channel: string;
  readonly shard: boolean;
  /** Clients of the plain channel hear the shard channel, too. */
  readonly legacy: boolean;
  /** The node to which it goes, and how many receivers it has beside those that the node counts. */
  readonly address: string | undefined;
  readonly beside: number;
}

/** Sends a message. False: not now. */
export function publish(client: Client, command: Command, f: Frame): boolean {
  const { pubsub, config, table } = client.context;
  const legacy = config.pubsub.mode === 'sharded';
  if (legacy && command.name === 'publish') {
    const spublish = table.byName('spublish');
    if (spublish === undefined)
      return client.refuse(
        command,
        errors.unsupported('publish', 'these servers have no shard channels, which pubsub.mode wants'),
      );
    return publish(client, spublish, sharded(f));
  }
  const { starts, ends } = f;
  const bytes = f.bytes as Buffer;
  const shard = command.name === 'spublish';
  const slot = slotOf(bytes, starts[1]!, ends[1]!) + (shard ? 0 : CHANNEL_SLOTS);
  const node = shard ? client.cluster.ownerOf(slot) : pubsub.roadOf(slot - CHANNEL_SLOTS);
  if (client.mustWait(slot, false) || !client.roomAt(node)) return false;
  const { totals } = client.context.counters;
  const { roll } = pubsub;
  const channel = bytes.toString('latin1', starts[1], ends[1]);
  const address = node?.address;
  if (address !== undefined && pubsub.isMissed(channel, shard, address)) {
    setTimeout(() => client.wake(), AGAIN);
    return false;
  }
  const beside = address === undefined ? 0 : receiversBeside(roll, channel, shard, legacy, address);
  const counting = { pubsub, totals, channel, shard, legacy, address, beside };
  if (client.session.subscribed !== undefined) {
    const request = Buffer.from(bytes.subarray(f.from, f.to));
    return client.workOut(command, () =>
      publishToOneself(client, shard ? slot : (node ?? slot), request, counting),
    );
  }
  const message = new Message(client, command, slot, counting);
  client.replies.push(message);
  message.start(bytes, f.from, f.to);
  return true;
}

/** A PUBLISH as the SPUBLISH of the same message. It is valid until the next one is made. */
export function sharded({ bytes, starts, ends, to }: Frame): Frame {
  // Behind the name and its line end: the arguments with their heads.
  const rest = ends[0]! + 2;
  const shift = SPUBLISH.bytes.length - rest;
  const length = to + shift;
  const area = length <= SCRATCH_BYTES ? scratch : areaOf(Buffer.allocUnsafeSlow(length));
  copyArea(SPUBLISH, 0, SPUBLISH.bytes.length, area, 0);
  copyBytes(bytes as Buffer, rest, to, area, SPUBLISH.bytes.length);
  const f = shardFrame;
  f.bytes = area.bytes;
  f.to = f.consumed = length;
  f.starts[0] = SPUBLISH.bytes.length - 'SPUBLISH\r\n'.length;
  f.ends[0] = SPUBLISH.bytes.length - 2;
  for (let i = 1; i < f.argc; i++) {
    f.starts[i] = starts[i]! + shift;
    f.ends[i] = ends[i]! + shift;
  }
  return f;
}

/** A message under way. */
class Message extends Request {
  private readonly counting: Counting;
  /** The proxy's own subscriptions at the node to which it was sent: they should be in its reply. */
  private hearers: number;

  constructor(client: Client, command: Command, slot: number, counting: Counting) {
    super(client, command, slot, false);
    this.counting = counting;
    this.hearers = hearersAt(counting, counting.address);
  }

  override get destination(): Node | undefined {
    if (this.counting.shard) return super.destination;
    const { road } = this;
    return road?.shut === undefined ? road : undefined;
  }

  protected override get whyHeld(): string {
    return this.road?.shut ?? super.whyHeld;
  }

  private get road(): Node | undefined {
    return this.counting.pubsub.roadOf(this.slot - CHANNEL_SLOTS);
  }

  /** Sent anew, perhaps since its slot has moved: its subscribers must have gone before it. */
  protected override ready(node: Node): boolean {
    const { pubsub, channel, shard } = this.counting;
    this.hearers = hearersAt(this.counting, node.address);
    return !pubsub.isMissed(channel, shard, node.address);
  }

  protected override answer(bytes: Buffer, from: number, to: number): void {
    const reply = counted(this.counting, this.hearers, this.node, bytes, from, to);
    super.answer(reply, reply === bytes ? from : 0, reply === bytes ? to : reply.length);
  }
}

function hearersAt({ pubsub, channel, shard }: Counting, node: string | undefined): number {
  return node === undefined ? 0 : pubsub.roll.subscriptions(shard ? SHARD : CHANNEL, channel, node);
}

/**
 * A node's reply with this proxy's clients in it; an error as it is, and a number that shows that they have missed
 * it: a replica, too, takes what is published on a shard channel, and one that has just become one has no
 * subscribers left.
 */
function counted(
  counting: Counting,
  hearers: number,
  node: Node | undefined,
  bytes: Buffer,
  from: number,
  to: number,
): Buffer {
  if (bytes[from] !== COLON || node === undefined) return bytes;
  const { pubsub, totals, channel, shard, legacy, address } = counting;
  const heard = Number(bytes.toString('latin1', from + 1, to - 2));
  if (heard < hearers) {
    totals[TOTAL.messagesMissed]! += 1;
    return bytes;
  }
  const beside =
    node.address === address
      ? counting.beside
      : receiversBeside(pubsub.roll, channel, shard, legacy, node.address);
  if (beside === 0) return bytes;
  return integer(Math.max(0, heard + beside));
}

/**
 * Publishes for a client that is subscribed, in RESP3: what it hears of its own message stands right beside the
 * reply, before it or (since Redis 7.2) behind it. All that the node had to say up to then has been heard.
 */
async function publishToOneself(
  client: Client,
  whom: number | Node,
  request: Buffer,
  counting: Counting,
): Promise<Buffer> {
  const { context, cluster } = client;
  if (context.server.pushesLast) client.holdMessages();
  const raw = await Question.ask(client, whom, request, false);
  const node = typeof whom === 'number' ? cluster.primaryOf(whom) : whom;
  const reply = counted(counting, 0, node, raw, 0, raw.length);
  const own = [...(client.session.subscribed?.held() ?? [])].flatMap(partsOf);
  const hears = own.filter((subscription) => isFor(subscription, counting));
  await Promise.all(hears.map((subscription) => counting.pubsub.fence(subscription)));
  return reply;
}

function isFor({ kind, key, name }: Subscription, { channel, shard }: Counting): boolean {
  if (kind === SHARD || shard) return kind === SHARD && shard && key === channel;
  return kind === CHANNEL ? key === channel : matchesGlob(name, Buffer.from(channel, 'latin1'));
}
