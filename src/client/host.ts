// What a remote function asks of the cluster. Cold.
//
//   ClientHost   of a function, on behalf of the client that has called it: commands go where that client's would,
//                keys of any slot, one after the other
//   ShardHost    of a cluster function, at one shard's primary: nothing is written, nothing is followed elsewhere
//
// What a run has gathered is bounded by functions.maxReplyBytes. With its run a host ends: what is still under way
// for it is given up, so that nothing is asked in the name of a function that is no more.

import type { Node } from '../cluster/node.ts';
import { ROUTE } from '../command/command.ts';
import { headOf } from '../command/head.ts';
import { CROSS, slotOfKeys } from '../command/keys.ts';
import type { Host, ReduceOptions, Sent } from '../functions/job.ts';
import type { Library } from '../functions/library.ts';
import { asBuffer } from '../functions/marshal.ts';
import { asServerSaid } from '../resp/errors.ts';
import { skip } from '../resp/reply.ts';
import { Asker } from './asker.ts';
import { type Called, called, isBlocking } from './called.ts';
import type { Client } from './client.ts';
import { InnerClient } from './inner.ts';
import { fanOutReduced, mapReduced } from './reduce.ts';
import { onKey, onShards } from './remote.ts';
import { textOf } from './saved.ts';

const ASTERISK = 42;
const MINUS = 45;
/** The call is for the other shard's keys. */
const ELSEWHERE = 'ERR slotless: a cluster function reads the keys of its own shard alone';

/** What both have: the library, and how much has been gathered. */
abstract class LibraryHost {
  readonly client: Client;
  readonly library: Library;
  private gathered = 0;

  constructor(client: Client, library: Library) {
    this.client = client;
    this.library = library;
  }

  runOnKey(key: Uint8Array, name: string, args: readonly Sent[]): Promise<Sent> {
    return onKey(this, key, name, args);
  }

  runOnShards(name: string, args: readonly Sent[]) {
    return onShards(this, name, args);
  }

  atShard(node: Node, started: () => void): ShardHost {
    return new ShardHost(this.client, this.library, node, started);
  }

  log(level: 'debug' | 'info' | 'warn', text: string): void {
    this.client.context.log[level]({ library: this.library.name }, text);
  }

  /** Counts a reply. @throws when that is more than one run may gather */
  protected gather(reply: Buffer): Buffer {
    const { maxReplyBytes } = this.client.context.config.functions;
    this.gathered += reply.length;
    if (this.gathered > maxReplyBytes)
      throw new Error(
        `slotless: the call has gathered more than functions.maxReplyBytes (${maxReplyBytes}) of replies`,
      );
    return reply;
  }
}

export class ClientHost extends LibraryHost implements Host {
  /** Of a function that is flagged so: it may not write. */
  private readonly reads: boolean;
  private readonly clients = new Set<InnerClient>();
  private first: InnerClient | undefined = undefined;
  private closed = false;

  constructor(client: Client, library: Library, reads: boolean) {
    super(client, library);
    this.reads = reads;
  }

  async call(words: readonly Uint8Array[]): Promise<Buffer> {
    const call = called(this.client.context, words, this.reads);
    if (Buffer.isBuffer(call)) return call;
    if (!isBlocking(call.command)) return this.gather(await this.inner().ask(words));
    // What is called meanwhile does not wait for it.
    const apart = this.open();
    try {
      return this.gather(await apart.ask(words));
    } finally {
      this.clients.delete(apart);
      apart.close();
    }
  }

  /** As one transaction where all keys lie in one slot, else as a pipeline. */
  async calls(commands: readonly (readonly Uint8Array[])[]): Promise<readonly Buffer[]> {
    const calls = commands.map((words) => called(this.client.context, words, this.reads));
    if (commands.length > 1 && areOneRun(calls)) {
      const replies = await this.transaction(commands);
      if (replies !== undefined) return replies;
    }
    return Promise.all(commands.map((words) => this.call(words)));
  }

  async map(
    commands: readonly (readonly Uint8Array[])[],
    reducer: string,
    options: ReduceOptions,
  ): Promise<Buffer> {
    for (const words of commands) this.vet(words);
    return this.gather(await mapReduced(this.inner(), commands, reducer, options, 3));
  }

