// Replies of many nodes on their way into a reducer: in which order they go in, which errors count, and how much is
// held meanwhile. Cold.
//
//   take(2, reply) --.                      a reducer that wants them in order gets 0, 1, 2; what came too early waits
//   take(0, reply) --+--> [ 1? 2 ] --> add
//   take(3, error) --'--> failures

import { errorText, isError, prefixOf } from '../command/merge.ts';
import { type OnError, type Reducer, Unreducible } from '../functions/reducer.ts';
import { decode, encodeValue } from '../resp/value.ts';
import { ServerError } from './asker.ts';
import { tooMuch } from './errand.ts';

export interface How {
  /** `yes`: what failed is left out; undefined: what the reducer does with it by itself. */
  readonly partial: boolean | undefined;
  readonly order: 'node' | 'arrival';
  readonly maxBytes: number;
}

interface Early {
  readonly reply: Buffer;
  readonly node: string | undefined;
}

interface Failed {
  readonly at: number;
  readonly text: string;
}

export class Reduction {
  private readonly reducer: Reducer;
  private readonly labels: readonly string[];
  private readonly onError: OnError;
  private readonly byNode: boolean;
  private readonly maxBytes: number;
  private readonly early = new Map<number, Early>();
  private readonly failures: Failed[] = [];
  private earlyBytes = 0;
  /** Replies that came, or whose turn has come. */
  private turn = 0;
  private added = 0;

  /** `labels`: of the parts, for errors. */
  constructor(reducer: Reducer, labels: readonly string[], { partial, order, maxBytes }: How) {
    this.reducer = reducer;
    this.labels = labels;
    this.byNode = order === 'node';
    this.maxBytes = maxBytes;
    this.onError = errorsBy(reducer, partial);
  }

  /**
   * A part has its reply, or an error. True: nothing more is wanted.
   * @throws ServerError where more is held than may be
   */
  take(at: number, reply: Buffer, node: string | undefined): boolean {
    if (!this.byNode) this.feed(at, this.turn++, { reply, node });
    else if (!this.reducer.ordered) this.feed(at, at, { reply, node });
    else this.wait(at, { reply, node });
    if (this.reducer.held + this.earlyBytes > this.maxBytes) throw tooMuch(this.maxBytes);
    return this.reducer.done;
  }

  /** @throws ServerError that names what failed */
  result(resp: 2 | 3): Buffer {
    const fatal = this.onError === 'fail' || (this.added === 0 && !this.reducer.done);
    if (fatal && this.failures.length > 0) throw this.failure();
    return encodeValue(resp, this.reducer.result());
  }

  private wait(at: number, early: Early): void {
    this.early.set(at, early);
    this.earlyBytes += early.reply.length;
    for (let next = this.early.get(this.turn); next !== undefined; next = this.early.get(this.turn)) {
      this.early.delete(this.turn);
      this.earlyBytes -= next.reply.length;
      this.feed(this.turn, this.turn, next);
      this.turn++;
    }
  }

  private feed(at: number, place: number, { reply, node }: Early): void {
    if (isError(reply) && this.onError !== 'keep') {
      this.failures.push({ at, text: errorText(reply) });
      return;
    }
    // What is certain to end in an error needs no more work.
    if (this.onError === 'fail' && this.failures.length > 0) return;
    try {
      this.reducer.add({ node, place, bytes: reply.length, reply: decode(reply) });
      this.added++;
    } catch (error) {
      if (!(error instanceof Unreducible)) throw error;
      this.failures.push({ at, text: `ERR its reply can not be reduced: ${error.message}` });
    }
  }

  /** Names the first that failed, in their order, in its own words. */
  private failure(): ServerError {
    return failureOf(this.failures, this.labels);
  }
}

/** What becomes of a part that fails. */
function errorsBy(reducer: Reducer, partial: boolean | undefined): OnError {
  if (partial === undefined || reducer.onError === 'keep')
    return partial === false ? 'fail' : reducer.onError;
  return partial ? 'pass' : 'fail';
}

/** One error for several: it names the first in order, and how many more there are. */
export function failureOf(failures: readonly Failed[], labels: readonly string[]): ServerError {
  const [first, ...more] = [...failures].sort((a, b) => a.at - b.at);
  const { at, text } = first!;
  const prefix = prefixOf(text);
  const same = more.every((other) => prefixOf(other.text) === prefix);
  // A redirection in the proxy's words would send a client that knows clusters astray.
  const shown = !same || prefix === 'MOVED' || prefix === 'ASK' ? 'ERR' : prefix;
  const others = more.length > 0 ? ` and ${more.length} more of ${labels.length}` : '';
  return new ServerError(`${shown} slotless: part ${labels[at]}${others} failed: ${text}`);
}
