// What all clients of this proxy have to mind: a CLIENT PAUSE, and that somebody looks on with MONITOR.
//
// Each worker has one of these, and they tell each other through the main thread. As long as there is neither a
// pause nor a monitor nothing of it is on a command's way; when there is, every client gets a checkpoint
// (checkpoint.ts) before its commands.
//
//   worker 1: command -> line -> its own monitors
//                          '---> one batch a turn -> worker 2: its monitors
//
// Lines that another worker has not heard of yet count as unread output of its monitors: above `clientOutputLimit`
// they are cut off, as a slow monitor is anywhere. Nobody waits for a monitor.

import type { Arguments } from '../command/arguments.ts';
import { type Command, FLAG } from '../command/command.ts';
import { shownLine } from '../command/shown.ts';
import type { Settings } from '../functions/job.ts';
import type { Claims } from '../pubsub/roll.ts';
import type { Session } from './session.ts';

/** A client, as it is told of what is to be minded. */
export interface Attentive {
  readonly session: Session;
  /** What it has to mind has changed. */
  look(): void;
  /** Writes what is no reply. */
  tell(bytes: Buffer): void;
  /** As `tell`, to be heard even when replies are left out. */
  push(bytes: Buffer): void;
  close(reason?: string): void;
}

/** What one worker tells all others. */
export type Signal =
  /** No commands (`all`), or none that may write, before `until` (wall clock, ms). */
  | { readonly about: 'pause'; readonly until: number; readonly all: boolean }
  | { readonly about: 'unpause' }
  /** A worker has so many monitors now. */
  | { readonly about: 'monitors'; readonly worker: number; readonly count: number }
  /** Lines for monitors, one character per byte. */
  | { readonly about: 'lines'; readonly lines: string }
  /** Is there a client of this id? */
  | { readonly about: 'client'; readonly id: number }
  /** A message for a client of this id, one character per byte. */
  | { readonly about: 'push'; readonly id: number; readonly message: string }
  /** What users may do has changed. */
  | { readonly about: 'rights' }
  /** A setting of remote functions has changed. */
  | { readonly about: 'setting'; readonly key: keyof Settings; readonly value: number }
  /** Too much waits for the monitors. */
  | { readonly about: 'cut' }
  | Claims;

export interface AttentionOptions {
  /** Which worker this is. */
  readonly worker: number;
  readonly outputLimit: number;
  /** Tells all other workers; resolves when they have heard. */
  readonly signal: (signal: Signal) => Promise<unknown>;
}

const WRITES = FLAG.write | FLAG.mayReplicate;
const LONGEST_TIMER = 2147483647;

export class Attention {
  /** There is something that clients have to mind. */
  on = false;
  /** Somebody looks on, here or at another worker. */
  monitored = false;

  private readonly clients: ReadonlyMap<number, Attentive>;
  /** Those of functions, which are none of the proxy's. */
  private readonly inner = new Set<Attentive>();
  private readonly options: AttentionOptions;
  /** Wall clock, ms; 0 without a pause. */
  private until = 0;
  private all = false;
  private timer: NodeJS.Timeout | undefined = undefined;
  private readonly monitors = new Set<Attentive>();
  /** How many monitors other workers have. */
  private readonly far = new Map<number, number>();
  private batch = '';
  /** Bytes that other workers have not heard yet. */
  private unheard = 0;

  constructor(clients: ReadonlyMap<number, Attentive>, options: AttentionOptions) {
    this.clients = clients;
    this.options = options;
  }

  /** A client that is not among the proxy's minds the same from now on, until it leaves. */
  heed(client: Attentive): void {
    this.inner.add(client);
    client.look();
  }

  // ---- CLIENT PAUSE

  /** True when a client's command has to wait for the end of a pause. */
  postpones(command: Command, { monitoring, transaction }: Session): boolean {
    // Who looks on is never paused (a server takes it for a replica). UNPAUSE would else come too late by its nature.
    if (this.until === 0 || monitoring || command.name === 'client|unpause') return false;
    return (
      this.all || (command.flags & WRITES) !== 0 || (command.name === 'exec' && transaction?.reads === false)
    );
  }

