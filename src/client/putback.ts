// Puts back what was popped for a client that does not get it. Cold.
//
// With the client's rights, and where those don't do, with the proxy's own. It is tried again as long as a server
// says that it was not done; one whose outcome is unknown is not, since the element would be there twice.

import type { Words } from '../command/blocking.ts';
import type { Command } from '../command/command.ts';
import { slotOf } from '../command/slot.ts';
import { Asker } from './asker.ts';
import type { Client } from './client.ts';

const PAUSE = 100;
const NOT_DONE =
  /^-(CLUSTERDOWN|LOADING|MASTERDOWN|READONLY|TRYAGAIN|OOM|NOREPLICAS|MISCONF|BUSY|NOPERM|MOVED|ASK) /;

/** `undo`: see undoOf. Resolves when it is done or has failed. */
export async function putBack(client: Client, command: Command, undo: Words): Promise<void> {
  const key = undo[1];
  const slot = slotOf(key, 0, key.length);
  const { context } = client;
  const deadline = performance.now() + context.config.failover.holdFor;
  let reply = '';
  do {
    const push = (asker: Asker) => asker.raw(slot, undo, false);
    reply = String(await Asker.with(client, push));
    if (reply.startsWith('-NOPERM')) reply = String(await Asker.asProxy(client, push));
    if (!reply.startsWith('-')) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  } while (NOT_DONE.test(reply) && performance.now() < deadline);
  context.log.error(
    { command: command.name, key: key.toString('latin1', 0, 128), error: reply.trimEnd() },
    'an element that was popped for nobody could not be put back',
  );
}
