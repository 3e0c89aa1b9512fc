// WAIT and WAITAOF: how many replicas have this client's own writes. Cold.
//
// A server counts the replicas that have what was last written over the connection that asks, and the writes of
// this client went over links that others share. So a connection of its own is made to have written last: it
// gives a command that is replicated and changes nothing, FUNCTION RESTORE of no functions at all, behind all of
// the client's writes, whose replies have come. Whoever has that has them as well.
//
//   primary:  SET (this client's) ... SET (others') ... FUNCTION RESTORE <nothing> <- WAIT counts who is here
//
// Asked are the shards that own a slot near one the client has written to (`Client.wrote`, 512 slots a bit: so the
// count may be too low by a shard that was not written to, never too high), all when it has written nothing; the
// reply is the least. Neither is followed to another node: what a failover has lost was not waited for.

import type { Node } from '../cluster/node.ts';
import { leaves } from '../command/blocking.ts';
import * as errors from '../resp/errors.ts';
import { array, command as encodeCommand, integer } from '../resp/write.ts';
import { Asker, askOnce } from './asker.ts';
import type { Blocking } from './blocked.ts';
import { denial } from './rights.ts';
import { endedReply } from './seat.ts';

/** FUNCTION DUMP of a server without functions, in the oldest format with any: Redis 7.0, RDB version 10. */
const NO_FUNCTIONS = Buffer.from('0a005d9b5c400f7fa2da', 'hex');
const HELLO = encodeCommand(['HELLO']);
const MARK = encodeCommand(['FUNCTION', 'RESTORE', NO_FUNCTIONS, 'APPEND']);
/** Servers before functions count from any command. */
const UNKNOWN = /^-ERR unknown (sub)?command/i;
/** What a replica says to WAIT and WAITAOF. */
const DEMOTED = /^-ERR WAIT(AOF)? cannot be used with replica instances/;
/** Between two looks at the map, ms. */
const PAUSE = 50;
const MINUS = 45;

export async function waitForReplicas(call: Blocking): Promise<Buffer> {
  const { client, args } = call;
  // The links are the proxy's own user's, since FUNCTION RESTORE is no right of the client's.
  const denied =
    client.session.username === client.context.config.username ? undefined : await denial(client, args);
  if (denied !== undefined) return denied;
  const replies = await Asker.asProxy(client, (asker) => askAll(call, asker));
  if (replies.length === 0) return errors.notReady('no shard is known');
  if (client.leaving && call.how !== undefined) client.close();
  return call.conclude(least(replies), false);
}

/** The replies of all primaries. One that has become a replica has not waited: its heir is looked for. */
async function askAll(call: Blocking, asker: Asker): Promise<Buffer[]> {
  const { cluster } = call.client;
  const deadline = performance.now() + cluster.options.holdFor;
  for (;;) {
    const replies = await Promise.all(shardsOf(call).map((node) => askOne(call, asker, node)));
    const replaced = replies.some((reply) => DEMOTED.test(reply.toString('latin1', 0, 80)));
    if (!replaced || call.how !== undefined || performance.now() > deadline) return replies;
    cluster.ask('a primary has become a replica');
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

/** The primaries of the slots that the client has written to, or of all. */
function shardsOf({ client }: Blocking): Node[] {
  const { cluster, wrote } = client;
  const { slots, primaries } = cluster;
  const found = new Set<Node>();
  for (let slot = 0; slot < slots.length; slot++) {
    const owner = primaries[slots[slot]!];
    if (owner !== undefined && (wrote === 0 || (wrote & (1 << (slot >>> 9))) !== 0)) found.add(owner);
  }
  return [...found];
}

async function askOne(call: Blocking, asker: Asker, node: Node): Promise<Buffer> {
  const { client } = call;
  const link = node.borrow(asker.lane, true);
  if (link === undefined) return errors.limit('node.blocked', client.context.config.node.blocked);
  let given = false;
  // Who has written nothing is told at once how many replicas there are.
  const mark = client.wrote === 0 ? HELLO : MARK;
  const replies = [HELLO, mark, encodeCommand(call.words)].map((bytes) => askOnce(link, bytes));
  link.patient = true;
  const stop = call.whenEnded(async (how) => {
    // Whoever has left needs no count. Else the server gives that which it has reached.
    const id = /\r\nid\r\n:(\d+)\r\n/.exec(String(await replies[0]))?.[1];
    if (client.leaving || id === undefined) return link.close('nobody waits any more');
    await asker.raw(node, ['CLIENT', 'UNBLOCK', id, how], false);
    // It may not have begun to wait, or the node may not answer: then that is all there is.
    setTimeout(() => {
      if (!given) link.close('it was unblocked');
    }, link.options.connectTimeout);
  });
  // Its client may have gone before it began.
  replies[0]!.then(() =>
    setImmediate(() => {
      if (!given && client.leaving) call.leave();
    }),
  );
  const [, marked, reply] = (await Promise.all(replies)) as [Buffer, Buffer, Buffer];
  given = true;
  stop();
  link.patient = false;
  // A CLIENT UNBLOCK may still be on its way to it.
  if (call.how === undefined) node.giveBack(asker.lane, link);
  else node.discard(link);
  if (call.how !== undefined && reply[0] === MINUS && !/^-UNBLOCKED/.test(String(reply)))
    return endedReply('ERROR', call.lane.resp);
  if (marked[0] !== MINUS || reply[0] === MINUS || UNKNOWN.test(String(marked))) return reply;
  return errors.partFailed(`node ${node.address}`, marked.toString('latin1', 1).trimEnd());
}

/** The first error, or number by number the least. */
function least(replies: readonly Buffer[]): Buffer {
  const first = replies[0]!;
  const failed = replies.find((reply) => reply[0] === MINUS);
  if (failed !== undefined) return failed;
  const rows = replies.map((reply) => leaves(reply).map(Number));
  const numbers = rows[0]!.map((_, i) => integer(Math.min(...rows.map((row) => row[i]!))));
  return first[0] === COLON ? numbers[0]! : array(numbers);
}

const COLON = 58;
