// A function thread: the sandboxes of the libraries that have run on it, and the orders of its worker, a slice each.
//
// It has a low priority, so that the data path comes first when there is too much to do; not the lowest, which on a
// machine that is busy for long is next to none. While a function waits in `call`, the whole thread sleeps: the worker
// answers, and rings.

import { readFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Library } from './library.ts';
import type {
  Answer,
  Ending,
  Level,
  News,
  Order,
  Question,
  Report,
  Source,
  ThreadStart,
} from './protocol.ts';
import { cpu, type Outside, Sandbox } from './sandbox.ts';

/** A tenth of what a worker has, where they compete. */
const NICENESS = 10;
/** Bytes. */
const LONG = 64 * 1024;
/** The top level of a library may take so many times as long as a function, up to so many ms. */
const LOADING_TIMES = 10;
const LOADING_MOST = 5000;

class Thread implements Outside {
  private readonly start: ThreadStart;
  private readonly post: (report: Report, moved: ArrayBuffer[]) => void;
  private readonly compiled = compile();
  /** By their versions, as long as the worker wants them kept. */
  private readonly libraries = new Map<string, Library>();
  private readonly sandboxes = new Map<string, Sandbox>();
  /** Where each run is, with the ms that it may go on. */
  private readonly runs = new Map<number, { readonly sandbox: Sandbox; readonly lockTimeout: number }>();
  private news: News[] = [];
  private worn = false;
  private last: Promise<void> = Promise.resolve();

  constructor(start: ThreadStart, post: (report: Report, moved: ArrayBuffer[]) => void) {
    this.start = start;
    this.post = post;
  }

  /** Tells when it can be given orders. */
  async begin(): Promise<void> {
    await this.compiled;
    this.post({ type: 'ready', ...this.soFar() }, []);
  }

  /** One order after the other. */
  take(order: Order): void {
    this.last = this.last.then(() => this.obey(order));
  }

  call(run: number, words: readonly Uint8Array[]): Answer {
    const { bell, port } = this.start;
    const rung = Atomics.load(bell, 0);
    this.post({ type: 'call', run, words, ...this.soFar() }, []);
    for (;;) {
      Atomics.wait(bell, 0, rung);
      const received = receiveMessageOnPort(port) as { message: Answer } | undefined;
      if (received) return received.message;
    }
  }

  ask(run: number, ask: number, question: Question): void {
    this.news.push({ type: 'ask', run, ask, question });
  }

  log(run: number, level: Level, text: string): void {
    this.news.push({ type: 'log', run, level, text });
  }

  ended(run: number, ending: Ending): void {
    this.news.push({ type: 'ended', run, ending });
  }

  over(run: number): void {
    this.runs.delete(run);
    this.news.push({ type: 'over', run });
  }

  died(): void {
    this.worn = true;
  }

  private soFar(): { used: number; news: News[] } {
    const { news } = this;
    this.news = [];
    return { used: cpu(), news };
  }

  private async obey(order: Order): Promise<void> {
    try {
      if (order.type === 'start') await this.startRun(order);
      else if (order.type === 'inspect') await this.inspect(order);
      else this.goOn(order);
    } catch (error) {
      this.ended(order.run, { error: (error as Error).message });
      this.over(order.run);
    }
    const report: Report = { type: 'idle', worn: this.worn, ...this.soFar() };
    this.post(report, report.news.flatMap(longReply));
  }

  private async startRun(order: Order & { type: 'start' }): Promise<void> {
    const { run, task, version, library, forget, lockTimeout } = order;
    if (library) this.libraries.set(version, library);
    if (forget !== undefined) this.forget(forget);
    const sandbox = await this.sandboxOf(version, lockTimeout);
    this.runs.set(run, { sandbox, lockTimeout });
    sandbox.start(run, task, lockTimeout);
  }

  private async inspect({ run, source, lockTimeout }: Order & { type: 'inspect' }): Promise<void> {
    const sandbox = await this.open(source, lockTimeout);
    this.ended(run, { registrations: sandbox.registrations });
    this.over(run);
  }

  private goOn(order: Order & { type: 'answer' | 'drop' }): void {
    const found = this.runs.get(order.run);
    if (!found) return;
    const { sandbox, lockTimeout } = found;
    if (order.type === 'answer') return sandbox.answer(order.run, order.ask, order.answer, lockTimeout);
    this.runs.delete(order.run);
    sandbox.drop(order.run);
  }

  /** Runs of one library share it. */
  private async sandboxOf(version: string, lockTimeout: number): Promise<Sandbox> {
    const kept = this.sandboxes.get(version);
    if (kept && !kept.dead) return kept;
    const library = this.libraries.get(version);
    if (!library) throw new Error('The library is not on this thread');
    const sandbox = await this.open(library, lockTimeout);
    this.sandboxes.set(version, sandbox);
    return sandbox;
  }

  /** Runs that are under way keep their sandbox. */
  private forget(version: string): void {
    this.libraries.delete(version);
    this.sandboxes.delete(version);
  }

  private async open(source: Source, lockTimeout: number): Promise<Sandbox> {
    const sandbox = await Sandbox.open(await this.compiled, source, this.start, this);
    const limit = Math.min(LOADING_TIMES * lockTimeout, LOADING_MOST);
    this.post({ type: 'loading', limit, ...this.soFar() }, []);
    sandbox.load(limit);
    this.post({ type: 'loading', limit: lockTimeout, ...this.soFar() }, []);
    return sandbox;
  }
}

/** The memory of a long reply, which goes to the worker without being copied there. */
function longReply(news: News): ArrayBuffer[] {
  if (news.type !== 'ended' || !('reply' in news.ending)) return [];
  const { buffer, length } = news.ending.reply;
  const ownsIt = buffer instanceof ArrayBuffer && buffer.byteLength === length;
  return ownsIt && length >= LONG ? [buffer] : [];
}

/** The engine. Threads of one process that compile the same bytes share the machine code. */
async function compile(): Promise<WebAssembly.Module> {
  const url = import.meta.resolve('@jitl/quickjs-wasmfile-release-sync/wasm');
  return WebAssembly.compile(await readFile(fileURLToPath(url)));
}

if (parentPort !== null) {
  const port = parentPort;
  try {
    // On Linux this is about the thread that asks.
    setPriority(0, NICENESS);
  } catch {
    // Then it runs as all others do.
  }
  const thread = new Thread(workerData as ThreadStart, (report, moved) => port.postMessage(report, moved));
  port.on('message', (order: Order) => thread.take(order));
  await thread.begin();
}
