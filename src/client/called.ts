// A command that a remote function calls: its words, framed, and whether a function may call it.

import { type Command, FLAG, ROUTE } from '../command/command.ts';
import type { CommandTable } from '../command/table.ts';
import type { Config } from '../config.ts';
import { asServerSaid, unknownCommand, wrongArity } from '../resp/errors.ts';
import { COMMAND, Frame, frame } from '../resp/request.ts';
import { command as encode } from '../resp/write.ts';
import { mayWrite } from './vetting.ts';

export interface Called {
  readonly command: Command;
  readonly frame: Frame;
  /** The whole of it, as it is sent. */
  readonly bytes: Buffer;
}

/** Where functions run, and what is known there of commands. */
export interface Surroundings {
  readonly config: Pick<Config, 'limits'>;
  readonly table: CommandTable;
}

/** What stands in a call; or the error for one that no function may make. */
export function called(
  { config, table }: Surroundings,
  words: readonly Uint8Array[],
  reads: boolean,
): Called | Buffer {
  if (words.length === 0) return asServerSaid('ERR a call without a command');
  const bytes = encode(words);
  const f = new Frame();
  if (frame(f, bytes, bytes.length, config.limits, true) !== COMMAND)
    return f.error === '' ? tooLong() : asServerSaid(f.error);
  const command = table.find(f);
  if (command === undefined) return unknownCommand(f);
  if (!command.takes(f.argc)) return wrongArity(command.name);
  const name = Buffer.from(words[0]!).toString('latin1');
  // One that blocks is answered when it is: a function may wait.
  if ((command.flags & FLAG.noscript) !== 0 && (command.flags & FLAG.blocking) === 0)
    return asServerSaid(`ERR command '${name}' is not allowed on script mode`);
  if (reads && mayWrite(command))
    return asServerSaid(`ERR Write command '${name}' was called while write is not allowed.`);
  return { command, frame: f, bytes };
}

/** Waits until it is answered: nothing else can go over its link. */
export function isBlocking({ flags, route }: Command): boolean {
  return (flags & FLAG.blocking) !== 0 || route === ROUTE.blocks;
}

function tooLong(): Buffer {
  return asServerSaid('ERR slotless: the call is longer than limits allow');
}
