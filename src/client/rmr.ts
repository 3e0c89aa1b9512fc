// RMR.FANOUT and RMR.MAP: the words of the two commands. What they do is in reduce.ts. Cold.
//
//   RMR.FANOUT [option ...] <reducer> <command> [arg ...]
//   RMR.MAP    [option ...] <reducer> <numcommands> <argc> <command> [arg ...] [<argc> <command> ...]
//
//   ON primaries | replicas | all | random | <host:port> | SLOT <n> | KEY <key>
//   TIMEOUT <ms>    PARTIAL yes | no    ORDER node | arrival

import { toInteger } from '../command/arguments.ts';
import { slotOf } from '../command/slot.ts';
import type { ReduceOptions } from '../functions/job.ts';
import { ServerError } from './asker.ts';
import type { Handler } from './handler.ts';
import { fanOutReduced, mapReduced } from './reduce.ts';
import { SavedArguments } from './saved.ts';

export const RMR_COMMANDS: Readonly<Record<string, Handler>> = {
  'rmr.fanout': (client, command, f) => {
    const args = new SavedArguments(f);
    return client.workOut(command, async () => {
      const { options, next } = readOptions(args);
      if (args.argc < next + 2) throw wrongArity('rmr.fanout');
      const words = args.words(next + 1);
      return fanOutReduced(client, words, reducerName(args, next), options, client.session.resp);
    });
  },

  'rmr.map': (client, command, f) => {
    const args = new SavedArguments(f);
    return client.workOut(command, async () => {
      const { options, next } = readOptions(args);
      if (args.argc < next + 4) throw wrongArity('rmr.map');
      const commands = readCommands(args, next + 1);
      return mapReduced(client, commands, reducerName(args, next), options, client.session.resp);
    });
  },
};

/** In UTF-8, as a library has named it. */
function reducerName(args: SavedArguments, at: number): string {
  const text = args.word(at).toString();
  return /^js:/i.test(text) ? `js:${text.slice(3)}` : text.toLowerCase();
}

function wrongArity(name: string): ServerError {
  return new ServerError(`ERR wrong number of arguments for '${name}' command`);
}

/** The options, and where what follows them begins. @throws ServerError */
function readOptions(args: SavedArguments): { options: ReduceOptions; next: number } {
  let options: ReduceOptions = {};
  for (let at = 1; ; ) {
    const name = args.argc > at ? args.text(at).toLowerCase() : '';
    const read = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
    if (read === undefined) return { options, next: at };
    if (args.argc < at + 2) throw new ServerError(`ERR the option ${name.toUpperCase()} needs a value`);
    const { option, words } = read(args, at + 1);
    options = { ...options, ...option };
    at += 1 + words;
  }
}

/** Reads the value that stands at a place; how many words it has. */
type Read = (args: SavedArguments, at: number) => { option: ReduceOptions; words: number };

const OPTIONS: Readonly<Record<string, Read>> = {
  on: (args, at) => {
    const where = args.text(at).toLowerCase();
    if (where !== 'slot' && where !== 'key') return { option: { on: args.text(at) }, words: 1 };
    if (args.argc < at + 2) throw new ServerError(`ERR ON ${where.toUpperCase()} needs a value`);
    const slot =
      where === 'slot'
        ? toInteger(args, at + 1)
        : slotOf(args.bytes, args.starts[at + 1]!, args.ends[at + 1]!);
    if (slot === undefined || slot < 0 || slot > 16383) throw new ServerError('ERR Invalid slot');
    return { option: { on: `slot ${slot}` }, words: 2 };
  },
  timeout: (args, at) => {
    const timeout = toInteger(args, at);
    if (timeout === undefined) throw new ServerError('ERR timeout is not an integer or out of range');
    return { option: { timeout }, words: 1 };
  },
  partial: (args, at) => ({
    option: { partial: oneOf(args, at, 'PARTIAL', ['yes', 'no']) === 'yes' },
    words: 1,
  }),
  order: (args, at) => ({ option: { order: oneOf(args, at, 'ORDER', ['node', 'arrival']) }, words: 1 }),
};

function oneOf<T extends string>(args: SavedArguments, at: number, name: string, values: readonly T[]): T {
  const value = args.text(at).toLowerCase();
  const found = values.find((each) => each === value);
  if (found === undefined) throw new ServerError(`ERR ${name} must be ${values.join(' or ')}`);
  return found;
}

/** <numcommands> <argc> <command> [arg ...] ... @throws ServerError */
function readCommands(args: SavedArguments, from: number): Buffer[][] {
  const count = toInteger(args, from);
  if (count === undefined || count < 1) throw new ServerError('ERR numcommands should be greater than 0');
  const commands: Buffer[][] = [];
  let at = from + 1;
  while (at < args.argc && commands.length < count) {
    const argc = toInteger(args, at);
    if (argc === undefined || argc < 1) throw new ServerError('ERR argc should be greater than 0');
    if (at + argc >= args.argc)
      throw new ServerError("ERR argc can't be greater than the number of arguments that follow");
    commands.push(Array.from({ length: argc }, (_, i) => args.word(at + 1 + i)));
    at += 1 + argc;
  }
  if (commands.length < count)
    throw new ServerError("ERR numcommands can't be greater than the number of commands");
  if (at < args.argc) throw new ServerError('ERR there are arguments behind the last command');
  return commands;
}
