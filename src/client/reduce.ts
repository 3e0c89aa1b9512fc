// One command to many nodes, or many commands each to its own, and one reply made of theirs: what stands behind
// RMR.FANOUT and RMR.MAP, and behind `fanout` and `map` of a library. Cold.
//
//   words --vet--> tasks --errand.ts--> replies --reduction.ts--> reply
//                                          '- js:<library>.<name> -> a function thread -> reply
//
// Everything is checked before anything is sent. Parts run with the rights of the client. Nothing else of the client
// may be under way: see Conversation.workOut.

import { errorText, isError } from '../command/merge.ts';
import type { Host, ReduceOptions } from '../functions/job.ts';
import type { Reducer } from '../functions/reducer.ts';
import { reducerOf, type Scripted } from '../functions/reducers.ts';
import { ServerError } from './asker.ts';
import type { Client } from './client.ts';
import { Errand, type Task, tooMuch } from './errand.ts';
import { askSlot } from './fanout.ts';
import { failureOf, Reduction } from './reduction.ts';
import { type Target, targetsOf } from './targets.ts';
import { mayWrite, toSlot, type Vetted, vet, wayOf } from './vetting.ts';

type Words = readonly Uint8Array[];

const LONGEST_TIMEOUT = 3_600_000;

/** As asked, with what was left out. */
interface Plan {
  readonly reducer: Reducer | Scripted;
  readonly on: string;
  /** ms */
  readonly timeout: number;
  readonly partial: boolean | undefined;
  readonly order: 'node' | 'arrival';
}

/**
 * One command at each of the nodes that `options.on` names, and the reply that the reducer makes.
 * @param words of the command, its name first
 * @param resp the protocol version of the reply, and of the nodes'
 * @throws (rejects) ServerError with the text for the client
 */
export async function fanOutReduced(
  client: Client,
  words: Words,
  reducer: string,
  options: ReduceOptions,
  resp: 2 | 3,
): Promise<Buffer> {
  const plan = planOf(client, reducer, options);
  const vetted = vet(client, words);
  const targets = targetsOf(client.cluster, plan.on, mayWrite(vetted.command));
  return reduced(
    client,
    targets.map((target) => taskOf(vetted, target)),
    plan,
    resp,
  );
}

/**
 * Commands, each where a client's own would go, and the reply that the reducer makes. They run side by side.
 * @throws (rejects) as above
 */
export async function mapReduced(
  client: Client,
  commands: readonly Words[],
  reducer: string,
  options: ReduceOptions,
  resp: 2 | 3,
): Promise<Buffer> {
  const plan = planOf(client, reducer, options);
  if (plan.on !== 'primaries')
    throw new ServerError('ERR ON is for RMR.FANOUT: RMR.MAP sends each command to its key');
  if (commands.length === 0) throw new ServerError('ERR there is no command to map');
  const ways = commands.map((words) => {
    const vetted = vet(client, words);
    return { vetted, way: wayOf(client, vetted) };
  });
  const tasks = await Promise.all(
    ways.map(async ({ vetted, way }, i) => {
      const to = way === 'ask' ? await asked(client, vetted) : way;
      return taskOf(vetted, to, `command ${i + 1}`);
    }),
  );
  return reduced(client, tasks, plan, resp);
}

/** Where the keys are, the servers know. */
async function asked(client: Client, { args }: Vetted): Promise<Target | Buffer> {
  const slot = await askSlot(client, args);
  return typeof slot === 'number' ? toSlot(client, slot) : slot;
}

function taskOf({ command, args }: Vetted, to: Target | Buffer, label = ''): Task {
  if (Buffer.isBuffer(to)) return { label, node: undefined, command, args, whom: to, replica: false };
  const { name, whom, replica } = to;
  const node = `node ${name}`;
  return { label: label === '' ? node : `${label} (${node})`, node: name, command, args, whom, replica };
}

function planOf(client: Client, reducer: string, options: ReduceOptions): Plan {
  const { on = 'primaries', partial, order = 'node' } = options;
  const { timeout = client.context.functions.settings.remoteTaskTimeout } = options;
  if (!Number.isInteger(timeout) || timeout < 1 || timeout > LONGEST_TIMEOUT)
    throw new ServerError(`ERR TIMEOUT must be from 1 to ${LONGEST_TIMEOUT} ms`);
  if (typeof on !== 'string') throw new ServerError('ERR ON must be a text');
  if (order !== 'node' && order !== 'arrival') throw new ServerError('ERR ORDER must be node or arrival');
  if (partial !== undefined && typeof partial !== 'boolean')
    throw new ServerError('ERR PARTIAL must be yes or no');
  return { reducer: known(client, reducer), on, timeout, partial, order };
}

