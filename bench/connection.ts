// One connection of the loader: writes prebuilt pipelines and holds every byte that comes back against the
// prebuilt reply.
//
//   sent      k      k+1    k+2            (pipelines written, not yet answered: a ring of their due times)
//   received  ======|===·                  the reply to k is whole, that to k+1 is read as far as ·
//
// It is written for low cost, since the loader shares the machine with what it measures: all connections read
// into one buffer (a read and its callback are one step, so none sees another's bytes), nothing is parsed, and
// nothing is allocated per pipeline.

import { connect, type Socket } from 'node:net';
import type { Pipeline } from './workloads.ts';

/** The most pipelines in flight on one connection; only an open loop has more than one. */
export const IN_FLIGHT = 4096;

const READ_BUFFER = Buffer.allocUnsafe(256 * 1024);

/** Told of every pipeline that was answered as it should be, and of the end of a connection that went wrong. */
export interface Observer {
  answered(connection: Connection, commands: number, due: number): void;
  failed(error: Error): void;
}

export class Connection {
  readonly #pipelines: readonly Pipeline[];
  readonly #observer: Observer;
  readonly #due = new Float64Array(IN_FLIGHT);
  readonly #socket: Socket;
  #sent = 0;
  #answered = 0;
  #sendNext: number;
  #expectNext: number;
  /** Bytes of the pipeline's reply seen so far. */
  #seen = 0;
  #closing = false;

  /** Use `open`. */
  private constructor(
    host: string,
    port: number,
    pipelines: readonly Pipeline[],
    first: number,
    observer: Observer,
    opened: () => void,
  ) {
    this.#pipelines = pipelines;
    this.#observer = observer;
    this.#sendNext = first % pipelines.length;
    this.#expectNext = this.#sendNext;
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: { buffer: READ_BUFFER, callback: (count) => this.#read(count) },
    });
    this.#socket.once('connect', opened);
    this.#socket.on('error', (error) => this.#fail(error.message));
    this.#socket.on('close', () => this.#fail('the endpoint closed the connection'));
  }

  /** Connects; the first pipeline to be sent is the one with the index `first`. Trouble goes to the observer. */
  static open(
    host: string,
    port: number,
    pipelines: readonly Pipeline[],
    first: number,
    observer: Observer,
  ): Promise<Connection> {
    return new Promise((resolve) => {
      const connection = new Connection(host, port, pipelines, first, observer, () => resolve(connection));
    });
  }

  /** Pipelines written and not yet answered. */
  get pending(): number {
    return this.#sent - this.#answered;
  }

  /** Writes the next pipeline. `due` is the time (of performance.now) that its latency is counted from. */
  send(due: number): void {
    this.#due[this.#sent % IN_FLIGHT] = due;
    this.#sent++;
    this.#socket.write(this.#pipelines[this.#sendNext]!.request);
    this.#sendNext = this.#sendNext + 1 === this.#pipelines.length ? 0 : this.#sendNext + 1;
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #read(count: number): boolean {
    let from = 0;
    while (from < count && !this.#closing) {
      const pipeline = this.#pipelines[this.#expectNext]!;
      const { reply } = pipeline;
      const seen = this.#seen;
      const take = Math.min(reply.length - seen, count - from);
      if (
        this.#sent === this.#answered ||
        READ_BUFFER.compare(reply, seen, seen + take, from, from + take) !== 0
      ) {
        this.#fail(`wrong reply: ${excerpt(READ_BUFFER.subarray(from, count))}`);
        return true;
      }
      from += take;
      this.#seen += take;
      if (this.#seen === reply.length) this.#next(pipeline.commands);
    }
    return true;
  }

  #next(commands: number): void {
    const due = this.#due[this.#answered % IN_FLIGHT]!;
    this.#answered++;
    this.#seen = 0;
    this.#expectNext = this.#expectNext + 1 === this.#pipelines.length ? 0 : this.#expectNext + 1;
    this.#observer.answered(this, commands, due);
  }

  #fail(message: string): void {
    if (this.#closing) return;
    this.close();
    this.#observer.failed(new Error(message));
  }
}

function excerpt(bytes: Buffer): string {
  return JSON.stringify(bytes.subarray(0, 120).toString('latin1'));
}
