// RedisGears' own settings and cluster commands, as far as they mean something here: the proxy is the one node that
// a client of RedisGears would send them to. Cold.
//
// CONFIG SET redisgears_2.<name> holds for this proxy, all its workers, until it ends: proxy.yaml has what it starts
// with.

import type { Command } from '../command/command.ts';
import { FLAG } from '../command/command.ts';
import { matchesGlob } from '../command/glob.ts';
import type { CommandTable } from '../command/table.ts';
import type { Settings } from '../functions/job.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { type Decoded, decode, encodeValue, Failure, inPairs, Pairs } from '../resp/value.ts';
import { encode, OK, type Value } from '../resp/write.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { rangesOf } from './nodes.ts';
import { Question } from './request.ts';
import { denial } from './rights.ts';
import { SavedArguments } from './saved.ts';

const PREFIX = 'redisgears_2.';

/** What can be set, and its bounds. */
const CHANGEABLE: Readonly<Record<string, { key: keyof Settings; least: number; most: number }>> = {
  'remote-task-default-timeout': { key: 'remoteTaskTimeout', least: 1, most: 2147483647 },
  'lock-redis-timeout': { key: 'lockTimeout', least: 1, most: 1_000_000_000 },
};

export const GEARS_COMMANDS: Readonly<Record<string, Handler>> = {
  'redisgears_2.refreshcluster': (client, command) => client.say(command, OK),
  'redisgears_2.infocluster': (client, command) =>
    client.say(command, encode(client.session.resp, infoCluster(client))),
};

/** Whether the proxy plays RedisGears, and not the servers. */
function playsGears(table: CommandTable): boolean {
  return ((table.byName('tfcall')?.flags ?? 0) & FLAG.own) !== 0;
}

/** All that CONFIG GET shows, with the prefix. */
function settingsOf({ context }: Client): Map<string, string> {
  const { settings } = context.functions;
  const { threads, memory } = context.config.functions;
  return new Map(
    Object.entries({
      'error-verbosity': 1,
      'execution-threads': threads,
      'remote-task-default-timeout': settings.remoteTaskTimeout,
      'lock-redis-timeout': settings.lockTimeout,
      'v8-maxmemory': memory,
    }).map(([name, value]) => [PREFIX + name, String(value)]),
  );
}

/** CONFIG GET, where a pattern is also of a setting here. Undefined: it is the servers' affair alone. */
export function configGet(client: Client, command: Command, f: Frame): boolean | undefined {
  if (command.name !== 'config|get' || !playsGears(client.context.table)) return undefined;
  const args = new SavedArguments(f);
  const patterns = args.words(2).map((word) => Buffer.from(word.toString('latin1').toLowerCase(), 'latin1'));
  const own = [...settingsOf(client)].filter(([name]) =>
    patterns.some((pattern) => matchesGlob(pattern, Buffer.from(name))),
  );
  if (own.length === 0) return undefined;
  return client.workOut(command, async () => {
    const slot = client.cluster.anySlot(client.session.id);
    const reply = decode(await Question.ask(client, slot, args.request, true));
    if (reply instanceof Failure) return encodeValue(client.session.resp, reply);
    const theirs = reply instanceof Pairs ? reply.entries : inPairs(reply as readonly Decoded[]);
    const ours = own.map(([name, value]) => [Buffer.from(name), Buffer.from(value)] as const);
    return encodeValue(client.session.resp, new Pairs([...theirs, ...ours]));
  });
}

/** CONFIG SET of settings here. Undefined: it is the servers' affair alone. */
export function configSet(client: Client, command: Command, f: Frame): boolean | undefined {
  if (command.name !== 'config|set' || !playsGears(client.context.table)) return undefined;
  const args = new SavedArguments(f);
  const words = args.words(2).map(String);
  const names = words.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  const ours = names.filter((name) => name.startsWith(PREFIX));
  if (ours.length === 0) return undefined;
  if (words.length % 2 !== 0) return client.refuse(command, errors.wrongArity('config|set'));
  if (ours.length < names.length)
    return client.refuse(
      command,
      errors.unsupported('config set', `${PREFIX}* is set apart from what is the servers'`),
    );
  const changes: [keyof Settings, number][] = [];
  for (const [i, name] of names.entries()) {
    const change = changeOf(name.slice(PREFIX.length), words[2 * i + 1]!);
    if (typeof change === 'string') return client.refuse(command, errors.asServerSaid(change));
    changes.push(change);
  }
  return client.workOut(command, async () => {
    const denied = await denial(client, args);
    if (denied !== undefined) return denied;
    const { functions, peers } = client.context;
    for (const [key, value] of changes) {
      functions.settings[key] = value;
      await peers.signal({ about: 'setting', key, value });
    }
    return OK;
  });
}

function changeOf(name: string, text: string): [keyof Settings, number] | string {
  const failed = (why: string) =>
    `ERR CONFIG SET failed (possibly related to argument '${PREFIX}${name}') - ${why}`;
  const known = Object.hasOwn(CHANGEABLE, name) ? CHANGEABLE[name] : undefined;
  if (known === undefined) return failed("can't set it while the proxy runs");
  if (!/^\d{1,10}$/.test(text)) return failed("argument couldn't be parsed into an integer");
  const { key, least, most } = known;
  const value = Number(text);
  return value < least || value > most
    ? failed(`argument must be between ${least} and ${most} inclusive`)
    : [key, value];
}

/** MyId, MyRunId, and each primary: fields and values, with the status at the 18th place of the first range's. */
function infoCluster({ context, cluster }: Client): Value {
  const { runId } = context.server;
  const nodes = cluster.primaries.flatMap((node, shard) =>
    rangesOf(cluster.topology, shard).map(([from, to]) => [
      'id',
      node.address,
      'ip',
      node.host,
      'port',
      node.port,
      'unixSocket',
      'None',
      'runid',
      node.address,
      'minHslot',
      from,
      'maxHslot',
      to,
      'pendingMessages',
      0,
      'status',
      node.shut === undefined ? 'connected' : 'disconnected',
    ]),
  );
  return ['MyId', runId, 'MyRunId', runId, nodes];
}
