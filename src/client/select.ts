// SELECT: which database a client's commands are about. Cold.
//
// Most clusters have one. Where they have several (Valkey 9) the client takes links that have selected the same;
// whether the servers let it have one is asked of them.

import { toInteger } from '../command/arguments.ts';
import type { Command } from '../command/command.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { command as encode, OK } from '../resp/write.ts';
import { askOnce } from './asker.ts';
import type { Client } from './client.ts';
import { enter } from './identity.ts';

const MINUS = 45;
/** Databases that a lone server has by default. */
const DATABASES = 16;
const INT_MAX = 2147483647;

export function select(client: Client, command: Command, f: Frame): boolean {
  const { session } = client;
  const index = toInteger(f, 1);
  if (index === undefined) return client.refuse(command, errors.notInteger());
  if (index > INT_MAX || index < -INT_MAX - 1) return client.refuse(command, errors.selectRange());
  if (index < 0) return client.refuse(command, errors.dbIndex());
  if (index === session.db) return client.say(command, OK);
  return client.workOut(command, async () => {
    const reply = index === 0 ? OK : await tryIt(client, index);
    if (reply[0] !== MINUS) {
      session.db = index;
      enter(client, session.resp, session.username, session.password);
    }
    return reply;
  });
}

/** What a server says to it, to the client's user. */
async function tryIt(client: Client, index: number): Promise<Buffer> {
  const { cluster, context, lane, session } = client;
  const node = cluster.ownerOf(cluster.anySlot(session.id));
  if (node === undefined) return errors.notReady('no shard is known');
  const link = node.borrow(lane);
  if (link === undefined) return errors.limit('node.dedicated', context.config.node.dedicated);
  const reply = await askOnce(link, encode(['SELECT', index]));
  node.discard(link);
  const oneDatabase = reply.equals(errors.selectInCluster());
  return oneDatabase && index >= DATABASES ? errors.dbIndex() : reply;
}
