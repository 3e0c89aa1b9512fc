// The libraries of `functions.dir`: each *.js of a folder is one, as from a ConfigMap. Runs in the main thread. Cold.
//
// The folder is looked at every second, for a ConfigMap's files are links to others and nobody tells of them. What
// counts of a file is when and how large it was written, and by these it is known: it is read only when they change.
// A file that can't be used costs one line of the log, and what was loaded from it before stays.

import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../log.ts';
import { parseHeader } from './header.ts';
import type { Library, Registrations } from './library.ts';

/** Between two looks, ms. */
const EVERY = 1000;

export interface FolderOptions {
  readonly dir: string;
  /** Bytes of one library. */
  readonly maxCode: number;
  /** Who stands in TFUNCTION LIST as the one who has loaded it. */
  readonly user: string;
  readonly log: Log;
  /** @throws (rejects) an Error with the reason why it can't be loaded */
  inspect(source: Pick<Library, 'name' | 'apiVersion' | 'code' | 'config'>): Promise<Registrations>;
  /** @throws an Error with the reason why it can't be beside the others of the folder */
  check(library: Library, others: readonly Library[]): void;
  /** There are other libraries. */
  changed(): void;
}

interface File {
  /** What it looked like when it was last read. */
  readonly stamp: string;
  /** As it was when it last could be used. */
  readonly library: Library | undefined;
}

export class Folder {
  private readonly options: FolderOptions;
  private files: ReadonlyMap<string, File> = new Map();
  private timer: NodeJS.Timeout | undefined;
  private closed = false;
  private missing = false;

  constructor(options: FolderOptions) {
    this.options = options;
  }

  /** Reads the folder, and goes on by itself. */
  async open(): Promise<void> {
    await this.look();
    if (this.closed) return;
    this.timer = setTimeout(() => void this.open(), EVERY).unref();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  /** Of two files with one library the first counts. */
  libraries(): Library[] {
    const byName = new Map<string, Library>();
    for (const { library } of this.files.values()) {
      if (library !== undefined && !byName.has(library.name)) byName.set(library.name, library);
    }
    return [...byName.values()];
  }

  private async look(): Promise<void> {
    const names = await this.names();
    if (names === undefined) return;
    const before = this.files;
    const files = new Map<string, File>();
    for (const name of names) files.set(name, await this.read(name, before.get(name), files));
    this.files = files;
    const loaded = (all: ReadonlyMap<string, File>) =>
      [...all.values()].map(({ library }) => library?.version);
    if (String(loaded(files)) !== String(loaded(before))) this.options.changed();
  }

  /** Of its libraries' files, in order; undefined while the folder can't be read, which leaves all as it was. */
  private async names(): Promise<string[] | undefined> {
    const { dir, log } = this.options;
    try {
      const names = (await readdir(dir)).filter((name) => name.endsWith('.js')).sort();
      this.missing = false;
      return names;
    } catch (error) {
      if (!this.missing)
        log.error({ dir, reason: (error as Error).message }, 'functions.dir can not be read');
      this.missing = true;
      return undefined;
    }
  }

  private async read(
    name: string,
    before: File | undefined,
    others: ReadonlyMap<string, File>,
  ): Promise<File> {
    const { dir, log, check } = this.options;
    const path = join(dir, name);
    let stamp = '';
    try {
      const { mtimeMs, size, ino } = await stat(path);
      stamp = `${mtimeMs} ${size} ${ino}`;
      if (stamp === before?.stamp) return before;
      const library = await this.load(path, size);
      if (library.version === before?.library?.version) return { stamp, library: before.library };
      const twin = [...others].find(([, file]) => file.library?.name === library.name);
      if (twin !== undefined) throw new Error(`library ${library.name} is in ${twin[0]} already`);
      check(
        library,
        [...others.values()].flatMap((file) => file.library ?? []),
      );
      log.info({ file: path, library: library.name }, 'a library of remote functions was read');
      return { stamp, library };
    } catch (error) {
      const reason = (error as Error).message;
      if (stamp !== before?.stamp)
        log.error({ file: path, reason }, 'a file of functions.dir is not used as it is');
      return { stamp, library: before?.library };
    }
  }

  private async load(path: string, size: number): Promise<Library> {
    const { maxCode, user, inspect } = this.options;
    if (size > maxCode) throw new Error(`it is longer than functions.maxCode (${maxCode})`);
    const code = await readFile(path, 'utf8');
    const { name, apiVersion } = parseHeader(code);
    const config = undefined;
    const registrations = await inspect({ name, apiVersion, code, config });
    const version = `folder_${createHash('sha1').update(code).digest('hex')}`;
    return { name, apiVersion, code, config, user, registrations, version, origin: 'folder' };
  }
}
