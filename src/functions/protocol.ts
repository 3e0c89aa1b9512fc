// What a worker and one of its function threads say to each other. Plain data.
//
//   worker                                        thread
//     start, load, answer, drop   --Order-->        one slice of work for each
//                                 <--Report--       when the slice has ended, with all that came of it
//                                 <--Report--       or in the middle of it, with a call to wait for:
//     the reply                   --Answer-->       on a port of its own, as the thread sleeps meanwhile
//
// A thread owes the worker one `idle` report for each order: that is how the worker knows which threads are at work.

import type { Job, ReduceOptions, Sent } from './job.ts';
import type { Library, Registrations } from './library.ts';

/** What a library is loaded from. */
export type Source = Pick<Library, 'name' | 'apiVersion' | 'code' | 'config'>;

type WithoutLibrary<Each> = Each extends Job ? Omit<Each, 'library'> : never;

/** A job without its library, which is long and does not travel with each. */
export type Task = WithoutLibrary<Job>;

export type Order =
  | {
      readonly type: 'start';
      readonly run: number;
      readonly task: Task;
      readonly version: string;
      /** Where the thread does not have this version yet. */
      readonly library: Library | undefined;
      /** A version that the thread is not to keep any longer. */
      readonly forget: string | undefined;
      /** ms. */
      readonly lockTimeout: number;
    }
  | { readonly type: 'inspect'; readonly run: number; readonly source: Source; readonly lockTimeout: number }
  | { readonly type: 'answer'; readonly run: number; readonly ask: number; readonly answer: Answer }
  /** Nobody waits for it any more. */
  | { readonly type: 'drop'; readonly run: number };

export type Question =
  | { readonly kind: 'calls'; readonly commands: readonly (readonly Uint8Array[])[] }
  | {
      readonly kind: 'runOnKey';
      readonly key: Uint8Array;
      readonly name: string;
      readonly args: readonly Sent[];
    }
  | { readonly kind: 'runOnShards'; readonly name: string; readonly args: readonly Sent[] }
  | {
      readonly kind: 'map' | 'fanout';
      readonly commands: readonly (readonly Uint8Array[])[];
      readonly reducer: string;
      readonly options: ReduceOptions;
    };

export type Answer =
  | { readonly replies: readonly Uint8Array[] }
  | { readonly sent: Sent }
  | { readonly results: readonly Sent[]; readonly errors: readonly string[] }
  | { readonly error: string }
  /** The run has ended meanwhile. */
  | { readonly gone: true };

export type Level = 'debug' | 'info' | 'warn';

export type Ending =
  | { readonly reply: Uint8Array }
  | { readonly result: Sent }
  | { readonly registrations: Registrations }
  | { readonly error: string };

/** What came of a slice, in order. */
export type News =
  | { readonly type: 'ask'; readonly run: number; readonly ask: number; readonly question: Question }
  | { readonly type: 'log'; readonly run: number; readonly level: Level; readonly text: string }
  | { readonly type: 'ended'; readonly run: number; readonly ending: Ending }
  /** Nothing of it is under way any more, not in the background either. */
  | { readonly type: 'over'; readonly run: number };

/** What every report says. */
interface SoFar {
  /** ms of CPU that the thread has taken so far. */
  readonly used: number;
  readonly news: readonly News[];
}

export type Report =
  /** The thread has started, and can be given orders. */
  | (SoFar & { readonly type: 'ready' })
  /** `worn`: it holds memory of sandboxes that have ended, which goes with the thread alone. */
  | (SoFar & { readonly type: 'idle'; readonly worn: boolean })
  | (SoFar & { readonly type: 'call'; readonly run: number; readonly words: readonly Uint8Array[] })
  /** From now on, in the same slice, it may take so many ms: a library is loaded, or has been. */
  | (SoFar & { readonly type: 'loading'; readonly limit: number });

export interface ThreadStart {
  /** Bytes of one library. */
  readonly memory: number;
  readonly maxReplyBytes: number;
  /** Counts the answers on `port`; the thread sleeps on it. */
  readonly bell: Int32Array;
  readonly port: import('node:worker_threads').MessagePort;
}

/** A run has used up its time or its memory. */
export const TERMINATED = 'Err Execution was terminated due to OOM or timeout';
/** A run has not ended in time, however it waited. */
export const DROPPED =
  'Promise was dropped without been resolved. Usually happened because of timeout or OOM.';