  async fanout(words: readonly Uint8Array[], reducer: string, options: ReduceOptions): Promise<Buffer> {
    this.vet(words);
    return this.gather(await fanOutReduced(this.inner(), words, reducer, options, 3));
  }

  close(): void {
    this.closed = true;
    for (const client of this.clients) client.close();
  }

  /** @throws where the function is one that does not write, and this may */
  private vet(words: readonly Uint8Array[]): void {
    if (!this.reads) return;
    const call = called(this.client.context, words, true);
    if (Buffer.isBuffer(call)) throw new Error(textOf(call));
  }

  private inner(): InnerClient {
    this.first ??= this.open();
    return this.first;
  }

  private open(): InnerClient {
    if (this.closed) throw new Error('the function has ended');
    const client = new InnerClient(this.client);
    this.clients.add(client);
    return client;
  }

  /** Undefined: the client's user may have no transactions. */
  private async transaction(commands: readonly (readonly Uint8Array[])[]): Promise<Buffer[] | undefined> {
    const inner = this.inner();
    const begun = await inner.ask(['MULTI']);
    if (begun[0] === MINUS) return undefined;
    const said = await Promise.all([...commands, ['EXEC']].map((words) => inner.ask(words)));
    const reply = this.gather(said.at(-1)!);
    const { type, count, end } = headOf(reply);
    if (type !== ASTERISK || count !== commands.length) return commands.map(() => reply);
    let at = end;
    return commands.map(() => {
      const from = at;
      at = skip(reply, from, reply.length);
      return reply.subarray(from, at);
    });
  }
}

/** Commands that one node executes as one transaction. */
function areOneRun(calls: readonly (Called | Buffer)[]): boolean {
  const slots = calls.map((call) => {
    if (Buffer.isBuffer(call) || isBlocking(call.command)) return CROSS;
    const { route } = call.command;
    return route === ROUTE.oneSlot || route === ROUTE.split ? slotOfKeys(call.command, call.frame) : CROSS;
  });
  return slots[0]! >= 0 && slots.every((slot) => slot === slots[0]);
}

/** Door commands that are the same to a node and change nothing of its link. */
const HARMLESS = new Set(['ping', 'echo', 'time', 'role']);

export class ShardHost extends LibraryHost implements Host {
  readonly started: () => void;
  private readonly node: Node;
  private readonly asker: Asker;
  private closed = false;

  constructor(client: Client, library: Library, node: Node, started: () => void) {
    super(client, library);
    this.node = node;
    this.started = started;
    this.asker = Asker.speaking(client.cluster, 3, client.session);
  }

  async call(words: readonly Uint8Array[]): Promise<Buffer> {
    if (this.closed) throw new Error('the function has ended');
    const call = called(this.client.context, words, true);
    if (Buffer.isBuffer(call)) return call;
    const refusal = this.refusal(call);
    if (refusal !== undefined) return asServerSaid(refusal);
    return this.gather(await this.asker.raw(this.node, words.map(asBuffer)));
  }

  calls(commands: readonly (readonly Uint8Array[])[]): Promise<readonly Buffer[]> {
    return Promise.all(commands.map((words) => this.call(words)));
  }

  map(): Promise<Buffer> {
    return Promise.reject(new Error('slotless: a cluster function cannot map'));
  }

  fanout(): Promise<Buffer> {
    return Promise.reject(new Error('slotless: a cluster function cannot fan out'));
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.asker.close();
  }

  private refusal({ command, frame }: Called): string | undefined {
    const { name, route } = command;
    const { cluster } = this.client;
    const local = route === ROUTE.door && !HARMLESS.has(name) && !name.startsWith('cluster|');
    if (local || route === ROUTE.refused || isBlocking(command))
      return `ERR slotless: '${name.replace('|', ' ')}' is not for a cluster function`;
    const slot = slotOfKeys(command, frame);
    return slot >= 0 && cluster.primaryOf(slot) !== this.node ? ELSEWHERE : undefined;
  }
}
