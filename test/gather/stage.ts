/**
 * Commands across slots in the test's own process, on one real server that is every slot's owner: so a test can have
 * somebody else come between any two steps, or have a reply get lost.
 *
 * The server knows no slots; that links are followed through moves is tried elsewhere, before real clusters.
 */

import type { TestContext } from 'node:test';
import type { Command } from '../../src/command/command.ts';
import { lockKey } from '../../src/command/reserved.ts';
import { slotOf } from '../../src/command/slot.ts';
import type { Crossing } from '../../src/gather/crossing.ts';
import { gather } from '../../src/gather/gather.ts';
import { type Held, type Reach, Refusal, type Words } from '../../src/gather/reach.ts';
import { skip } from '../../src/resp/reply.ts';
import { type Argument, connect, type RawClient } from '../support/client.ts';
import { startLone } from '../support/cluster.ts';

/** What becomes of a transaction whose reply is lost. */
export type Loss = 'executed' | 'not executed';

export interface Stage {
  /** Somebody else's connection. */
  readonly rival: RawClient;
  readonly reach: LoneReach;
  /** Works a call out, its first two arguments being the keys; the reply, an error too. */
  run(...words: string[]): Promise<string>;
}

const servers = new Map<string, ReturnType<typeof startLone>>();

/** An empty server of the test file's own. To be ended by `endStage`. */
export async function stage(t: TestContext): Promise<Stage> {
  const lone = servers.get('') ?? startLone();
  servers.set('', lone);
  const { port } = await lone;
  const rival = await connect(port);
  await rival.call('FLUSHALL');
  const reach = new LoneReach(port, await connect(port));
  t.after(async () => {
    rival.destroy();
    reach.close();
  });
  const run = async (...words: string[]) => {
    const buffers = words.map((word) => Buffer.from(word));
    const keys = [1, 2].map((at) => ({ at, ...place(words[at]!), written: true }));
    const limits = {
      level: 'writes',
      commands: {},
      maxBytes: 2 ** 20,
      atOnce: 2 ** 24,
      waitFor: 500,
    } as const;
    const command = { name: words[0]!.toLowerCase() } as Command;
    const texts = { scriptOf: async () => undefined, equip: async () => {} };
    const call: Crossing = { command, words: buffers, keys, reach, limits, texts };
    return gather('move', call).then(String, (error) => {
      if (error instanceof Refusal) return String(error.reply);
      throw error;
    });
  };
  return { rival, reach, run };
}

export async function endStage(): Promise<void> {
  for (const lone of servers.values()) await (await lone).stop();
}

export function place(name: string): { name: Buffer; slot: number } {
  const bytes = Buffer.from(name);
  return { name: bytes, slot: slotOf(bytes, 0, bytes.length) };
}

export function lockOf(name: string): Buffer {
  const { name: bytes, slot } = place(name);
  return lockKey(slot, bytes);
}

export class LoneReach implements Reach {
  readonly resp = 2;
  links = 64;
  readonly pourAbove = Number.POSITIVE_INFINITY;
  replicas = 0;
  /** Commands and transactions in the order in which they were sent, their words joined. */
  readonly sent: string[] = [];
  /** Called before anything is sent, a transaction as `MULTI; ...; EXEC`. */
  before: (what: string) => Promise<unknown> | undefined = () => undefined;
  /** Loses the reply to a transaction. */
  loses: (what: string) => Loss | undefined = () => undefined;
  /** Answers in the server's place. */
  answers: (what: string) => string | undefined = () => undefined;
  private readonly port: number;
  private readonly shared: RawClient;
  private readonly open = new Set<RawClient>();

  constructor(port: number, shared: RawClient) {
    this.port = port;
    this.shared = shared;
  }

  close(): void {
    for (const client of [this.shared, ...this.open]) client.destroy();
  }

  async ask(_slot: number, words: Words): Promise<Buffer> {
    return this.send(this.shared, [words]);
  }

  async atomically(_slot: number, commands: readonly Words[]): Promise<Buffer[]> {
    return elements(await this.send(this.shared, [['MULTI'], ...commands, ['EXEC']]));
  }

  async hold(_slot: number, question: Words): Promise<Held> {
    const client = await connect(this.port);
    this.open.add(client);
    const reply = await this.send(client, [question]);
    return new Holding(this, client, reply);
  }

