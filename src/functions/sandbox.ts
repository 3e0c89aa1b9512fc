// One library on one thread: a QuickJS of its own, in a WebAssembly instance of its own, so that whatever it does to
// its memory it does to itself. It has the plain language and the global `redis` (prelude.ts), and nothing else.
//
// It is entered for a slice at a time: to load, to start a run, to bring an answer. A slice ends when nothing is left
// that could run at once, so what runs in it was set off by one run, and is counted as that run's: CPU time of this
// thread, begun anew after each reply to a call. A run that exceeds it is ended, by an exception that the library
// can't catch. What survives even that, or runs out of memory, ends the sandbox with all its runs.

import { decode } from '../resp/value.ts';
import { Asks, INVALID, MAX_ASKS, settlement } from './asks.ts';
import { Engine, type HostFunction } from './engine.ts';
import type { Registrations } from './library.ts';
import {
  asBuffer,
  type Carrier,
  encodeReply,
  fromCarrier,
  limited,
  sentToCarrier,
  toCarrier,
  toSent,
  toWords,
} from './marshal.ts';
import { PRELUDE } from './prelude.ts';
import {
  type Answer,
  type Ending,
  type Level,
  type Question,
  type Source,
  type Task,
  TERMINATED,
} from './protocol.ts';

export interface Limits {
  /** Bytes. */
  readonly memory: number;
  readonly maxReplyBytes: number;
}

/** Where a sandbox says what its runs ask, and how they end. */
export interface Outside {
  /** Waits. */
  call(run: number, words: readonly Uint8Array[]): Answer;
  ask(run: number, ask: number, question: Question): void;
  log(run: number, level: Level, text: string): void;
  ended(run: number, ending: Ending): void;
  over(run: number): void;
  /** The sandbox is of no more use. */
  died(): void;
}

/** ms of CPU that may follow after a run has been ended, for what waited on it. */
const AFTERMATH = 20;
/** Lines of a log in one slice; more are not written. */
const MAX_LOGS = 100;

interface Run {
  readonly task: Task;
  readonly asks: Asks;
  ended: boolean;
}

export class Sandbox {
  private readonly source: Source;
  private readonly limits: Limits;
  private readonly outside: Outside;
  private engine!: Engine;
  /** Once it is loaded. */
  registrations: Registrations = { functions: [], clusterFunctions: [], reducers: [], commands: [] };
  private readonly runs = new Map<number, Run>();
  /** Buffers on their way out. */
  private kept: Uint8Array[] = [];
  private keptBytes = 0;
  /** Buffers on their way in. */
  private given: readonly Uint8Array[] = [];
  /** The run whose slice it is; 0: of the library itself. */
  private current = 0;
  private lockTimeout = 0;
  /** In ms of this thread's CPU time. */
  private deadline = Number.POSITIVE_INFINITY;
  private interrupted = false;
  private exhausted = false;
  private logs = 0;
  /** It is of no more use. */
  dead = false;

  /** Its language alone: the library is loaded by `load`. */
  static async open(compiled: WebAssembly.Module, source: Source, limits: Limits, outside: Outside) {
    const sandbox = new Sandbox(source, limits, outside);
    sandbox.engine = await Engine.open(compiled, limits.memory, () => sandbox.isLate());
    sandbox.engine.prepare(PRELUDE, sandbox.host, JSON.stringify(sandbox.about()));
    return sandbox;
  }

  private constructor(source: Source, limits: Limits, outside: Outside) {
    this.source = source;
    this.limits = limits;
    this.outside = outside;
  }

  /**
   * Runs the top level of the library, for at most so many ms.
   * @throws an Error with the text for TFUNCTION LOAD
   */
  load(lockTimeout: number): void {
    const { code, name } = this.source;
    let failure = '';
    let registered = '';
    this.slice(0, lockTimeout, () => {
      const thrown = this.engine.evaluate(code, name);
      if (thrown) failure = toFailure(thrown, () => !this.engine.compiles(code, name));
      registered = this.engine.enter('loaded');
    });
    if (failure && !this.dead) throw new Error(failure);
    if (this.dead || !registered) throw new Error(`Failed loading library: ${TERMINATED}`);
    const registrations = JSON.parse(registered) as Registrations | string;
    if (typeof registrations === 'string') throw new Error(registrations);
    this.registrations = registrations;
  }

