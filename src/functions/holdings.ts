// All libraries of this proxy: those in the cluster (store.ts) and those in its folder (folder.ts). Runs in the main
// thread, which keeps them for the workers. Cold.
//
// A library in the folder is the operator's: it stands before one of the same name in the cluster, and clients can't
// change it.

import type { Topology } from '../cluster/topology.ts';
import type { CommandTable } from '../command/table.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { conflictOf } from './conflict.ts';
import { Folder } from './folder.ts';
import type { Runner } from './job.ts';
import type { Library, Registrations } from './library.ts';
import { Pool } from './pool.ts';
import { Store } from './store.ts';

/** What a worker wants to be done for a client. */
export type Keep =
  | {
      readonly about: 'load';
      readonly library: Omit<Library, 'version' | 'origin'>;
      readonly replace: boolean;
    }
  | { readonly about: 'delete'; readonly name: string }
  | { readonly about: 'restore' };

/** What the workers are given. */
export interface Held {
  readonly libraries: readonly Library[];
  /** How many libraries and functions the servers have for the proxy's sake. */
  readonly carriers: number;
}

export interface HoldingsOptions {
  readonly config: Config;
  readonly table: CommandTable;
  /** Of this process alone: letters and digits. */
  readonly id: string;
  readonly log: Log;
  /** Gives all workers what is held now; resolves when they have it. */
  spread(): Promise<unknown>;
  /** The map seems to be wrong. */
  stale(): void;
}

export class Holdings {
  private readonly options: HoldingsOptions;
  private readonly store: Store;
  private readonly folder: Folder | undefined;
  private readonly shadowed = new Set<string>();

  constructor(topology: Topology, options: HoldingsOptions) {
    const { config, id, log } = options;
    const { username, password, link, functions, requestTimeout } = config;
    this.options = options;
    this.store = new Store(topology, {
      username,
      password,
      timeout: link.connectTimeout,
      patience: requestTimeout,
      id,
      log,
      changed: () => options.spread(),
      stale: () => options.stale(),
    });
    if (functions.dir === '') return;
    this.folder = new Folder({
      dir: functions.dir,
      maxCode: functions.maxCode,
      user: username === '' ? 'default' : username,
      log,
      inspect: (source) => this.inspect(source),
      check: (library, others) => this.mustFit(library, [...others, ...this.store.libraries()]),
      changed: () => void options.spread(),
    });
  }

  async open(): Promise<void> {
    await this.store.open();
    await this.folder?.open();
  }

  follow(topology: Topology): void {
    this.store.follow(topology);
  }

  close(): void {
    this.store.close();
    this.folder?.close();
  }

  held(): Held {
    const own = this.folder?.libraries() ?? [];
    const names = new Set(own.map(({ name }) => name));
    const others = this.store.libraries().filter(({ name }) => !names.has(name));
    for (const { name } of this.store.libraries()) if (names.has(name)) this.mention(name);
    return { libraries: [...own, ...others], carriers: this.store.carriers };
  }

  /** @throws (rejects) an Error with the text for the client, without `ERR` */
  async keep(what: Keep): Promise<void> {
    if (what.about === 'restore') return this.store.restore();
    const { name } = what.about === 'load' ? what.library : what;
    if (this.folder?.libraries().some((library) => library.name === name))
      throw new Error(`slotless: library ${name} is in functions.dir of the proxy, and changes only there`);
    if (what.about === 'delete') return this.store.delete(name);
    return this.store.load(what.library, () => {
      const others = this.held().libraries;
      if (!what.replace && others.some((library) => library.name === name))
        throw new Error(`Library ${name} already exists.`);
      const { libraries: most } = this.options.config.functions;
      if (this.store.carriers >= most && !this.store.knows(name))
        throw new Error(`slotless: the limit of the setting 'functions.libraries' is passed (${most})`);
      this.mustFit(what.library, others);
    });
  }

  private mustFit(
    { name, registrations }: Pick<Library, 'name' | 'registrations'>,
    all: readonly Library[],
  ): void {
    const others = all.filter((library) => library.name !== name);
    const { table } = this.options;
    const conflict = conflictOf(registrations, others, (command) => table.byName(command) !== undefined);
    if (conflict !== undefined) throw new Error(conflict);
  }

  /** On threads of its own, which end with it: files change seldom. */
  private async inspect(source: Parameters<Runner['inspect']>[0]): Promise<Registrations> {
    const { functions } = this.options.config;
    const pool: Runner = new Pool({ ...functions, lockTimeout: () => functions.lockTimeout });
    try {
      return await pool.inspect(source);
    } finally {
      pool.close();
    }
  }

  private mention(name: string): void {
    if (this.shadowed.has(name)) return;
    this.shadowed.add(name);
    this.options.log.warn({ library: name }, 'a library in the cluster stands behind that of functions.dir');
  }
}