  ownerOf(): string {
    return 'one';
  }

  replicasOf(): number {
    return this.replicas;
  }

  within<T>(_bytes: number, work: () => Promise<T>): Promise<T> {
    return work();
  }

  /** Links that were taken and not given back. */
  get held(): number {
    return this.open.size;
  }

  release(client: RawClient): void {
    this.open.delete(client);
    client.destroy();
  }

  /** Sends commands and gives the last one's reply. */
  async send(client: RawClient, commands: readonly Words[]): Promise<Buffer> {
    return (await this.begin(client, commands))();
  }

  /** Sends commands; what is given when they are sent waits for the last one's reply. */
  async begin(client: RawClient, commands: readonly Words[]): Promise<() => Promise<Buffer>> {
    const what = commands.map((words) => words.map(String).join(' ')).join('; ');
    await this.before(what);
    this.sent.push(what);
    const answer = this.answers(what);
    if (answer !== undefined) return async () => Buffer.from(`${answer}\r\n`);
    const loss = this.loses(what);
    const sent = loss === 'not executed' ? [] : commands.map((words) => words.map(asArgument));
    const replies = client.pipeline(sent);
    replies.catch(() => {});
    return async () => {
      const last = (await replies).at(-1);
      if (loss !== undefined) throw new Refusal(Buffer.from('-ERR lost\r\n'), true);
      return last!;
    };
  }
}

class Holding implements Held {
  readonly reply: Buffer;
  private readonly reach: LoneReach;
  private readonly client: RawClient;
  /** What was asked before has been sent. */
  private sent: Promise<unknown> = Promise.resolve();
  private lost = false;

  constructor(reach: LoneReach, client: RawClient, reply: Buffer) {
    this.reach = reach;
    this.client = client;
    this.reply = reply;
  }

  async ask(words: Words): Promise<Buffer> {
    const waits = await this.inOrder([words]);
    const lost = Buffer.from('-CLUSTERDOWN the link was lost\r\n');
    const reply = await waits().catch(() => lost);
    return this.lost ? lost : reply;
  }

  async exec(commands: readonly Words[]): Promise<Buffer[] | undefined> {
    if (this.lost) return undefined;
    const waits = await this.inOrder([['MULTI'], ...commands, ['EXEC']]);
    try {
      const reply = await waits();
      return String(reply) === '*-1\r\n' ? undefined : elements(reply);
    } catch (error) {
      this.lost = error instanceof Refusal && error.unknown;
      throw error;
    }
  }

  release(): void {
    this.reach.release(this.client);
  }

  private inOrder(commands: readonly Words[]): Promise<() => Promise<Buffer>> {
    const begun = this.sent.then(() => this.reach.begin(this.client, commands));
    this.sent = begun;
    return begun;
  }
}

/** The elements of EXEC's reply. */
function elements(reply: Buffer): Buffer[] {
  if (reply[0] !== 42) throw new Refusal(reply);
  const found: Buffer[] = [];
  for (let at = reply.indexOf('\r\n') + 2; at < reply.length; ) {
    const end = skip(reply, at, reply.length);
    found.push(reply.subarray(at, end));
    at = end;
  }
  return found;
}

function asArgument(word: string | Uint8Array | number): Argument {
  return word instanceof Uint8Array ? Buffer.from(word) : word;
}

/** Runs `act` once, before the first transaction with these words in it is sent; every time where `always`. */
export function cutIn(reach: LoneReach, words: string, act: () => Promise<unknown>, always = false): void {
  let times = 0;
  reach.before = (what) =>
    what.startsWith('MULTI') && what.includes(words) && (always || times++ === 0) ? act() : undefined;
}

/** Loses the reply to the first transaction with these words in it. */
export function loseOnce(reach: LoneReach, words: string, loss: Loss): void {
  let times = 0;
  reach.loses = (what) => (what.includes(words) && times++ === 0 ? loss : undefined);
}

/** Nothing of the proxy's own is left: no lock, no link. */
export async function isTidy({ rival, reach }: Stage): Promise<boolean> {
  const own = (await rival.ask('KEYS', 'slotless:*')) as string[];
  return own.length === 0 && reach.held === 0;
}
