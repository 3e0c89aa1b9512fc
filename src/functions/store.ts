// The libraries that are in the cluster: what this proxy knows of them, and how all come to know the same. Runs in
// the main thread. Cold.
//
//   every 500 ms       ask one primary, the next each time --> newer there: learn it, and tell the workers
//                                                          --> older there, or missing: put it right
//   the map changed    ask all of them
//   LOAD, DELETE       under the lock (lock.ts): ask all, decide, write to all
//
// Every primary has all records (record.ts), so that whichever is asked knows of all changes, and one that has
// joined, came back empty, or was flushed by somebody is given again what it lacks. A change that some primaries
// have not taken is undone by a newer record, which wins wherever the change has arrived, now or later.

import { type Control, Controls } from '../cluster/control.ts';
import { NO_SHARD, type NodeInfo, type Topology } from '../cluster/topology.ts';
import type { Log } from '../log.ts';
import type { Library } from './library.ts';
import { withLock } from './lock.ts';
import { isForgotten, isNewer, type LibraryRecord, versionAfter } from './record.ts';
import { dropAt, putAt, recordAt, versionsAt } from './shard.ts';

/** Between two questions, ms. */
const EVERY = 500;
/** A question that is put again and again keeps its connection for so long, ms. */
const KEEP = 10_000;
/** A change logs in, asks, writes, and takes back; each may take as long as a reply may. */
const STEPS = 4;

export interface StoreOptions {
  /** The proxy's own user, as the configuration has it. */
  readonly username: string;
  readonly password: string;
  /** For connecting and for each reply of a node, ms. */
  readonly timeout: number;
  /** How long a change waits for those of other proxies, ms. */
  readonly patience: number;
  /** Of this proxy alone: letters and digits. */
  readonly id: string;
  readonly log: Log;
  /** There are other libraries; resolves when all workers have them. */
  changed(): Promise<unknown>;
  /** The map seems to be wrong. */
  stale(): void;
}

export class Store {
  private readonly options: StoreOptions;
  private readonly controls = new Controls(KEEP);
  private readonly records = new Map<string, LibraryRecord>();
  /** Primaries that are being asked, by their address. */
  private readonly asking = new Set<string>();
  private topology: Topology;
  private timer: NodeJS.Timeout | undefined;
  private turn = 0;
  private changes = 0;
  private last = '';
  private queue: Promise<unknown> = Promise.resolve();
  private troubled = false;
  /** The workers have not been told of all there is. */
  private unsaid = false;
  private told: Promise<unknown> = Promise.resolve();

  constructor(topology: Topology, options: StoreOptions) {
    this.topology = topology;
    this.options = options;
  }

  /** Asks all primaries once, and goes on by itself. */
  async open(): Promise<void> {
    await this.restore();
    this.timer = setInterval(() => this.next(), EVERY).unref();
  }

  /** The cluster has changed: somebody may have joined, or have lost what it had. */
  follow(topology: Topology): void {
    this.topology = topology;
    this.controls.keepOnly(this.primaries);
    void this.restore();
  }

  close(): void {
    clearInterval(this.timer);
    this.controls.close();
  }

  libraries(): Library[] {
    return [...this.records.values()].flatMap(({ library }) => library ?? []);
  }

  /** How many functions and libraries of the servers carry what is known. */
  get carriers(): number {
    return this.records.size;
  }

  /** Whether a library is there, or was until a short while ago. */
  knows(name: string): boolean {
    return this.records.has(name);
  }

  // ---- changes

  /**
   * Puts a library in the cluster.
   * @param check throws an Error for the client where it may not be. It is asked when all primaries have been.
   */
  load(library: Omit<Library, 'version' | 'origin'>, check: () => void): Promise<void> {
    return this.change(library.name, (version) => {
      check();
      return { name: library.name, version, library: { ...library, version, origin: 'cluster' } };
    });
  }

  delete(name: string): Promise<void> {
    return this.change(name, (version) => {
      if (this.records.get(name)?.library === undefined) throw new Error('library does not exists');
      return { name, version, library: undefined };
    });
  }

  /** Gives all primaries what they lack, as far as they can be asked. */
  async restore(): Promise<void> {
    await Promise.all(this.primaries.map((node) => this.look(node)));
  }

  /** One change after the other; each knows all that was before. */
  private change(name: string, decide: (version: string) => LibraryRecord): Promise<void> {
    const work = async (inTime: () => boolean) => {
      await this.ofAll((control) => this.exchange(control));
      const record = decide(this.nextVersion());
      if (!inTime()) throw new Error('slotless: the nodes are too slow; nothing was changed');
      await this.write(record, this.records.get(name));
    };
    const done = this.queue.then(() => this.locked(work)).finally(() => this.tell());
    this.queue = done.catch(() => {});
    return done;
  }

