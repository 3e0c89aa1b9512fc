// How many receivers a message has, as one server would count them: the clients of this proxy, all workers', in
// place of the subscriptions that the proxy itself has at the node which was asked. Clients that are subscribed at
// other nodes without this proxy can't be known; those at the node itself are in its reply.

import { matchesGlob } from '../command/glob.ts';
import { CHANNEL, type Kind, PATTERN, SHARD } from './names.ts';
import type { Roll } from './roll.ts';

/** What is to be added to a node's reply to PUBLISH (or SPUBLISH: `shard`) of a channel. */
export function receiversBeside(
  roll: Roll,
  channel: string,
  shard: boolean,
  legacy: boolean,
  node: string,
): number {
  if (shard) return beside(roll, SHARD, channel, node) + (legacy ? roll.clients(CHANNEL, channel) : 0);
  let count = beside(roll, CHANNEL, channel, node);
  if (roll.isEmpty(PATTERN)) return count;
  const text = Buffer.from(channel, 'latin1');
  for (const [key, pattern] of roll.patterns)
    if (matchesGlob(pattern, text)) count += beside(roll, PATTERN, key, node);
  return count;
}

function beside(roll: Roll, kind: Kind, key: string, node: string): number {
  let count = 0;
  for (const { clients, at } of roll.of(kind, key)) {
    // A worker that hears it nowhere now will not hear this.
    if (at.length > 0) count += at.includes(node) ? clients - 1 : clients;
  }
  return count;
}
