// What a command across slots needs of the cluster: commands to the owner of a slot, followed through moves and
// failovers, in three forms. The client's side implements it; this room knows no sockets.
//
//   ask          one command
//   atomically   several, in one MULTI/EXEC: all of them or none
//   hold         a link of one's own, for what the server remembers on it: WATCH, and EXEC under it
//
// Replies are raw and in `resp`, the client's own version. An error reply of a single command is a reply like any
// other; what stands in the way of the whole (a slot without an owner, MULTI refused, an unknown outcome) is thrown
// as a Refusal, whose bytes are the reply to the client.

import type { Resp } from '../resp/write.ts';

/** A command, its name first. */
export type Words = readonly (string | Uint8Array | number)[];

/**
 * In place of a command: a key is dumped where it is, and restored as it comes, without being held in memory. It is
 * left out where there is no such key any more; its reply is then GONE.
 */
export interface Pouring {
  /** The key and its slot. */
  readonly name: Buffer;
  readonly slot: number;
  /** What it is called where it goes. */
  readonly as: Buffer;
  /** What is there is replaced; else that is an error. */
  readonly replace: boolean;
  /** How long it is to live there, ms; undefined: as long as where it comes from. */
  readonly lifetime: number | undefined;
  /** Bytes that it may have: beyond them nothing is executed. */
  readonly most: number;
}

export const GONE: Buffer = Buffer.alloc(0);

/** What stands in a transaction. */
export type Queued = Words | Pouring;

export interface Reach {
  readonly resp: Resp;
  /** The raw reply of a slot's owner, an error too. `reads`: it may be asked again when its link is lost. */
  ask(slot: number, words: Words, reads: boolean): Promise<Buffer>;
  /**
   * MULTI, the commands, EXEC: their raw replies, errors among them.
   * `again`: nothing is different if it is executed twice, so it may be when its link is lost.
   * `leaves`: while the slot moves, what has several keys can't be executed there; that is told, and not waited for.
   * @throws Refusal when nothing was executed, or nobody knows
   */
  atomically(slot: number, commands: readonly Queued[], again: boolean, leaves?: boolean): Promise<Buffer[]>;
  /**
   * A link to the owner of a slot, which answers `question`, a command with a key of that slot. To be released.
   * @throws Refusal when there is no such owner, or no link to be had
   */
  hold(slot: number, question: Words): Promise<Held>;
  /** From this size on a key is poured and not sent, bytes. */
  readonly pourAbove: number;
  /** How many links to a node may be held at once, by all clients of a worker. */
  readonly links: number;
  /** The address of a slot's owner as the map has it now; '' when there is none. */
  ownerOf(slot: number): string;
  /** How many replicas the map has for a slot's owner now. */
  replicasOf(slot: number): number;
  /** Runs work under the worker's bound of bytes that are copied at once; waits for its turn. */
  within<T>(bytes: number, work: () => Promise<T>): Promise<T>;
}

/** A link of one's own. Commands are executed in the order in which they are asked; nobody else's come between. */
export interface Held {
  /** The raw reply to the question it was taken with. */
  readonly reply: Buffer;
  /** A raw reply, an error too; one of the proxy's own when the link is lost. */
  ask(words: Words): Promise<Buffer>;
  /**
   * MULTI, the commands, EXEC: their raw replies. Undefined when nothing was executed: a watched key has changed,
   * the slot has moved, or the link was lost before.
   * @throws Refusal when a command was refused, or nobody knows whether they were executed (`unknown`)
   */
  exec(commands: readonly Queued[]): Promise<Buffer[] | undefined>;
  /** Gives the link back; what was watched is watched no more. */
  release(): void;
}

const ON_THE_MOVE = 'TRYAGAIN Multiple keys request during rehashing of slot';

/** Whether nothing was executed since a slot is on the move. */
export function isOnTheMove(error: unknown): error is Refusal {
  return error instanceof Refusal && error.message === ON_THE_MOVE;
}

/** Ends a command with this error reply. */
export class Refusal extends Error {
  readonly reply: Buffer;
  /** What was sent may or may not have been executed. */
  readonly unknown: boolean;

  constructor(reply: Buffer, unknown = false) {
    super(reply.toString('latin1', 1, reply.length - 2));
    this.reply = reply;
    this.unknown = unknown;
  }
}
