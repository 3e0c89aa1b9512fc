// What a library of remote functions is, wherever it is kept: in the cluster (store.ts), in a folder (folder.ts),
// in a worker (shelf.ts), on a thread of its own (sandbox.ts). Plain data, as it travels between threads.

/** Something that TFCALL calls. */
export interface RegisteredFunction {
  readonly name: string;
  readonly isAsync: boolean;
  /** `no-writes`, `allow-oom`, `raw-arguments`. */
  readonly flags: readonly string[];
  readonly description: string | null;
}

/** A command of its own, called by its name. Positions count as in COMMAND: the name is 0. */
export interface RegisteredCommand {
  /** As it was registered. It is looked up in any case. */
  readonly name: string;
  /** Counts the name; negative means at least. */
  readonly arity: number;
  readonly firstKey: number;
  readonly lastKey: number;
  readonly keyStep: number;
  /** In Redis's words: `readonly`, `write`, `fast` ... */
  readonly flags: readonly string[];
}

/** What a library has registered while it was loaded, each in the order of registration. */
export interface Registrations {
  readonly functions: readonly RegisteredFunction[];
  /** To be run by runOnKey and runOnShards. */
  readonly clusterFunctions: readonly string[];
  /** For RMR's `js:<library>.<name>`. */
  readonly reducers: readonly string[];
  readonly commands: readonly RegisteredCommand[];
}

export interface Library {
  readonly name: string;
  /** `1.0` or `1.1`. */
  readonly apiVersion: string;
  /** All of it, the header line included. */
  readonly code: string;
  /** The JSON text of an object; undefined: none was given. */
  readonly config: string | undefined;
  /** Who has loaded it. */
  readonly user: string;
  readonly registrations: Registrations;
  /** Of no other loading, of whatever library: what is compiled is kept by it. */
  readonly version: string;
  /** It is in the cluster, or in the folder of this proxy. */
  readonly origin: 'cluster' | 'folder';
}