  start(id: number, task: Task, lockTimeout: number): void {
    const buffers: Uint8Array[] = [];
    this.runs.set(id, { task, asks: new Asks(this.limits.maxReplyBytes), ended: false });
    let args: string;
    try {
      args = JSON.stringify(this.toArguments(task, buffers));
    } catch (error) {
      this.end(id, { error: (error as Error).message });
      this.leave(id);
      return;
    }
    this.given = buffers;
    const blockAllowed = task.kind !== 'function' || task.blockAllowed;
    this.slice(id, lockTimeout, () =>
      this.engine.enter('start', id, task.kind, task.name, args, blockAllowed),
    );
  }

  answer(id: number, askId: number, answer: Answer, lockTimeout: number): void {
    const ask = this.runs.get(id)?.asks.take(askId);
    if (!ask) return;
    this.slice(id, lockTimeout, () => {
      for (const [i, each] of ask.ids.entries()) {
        const { how, carrier, buffers } = settlement(answer, i, ask.kind, ask.raw[i] === true);
        this.given = buffers;
        this.engine.enter('settle', id, each, how, JSON.stringify(carrier));
      }
    });
  }

  /** Nobody waits for the run any more. */
  drop(id: number): void {
    if (!this.runs.delete(id) || this.dead) return;
    this.slice(id, AFTERMATH, () => this.engine.enter('drop', id));
  }

  private slice(run: number, lockTimeout: number, body: () => void): void {
    if (this.dead) return;
    this.current = run;
    this.lockTimeout = lockTimeout;
    this.logs = 0;
    this.interrupted = false;
    this.deadline = cpu() + lockTimeout;
    try {
      body();
      this.runJobs();
      if (this.interrupted && run !== 0) this.terminate(run);
    } catch {
      // The engine itself has given up: it is in no state to go on.
      this.exhausted = true;
    }
    this.kept = [];
    this.keptBytes = 0;
    this.given = [];
    if (this.exhausted || this.interrupted) this.die();
  }

  private runJobs(): void {
    while (!this.interrupted && !this.exhausted && this.engine.hasJobs) {
      this.engine.runJob();
      this.isLate();
    }
  }

  /** Ends a run that went on for too long, and lets those that wait on it in here know. */
  private terminate(id: number): void {
    this.end(id, { error: TERMINATED });
    this.leave(id);
    this.interrupted = false;
    this.deadline = cpu() + AFTERMATH;
    this.engine.enter('drop', id);
    this.runJobs();
  }

  private die(): void {
    this.dead = true;
    this.outside.died();
    for (const id of [...this.runs.keys()]) {
      this.end(id, { error: TERMINATED });
      this.leave(id);
    }
  }

  private isLate(): boolean {
    if (cpu() > this.deadline) this.interrupted = true;
    return this.interrupted;
  }

  private end(id: number, ending: Ending): void {
    const run = this.runs.get(id);
    if (!run || run.ended) return;
    run.ended = true;
    this.outside.ended(id, ending);
  }

  private leave(id: number): void {
    if (this.runs.delete(id)) this.outside.over(id);
  }

  // What the prelude calls. All of it is checked here again, as it may come from the library.

  private readonly host: Readonly<Record<string, HostFunction>> = {
    keep: (bytes) => this.keep(bytes as Uint8Array),
    take: (index) => this.given[index as number] ?? new Uint8Array(),
    call: (run, raw, json) => this.call(run as number, raw === true, json as string),
    ask: (run, json) => this.ask(run as number, json as string),
    ended: (run, how, json) => this.hasEnded(run as number, how as string, json as string),
    over: (run) => {
      this.leave(run as number);
      return '';
    },
    log: (level, text) => {
      if (this.logs++ < MAX_LOGS) this.outside.log(this.current, level as Level, text as string);
      return '';
    },
  };

