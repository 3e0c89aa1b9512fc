// CLIENT: over this proxy's clients, all workers', in Redis's formats (networking.c). Cold.

import { equalsIgnoreCase, toInteger } from '../command/arguments.ts';
import type { Command } from '../command/command.ts';
import { CHANNEL, PATTERN, SHARD } from '../pubsub/names.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { array, bulkString, integer, nil, OK, simple, verbatim } from '../resp/write.ts';
import { Asker } from './asker.ts';
import type { Client } from './client.ts';
import type { ClientFilter, Connection } from './context.ts';
import type { Handler } from './handler.ts';
import { enter } from './identity.ts';
import { denial } from './rights.ts';
import { parseReply, SavedArguments } from './saved.ts';
import type { Session } from './session.ts';

const TYPES = new Set(['normal', 'master', 'replica', 'slave', 'pubsub']);

/** Valkey alone has another word for masters. */
function isType(client: Client, type: string): boolean {
  return TYPES.has(type) || (type === 'primary' && client.context.server.helloName === 'valkey');
}

export const CLIENT_COMMANDS: Readonly<Record<string, Handler>> = {
  'client|id': (client, command) => client.say(command, integer(client.session.id)),
  'client|getname': (client, command) => {
    const { name, resp } = client.session;
    return client.say(command, name === '' ? nil(resp) : bulkString(name));
  },
  'client|setname': (client, command, f) => {
    const name = new SavedArguments(f).text(2);
    if (!nameIsClean(name)) return client.refuse(command, errors.clientName());
    client.session.name = name;
    return client.say(command, OK);
  },
  'client|setinfo': (client, command, f) => {
    const args = new SavedArguments(f);
    const value = args.text(3);
    const isName = equalsIgnoreCase(args, 2, 'lib-name');
    if (!isName && !equalsIgnoreCase(args, 2, 'lib-ver'))
      return client.refuse(command, errors.clientInfoOption(args, 2));
    if (!nameIsClean(value)) return client.refuse(command, errors.clientInfoValue(args, 2));
    if (isName) client.session.libName = value;
    else client.session.libVersion = value;
    return client.say(command, OK);
  },
  'client|info': (client, command) =>
    client.say(command, verbatim(client.session.resp, `${clientLine(client, client.context.turn.tick())}\n`)),
  'client|list': list,
  'client|kill': kill,
  // What a client can do is asked for where a server would send it elsewhere, which the proxy never does.
  'client|capa': (client, command) => client.say(command, OK),
  'client|no-evict': onOff((client, on) => {
    client.session.noEvict = on;
  }),
  'client|no-touch': noTouch,
  'client|help': (client, command) => client.say(command, array(HELP.map(simple))),
};

/** What the client reads is to be left as old as it was: its commands take links that have said so. */
function noTouch(client: Client, command: Command, f: Frame): boolean {
  const { session } = client;
  const on = equalsIgnoreCase(f, 2, 'on');
  if (!on && !equalsIgnoreCase(f, 2, 'off')) return client.refuse(command, errors.syntax());
  if (on === session.noTouch) return client.say(command, OK);
  const args = new SavedArguments(f);
  return client.workOut(command, async () => {
    const denied = await denial(client, args);
    if (denied !== undefined) return denied;
    session.noTouch = on;
    enter(client, session.resp, session.username, session.password);
    return OK;
  });
}

function onOff(set: (client: Client, on: boolean) => void): Handler {
  return (client, command, f) => {
    const on = equalsIgnoreCase(f, 2, 'on');
    if (!on && !equalsIgnoreCase(f, 2, 'off')) return client.refuse(command, errors.syntax());
    set(client, on);
    return client.say(command, OK);
  };
}

