// What goes to one client's socket, written once a turn. Hot.
//
// Small replies are copied behind each other into one buffer of a shared pool, which an idle client does not
// hold. A large piece is written as it is, from the chunk it was read into; only when the kernel does not take
// all of it at once is the chunk kept (`turn.taken`), and its reader goes on with a new one.

import type { Socket } from 'node:net';
import type { Turn } from '../cluster/turn.ts';
import type { Batch, Subscriber } from '../pubsub/audience.ts';
import { type Area, areaOf, copyArea, copyBytes } from '../resp/copy.ts';
import { TOTAL } from '../telemetry/counters.ts';

const BUFFER_BYTES = 16384;
const POOLED_BUFFERS = 1024;
/** From here on a piece is written as it is. */
export const DIRECT_BYTES = 8192;

const pool: Area[] = [];

export class Outbox {
  private readonly socket: Socket;
  private readonly turn: Turn;
  private readonly totals: Float64Array;
  private area: Area | undefined = undefined;
  private used = 0;
  /** What many clients get alike, from `batchFrom` on: see audience.ts. Nothing else waits to be written then. */
  private batch: Batch | undefined = undefined;
  private batchFrom = 0;
  private subscriber: Subscriber | undefined = undefined;

  constructor(socket: Socket, turn: Turn, totals: Float64Array) {
    this.socket = socket;
    this.turn = turn;
    this.totals = totals;
  }

  /** Bytes that the kernel has not taken yet. */
  get backlog(): number {
    return this.used + this.socket.writableLength;
  }

  get empty(): boolean {
    return this.used === 0 && this.batch === undefined;
  }

  append(bytes: Buffer, from: number, to: number): void {
    if (this.batch !== undefined) this.stray();
    if (to - from >= DIRECT_BYTES) return this.direct(bytes, from, to);
    copyBytes(bytes, from, to, this.room(to - from), this.used);
    this.used += to - from;
  }

  /** As `append`, from an area. */
  appendArea(area: Area, from: number, to: number): void {
    if (this.batch !== undefined) this.stray();
    if (to - from >= DIRECT_BYTES) return this.direct(area.bytes, from, to);
    copyArea(area, from, to, this.room(to - from), this.used);
    this.used += to - from;
  }

  /** At the end of the turn what the batch has got from now on is written. False: something else is to be, first. */
  attach(batch: Batch, subscriber: Subscriber): boolean {
    if (this.used > 0 || this.batch !== undefined) return false;
    this.batch = batch;
    this.batchFrom = batch.used;
    this.subscriber = subscriber;
    return true;
  }

  /** Takes what a batch holds so far, and no more of it. */
  detach(batch: Batch): void {
    if (this.batch === batch) this.stray();
  }

  /** Something else is to be written: what follows in the batch comes one by one. */
  private stray(): void {
    const { batch, batchFrom } = this;
    this.batch = undefined;
    batch!.strays.push(this.subscriber!);
    if (batch!.used > batchFrom) this.appendArea(batch!, batchFrom, batch!.used);
    if (this.socket.writableLength > 0) batch!.kept = true;
  }

  private flushBatch(batch: Batch): void {
    const { socket, batchFrom, subscriber } = this;
    this.batch = undefined;
    batch.strays.push(subscriber!);
    const length = batch.used - batchFrom;
    if (length === 0 || socket.destroyed) return;
    this.totals[TOTAL.bytesToClients]! += length;
    const bytes = batch.bytes.subarray(batchFrom, batch.used);
    // Behind a backlog the kernel takes nothing now: the others' bytes are not kept for it.
    if (socket.writableLength > 0) {
      socket.write(Buffer.from(bytes));
      return;
    }
    socket.write(bytes);
    if (socket.writableLength > 0) batch.kept = true;
  }

  flush(): void {
    const { area, used, socket } = this;
    if (this.batch !== undefined) return this.flushBatch(this.batch);
    if (area === undefined) return;
    this.area = undefined;
    this.used = 0;
    if (used === 0 || socket.destroyed) return give(area);
    this.totals[TOTAL.bytesToClients]! += used;
    socket.write(area.bytes.subarray(0, used));
    if (socket.writableLength === 0) give(area);
  }

  /** Where the next `length` bytes go, at `used`. */
  private room(length: number): Area {
    if (this.area !== undefined && this.used + length > BUFFER_BYTES) this.flush();
    this.area ??= pool.pop() ?? areaOf(Buffer.allocUnsafeSlow(BUFFER_BYTES));
    return this.area;
  }

  private direct(bytes: Buffer, from: number, to: number): void {
    const { socket } = this;
    this.flush();
    if (socket.destroyed) return;
    const length = to - from;
    this.totals[TOTAL.bytesToClients]! += length;
    // Behind a backlog the kernel takes nothing now: a copy of a small piece is cheaper than its whole chunk.
    const waits = socket.writableLength > 0;
    if (waits && length * 4 < bytes.length) {
      socket.write(Buffer.from(bytes.subarray(from, to)));
      return;
    }
    socket.write(bytes.subarray(from, to));
    if (socket.writableLength > 0) this.turn.taken = true;
  }
}

function give(area: Area): void {
  if (pool.length < POOLED_BUFFERS) pool.push(area);
}
