// CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR, with the server's checks in the server's order (networking.c
// clientCommand, tracking.c). Cold.

import { equalsIgnoreCase, toInteger } from '../command/arguments.ts';
import type { Command } from '../command/command.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { array, bulk, bulkString, integer, map, OK, set } from '../resp/write.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { SavedArguments } from './saved.ts';
import type { Tracked } from './session.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export const TRACKING_COMMANDS: Readonly<Record<string, Handler>> = {
  'client|tracking': (client, command, f) => {
    const args = new SavedArguments(f);
    return client.workOut(command, () => track(client, args));
  },
  'client|caching': caching,
  'client|getredir': (client, command) =>
    client.say(command, integer(client.session.tracking?.redirect ?? -1)),
  'client|trackinginfo': (client, command) => {
    const { tracking, resp } = client.session;
    const flags = tracking === undefined ? ['off'] : flagsOf(tracking);
    const reply = map(resp, [
      [bulkString('flags'), set(resp, flags.map(bulkString))],
      [bulkString('redirect'), integer(tracking?.redirect ?? -1)],
      [bulkString('prefixes'), array((tracking?.prefixes ?? []).map(bulk))],
    ]);
    return client.say(command, reply);
  },
};

function flagsOf({ bcast, optin, optout, noloop, caching, broken }: Tracked): string[] {
  const flags: [boolean, string][] = [
    [true, 'on'],
    [bcast, 'bcast'],
    [optin, 'optin'],
    [optin && caching === true, 'caching-yes'],
    [optout, 'optout'],
    [optout && caching === false, 'caching-no'],
    [noloop, 'noloop'],
    [broken, 'broken_redirect'],
  ];
  return flags.flatMap(([on, name]) => (on ? [name] : []));
}

/** CLIENT TRACKING ON | OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP] */
async function track(client: Client, args: SavedArguments): Promise<Buffer> {
  const { session, context } = client;
  const wanted = await readOptions(client, args);
  if (Buffer.isBuffer(wanted)) return wanted;
  if (equalsIgnoreCase(args, 2, 'off')) {
    context.tracking.leave(client);
    client.look();
    return OK;
  }
  if (!equalsIgnoreCase(args, 2, 'on')) return errors.syntax();
  const old = session.tracking;
  const wrong = conflict(wanted, old);
  if (wrong !== undefined) return wrong;
  if (wanted.bcast) {
    const given = wanted.prefixes.length > 0 ? wanted.prefixes : [Buffer.alloc(0)];
    // Asked for again without a prefix, the old ones stay.
    wanted.prefixes = [
      ...(old?.prefixes ?? []),
      ...(old !== undefined && wanted.prefixes.length === 0 ? [] : given),
    ];
  }
  const problem = await context.tracking.join(client);
  if (problem !== undefined) return errors.notTracked(problem);
  if (client.closed) context.tracking.leave(client);
  else session.tracking = wanted;
  client.look();
  return OK;
}

async function readOptions(client: Client, args: SavedArguments): Promise<Writable<Tracked> | Buffer> {
  const wanted: Writable<Tracked> = {
    bcast: false,
    optin: false,
    optout: false,
    noloop: false,
    redirect: 0,
    prefixes: [],
    caching: undefined,
    broken: false,
  };
  const prefixes: Buffer[] = [];
  for (let i = 3; i < args.argc; i++) {
    const more = i + 1 < args.argc;
    if (equalsIgnoreCase(args, i, 'redirect') && more) {
      if (wanted.redirect !== 0) return errors.oneRedirect();
      const id = toInteger(args, ++i);
      if (id === undefined) return errors.notInteger();
      if (!(await client.context.tracking.exists(id))) return errors.noRedirect();
      wanted.redirect = id;
    } else if (equalsIgnoreCase(args, i, 'bcast')) wanted.bcast = true;
    else if (equalsIgnoreCase(args, i, 'optin')) wanted.optin = true;
    else if (equalsIgnoreCase(args, i, 'optout')) wanted.optout = true;
    else if (equalsIgnoreCase(args, i, 'noloop')) wanted.noloop = true;
    else if (equalsIgnoreCase(args, i, 'prefix') && more) prefixes.push(Buffer.from(args.word(++i)));
    else return errors.syntax();
  }
  wanted.prefixes = prefixes;
  return wanted;
}

/** What is wrong with these options, alone or behind those that hold already. */
function conflict(wanted: Tracked, old: Tracked | undefined): Buffer | undefined {
  const { bcast, optin, optout, prefixes } = wanted;
  if (!bcast && prefixes.length > 0) return errors.prefixNeedsBcast();
  if (old !== undefined && old.bcast !== bcast) return errors.switchBcast();
  if (bcast && (optin || optout)) return errors.bcastWithOpt();
  if (optin && optout) return errors.bothOpts();
  if ((optin && old?.optout) || (optout && old?.optin)) return errors.switchOpt();
  for (const [i, prefix] of prefixes.entries()) {
    const existing = old?.prefixes.find((other) => overlap(prefix, other));
    if (existing !== undefined) return errors.prefixOverlaps(prefix, existing, 'an existing');
    const provided = prefixes.slice(i + 1).find((other) => overlap(prefix, other));
    if (provided !== undefined) return errors.prefixOverlaps(prefix, provided, 'another provided');
  }
  return undefined;
}

/** One begins with the other. */
function overlap(a: Buffer, b: Buffer): boolean {
  const length = Math.min(a.length, b.length);
  return a.subarray(0, length).equals(b.subarray(0, length));
}

/** CLIENT CACHING YES | NO: whether the next command's keys are tracked. */
function caching(client: Client, command: Command, f: Frame): boolean {
  const { tracking } = client.session;
  if (tracking === undefined) return client.refuse(command, errors.cachingOutside());
  const yes = equalsIgnoreCase(f, 2, 'yes');
  if (!yes && !equalsIgnoreCase(f, 2, 'no')) return client.refuse(command, errors.syntax());
  if (yes && !tracking.optin) return client.refuse(command, errors.cachingYes());
  if (!yes && !tracking.optout) return client.refuse(command, errors.cachingNo());
  tracking.caching = yes;
  return client.say(command, OK);
}