/** CLIENT LIST [TYPE type] [ID id ...] */
function list(client: Client, command: Command, f: Frame): boolean {
  const args = new SavedArguments(f);
  let filter: ClientFilter = {};
  if (args.argc === 4 && equalsIgnoreCase(args, 2, 'type')) {
    const type = args.text(3).toLowerCase();
    if (!isType(client, type)) return client.refuse(command, errors.unknownClientType(args, 3));
    filter = { type };
  } else if (args.argc > 3 && equalsIgnoreCase(args, 2, 'id')) {
    const ids: number[] = [];
    for (let i = 3; i < args.argc; i++) {
      const id = toInteger(args, i);
      if (id === undefined) return client.refuse(command, errors.invalidClientId());
      ids.push(id);
    }
    filter = { id: ids };
  } else if (args.argc !== 2) return client.refuse(command, errors.syntax());
  return client.workOut(command, async () => {
    const denied = await denial(client, args);
    if (denied !== undefined) return denied;
    const { context, session } = client;
    const own = [...context.clients.values()].map((each) => clientLine(each, context.turn.tick()));
    const lines = [...own, ...(await context.peers.clientLines())].filter((line) =>
      lineMatches(line, filter),
    );
    const ordered =
      filter.id === undefined
        ? lines.sort((a, b) => idOf(a) - idOf(b))
        : filter.id.flatMap((id) => lines.filter((line) => idOf(line) === id));
    return verbatim(session.resp, ordered.map((line) => `${line}\n`).join(''));
  });
}

function idOf(line: string): number {
  return Number(/^id=(\d+)/.exec(line)?.[1]);
}

function lineMatches(line: string, filter: ClientFilter): boolean {
  if (filter.type !== undefined && filter.type !== (/ flags=\w*P/.test(line) ? 'pubsub' : 'normal'))
    return false;
  return filter.id === undefined || filter.id.includes(idOf(line));
}

/** CLIENT KILL addr, or with filters. */
function kill(client: Client, command: Command, f: Frame): boolean {
  const args = new SavedArguments(f);
  const old = args.argc === 3;
  const filter = old ? { address: args.text(2) } : readFilter(client, args);
  if (Buffer.isBuffer(filter)) return client.refuse(command, filter);
  return client.workOut(command, async () => {
    const denied = await denial(client, args);
    if (denied !== undefined) return denied;
    const { context } = client;
    if (filter.user !== undefined && !(await isUser(client, filter.user)))
      return errors.noSuchUser(filter.user);
    const others = await context.peers.killClients(filter);
    const named = [...context.clients.values()].filter((each) => matches(each, filter));
    for (const each of named) if (each !== client) each.close();
    if (named.includes(client)) client.end();
    const count = others + named.length;
    if (!old) return integer(count);
    return count > 0 ? OK : errors.noSuchClient();
  });
}

