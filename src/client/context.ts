// What all clients of one worker share.

import type { Cluster } from '../cluster/cluster.ts';
import type { Turn } from '../cluster/turn.ts';
import type { CommandTable } from '../command/table.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Counters } from '../telemetry/counters.ts';
import type { Attention, Attentive, Signal } from './attention.ts';

/** What is known of the servers behind the proxy, as one server would say it of itself. */
export interface ServerFacts {
  /** What HELLO of the servers says: `redis` or `valkey`, and its version. */
  readonly helloName: string;
  readonly helloVersion: string;
  /** Cursors of SCAN hold their slot (Redis 7.4, Valkey 8 and later). */
  readonly slotCursors: boolean;
  /** The default user needs a password. */
  readonly authRequired: boolean;
  /** 40 hexadecimal digits, made anew at each start. */
  readonly runId: string;
  /** Wall clock, ms. */
  readonly startedAt: number;
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
  /** Answers what is under way, then closes. */
  end(): void;
}

/** The other workers of this process. */
export interface Peers {
  /** Lines of CLIENT LIST of the other workers' clients. */
  clientLines(): Promise<string[]>;
  /** Ends the other workers' clients that a filter names; how many they were. */
  killClients(filter: ClientFilter): Promise<number>;
  /** Their counters' totals, an array for each. */
  totals(): Promise<number[][]>;
  /** Tells them what their clients have to mind; resolves when all have heard. */
  signal(signal: Signal): Promise<unknown>;
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
  readonly clients: Map<number, Connection>;
  readonly peers: Peers;
  readonly attention: Attention;
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
