// CLIENT REPLY, CLIENT PAUSE and UNPAUSE, and MONITOR: commands that change what is done with those that follow.
// See checkpoint.ts and attention.ts. Cold.

import { equalsIgnoreCase, toInteger } from '../command/arguments.ts';
import type { Command } from '../command/command.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { OK } from '../resp/write.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { denial } from './rights.ts';
import { SavedArguments } from './saved.ts';

const NOTHING = Buffer.alloc(0);
/** The greatest time that servers can count with, ms. */
const LAST = 2 ** 63;

export const MINDED_COMMANDS: Readonly<Record<string, Handler>> = {
  'client|reply': reply,
  'client|pause': pause,
  'client|unpause': (client, command, f) => {
    const args = new SavedArguments(f);
    return client.workOut(command, async () => {
      const denied = await denial(client, args);
      if (denied !== undefined) return denied;
      await client.context.attention.unpause();
      return OK;
    });
  },
  monitor: (client, command, f) => {
    // As a server: who looks on already is told nothing at all.
    if (client.session.monitoring) return client.say(command, NOTHING);
    const args = new SavedArguments(f);
    return client.workOut(command, async () => {
      const denied = await denial(client, args);
      if (denied !== undefined) return denied;
      if (!client.closed) await client.context.attention.join(client);
      return OK;
    });
  },
};

/** CLIENT REPLY ON | OFF | SKIP */
function reply(client: Client, command: Command, f: Frame): boolean {
  const { session, replies } = client;
  if (equalsIgnoreCase(f, 2, 'on')) {
    session.replyOff = false;
    replies.mute(false);
    return client.say(command, OK);
  }
  const off = equalsIgnoreCase(f, 2, 'off');
  if (!off && !equalsIgnoreCase(f, 2, 'skip')) return client.refuse(command, errors.syntax());
  if (off) session.replyOff = true;
  else if (!session.replyOff) {
    session.skipNext = true;
    client.look();
  }
  // To who looks on a SKIP is still shown: the checkpoint sees to it.
  if (off || !session.monitoring) replies.mute(true);
  return client.say(command, NOTHING);
}

/** CLIENT PAUSE timeout [WRITE | ALL] */
function pause(client: Client, command: Command, f: Frame): boolean {
  if (f.argc > 4) return client.refuse(command, errors.subcommandSyntax(f));
  const writes = f.argc === 4 && equalsIgnoreCase(f, 3, 'write');
  if (f.argc === 4 && !writes && !equalsIgnoreCase(f, 3, 'all'))
    return client.refuse(command, errors.pauseMode());
  const timeout = toInteger(f, 2);
  if (timeout === undefined) return client.refuse(command, errors.timeoutNotInteger());
  if (timeout < 0) return client.refuse(command, errors.timeoutNegative());
  // 7.0 lets it overflow, and pauses nobody.
  if (timeout + Date.now() >= LAST) return client.refuse(command, errors.timeoutRange());
  const args = new SavedArguments(f);
  return client.workOut(command, async () => {
    const denied = await denial(client, args);
    if (denied !== undefined) return denied;
    await client.context.attention.pause(timeout === 0 ? 0 : Date.now() + timeout, !writes);
    return OK;
  });
}