function known({ context: { functions } }: Client, name: string): Reducer | Scripted {
  const reducer = attempt(() => reducerOf(name));
  if (!('library' in reducer)) return reducer;
  const library = functions.library(reducer.library);
  if (library === undefined) throw new ServerError(`ERR Unknown library ${reducer.library}`);
  if (!library.registrations.reducers.includes(reducer.name))
    throw new ServerError(`ERR Unknown reducer ${reducer.name} in library ${reducer.library}`);
  return reducer;
}

function attempt<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new ServerError(`ERR ${(error as Error).message}`);
  }
}

function reduced(client: Client, tasks: readonly Task[], plan: Plan, resp: 2 | 3): Promise<Buffer> {
  const { reducer } = plan;
  return 'library' in reducer
    ? byLibrary(client, tasks, plan, reducer, resp)
    : byReducer(client, tasks, plan, reducer, resp);
}

async function byReducer(
  client: Client,
  tasks: readonly Task[],
  { timeout, partial, order }: Plan,
  reducer: Reducer,
  resp: 2 | 3,
): Promise<Buffer> {
  const maxBytes = client.context.config.functions.maxReplyBytes;
  const labels = tasks.map(({ label }) => label);
  const reduction = new Reduction(reducer, labels, { partial, order, maxBytes });
  await send(client, tasks, timeout, resp, (at, reply, node) => reduction.take(at, reply, node));
  return reduction.result(resp);
}

/** The library sees all replies, in RESP3, and the texts of all errors. */
async function byLibrary(
  client: Client,
  tasks: readonly Task[],
  { timeout, partial = false, order }: Plan,
  { library: libraryName, name, args }: Scripted,
  resp: 2 | 3,
): Promise<Buffer> {
  const { functions, config } = client.context;
  const came: { at: number; reply: Buffer }[] = [];
  let bytes = 0;
  await send(client, tasks, timeout, 3, (at, reply) => {
    bytes += reply.length;
    if (bytes > config.functions.maxReplyBytes) throw tooMuch(config.functions.maxReplyBytes);
    came.push({ at, reply });
    return false;
  });
  if (order === 'node') came.sort((a, b) => a.at - b.at);
  const failures = came.flatMap(({ at, reply }) => (isError(reply) ? [{ at, text: errorText(reply) }] : []));
  if (failures.length > 0 && (!partial || failures.length === tasks.length))
    throw failureOf(
      failures,
      tasks.map(({ label }) => label),
    );
  const library = functions.library(libraryName);
  if (library === undefined) throw new ServerError(`ERR Unknown library ${libraryName}`);
  const outcome = await functions.runner
    .run(
      {
        kind: 'reducer',
        library,
        name,
        args,
        replies: came.flatMap(({ reply }) => (isError(reply) ? [] : [reply])),
        errors: failures.map(({ text }) => text),
        resp,
        maxRunTime: config.functions.maxRunTime,
      },
      hostOf(client, libraryName),
    )
    .catch((error: Error) => {
      throw new ServerError(`ERR ${error.message.replace(/^ERR /, '')}`);
    });
  if (!('reply' in outcome)) throw new Error('a reducer gives a reply');
  return Buffer.from(outcome.reply);
}

/** A reducer only reduces: it asks nothing of the cluster. */
function hostOf({ context: { log } }: Client, library: string): Host {
  const refuse = () => Promise.reject(new Error('a reducer can not call the cluster'));
  return {
    call: refuse,
    calls: refuse,
    runOnKey: refuse,
    runOnShards: refuse,
    map: refuse,
    fanout: refuse,
    log: (level, text) => log[level]({ library }, text),
  };
}

/** Sends them all, and rejects with what `took` throws. */
async function send(
  client: Client,
  tasks: readonly Task[],
  timeout: number,
  resp: 2 | 3,
  took: (at: number, reply: Buffer, node: string | undefined) => boolean,
): Promise<void> {
  const { config } = client.context;
  const terms = {
    resp,
    timeout,
    most: config.limits.clientPending,
    maxBytes: config.functions.maxReplyBytes,
  };
  let failure: unknown;
  await Errand.send(client, tasks, terms, (at, reply, node) => {
    try {
      return took(at, reply, node);
    } catch (error) {
      failure = error;
      return true;
    }
  });
  if (failure !== undefined) throw failure;
}
