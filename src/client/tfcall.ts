// TFCALL, TFCALLASYNC, and the commands that libraries have registered: a function is run for a client, which waits
// for it as for any command. Cold.

import { toInteger } from '../command/arguments.ts';
import type { Command } from '../command/command.ts';
import type { Job } from '../functions/job.ts';
import type { Library, RegisteredCommand } from '../functions/library.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { ClientHost } from './host.ts';
import { inBytes, SavedArguments } from './saved.ts';

const NO_BLOCKING =
  'Can not block client for background execution, Blocking is not allow inside multi/exec, Lua, or within another module (RM_Call).';

export const TFCALL_COMMANDS: Readonly<Record<string, Handler>> = {
  tfcall: (client, command, f) => call(client, command, f, false),
  tfcallasync: (client, command, f) => call(client, command, f, true),
};

function call(client: Client, command: Command, f: Frame, asks: boolean): boolean {
  const args = new SavedArguments(f);
  const inTransaction = client.session.executing;
  return client.workOut(command, async () => {
    const found = find(client, args);
    if (typeof found === 'string') return refusal(found);
    const { library, name, rest } = found;
    const fn = library.registrations.functions.find((one) => one.name === name);
    if (fn === undefined) return refusal(`Unknown function ${name}`);
    if (asks && inTransaction && fn.isAsync) return refusal(NO_BLOCKING);
    const { maxRunTime } = client.context.config.functions;
    const { resp } = client.session;
    return run(client, fn.flags.includes('no-writes'), {
      kind: 'function',
      library,
      name,
      args: rest,
      blockAllowed: asks && !inTransaction,
      resp,
      maxRunTime,
    });
  });
}

/** `lib.func numkeys [key ...] [arg ...]`; or what is wrong with that. */
function find(
  client: Client,
  args: SavedArguments,
): { library: Library; name: string; rest: Buffer[] } | string {
  const path = args.word(1).toString();
  const dot = path.indexOf('.');
  if (dot < 0) return 'Failed extracting function name';
  const keys = toInteger(args, 2);
  if (keys === undefined || keys < 0) return 'Failed extracting the number of keys';
  const rest = args.words(3);
  if (rest.length < keys)
    return `Not enough arguments was given, expected at least ${keys} arguments, got ${rest.length} arguments.`;
  const library = client.context.functions.library(path.slice(0, dot));
  if (library === undefined) return `Unknown library ${path.slice(0, dot)}`;
  return { library, name: path.slice(dot + 1), rest };
}

/** A name that no server has: one that a library has registered, or none at all. */
export function callRegistered(client: Client, f: Frame): boolean {
  const name = (f.bytes as Buffer).toString('latin1', f.starts[0], f.ends[0]).toLowerCase();
  const { functions, table, config } = client.context;
  const found = functions.command(name);
  if (found === undefined) return client.refuse(undefined, errors.unknownCommand(f));
  const { library, command } = found;
  if (!takes(command, f.argc)) return client.refuse(undefined, errors.wrongArity(name));
  if (!client.session.authenticated) return client.refuse(undefined, errors.noAuth());
  if (client.session.transaction !== undefined)
    return client.refuse(undefined, errors.unsupported(name, 'not in a transaction'));
  const args = new SavedArguments(f);
  // Counted as what it is: a function that is waited for.
  return client.workOut(table.byName('tfcallasync')!, () =>
    run(client, command.flags.includes('readonly'), {
      kind: 'command',
      library,
      name: command.name,
      args: args.words(1),
      resp: client.session.resp,
      maxRunTime: config.functions.maxRunTime,
    }),
  );
}

function takes({ arity }: RegisteredCommand, argc: number): boolean {
  return arity >= 0 ? argc === arity : argc >= -arity;
}

async function run(client: Client, reads: boolean, job: Job): Promise<Buffer> {
  const host = new ClientHost(client, job.library, reads);
  try {
    const outcome = await client.context.functions.runner.run(job, host);
    if (!('reply' in outcome)) throw new Error('a function gave no reply');
    return Buffer.from(outcome.reply);
  } catch (error) {
    return refusal((error as Error).message);
  } finally {
    host.close();
    // Where, nobody knows: WAIT asks all shards then.
    if (!reads) client.wrote = -1;
  }
}

/** One that has a prefix of its own, as errors of servers have, keeps it. */
function refusal(text: string): Buffer {
  const said = inBytes(text);
  return errors.asServerSaid(/^(Err|[A-Z][A-Z0-9]+) /.test(said) ? said : `ERR ${said}`);
}
