// SUBSCRIBE and UNSUBSCRIBE, of channels, patterns and shard channels. Cold.
//
// A subscription is confirmed when the node has confirmed it, and other workers know of it; nothing else of the
// client is under way meanwhile, so that what it publishes next is heard by itself. Messages that come before that
// follow the confirmations, which are written even while replies are left out, as a server does. That it has ended is
// confirmed when the node has confirmed that: who asks then how many there are is told of it no more.

import type { Command } from '../command/command.ts';
import { Early } from '../pubsub/early.ts';
import { CHANNEL, EVERY, type Kind, PATTERN, SHARD, scopeOf } from '../pubsub/names.ts';
import * as errors from '../resp/errors.ts';
import { bulk, bulkString, integer, nil, push } from '../resp/write.ts';
import type { Client } from './client.ts';
import type { Handler } from './handler.ts';
import { denialOfOther } from './rights.ts';
import { SavedArguments } from './saved.ts';
import { enter, giveBack, type Held, partsOf, quit, Subscribed } from './subscribed.ts';

const NOTHING = Buffer.alloc(0);

export const SUBSCRIBE_COMMANDS: Readonly<Record<string, Handler>> = {
  subscribe: worked((client, args) => subscribe(client, CHANNEL, args)),
  psubscribe: worked((client, args) => subscribe(client, PATTERN, args)),
  ssubscribe: worked((client, args) => subscribe(client, SHARD, args)),
  unsubscribe: worked((client, args) => unsubscribe(client, CHANNEL, args)),
  punsubscribe: worked((client, args) => unsubscribe(client, PATTERN, args)),
  sunsubscribe: worked((client, args) => unsubscribe(client, SHARD, args)),
};

function worked(work: (client: Client, args: SavedArguments) => Promise<Buffer>): Handler {
  return (client, command: Command, f) => {
    const args = new SavedArguments(f);
    return client.workOut(command, () => work(client, args));
  };
}

async function subscribe(client: Client, kind: Kind, args: SavedArguments): Promise<Buffer> {
  const { session, context } = client;
  const { pubsub } = context;
  const names = args.words(1).map((word) => Buffer.from(word));
  const refusal = refused(client, kind, names) ?? (await denialOfOther(client, args));
  if (refusal !== undefined) return refusal;
  const fresh = new Map<string, Held>();
  for (const name of names) {
    const key = name.toString('latin1');
    if (fresh.has(key) || session.subscribed?.has(kind, key)) continue;
    fresh.set(key, take(client, kind, name));
  }
  const early = new Early((bytes) => client.gathering(bytes));
  for (const held of fresh.values()) enter(held, early, session.resp);
  const problem = await heard(client, [...fresh.values()]);
  for (const held of fresh.values()) quit(held, early, session.resp);
  early.end();
  if (problem !== undefined || client.closed) {
    for (const held of fresh.values()) giveBack(pubsub, held);
    return problem === undefined ? NOTHING : errors.asServerSaid(problem);
  }
  if (session.subscribed === undefined) {
    session.subscribed = new Subscribed(client, pubsub, session.resp);
    client.look();
  }
  const { subscribed, resp } = session;
  const verb = bulkString(VERBS[kind]);
  const confirmations = names.map((name) => {
    const held = fresh.get(name.toString('latin1'));
    if (held !== undefined && !subscribed.has(kind, held.subscription.key)) subscribed.join(held);
    return push(resp, [verb, bulk(name), integer(subscribed.counted(kind))]);
  });
  client.push(Buffer.concat([...confirmations, ...early.messages]));
  return NOTHING;
}

const VERBS = ['subscribe', 'psubscribe', 'ssubscribe'] as const;

/** Takes a subscription for a client; it is counted from now on. */
function take({ context }: Client, kind: Kind, name: Buffer): Held {
  const { pubsub, config } = context;
  const subscription = pubsub.take(kind, name);
  subscription.clients++;
  const both = config.pubsub.mode === 'sharded' && kind === CHANNEL && subscription.scope !== EVERY;
  return { subscription, shard: both ? pubsub.take(SHARD, name) : undefined };
}

/** Resolves when all of it is heard and all workers know, with the reason if some of it can't be. */
async function heard({ context }: Client, all: readonly Held[]): Promise<string | undefined> {
  const { pubsub } = context;
  const parts = all.flatMap(partsOf);
  const problems = await Promise.all(parts.map((part) => pubsub.heardOf(part)));
  const problem = problems.find((one) => one !== undefined);
  if (problem !== undefined) return problem;
  for (const part of parts) pubsub.claim(part);
  await pubsub.roll.told;
  return undefined;
}

function refused({ session, context }: Client, kind: Kind, names: readonly Buffer[]): Buffer | undefined {
  const { limits, pubsub } = context.config;
  if ((session.subscribed?.total ?? 0) + names.length > limits.subscriptions)
    return errors.limit('limits.subscriptions', limits.subscriptions);
  if (pubsub.mode === 'sharded' && kind === PATTERN && names.some((name) => scopeOf(PATTERN, name) !== EVERY))
    return errors.shardedPattern();
  return undefined;
}

async function unsubscribe(client: Client, kind: Kind, args: SavedArguments): Promise<Buffer> {
  const { session, context } = client;
  const { subscribed, resp } = session;
  const keys = args.argc > 1 ? args.texts(1) : (subscribed?.keys(kind) ?? []);
  const verb = bulkString(`${VERBS[kind].replace('subscribe', 'unsubscribe')}`);
  const count = () => integer(subscribed?.counted(kind) ?? 0);
  const confirmations = keys.map((key) => {
    subscribed?.part(kind, key);
    return push(resp, [verb, bulk(Buffer.from(key, 'latin1')), count()]);
  });
  if (keys.length === 0) confirmations.push(push(resp, [verb, nil(resp), count()]));
  if (subscribed?.total === 0) client.unsubscribe();
  await context.pubsub.returned();
  client.push(Buffer.concat(confirmations));
  return NOTHING;
}