  /** The place of these bytes, or -1: they are too many. */
  private keep(bytes: Uint8Array): number {
    this.keptBytes += bytes.length;
    if (this.keptBytes > this.limits.maxReplyBytes) return -1;
    return this.kept.push(bytes) - 1;
  }

  private takeKept(): Uint8Array[] {
    const { kept } = this;
    this.kept = [];
    this.keptBytes = 0;
    return kept;
  }

  private call(id: number, raw: boolean, json: string): string {
    try {
      const words = toWords(JSON.parse(json), this.takeKept());
      const answer = this.runs.has(id) ? this.outside.call(id, words) : ({ gone: true } as const);
      if (!('gone' in answer)) this.deadline = cpu() + this.lockTimeout;
      const { how, carrier, buffers } = settlement(answer, 0, 'calls', raw);
      this.given = buffers;
      return JSON.stringify(how === 'value' ? carrier : ['-', carrier]);
    } catch (error) {
      return JSON.stringify(['-', (error as Error).message]);
    }
  }

  /** Empty, or why it is refused. */
  private ask(id: number, json: string): string {
    const run = this.runs.get(id);
    if (!run) return INVALID;
    try {
      const { ask, question } = run.asks.add(JSON.parse(json), this.takeKept());
      this.outside.ask(id, ask, question);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  }

  private hasEnded(id: number, how: string, json: string): string {
    const kept = this.takeKept();
    const task = this.runs.get(id)?.task;
    if (how === 'exhausted') {
      this.exhausted = true;
      this.end(id, { error: TERMINATED });
    } else if (task) this.end(id, this.toEnding(task, how, json, kept));
    return '';
  }

  private toEnding(task: Task, how: string, json: string, kept: readonly Uint8Array[]): Ending {
    const { maxReplyBytes } = this.limits;
    try {
      const value = JSON.parse(json) as unknown;
      if (how === 'error') return { error: String(value) };
      if (task.kind !== 'cluster')
        return { reply: encodeReply(task.resp, fromCarrier(value, kept), maxReplyBytes) };
      return { result: limited(toSent(value, kept), maxReplyBytes) };
    } catch (error) {
      return { error: (error as Error).message };
    }
  }

  /** The arguments of the function, behind its client. @throws where a text is none */
  private toArguments(task: Task, buffers: Uint8Array[]): Carrier {
    switch (task.kind) {
      case 'cluster':
        return ['a', ...task.args.map((arg) => sentToCarrier(arg, buffers))];
      case 'reducer': {
        const replies = task.replies.map((reply) => toCarrier(decode(asBuffer(reply)), 'text', buffers));
        return ['a', ['a', ...replies], ['a', ...task.errors], ['a', ...task.args]];
      }
    }
    const as = task.kind === 'function' && this.takesRaw(task.name) ? 'raw' : 'text';
    try {
      return toCarrier(task.args.map(asBuffer), as, buffers);
    } catch {
      throw new Error('Can not convert argument to string');
    }
  }

  private takesRaw(name: string): boolean {
    const found = this.registrations.functions.find((one) => one.name === name);
    return found?.flags.includes('raw-arguments') === true;
  }

  private about(): object {
    const { name, apiVersion, config } = this.source;
    return {
      name,
      apiVersion,
      config: config === undefined ? {} : (JSON.parse(config) as unknown),
      maxReplyBytes: this.limits.maxReplyBytes,
      maxAsks: MAX_ASKS,
    };
  }
}

/** ms of CPU that this thread has used. */
export function cpu(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Of what `explain` has told. A library can throw a SyntaxError that is not its own. */
function toFailure(thrown: string, isMalformed: () => boolean): string {
  const [isSyntax, text, place] = JSON.parse(thrown) as [boolean, string, string];
  if (isSyntax && isMalformed()) return `Failed to compile library: ${text}${place}`;
  return `Failed loading library: ${text}`;
}
