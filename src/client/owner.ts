// Finds the node that has a slot's keys now, for what can't follow redirects itself: a question about them is
// asked on a link of one's own and follows them. Cold.

import { READY } from '../cluster/connection.ts';
import type { Link, Pending } from '../cluster/link.ts';
import type { Node } from '../cluster/node.ts';
import { ASK, MOVED, NONE, redirectOf, targetOf } from '../cluster/redirect.ts';
import { slotOf } from '../command/slot.ts';
import * as errors from '../resp/errors.ts';
import { command as encodeCommand } from '../resp/write.ts';
import { askOnce } from './asker.ts';
import type { Context } from './context.ts';
import type { Downstream } from './request.ts';

/** For whom an owner is looked for. */
type Seeker = Pick<Downstream, 'cluster' | 'lane'> & { readonly context: Pick<Context, 'config'> };

const MINUS = 45;
const RETRY = 50;
export const ASKING = encodeCommand(['ASKING']);
/** For the reply to ASKING. */
export const SWALLOW: Pending = { reply() {}, piece() {}, lost() {} };

export interface Owner {
  readonly node: Node;
  /** Borrowed and quiet; to be given back or discarded. */
  readonly link: Link;
  /** The node imports the slot: it takes its keys behind an ASKING. */
  readonly asking: boolean;
  /** What it said to the question; an error too, when it is about the question alone. */
  readonly reply: Buffer;
}

/** The owner of a key, or the error for the client. `wanted`: asked on the way, false ends the search. */
export function findOwner(client: Seeker, key: Buffer, wanted: () => boolean): Promise<Owner | Buffer> {
  return askOwner(client, slotOf(key, 0, key.length), encodeCommand(['EXISTS', key]), wanted);
}

/**
 * The node that answers `question`, which is about keys of `slot`, or the error for the client.
 * `wanted`: asked on the way, false ends the search.
 */
export async function askOwner(
  client: Seeker,
  slot: number,
  question: Buffer,
  wanted: () => boolean,
): Promise<Owner | Buffer> {
  const { cluster, context } = client;
  const { failover, redirects, node: limits } = context.config;
  const deadline = performance.now() + failover.holdFor;
  let node = cluster.ownerOf(slot);
  let asking = false;
  let last: Buffer | undefined;
  for (let followed = 0; followed <= redirects.max && wanted(); ) {
    if (node === undefined) {
      if (performance.now() > deadline) break;
      cluster.ask('a slot has no owner');
      await new Promise((resolve) => setTimeout(resolve, RETRY));
      node = cluster.ownerOf(slot);
      asking = false;
      continue;
    }
    const link = node.borrow(client.lane);
    if (link === undefined) return errors.limit('node.dedicated', limits.dedicated);
    if (asking) link.send(SWALLOW, ASKING, 0, ASKING.length).release();
    last = await askOnce(link, question);
    const kind = last[0] === MINUS ? redirectOf(last, 0, last.length) : NONE;
    // A link that was lost would connect again and take the middle of a value for commands.
    if (kind === NONE && link.state === READY) return { node, link, asking, reply: last };
    node.discard(link);
    const target = kind === MOVED || kind === ASK ? targetOf(last, 0, last.length) : undefined;
    if (target === undefined) {
      node = undefined;
      continue;
    }
    followed++;
    asking = kind === ASK;
    const host: string = target.host === '' ? node.host : target.host;
    node = asking ? cluster.nodeAt(host, target.port) : cluster.moved(slot, host, target.port);
  }
  return last ?? errors.notServed(cluster.whyHeld(slot));
}
