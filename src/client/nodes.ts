// PROXY NODES and PROXY DEFAULT: what a client of a cluster would know of its nodes, and the one that answers what
// has no keys. Cold, but for `toAny`.
//
// The invariant: a client that has chosen a node is answered by that one or told that it is not there; nobody else
// answers in its place. Who has chosen none has one all the same, the same while the map is.

import type { Node } from '../cluster/node.ts';
import { FIXED } from '../cluster/sending.ts';
import { runEnd } from '../cluster/topology.ts';
import type { Command } from '../command/command.ts';
import { SLOTS } from '../command/slot.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { bulkString, encode, OK, type Value } from '../resp/write.ts';
import { ServerError } from './asker.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { EVERY_SLOT } from './order.ts';
import { onlyReads, Request } from './request.ts';
import { SavedArguments } from './saved.ts';
import { nodeNamed, type Target } from './targets.ts';

export const PROXY_COMMANDS: Readonly<Record<string, Handler>> = {
  'proxy|nodes': (client, command, f) => {
    if (f.argc > 3) return client.refuse(command, errors.subcommandSyntax(f));
    const flag = f.argc < 3 ? 'all' : new SavedArguments(f).text(2).toLowerCase();
    const nodes = nodesBy(client, flag);
    if (nodes === undefined)
      return client.refuse(
        command,
        errors.asServerSaid(`ERR unknown flag of nodes, there are: ${FLAGS.join(' ')}`),
      );
    return client.say(
      command,
      encode(
        client.session.resp,
        nodes.map((node) => describe(client, node)),
      ),
    );
  },

  'proxy|default': (client, command, f) => {
    if (f.argc > 3) return client.refuse(command, errors.subcommandSyntax(f));
    if (f.argc === 2) {
      const name = defaultName(client);
      return name === undefined
        ? client.refuse(command, errors.notReady('no shard is known'))
        : client.say(command, bulkString(name));
    }
    if (!client.settled) return false;
    const name = new SavedArguments(f).text(2);
    if (nodeNamed(client.cluster, name) === undefined) return client.refuse(command, noSuchNode(name));
    client.session.defaultNode = name;
    return client.say(command, OK);
  },
};

const FLAGS = ['all', 'primaries', 'replicas', 'random', 'default'];

interface Known {
  readonly node: Node;
  readonly primary: boolean;
  readonly shard: number;
}

function nodesBy(client: Client, flag: string): Known[] | undefined {
  const nodes: Known[] = client.cluster.allNodes();
  switch (flag) {
    case 'all':
      return nodes;
    case 'primaries':
      return nodes.filter(({ primary }) => primary);
    case 'replicas':
      return nodes.filter(({ primary }) => !primary);
    case 'random':
      return nodes.length === 0 ? [] : [nodes[Math.floor(Math.random() * nodes.length)]!];
    case 'default':
      return nodes.filter(({ node }) => node.address === defaultName(client));
  }
  return undefined;
}

function describe(client: Client, { node, primary, shard }: Known): Map<Value, Value> {
  const { cluster, context } = client;
  const isDefault = node.address === defaultName(client);
  const flags = [
    primary ? 'primary' : 'replica',
    ...(isDefault ? ['default'] : []),
    ...(node.shut ? ['shut'] : []),
  ];
  const zone = zoneOf(client, node) ?? context.config.zones[node.address] ?? context.config.zones[node.host];
  return new Map<Value, Value>([
    ['name', node.address],
    ['host', node.host],
    ['port', node.port],
    ['role', primary ? 'primary' : 'replica'],
    ['slots', rangesOf(cluster.topology, shard)],
    ['flags', flags],
    ...(zone === undefined ? [] : [['zone', zone] as const]),
    ['default', isDefault],
  ]);
}

function zoneOf({ cluster }: Client, node: Node): string | undefined {
  let zone: string | undefined;
  cluster.copies.each((copy) => {
    if (copy.node === node && copy.zone !== '' && copy.zone !== '?') zone = copy.zone;
  });
  return zone;
}

/** [[from, to]] of a shard's slots. */
export function rangesOf(topology: Client['cluster']['topology'], shard: number): [number, number][] {
  const ranges: [number, number][] = [];
  for (let slot = 0; slot < SLOTS; slot++) {
    const end = runEnd(topology, slot);
    if (topology.slots[slot] === shard) ranges.push([slot, end]);
    slot = end;
  }
  return ranges;
}

/** The node that answers what has no keys: the one that was chosen, else the owner of a slot. */
function defaultName({ session, cluster }: Client): string | undefined {
  return session.defaultNode ?? cluster.primaryOf(cluster.anySlot(session.id))?.address;
}

function noSuchNode(name: string): Buffer {
  return errors.asServerSaid(`ERR there is no node ${name.slice(0, 128)} in the cluster`);
}

function gone(name: string): Buffer {
  return errors.notReady(
    `the default node ${name} is not in the cluster any more; PROXY DEFAULT sets another, RESET forgets it`,
  );
}

/** Sends a command that any node may answer to the one that the client has chosen. False: not now. Hot. */
export function toAny(client: Client, command: Command, f: Frame): boolean {
  const { defaultNode } = client.session;
  if (defaultNode === undefined)
    return client.toSlot(command, f, client.cluster.anySlot(client.session.id), false);
  const node = nodeNamed(client.cluster, defaultNode)?.node;
  if (node === undefined) return client.refuse(command, gone(defaultNode));
  if (client.mustWait(EVERY_SLOT, onlyReads(command)) || !client.roomAt(node)) return false;
  const request = new Request(client, command, FIXED, false);
  client.replies.push(request);
  request.startAt(node, f.bytes as Buffer, f.from, f.to);
  return true;
}

/** The same for RMR. @throws ServerError where the chosen node has gone */
export function anyTarget({ session, cluster }: Client): Target {
  const { defaultNode, id } = session;
  if (defaultNode === undefined) {
    const slot = cluster.anySlot(id);
    return { name: cluster.primaryOf(slot)?.address ?? '', whom: slot, replica: false };
  }
  const found = nodeNamed(cluster, defaultNode);
  if (found === undefined) throw new ServerError(gone(defaultNode).toString('latin1', 1).trimEnd());
  return { name: defaultNode, whom: found.node, replica: !found.primary };
}
