// What a worker has run on a function thread, what such a run asks of it meanwhile, and how it ends.
//
//   worker --Job--> thread          client.call(...)   --> Host.call   --> the cluster, as for any client
//          <--reply bytes, or an error                 <-- reply bytes in RESP3
//
// All of it is plain data that can be posted between threads.

import type { Library, Registrations } from './library.ts';

/** An argument or a result of a cluster function: JSON text, or the bytes of an ArrayBuffer as they are. */
export type Sent = { readonly json: string } | { readonly raw: Uint8Array };

/** What is the same for every job. */
interface Common {
  readonly library: Library;
  /** Of the function, cluster function, reducer or command. */
  readonly name: string;
  /** ms of wall time until the run is given up, if it has not ended. Of a cluster function: from when it has a thread. */
  readonly maxRunTime: number;
}

export type Job =
  /** TFCALL or TFCALLASYNC: keys and arguments, all of them. */
  | (Common & {
      readonly kind: 'function';
      readonly args: readonly Uint8Array[];
      /** TFCALLASYNC outside of a transaction: a promise is waited for. */
      readonly blockAllowed: boolean;
      /** Of the client, for the reply. */
      readonly resp: 2 | 3;
    })
  /** A command that the library has registered: what stands behind its name. */
  | (Common & { readonly kind: 'command'; readonly args: readonly Uint8Array[]; readonly resp: 2 | 3 })
  /** At one shard, on behalf of runOnKey or runOnShards. Its calls may not write. */
  | (Common & { readonly kind: 'cluster'; readonly args: readonly Sent[] })
  /** A reducer over raw replies in RESP3 and over texts of errors. */
  | (Common & {
      readonly kind: 'reducer';
      readonly replies: readonly Uint8Array[];
      readonly errors: readonly string[];
      readonly args: readonly string[];
      readonly resp: 2 | 3;
    });

/** How `map` and `fanout` are run: the options of RMR.MAP and RMR.FANOUT by their names in lower case. */
export interface ReduceOptions {
  readonly on?: string;
  /** ms. */
  readonly timeout?: number;
  readonly partial?: boolean;
  readonly order?: 'node' | 'arrival';
}

/**
 * What a run asks while it runs. Each rejects with an Error whose message the library sees. Replies are raw, in
 * RESP3, an error reply too.
 */
export interface Host {
  /** The run has a thread now; before, it may have waited for one. */
  started?(): void;
  /** One command, its name first. */
  call(words: readonly Uint8Array[]): Promise<Uint8Array>;
  /**
   * Commands that are known up front: callAsync within one `block`, or within a sync function, up to its end or the
   * next `call`. Where they can be one transaction they are. As many replies, each as of `call`.
   */
  calls(commands: readonly (readonly Uint8Array[])[]): Promise<readonly Uint8Array[]>;
  /** A cluster function at the shard of a key. */
  runOnKey(key: Uint8Array, name: string, args: readonly Sent[]): Promise<Sent>;
  /** A cluster function at every shard: never rejects but for what is wrong with the call itself. */
  runOnShards(
    name: string,
    args: readonly Sent[],
  ): Promise<{ readonly results: readonly Sent[]; readonly errors: readonly string[] }>;
  map(
    commands: readonly (readonly Uint8Array[])[],
    reducer: string,
    options: ReduceOptions,
  ): Promise<Uint8Array>;
  fanout(command: readonly Uint8Array[], reducer: string, options: ReduceOptions): Promise<Uint8Array>;
  log(level: 'debug' | 'info' | 'warn', text: string): void;
}

/** How a run has ended well: the reply's bytes in the job's `resp`; of a cluster function what it has returned. */
export type Outcome = { readonly reply: Uint8Array } | { readonly result: Sent };

/** Runs jobs on threads of their own: pool.ts. */
export interface Runner {
  /**
   * Loads a library once, to see what it registers.
   * @throws (rejects) an Error whose message is what TFUNCTION LOAD answers, without `ERR`
   */
  inspect(source: Pick<Library, 'name' | 'apiVersion' | 'code' | 'config'>): Promise<Registrations>;
  /**
   * @throws (rejects) an Error whose message is the text that the caller is told: what was thrown, or why it was
   * ended. For a cluster function it is the string that its caller's promise is rejected with.
   */
  run(job: Job, host: Host): Promise<Outcome>;
  /** Ends all threads; runs that are under way are rejected. */
  close(): void;
}

/** What can be changed while the proxy runs: CONFIG SET redisgears_2.<name>. */
export interface Settings {
  /** remote-task-default-timeout, ms. */
  remoteTaskTimeout: number;
  /** lock-redis-timeout: ms that a run may go on without giving way (an await, the reply of a call). */
  lockTimeout: number;
}
