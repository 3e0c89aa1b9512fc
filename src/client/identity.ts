// As whom a client's commands run: its user, its protocol, its database. Together they choose its links. Cold.

import type { Client } from './client.ts';
import { laneOf } from './session.ts';

/** From now on commands run as this user, in this protocol. Nothing is under way. */
export function enter(client: Client, resp: 2 | 3, username: string, password: string): void {
  // Gone while its login was under way: its lane has been left.
  if (client.closed) return;
  const { session, cluster } = client;
  const old = session.lane;
  session.resp = resp;
  session.subscribed?.turnTo(resp);
  session.username = username;
  session.password = password;
  session.lane = cluster.enterLane(laneOf(cluster, session));
  cluster.leaveLane(old);
}

/** RESET: as the connection was when it was accepted. Nothing is under way. */
export function reset(client: Client): void {
  const { session, context } = client;
  session.name = '';
  session.readOnly = false;
  session.defaultNode = undefined;
  client.readBy(context.policies.byDefault);
  session.endTransaction();
  session.noTouch = false;
  // Servers that know NO-TOUCH forget both.
  if (context.table.byName('client|no-touch') !== undefined) session.noEvict = false;
  session.db = 0;
  if (session.replyOff) client.replies.mute(false);
  session.replyOff = false;
  context.attention.leave(client);
  context.tracking.leave(client);
  client.unsubscribe();
  client.look();
  session.authenticated = context.openToAll;
  enter(client, 2, context.user.username, context.user.password);
}
