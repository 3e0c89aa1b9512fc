// The remote functions of one worker: which libraries there are, and what runs them. The main thread keeps the
// libraries (store.ts) and gives all workers the same.

import type { Runner, Settings } from './job.ts';
import type { Library, RegisteredCommand } from './library.ts';

/** What the main thread does for the workers. Both resolve when all primaries have it, and all workers of this proxy. */
export interface Libraries {
  /**
   * Keeps a library.
   * @throws (rejects) an Error with the text for the client, without `ERR`: `Library X already exists.` and such
   */
  load(library: Omit<Library, 'version' | 'origin'>, replace: boolean): Promise<void>;
  /** @throws (rejects) as `load`: `library does not exists` */
  delete(name: string): Promise<void>;
  /** Somebody has emptied the servers of functions: has the libraries put back. */
  restore(): Promise<void>;
}

export class Functions {
  readonly runner: Runner;
  readonly libraries: Libraries;
  readonly settings: Settings;
  private byName: ReadonlyMap<string, Library> = new Map();
  private commands: ReadonlyMap<string, { library: Library; command: RegisteredCommand }> = new Map();
  /** How many libraries of theirs, with a function each, the servers have for the proxy's sake: nobody is told. */
  carriers = 0;

  constructor(runner: Runner, libraries: Libraries, settings: Settings) {
    this.runner = runner;
    this.libraries = libraries;
    this.settings = settings;
  }

  /** From now on there are these, and no others. */
  adopt(libraries: readonly Library[], carriers = 0): void {
    this.carriers = carriers;
    const sorted = [...libraries].sort((a, b) => (a.name < b.name ? -1 : 1));
    this.byName = new Map(sorted.map((library) => [library.name, library]));
    this.commands = new Map(
      sorted.flatMap((library) =>
        library.registrations.commands.map(
          (command) => [command.name.toLowerCase(), { library, command }] as const,
        ),
      ),
    );
  }

  /** In the order of their names. */
  all(): Library[] {
    return [...this.byName.values()];
  }

  library(name: string): Library | undefined {
    return this.byName.get(name);
  }

  /** A command that a library has registered, by its name in lower case. */
  command(name: string): { readonly library: Library; readonly command: RegisteredCommand } | undefined {
    return this.commands.get(name);
  }
}