/** Whether the servers know a user. When none of them can be asked, it is taken for one. */
async function isUser(client: Client, name: string): Promise<boolean> {
  const slot = client.cluster.anySlot(client.session.id);
  const words = ['ACL', 'GETUSER', Buffer.from(name, 'latin1')];
  const found = parseReply(await Asker.asProxy(client, (asker) => asker.raw(slot, words)));
  return found !== null;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function readFilter(client: Client, args: SavedArguments): ClientFilter | Buffer {
  const filter: Writable<ClientFilter> = { skip: client.session.id };
  for (let i = 2; i < args.argc; i += 2) {
    if (i + 1 >= args.argc) return errors.syntax();
    const value = args.text(i + 1);
    switch (args.text(i).toLowerCase()) {
      case 'id': {
        const id = toInteger(args, i + 1);
        if (id === undefined || id < 1) return errors.clientId();
        filter.id = [id];
        break;
      }
      case 'type':
        if (!isType(client, value.toLowerCase())) return errors.unknownClientType(args, i + 1);
        filter.type = value.toLowerCase();
        break;
      case 'addr':
        filter.address = value;
        break;
      case 'laddr':
        filter.localAddress = value;
        break;
      case 'user':
        filter.user = value;
        break;
      case 'skipme':
        if (value.toLowerCase() === 'yes') filter.skip = client.session.id;
        else if (value.toLowerCase() === 'no') delete filter.skip;
        else return errors.syntax();
        break;
      case 'maxage': {
        // Since Valkey 8 and Redis 7.4, as those cursors.
        if (!client.context.server.slotCursors) return errors.syntax();
        const age = toInteger(args, i + 1);
        if (age === undefined) return errors.maxAge();
        if (age < 1) return errors.maxAgeSign();
        filter.maxAge = age;
        break;
      }
      default:
        return errors.syntax();
    }
  }
  return filter;
}

/** Whether a client is one that CLIENT KILL names. */
export function matches({ session }: Connection, filter: ClientFilter): boolean {
  if (filter.skip === session.id) return false;
  if (filter.id !== undefined && !filter.id.includes(session.id)) return false;
  if (filter.address !== undefined && filter.address !== session.address) return false;
  if (filter.localAddress !== undefined && filter.localAddress !== session.localAddress) return false;
  if (filter.user !== undefined && filter.user !== (session.username === '' ? 'default' : session.username))
    return false;
  if (filter.type !== undefined && filter.type !== typeOf(session)) return false;
  return filter.maxAge === undefined || (Date.now() - session.createdAt) / 1000 >= filter.maxAge;
}

function typeOf({ subscribed }: Session): string {
  return subscribed === undefined ? 'normal' : 'pubsub';
}

/** A client's line in CLIENT LIST, without the line end. */
export function clientLine(client: Connection, now: number): string {
  const { session } = client;
  const seconds = (ms: number) => Math.max(0, Math.floor(ms / 1000));
  const fields: Record<string, string | number> = {
    id: session.id,
    addr: session.address,
    laddr: session.localAddress,
    fd: client.fd,
    name: session.name,
    age: seconds(Date.now() - session.createdAt),
    idle: seconds(now - session.activeAt),
    flags: flagsOf(client),
    db: session.db,
    sub: session.subscribed?.count(CHANNEL) ?? 0,
    psub: session.subscribed?.count(PATTERN) ?? 0,
    ssub: session.subscribed?.count(SHARD) ?? 0,
    multi: session.queued,
    watch: session.watching,
    qbuf: client.inputBytes,
    'qbuf-free': 0,
    'argv-mem': 0,
    'multi-mem': 0,
    rbs: 0,
    rbp: 0,
    obl: 0,
    oll: client.pending,
    omem: client.outputBytes,
    'tot-mem': client.inputBytes + client.outputBytes,
    events: 'r',
    cmd: session.lastCommand?.name ?? 'NULL',
    user: session.username === '' ? 'default' : session.username,
    redir: session.tracking?.redirect ?? -1,
    resp: session.resp,
    'lib-name': session.libName,
    'lib-ver': session.libVersion,
  };
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

/** In Redis's order (networking.c catClientInfoString). */
function flagsOf({ session, blocked }: Connection): string {
  const flags: [boolean, string][] = [
    [session.monitoring, 'O'],
    [session.subscribed !== undefined, 'P'],
    [session.queued >= 0, 'x'],
    [blocked !== undefined || session.postponed, 'b'],
    [session.tracking !== undefined, 't'],
    [session.tracking?.broken === true, 'R'],
    [session.tracking?.bcast === true, 'B'],
    [session.path !== '', 'U'],
    [session.readOnly, 'r'],
    [session.noEvict, 'e'],
    [session.noTouch, 'T'],
  ];
  return flags.map(([on, letter]) => (on ? letter : '')).join('') || 'N';
}

/** Printable, and no spaces: Redis's rule for the names of clients and libraries. */
export function nameIsClean(name: string): boolean {
  return /^[!-~]*$/.test(name);
}

const HELP = [
  'CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
  'GETNAME',
  '    Return the name of the current connection.',
  'ID',
  '    Return the ID of the current connection.',
  'INFO',
  '    Return information about the current client connection.',
  'KILL <ip:port>',
  '    Kill connection made from <ip:port>.',
  'KILL <option> <value> [<option> <value> [...]]',
  '    Kill connections of this proxy. Options are: ADDR, LADDR, TYPE, USER, SKIPME, ID, MAXAGE.',
  'LIST [options ...]',
  '    Return information about client connections of this proxy. Options are: TYPE, ID.',
  'PAUSE <timeout> [WRITE|ALL]',
  '    Suspend all, or just write, commands of the clients of this proxy for <timeout> milliseconds.',
  'UNPAUSE',
  '    Stop the current client pause, resuming traffic.',
  'NO-EVICT (ON|OFF)',
  '    Kept with the connection.',
  'NO-TOUCH (ON|OFF)',
  '    Will not touch LRU/LFU stats when this mode is on.',
  'TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]',
  '    Control server assisted client side caching.',
  'TRACKINGINFO',
  '    Report tracking status for the current connection.',
  'CACHING (YES|NO)',
  '    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.',
  'GETREDIR',
  '    Return the client ID we are redirecting to when tracking is enabled.',
  'REPLY (ON|OFF|SKIP)',
  '    Control the replies sent to the current connection.',
  'SETINFO <option> <value>',
  '    Set client meta attr. Options are: LIB-NAME, LIB-VER.',
  'SETNAME <name>',
  '    Assign the name <name> to the current connection.',
  'UNBLOCK <clientid> [TIMEOUT|ERROR]',
  '    Unblock a client of this proxy that waits for a blocking command.',
  'HELP',
  '    Print this help.',
];
