// Which commands RMR sends, and where one goes that is to find its own way. Cold.
//
// A command is checked as at the door, and before anything is sent. What the proxy answers in the servers' place,
// since it is about this connection, is not to be had from a node; nor what would leave a shared link in another
// state, or wait on it.

import { type Command, FLAG, ROUTE, SCRIPT } from '../command/command.ts';
import { slotOfKeys } from '../command/keys.ts';
import { ANY, ASK_KEYS, BLOCKS, CROSS_SLOT, dispatch, PATTERNS, SPLIT } from '../dispatch.ts';
import * as errors from '../resp/errors.ts';
import { ServerError } from './asker.ts';
import type { Client } from './client.ts';
import { anyTarget } from './nodes.ts';
import { argumentsOf, type SavedArguments, textOf } from './saved.ts';
import { KEYLESS_SLOT } from './scripts.ts';
import type { Target } from './targets.ts';

/** A command that may be sent. */
export interface Vetted {
  readonly command: Command;
  readonly args: SavedArguments;
}

/** The proxy says them for all servers together; of one server they make sense, too. */
const OF_A_NODE = new Set(['ping', 'echo', 'time', 'role']);
/** The proxy does them at all nodes, and has to know of it. */
const BY_ITSELF = /^(function\|(?!kill$).*|script\|(load|flush|debug)|acl\|(setuser|deluser|load))$/;

/** @throws ServerError that says why it is not sent */
export function vet({ context }: Client, words: readonly Uint8Array[]): Vetted {
  if (words.length === 0) throw new ServerError('ERR a command must have a name');
  const args = argumentsOf(words);
  const command = context.table.find(args);
  if (command === undefined) refuse(errors.unknownCommand(args));
  if (command.subcommands !== undefined && args.argc > 1) refuse(errors.unknownSubcommand(args));
  if (!command.takes(args.argc)) refuse(errors.wrongArity(command.name));
  if (command.route === ROUTE.refused) refuse(errors.refused(command.name, command.refusal));
  const why = whyNot(command, args);
  if (why !== undefined) refuse(errors.unsupported(command.name, why));
  return { command, args };
}

/** Whether a replica would refuse it, or should have. */
export function mayWrite({ flags }: Command): boolean {
  return (flags & (FLAG.write | FLAG.mayReplicate)) !== 0;
}

function refuse(error: Buffer): never {
  throw new ServerError(textOf(error));
}

/** A clause. */
function whyNot(command: Command, args: SavedArguments): string | undefined {
  const { name, route, flags } = command;
  if ((flags & FLAG.own) !== 0) return 'the proxy answers it, and RMR sends commands of the servers';
  if (BY_ITSELF.test(name)) return 'the proxy does it at all nodes by itself, without RMR';
  if (route === ROUTE.publish) return 'a message reaches all nodes by itself, without RMR';
  if (route === ROUTE.door && !OF_A_NODE.has(name) && !name.startsWith('cluster|'))
    return 'it is about this connection, and RMR sends over others';
  return dispatch(command, args) === BLOCKS ? 'it would block, which RMR does not' : undefined;
}

/** Where a command goes by itself, as a client's would: an error where it goes to no one slot. */
export type Way = Target | Buffer | 'ask';

/** @throws ServerError where it is for all shards */
export function wayOf(client: Client, { command, args }: Vetted): Way {
  const where = dispatch(command, args);
  // The server says which patterns it reads.
  const slot = where === PATTERNS ? slotOfKeys(command, args) : -1;
  if (slot >= 0) return toSlot(client, slot);
  if (where >= 0) return toSlot(client, where);
  if (where === ASK_KEYS) return 'ask';
  if (where === SPLIT || where === CROSS_SLOT || where === PATTERNS) return errors.crossSlot();
  if (where === ANY && command.script !== SCRIPT.none) return toSlot(client, KEYLESS_SLOT);
  if (where === ANY || OF_A_NODE.has(command.name)) return anyTarget(client);
  return refuse(errors.unsupported(command.name, 'it is for all shards, which RMR.FANOUT asks'));
}

export function toSlot({ cluster }: Client, slot: number): Target {
  return { name: cluster.primaryOf(slot)?.address ?? '', whom: slot, replica: false };
}
