// Frames what one client sends and hands whole commands on. Hot.
//
// A client whose next command must wait (its output is not read, too much is under way, its order would be
// lost) is stalled: what it has sent is kept, its socket is read no more, and at the end of a turn in which
// something of what it waited for has happened the command is tried again. While a huge argument comes (see
// upload.ts) what is read goes there. While a command blocks its socket is read on, up to `streamAbove`, since a
// client that has left is known by the end of what it sends.

import type { Socket } from 'node:net';
import type { Command } from '../command/command.ts';
import { COMMAND, EMPTY, Frame, frame, MORE } from '../resp/request.ts';
import { Input } from './input.ts';
import { Upload, type Uploader } from './upload.ts';

/** What is done with commands. */
export interface Taker {
  /** Takes a whole command. False: not now, the client is stalled. */
  execute(f: Frame): boolean;
  /** The command of a half-framed one, when its huge argument may be passed on as it comes. */
  uploads(f: Frame): Command | undefined;
  /** An empty line or array has come, which is no command. */
  passOver(): void;
  /** A stalled client is still read from when so many bytes are kept: it is noticed when it leaves. */
  listens(kept: number): boolean;
}

/** What takes the commands. */
export interface Sink extends Uploader, Taker {
  /** Nothing more is taken. */
  readonly deaf: boolean;
  /** A command is being worked out that nothing may overtake. */
  readonly busy: boolean;
  /** The client has broken the protocol, and is to be told. */
  violate(f: Frame): void;
  /** It has been told. */
  violated(): void;
  /** A command is longer than the limit. */
  tooLong(): void;
}

/** The frame of whoever is being read: a client has one of its own only while a command is incomplete. */
let sharedFrame = new Frame();

export class Reader {
  readonly input = new Input();
  /** The next command waits. */
  stalled = false;

  /** Takes the commands: the sink itself, or what looks at them before (checkpoint.ts). */
  taker: Taker;

  private readonly sink: Sink;
  private readonly socket: Socket;
  private paused = false;
  private upload: Upload | undefined = undefined;
  /** The upload is whole and waits for its reply. */
  private waitsForReply = false;

  constructor(sink: Sink, socket: Socket) {
    this.sink = sink;
    this.taker = sink;
    this.socket = socket;
  }

  /** The next bytes from the socket; they are valid during the call only. */
  read(chunk: Buffer, length: number): void {
    const { input } = this;
    if (input.bytes === undefined) return this.consume(chunk, 0, length);
    input.append(chunk, length);
    if (this.stalled) this.wait();
    else this.goOn();
  }

  /** Something has happened that a stalled client may have waited for. */
  retry(): void {
    if (!this.stalled || (this.upload !== undefined && !this.upload.ready())) return;
    this.stalled = false;
    this.goOn();
    if (!this.paused || this.sink.closed || (this.stalled && !this.readsOn)) return;
    this.paused = false;
    this.socket.resume();
  }

  /** Nothing more is read. An upload that is whole is still answered, unless the client is gone. */
  stop(gone: boolean): void {
    if (gone || this.uploading) this.upload?.abandon();
    this.input.forget();
    this.stalled = false;
  }

  /** A huge argument is being passed on, and more of it has yet to come. */
  get uploading(): boolean {
    return this.upload !== undefined && !this.waitsForReply;
  }

  /** Stalled, and yet read on: what comes is kept. */
  private get readsOn(): boolean {
    return this.upload === undefined && this.taker.listens(this.input.length);
  }

  // ---- for the upload

  /** Reads no more before `retry` finds the upload ready. */
  wait(): void {
    this.stalled = true;
    if (this.paused || this.readsOn) return;
    this.paused = true;
    this.socket.pause();
  }

  /** All of the upload's command is there; what follows waits for its reply. */
  waitForReply(): void {
    this.waitsForReply = true;
  }

  /** The upload's command is answered; what follows is read as usual. */
  uploaded(): void {
    this.upload = undefined;
    this.waitsForReply = false;
  }

  violated(): void {
    this.upload = undefined;
    this.sink.violated();
  }

  // ---- framing

  private goOn(): void {
    const { bytes, from, to } = this.input;
    if (bytes !== undefined) this.consume(bytes, from, to);
  }

  private consume(bytes: Buffer, from: number, end: number): void {
    const { sink, input } = this;
    const { limits } = sink.context.config;
    let start = from;
    if (this.upload !== undefined) {
      start = this.upload.pass(bytes, end);
      if (start < 0) return;
    }
    let f = input.frame;
    if (f === undefined) {
      f = sharedFrame;
      f.reset(start);
    }
    for (;;) {
      // What is worked out may be an AUTH: its outcome decides how long the next command may be.
      if (sink.busy || this.waitsForReply) return this.stall(bytes, start, end);
      const status = frame(f, bytes, end, limits, sink.session.authenticated);
      if (status === COMMAND) {
        if (!this.taker.execute(f)) return this.stall(bytes, start, end);
      } else if (status === MORE) {
        return this.more(f, bytes, start, end);
      } else if (status === EMPTY) this.taker.passOver();
      else return sink.violate(f);
      if (sink.deaf) return input.forget();
      start = f.consumed;
      if (start >= end) return input.forget();
      f.reset(start);
    }
  }

  /** The command goes on in bytes to come: the frame stays with this client. */
  private more(f: Frame, bytes: Buffer, start: number, end: number): void {
    const { input, sink } = this;
    if (start >= end) return input.forget();
    if (f === sharedFrame) sharedFrame = new Frame();
    input.retain(bytes, start, end, f);
    const { streamAbove, limits } = sink.context.config;
    const command = f.partLength > streamAbove ? this.taker.uploads(f) : undefined;
    if (command !== undefined) {
      this.wait();
      this.upload = new Upload(sink, this, command, f);
    } else if (input.length + f.need > limits.clientQuery) sink.tooLong();
  }

  /** The command at `start` can't be executed now: it is framed again when the client goes on. */
  private stall(bytes: Buffer, start: number, end: number): void {
    this.input.retain(bytes, start, end, undefined);
    if (this.readsOn) this.stalled = true;
    else this.wait();
  }
}