  private locked(work: (inTime: () => boolean) => Promise<void>): Promise<void> {
    const { id, timeout, patience } = this.options;
    const arbiter = this.topology.shards[this.topology.slots[0] ?? NO_SHARD]?.primary;
    if (arbiter === undefined) return Promise.reject(new Error('slotless: slot 0 has no owner'));
    const holder = `${id}${this.changes++}`;
    const failure = (error: Error) => unchanged(this.reasonOf(arbiter, error));
    const options = { holder, most: STEPS * timeout, patience, failure };
    return this.at(arbiter, (control) => withLock(control, options, work));
  }

  private async write(record: LibraryRecord, before: LibraryRecord | undefined): Promise<void> {
    try {
      await this.ofAll((control) => putAt(control, record));
      this.take(record);
    } catch (error) {
      const version = this.nextVersion();
      const library = before?.library && { ...before.library, version };
      this.take({ name: record.name, version, library });
      await this.restore();
      throw error;
    }
  }

  private nextVersion(): string {
    this.last = versionAfter(this.last, Date.now(), this.options.id);
    return this.last;
  }

  // ---- what primaries have

  private get primaries(): NodeInfo[] {
    return this.topology.shards.map(({ primary }) => primary);
  }

  private next(): void {
    const { primaries } = this;
    const node = primaries[this.turn++ % primaries.length];
    if (node !== undefined && !this.asking.has(addressOf(node))) void this.look(node);
  }

  /** Exchanges news with a primary, if it can be asked. */
  private async look(node: NodeInfo): Promise<void> {
    const address = addressOf(node);
    this.asking.add(address);
    try {
      await this.at(node, (control) => this.exchange(control));
      this.troubled = false;
    } catch (error) {
      this.complain(this.reasonOf(node, error as Error));
    } finally {
      this.asking.delete(address);
    }
    await this.tell();
  }

  private async exchange(control: Control): Promise<void> {
    const there = await versionsAt(control);
    await this.learn(control, there);
    for (const record of this.records.values()) {
      if (isForgotten(record, Date.now())) this.records.delete(record.name);
      else if ((there.get(record.name) ?? '') < record.version) await putAt(control, record);
    }
  }

  private async learn(control: Control, there: ReadonlyMap<string, string>): Promise<void> {
    for (const [name, version] of there) {
      if (!isNewer(version, this.records.get(name))) continue;
      const record = await recordAt(control, name);
      if (record === undefined || !isNewer(record.version, this.records.get(name))) continue;
      if (isForgotten(record, Date.now())) await dropAt(control, record);
      else this.take(record);
    }
  }

  private take(record: LibraryRecord): void {
    this.records.set(record.name, record);
    if (record.version > this.last) this.last = record.version;
    this.unsaid = true;
  }

  /** Resolves when the workers have all that is known. */
  private tell(): Promise<unknown> {
    if (this.unsaid) this.told = this.options.changed();
    this.unsaid = false;
    return this.told;
  }

  // ---- asking

  /** Of all primaries at once. @throws an Error that names those that failed */
  private async ofAll(work: (control: Control) => Promise<unknown>): Promise<void> {
    const failed = await Promise.all(
      this.primaries.map(async (node) => {
        try {
          await this.at(node, work);
          return [];
        } catch (error) {
          return [this.reasonOf(node, error as Error)];
        }
      }),
    );
    if (failed.flat().length > 0) throw unchanged(failed.flat().join('; '));
  }

  private async at<T>({ host, port }: NodeInfo, work: (control: Control) => Promise<T>): Promise<T> {
    const { username, password, timeout } = this.options;
    try {
      return await this.controls.with({ host, port, username, password, timeout }, true, work);
    } finally {
      // It may have left the cluster meanwhile.
      this.controls.keepOnly(this.primaries);
    }
  }

  /** What is told of a node that could not be asked. A map may be wrong that has it. */
  private reasonOf(node: NodeInfo, { name, message }: Error): string {
    if (name !== 'ReplyError' || message.startsWith('READONLY ')) this.options.stale();
    return `node ${addressOf(node)}: ${message}`;
  }

  /** One line when nobody can keep libraries here, until somebody can. */
  private complain(reason: string): void {
    if (this.troubled || !/^node \S+: (NOPERM|ERR unknown command)/.test(reason)) return;
    this.troubled = true;
    this.options.log.warn(
      { reason },
      'libraries of remote functions can not be kept in the cluster: there are those of functions.dir alone',
    );
  }
}

function unchanged(why: string): Error {
  return new Error(`slotless: nothing was changed: ${why}`);
}

function addressOf({ host, port }: NodeInfo): string {
  return `${host}:${port}`;
}