  /** Pauses the clients of all workers. */
  async pause(until: number, all: boolean): Promise<void> {
    await this.options.signal({ about: 'pause', until, all });
    this.paused(until, all);
  }

  async unpause(): Promise<void> {
    await this.options.signal({ about: 'unpause' });
    this.unpaused();
  }

  /** As Redis 7: a second pause neither shortens the first nor lets pass what that one holds. */
  private paused(until: number, all: boolean): void {
    if (this.until === 0 && until <= Date.now()) return;
    this.all ||= all;
    this.until = Math.max(this.until, until);
    this.wait();
    this.refresh();
  }

  private unpaused(): void {
    clearTimeout(this.timer);
    this.until = 0;
    this.all = false;
    this.refresh();
  }

  private wait(): void {
    clearTimeout(this.timer);
    const left = this.until - Date.now();
    if (left <= 0) return this.unpaused();
    this.timer = setTimeout(() => this.wait(), Math.min(left, LONGEST_TIMER));
    this.timer.unref();
  }

  // ---- MONITOR

  /** A client looks on from now on. Resolves when every worker shows it what it does. */
  async join(client: Attentive): Promise<void> {
    this.monitors.add(client);
    client.session.monitoring = true;
    this.refresh();
    await this.countMonitors();
  }

  /** A client looks on no more, if it did, and heeds nothing. */
  leave(client: Attentive): void {
    this.inner.delete(client);
    if (!this.monitors.delete(client)) return;
    client.session.monitoring = false;
    this.refresh();
    this.countMonitors();
  }

  /** Shows a command that a client has given, to all who look on; after it has begun. */
  show(session: Session, command: Command, args: Arguments): void {
    const micros = Math.round((performance.timeOrigin + performance.now()) * 1000);
    const address = session.path === '' ? session.address : `unix:${session.path}`;
    const line = shownLine(command.name, args, micros, session.db, address);
    const bytes = Buffer.from(line, 'latin1');
    for (const monitor of this.monitors) monitor.tell(bytes);
    if (this.far.size === 0) return;
    if (this.batch === '') setImmediate(() => this.send());
    this.batch += line;
  }

  private send(): void {
    const { signal, outputLimit } = this.options;
    const lines = this.batch;
    this.batch = '';
    if (this.unheard + lines.length > outputLimit) {
      this.far.clear();
      this.refresh();
      signal({ about: 'cut' });
      return;
    }
    this.unheard += lines.length;
    signal({ about: 'lines', lines }).then(() => {
      this.unheard -= lines.length;
    });
  }

  private countMonitors(): Promise<unknown> {
    return this.options.signal(this.monitorsSignal);
  }

  // ---- among workers

  /** How many look on here, as others are told. */
  get monitorsSignal(): Signal {
    return { about: 'monitors', worker: this.options.worker, count: this.monitors.size };
  }

  /** The pause there is, as others are told. */
  get pauseSignal(): Signal | undefined {
    return this.until === 0 ? undefined : { about: 'pause', until: this.until, all: this.all };
  }

  /** What another worker has told. */
  hear(signal: Signal): void {
    switch (signal.about) {
      case 'pause':
        return this.paused(signal.until, signal.all);
      case 'unpause':
        return this.unpaused();
      case 'monitors':
        if (signal.count > 0) this.far.set(signal.worker, signal.count);
        else this.far.delete(signal.worker);
        return this.refresh();
      case 'lines': {
        const bytes = Buffer.from(signal.lines, 'latin1');
        for (const monitor of this.monitors) monitor.tell(bytes);
        return;
      }
      case 'cut':
        for (const monitor of [...this.monitors])
          monitor.close('a monitor reads too slowly (clientOutputLimit)');
    }
  }

  private refresh(): void {
    this.monitored = this.monitors.size > 0 || this.far.size > 0;
    this.on = this.monitored || this.until > 0;
    for (const client of this.clients.values()) client.look();
    for (const client of this.inner) client.look();
  }
}
