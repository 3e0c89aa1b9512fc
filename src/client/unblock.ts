// CLIENT UNBLOCK id [TIMEOUT | ERROR]: ends the blocking command of one of this proxy's clients, whichever worker
// has it (networking.c, clientCommand). Cold.

import { equalsIgnoreCase, toInteger } from '../command/arguments.ts';
import type { Command } from '../command/command.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { ONE, ZERO } from '../resp/write.ts';
import type { Client } from './client.ts';
import { denial } from './rights.ts';
import { SavedArguments } from './saved.ts';

export function unblock(client: Client, command: Command, f: Frame): boolean {
  if (f.argc > 4) return client.refuse(command, errors.subcommandSyntax(f));
  const isError = f.argc === 4 && equalsIgnoreCase(f, 3, 'error');
  if (f.argc === 4 && !isError && !equalsIgnoreCase(f, 3, 'timeout'))
    return client.refuse(command, errors.unblockReason());
  const id = toInteger(f, 2);
  if (id === undefined) return client.refuse(command, errors.notInteger());
  const args = new SavedArguments(f);
  return client.workOut(command, async () => {
    const denied = await denial(client, args);
    if (denied !== undefined) return denied;
    const how = isError ? 'ERROR' : 'TIMEOUT';
    const { clients, peers } = client.context;
    const named = clients.get(id);
    const ended = named === undefined ? peers.unblockClient(id, how) : named.blocked?.unblock(how);
    return (await ended) === true ? ONE : ZERO;
  });
}
