// Blocking commands: BLPOP and its kin, XREAD and XREADGROUP with BLOCK, WAIT.
//
// Nothing else of the client is under way while one blocks, and what it sends behind it waits, as on one server.
// Each call has a link of its own (see seat.ts), so nobody else waits. Keys in several slots: see rivals.ts, streams.ts, groups.ts.
//
// A client that leaves has its call ended on the server at once. What was popped in that same instant goes back
// where it was; a lone server would have lost it with the connection. Cold.

import { keysAcross, type Way, wayAcross } from '../command/across.ts';
import { isWait } from '../command/blocking.ts';
import type { Command } from '../command/command.ts';
import { CROSS, slotOfKeys, UNKNOWN } from '../command/keys.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { refusalOf } from './across.ts';
import { Blocking } from './blocked.ts';
import { blockOnMove } from './blockedmove.ts';
import type { Client } from './client.ts';
import { blockOnGroups } from './groups.ts';
import { inSeveralSlots } from './rivals.ts';
import { SavedArguments } from './saved.ts';
import { blockOnStreams } from './streams.ts';
import { waitForReplicas } from './wait.ts';

/** Of a module's command that blocks nobody knows what it does with its keys. */
const BLOCKS_ACROSS: ReadonlySet<Way> = new Set(['pop', 'move', 'streams', 'groups']);

/** False: not now, something of the client is still under way. */
export function block(client: Client, command: Command, f: Frame): boolean {
  if (!client.settled || client.pending > 0) return false;
  const args = new SavedArguments(f);
  const found = slotOfKeys(command, args);
  if (found === UNKNOWN)
    return client.refuse(
      command,
      errors.unsupported(command.name, 'it blocks, and where its keys are is not known'),
    );
  const keys = found === CROSS ? keysAcross(command, args) : [];
  const way = found === CROSS ? wayAcross(command, keys) : undefined;
  if (way !== undefined) {
    const refusal = refusalOf(client.context.config.crossSlot, command, keys);
    if (refusal !== undefined || !BLOCKS_ACROSS.has(way))
      return client.refuse(command, refusal ?? errors.crossSlot());
  }
  return client.workOut(command, async () => {
    const call = new Blocking(client, command, args);
    try {
      if (isWait(command)) return await waitForReplicas(call);
      if (way === 'move') return await blockOnMove(call);
      // Arguments that make no sense, or no keys: any server says what is wrong.
      const slot = found >= 0 ? found : client.cluster.anySlot(client.session.id);
      if (command.name === 'xread') return await blockOnStreams(call, found === CROSS ? -1 : slot);
      if (way === 'groups') return await blockOnGroups(call);
      return await (found === CROSS ? inSeveralSlots(call) : inOneSlot(call, slot));
    } finally {
      call.over();
    }
  });
}

async function inOneSlot(call: Blocking, slot: number): Promise<Buffer> {
  const seat = call.sit(slot);
  const reply = await seat.run();
  return call.conclude(reply, seat.wasBlocked);
}
