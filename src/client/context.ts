// What all clients of one worker share.

import type { Cluster } from '../cluster/cluster.ts';
import type { Link } from '../cluster/link.ts';
import type { Node } from '../cluster/node.ts';
import type { Turn } from '../cluster/turn.ts';
import type { CommandTable } from '../command/table.ts';
import type { Config } from '../config.ts';
import type { Functions } from '../functions/functions.ts';
import type { Budget } from '../gather/budget.ts';
import type { Log } from '../log.ts';
import type { PubSub } from '../pubsub/pubsub.ts';
import type { Counters } from '../telemetry/counters.ts';
import type { Attention, Attentive, Signal } from './attention.ts';
import type { Policies } from './reading.ts';
import type { Equipment } from './request.ts';
import type { Script } from './sources.ts';
import type { Tracking } from './tracking.ts';

/** What is known of the servers behind the proxy, as one server would say it of itself. */
export interface ServerFacts {
  /** What HELLO of the servers says: `redis` or `valkey`, and its version. */
  readonly helloName: string;
  readonly helloVersion: string;
  /** Cursors of SCAN hold their slot (Redis 7.4, Valkey 8 and later). */
  readonly slotCursors: boolean;
  /** Replicas answer of a slot that is on the move as its primary does (Valkey 8 and later). */
  readonly replicasKnowMoves: boolean;
  /** The default user needs a password. */
  readonly authRequired: boolean;
  /** What a client hears of its own command stands behind the reply, in RESP3 (Redis 7.2, Valkey, and later). */
  readonly pushesLast: boolean;
  /** 40 hexadecimal digits, made anew at each start. */
  readonly runId: string;
  /** Wall clock, ms. */
  readonly startedAt: number;
}

/** By what CLIENT UNBLOCK ends a blocking command: as if its time were over, or with an error. */
export type HowToUnblock = 'TIMEOUT' | 'ERROR';

/** A blocking command under way. */
export interface Blocked {
  /** Ends it, as CLIENT UNBLOCK does. False when it was answered otherwise in the same instant. */
  unblock(how: HowToUnblock): Promise<boolean>;
  /** Its client has left, or will read no reply that is still to come. */
  leave(): void;
}

/** A client, as other clients and the worker see it. */
export interface Connection extends Attentive {
  readonly fd: number;
  /** Bytes read and not executed yet. */
  readonly inputBytes: number;
  /** Commands without a reply. */
  readonly pending: number;
  /** Bytes of replies that wait for their turn, and that the kernel has not taken yet. */
  readonly outputBytes: number;
  /** The blocking command it waits for. */
  readonly blocked: Blocked | undefined;
  /** Answers what is under way, then closes. */
  end(): void;
}

/** The other workers of this process. */
export interface Peers {
  /** Lines of CLIENT LIST of the other workers' clients. */
  clientLines(): Promise<string[]>;
  /** Ends the other workers' clients that a filter names; how many they were. */
  killClients(filter: ClientFilter): Promise<number>;
  /** CLIENT UNBLOCK of a client that one of them may have: whether it was blocked. */
  unblockClient(id: number, how: HowToUnblock): Promise<boolean>;
  /** Their counters' totals, an array for each. */
  totals(): Promise<number[][]>;
  /** Tells them what their clients have to mind; resolves when all have heard. */
  signal(signal: Signal): Promise<unknown[]>;
  /** The text of a script that one of them knows, by its SHA1 in lower case. */
  findScript(sha: string): Promise<Buffer | undefined>;
  /** They forget all scripts. */
  forgetScripts(): Promise<void>;
}

/** Disconnects subscribers that have lost their rights: see revoked.ts. */
export interface Revocation {
  /** This worker's. */
  look(): Promise<void>;
  /** All workers'. */
  lookEverywhere(): Promise<void>;
  close(): void;
}

/** The scripts that are known, and what nodes have of them: see repertoire.ts. SHA1s in lower case. */
export interface Repertoire extends Equipment {
  /** Remembers a script's text, `bytes[from..to)`; its SHA1. */
  learn(bytes: Buffer, from: number, to: number): string;
  /** A script's text as far as this worker knows it. */
  sourceOf(sha: string): Buffer | undefined;
  /** A script that this worker or another knows. */
  find(sha: string): Promise<Script | undefined>;
  /** Loads a script at a node, with the proxy's own rights; whether that was done. */
  load(node: Node, script: Script): Promise<boolean>;
  /**
   * Makes a node ready for a call that is about to be sent over this link.
   * @param kind one of SCRIPT @param name a SHA1 in any case, or a function's name
   * @returns what has to be waited for before this is asked again, if anything; it always resolves
   */
  prepare(kind: number, name: string, node: Node, link: Link): Promise<unknown> | undefined;
  /** SCRIPT FLUSH: this worker forgets all scripts, and what nodes are known to have of them. */
  forgetAll(): void;
  /** All workers do. */
  forgetEverywhere(): Promise<void>;
}

/** CLIENT KILL and CLIENT LIST: every field that is set must match. */
export interface ClientFilter {
  readonly id?: readonly number[];
  readonly address?: string;
  readonly localAddress?: string;
  readonly user?: string;
  readonly type?: string;
  /** Leave out the one that asks. */
  readonly skip?: number;
  /** Seconds since it connected, at least. */
  readonly maxAge?: number;
}

export interface Context {
  readonly config: Config;
  readonly cluster: Cluster;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly table: CommandTable;
  readonly server: ServerFacts;
  readonly policies: Policies;
  readonly clients: Map<number, Connection>;
  readonly peers: Peers;
  readonly attention: Attention;
  readonly repertoire: Repertoire;
  readonly tracking: Tracking;
  readonly pubsub: PubSub;
  readonly functions: Functions;
  /** What is copied from slot to slot at once. */
  readonly copying: Budget;
  readonly revoked: Revocation;
  readonly log: Log;
  /** As whom a client's commands run before it has logged in. */
  readonly user: { readonly username: string; readonly password: string };
  /** A client may give commands before it has logged in. */
  readonly openToAll: boolean;
  /** Counts one client more, of all workers together; false when that is too many. */
  admit(): boolean;
  /** Counts one less. */
  dismiss(): void;
  /** A number that no client of any worker has had. */
  nextId(): number;
}
