// HELLO and AUTH: who the client is and which protocol it speaks.
//
// The servers judge every password: AUTH is tried on a link of its own, and its reply is the client's. From
// then on the client's commands take links of that user, so that the servers' ACL rules hold for it.

import { equalsIgnoreCase, toInteger } from '../command/arguments.ts';
import type { Command } from '../command/command.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { encode, command as encodeCommand, OK, type Value } from '../resp/write.ts';
import { askOnce } from './asker.ts';
import type { Client } from './client.ts';
import { nameIsClean } from './clients.ts';
import { enter } from './identity.ts';
import { SavedArguments } from './saved.ts';

const MINUS = 45;

export function authenticate(client: Client, command: Command, f: Frame): boolean {
  if (f.argc > 3) return client.refuse(command, errors.syntax());
  const args = new SavedArguments(f);
  const username = args.argc === 3 ? args.word(1) : undefined;
  return client.workOut(command, () => logIn(client, username, args.word(args.argc - 1)));
}

/** HELLO [protover [AUTH username password] [SETNAME clientname]] */
export function hello(client: Client, command: Command, f: Frame): boolean {
  const { session } = client;
  let resp = session.resp;
  if (f.argc > 1) {
    const version = toInteger(f, 1);
    if (version === undefined) return client.refuse(command, errors.protocolVersion());
    if (version !== 2 && version !== 3) return client.refuse(command, errors.noProto());
    resp = version;
  }
  const args = new SavedArguments(f);
  let login: { username: Buffer; password: Buffer } | undefined;
  let name: string | undefined;
  for (let i = 2; i < args.argc; i++) {
    const left = args.argc - 1 - i;
    if (left >= 2 && equalsIgnoreCase(args, i, 'auth')) {
      login = { username: args.word(i + 1), password: args.word(i + 2) };
      i += 2;
    } else if (left >= 1 && equalsIgnoreCase(args, i, 'setname')) {
      name = args.text(++i);
      if (!nameIsClean(name)) return client.refuse(command, errors.clientName());
    } else return client.refuse(command, errors.helloOption(args, i));
  }
  return client.workOut(command, async () => {
    if (login !== undefined) {
      const reply = await logIn(client, login.username, login.password);
      if (reply[0] === MINUS) return reply;
    }
    if (!session.authenticated) {
      const reply = await tryOnce(client, ['HELLO', resp]);
      if (reply[0] === MINUS) return reply;
      session.authenticated = true;
    }
    if (name !== undefined) session.name = name;
    enter(client, resp, session.username, session.password);
    return greeting(client);
  });
}

function greeting(client: Client): Buffer {
  const { session, context } = client;
  const fields = new Map<string, Value>([
    ['server', context.server.helloName],
    ['version', context.server.helloVersion],
    ['proto', session.resp],
    ['id', session.id],
    ['mode', 'standalone'],
    ['role', 'master'],
    ['modules', []],
  ]);
  return encode(session.resp, fields);
}

/** Tries a login; the server's reply. On success the client's commands run as that user. */
async function logIn(client: Client, username: Buffer | undefined, password: Buffer): Promise<Buffer> {
  const { cluster, context, session } = client;
  if (cluster.userCount >= context.config.limits.users)
    return errors.limit('limits.users', context.config.limits.users);
  const reply = await tryOnce(client, username ? ['AUTH', username, password] : ['AUTH', password]);
  if (reply[0] === MINUS) return reply;
  session.authenticated = true;
  enter(client, session.resp, username?.toString('latin1') ?? '', password.toString('latin1'));
  return OK;
}

/** What a server says to a connection that has just been made. */
async function tryOnce(client: Client, words: readonly (string | Buffer | number)[]): Promise<Buffer> {
  const { cluster, context } = client;
  const node = cluster.primaries[cluster.slots[cluster.anySlot(client.session.id)]!];
  if (node === undefined) return errors.notReady('no shard is known');
  const lane = cluster.enterLane({ resp: 2, username: '', password: '', readOnly: false, copy: 0 });
  const link = node.borrow(lane);
  cluster.leaveLane(lane);
  if (link === undefined) return errors.limit('node.dedicated', context.config.node.dedicated);
  const reply = await askOnce(link, encodeCommand(words));
  node.discard(link);
  return reply;
}
