// TFUNCTION LOAD, DELETE and LIST: as RedisGears has them, of the libraries of remote functions that the proxy keeps.
// Cold.
//
//   LOAD   its words -> the header line -> is it new? -> a function thread: what it registers -> the main thread,
//          which puts it in the cluster and gives it to all workers -> OK
//
// Who may FUNCTION LOAD at the servers may TFUNCTION LOAD here, and so on: the servers' ACL rules are asked.

import type { Command } from '../command/command.ts';
import { conflictOf } from '../functions/conflict.ts';
import { parseHeader } from '../functions/header.ts';
import type { Library, RegisteredFunction } from '../functions/library.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { encode, OK, type Value } from '../resp/write.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { denialOfOther } from './rights.ts';
import { inBytes, SavedArguments } from './saved.ts';

export const TFUNCTION_COMMANDS: Readonly<Record<string, Handler>> = { tfunction };

function tfunction(client: Client, command: Command, f: Frame): boolean {
  const args = new SavedArguments(f);
  return client.workOut(command, async () => {
    try {
      return await answer(client, args);
    } catch (error) {
      return errors.asServerSaid(`ERR ${inBytes((error as Error).message)}`);
    }
  });
}

function answer(client: Client, args: SavedArguments): Promise<Buffer> {
  switch (args.text(1).toLowerCase()) {
    case 'load':
      return allowed(client, ['FUNCTION', 'LOAD', 'code'], () => load(client, args.words(2)));
    case 'delete':
      return allowed(client, ['FUNCTION', 'DELETE', 'name'], () => remove(client, args.words(2)));
    case 'list':
      return allowed(client, ['FUNCTION', 'LIST'], async () => list(client, args.words(2)));
  }
  throw new Error(`Unknown subcommand ${shortened(args.word(1))}`);
}

/** Does it where the servers' rules allow the client the like of it. */
async function allowed(
  client: Client,
  words: readonly string[],
  work: () => Promise<Buffer>,
): Promise<Buffer> {
  const like = { words: () => words.map((word) => Buffer.from(word)) };
  return (await denialOfOther(client, like)) ?? work();
}

// ---- LOAD [REPLACE] [CONFIG json] code

interface Wanted {
  readonly replace: boolean;
  readonly config: string | undefined;
  readonly code: string;
}

async function load(client: Client, words: readonly Buffer[]): Promise<Buffer> {
  const { functions, config, table } = client.context;
  const { replace, config: json, code } = wanted(words);
  if (words.at(-1)!.length > config.functions.maxCode)
    return errors.limit('functions.maxCode', config.functions.maxCode);
  const { name, apiVersion } = parseHeader(code);
  if (!replace && functions.library(name) !== undefined) throw new Error(`Library ${name} already exists.`);
  const registrations = await functions.runner.inspect({ name, apiVersion, code, config: json });
  const others = functions.all().filter((library) => library.name !== name);
  const conflict = conflictOf(registrations, others, (command) => table.byName(command) !== undefined);
  if (conflict !== undefined) throw new Error(conflict);
  const user = client.session.username || 'default';
  await functions.libraries.load({ name, apiVersion, code, config: json, user, registrations }, replace);
  return OK;
}

function wanted(words: readonly Buffer[]): Wanted {
  let replace = false;
  let config: string | undefined;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const option = word.toString('latin1').toLowerCase();
    if (option === 'replace') replace = true;
    else if (option === 'config') config = configIn(words[++i]);
    else if (option === 'user') throw new Error('Unknown argument user');
    else if (i < words.length - 1)
      throw new Error(`Unknown argument ${shortened(option.startsWith('#!') ? words[i + 1]! : word)}`);
    else return { replace, config, code: textOf(word, 'lib code must a valid string') };
  }
  throw new Error('Could not find library payload');
}

function configIn(word: Buffer | undefined): string {
  if (word === undefined) throw new Error('configuration value was not given');
  const json = textOf(word, 'given configuration value is not a valid string');
  const value = parsed(json);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return json;
  throw new Error('configuration must be a valid json object');
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    const shown = shortened(Buffer.from(json));
    throw new Error(`configuration must be a valid json, '${shown}', ${(error as Error).message}.`);
  }
}

// ---- DELETE name

async function remove(client: Client, words: readonly Buffer[]): Promise<Buffer> {
  const [name, more] = words;
  if (name === undefined) throw new Error('function name was not given');
  if (more !== undefined) throw new Error(`Unknown argument ${shortened(more)}`);
  await client.context.functions.libraries.delete(name.toString('latin1'));
  return OK;
}

// ---- LIST [WITHCODE] [VERBOSE | v | vv | vvv] [LIBRARY name]

function list(client: Client, words: readonly Buffer[]): Buffer {
  let withCode = false;
  let verbose = false;
  let name: string | undefined;
  for (let i = 0; i < words.length; i++) {
    const option = textOf(words[i]!, 'Binary option is not allowed');
    switch (option.toLowerCase()) {
      case 'withcode':
        withCode = true;
        break;
      case 'verbose':
      case 'v':
      case 'vv':
      case 'vvv':
        verbose = true;
        break;
      case 'library':
        if (words[++i] === undefined) throw new Error('Library name was not given');
        name = textOf(words[i]!, 'Library name is not a string');
        break;
      default:
        throw new Error(`Unknown option '${shortened(words[i]!)}'`);
    }
  }
  const all = client.context.functions.all();
  const shown = name === undefined ? all : all.filter((library) => library.name === name);
  return encode(
    client.session.resp,
    shown.map((library) => describe(library, verbose, withCode)),
  );
}

function describe(library: Library, verbose: boolean, withCode: boolean): Map<Value, Value> {
  const { functions, clusterFunctions, reducers, commands } = library.registrations;
  const fields = new Map<Value, Value>([
    ['engine', 'js'],
    ['api_version', library.apiVersion],
    ['name', library.name],
    ['user', Buffer.from(library.user, 'latin1')],
    ['configuration', library.config ?? null],
    ['pending_jobs', 0],
    ['functions', functions.map((one) => (verbose ? describeFunction(one) : one.name))],
    ['cluster_functions', clusterFunctions],
    ['keyspace_triggers', []],
    ['stream_triggers', []],
    ['pending_async_calls', []],
  ]);
  // Beyond what RedisGears has: shown only where there are any.
  if (reducers.length > 0) fields.set('reducers', reducers);
  if (commands.length > 0)
    fields.set(
      'commands',
      commands.map(({ name }) => name),
    );
  if (withCode) fields.set('code', library.code);
  return fields;
}

function describeFunction({ name, flags, isAsync, description }: RegisteredFunction): Map<Value, Value> {
  return new Map<Value, Value>([
    ['name', name],
    ['flags', flags],
    ['is_async', isAsync],
    ['description', description],
  ]);
}

// ---- words

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** As much of a word as an error repeats. */
const ECHO = 128;

/** @throws an Error of this text where the bytes are no UTF-8 */
function textOf(word: Buffer, otherwise: string): string {
  try {
    return UTF8.decode(word);
  } catch {
    throw new Error(otherwise);
  }
}

function shortened(word: Buffer): string {
  return word.toString('utf8', 0, ECHO);
}
