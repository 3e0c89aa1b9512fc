// Commands that the proxy answers itself. Cold, but for PING.
//
// One row per command. A handler says its reply at once, or works it out over several turns; false means that
// it must wait until the client's other commands are answered, and is asked again.

import type { Command } from '../command/command.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { array, bulk, bulkString, EMPTY_ARRAY, integer, OK, PONG, RESET } from '../resp/write.ts';
import { ACL_COMMANDS } from './acl.ts';
import { authenticate, hello } from './auth.ts';
import type { Client } from './client.ts';
import { CLIENT_COMMANDS } from './clients.ts';
import { FUNCTION_COMMANDS } from './functions.ts';
import { GEARS_COMMANDS } from './gears.ts';
import type { Handler } from './handler.ts';
import { reset } from './identity.ts';
import { MINDED_COMMANDS } from './minded.ts';
import { TRANSACTION_COMMANDS } from './multi.ts';
import { PROXY_COMMANDS } from './nodes.ts';
import { PUBSUB_COMMANDS } from './pubsub.ts';
import { RMR_COMMANDS } from './rmr.ts';
import { SCRIPT_COMMANDS } from './scripts.ts';
import { select } from './select.ts';
import { SERVER_COMMANDS } from './server.ts';
import { SUBSCRIBE_COMMANDS } from './subscribe.ts';
import { TFCALL_COMMANDS } from './tfcall.ts';
import { TFUNCTION_COMMANDS } from './tfunction.ts';
import { TRACKING_COMMANDS } from './tracked.ts';
import { unblock } from './unblock.ts';
import { CLUSTER_COMMANDS } from './view.ts';

const HANDLERS: Readonly<Record<string, Handler>> = {
  ping: (client, command, f) => {
    if (f.argc > 2) return client.refuse(command, errors.wrongArity('ping'));
    const text = bulk(f.argc === 1 ? Buffer.alloc(0) : f.bytes.subarray(f.starts[1], f.ends[1]));
    const { subscribed, resp } = client.session;
    if (subscribed !== undefined && resp === 2) return client.say(command, array([bulkString('pong'), text]));
    return client.say(command, f.argc === 1 ? PONG : text);
  },
  echo: (client, command, f) => client.say(command, bulk(f.bytes.subarray(f.starts[1], f.ends[1]))),
  quit: (client, command) => {
    const subscribed = client.session.subscribed !== undefined;
    if (subscribed && !idle(client)) return false;
    client.unsubscribe();
    sayParted(client, command, OK, subscribed);
    client.end();
    return true;
  },
  reset: (client, command) => {
    const subscribed = client.session.subscribed !== undefined;
    if (subscribed ? !idle(client) : !client.settled) return false;
    reset(client);
    return sayParted(client, command, RESET, subscribed);
  },
  hello,
  auth: authenticate,
  select,
  readonly: (client, command) => readFrom(client, command, true),
  readwrite: (client, command) => readFrom(client, command, false),
  asking: (client, command) => client.say(command, OK),
  role: (client, command) => client.say(command, array([bulkString('master'), integer(0), EMPTY_ARRAY])),
  time: (client, command) => {
    const micros = Math.round((performance.timeOrigin + performance.now()) * 1000);
    const seconds = Math.floor(micros / 1e6);
    return client.say(
      command,
      array([bulkString(String(seconds)), bulkString(String(micros - seconds * 1e6))]),
    );
  },
  ...TRANSACTION_COMMANDS,
  ...SUBSCRIBE_COMMANDS,
  ...PUBSUB_COMMANDS,
  ...ACL_COMMANDS,
  ...CLIENT_COMMANDS,
  ...MINDED_COMMANDS,
  'client|unblock': unblock,
  ...TRACKING_COMMANDS,
  ...CLUSTER_COMMANDS,
  ...SERVER_COMMANDS,
  ...SCRIPT_COMMANDS,
  ...FUNCTION_COMMANDS,
  ...TFCALL_COMMANDS,
  ...GEARS_COMMANDS,
  ...TFUNCTION_COMMANDS,
  ...RMR_COMMANDS,
  ...PROXY_COMMANDS,
};

/** Says a reply; to a client that was subscribed when nobody counts it any more. Then nothing else is under way. */
function sayParted(client: Client, command: Command, reply: Buffer, subscribed: boolean): boolean {
  if (!subscribed) return client.say(command, reply);
  return client.workOut(command, async () => {
    await client.context.pubsub.returned();
    return reply;
  });
}

function idle(client: Client): boolean {
  return client.settled && client.pending === 0;
}

/** READONLY and READWRITE: whether replicas may answer from now on. */
function readFrom(client: Client, command: Command, replicas: boolean): boolean {
  if (!client.settled) return false;
  client.session.readOnly = replicas;
  client.readBy(replicas ? client.context.policies.readOnly : undefined);
  return client.say(command, OK);
}

/** Answers a command of the door. False: not yet. */
export function atTheDoor(client: Client, command: Command, f: Frame): boolean {
  const handler = Object.hasOwn(HANDLERS, command.name) ? HANDLERS[command.name] : undefined;
  if (handler !== undefined) return handler(client, command, f);
  return client.refuse(command, errors.unsupported(command.name, 'it is not served yet'));
}
