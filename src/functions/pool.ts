// Function threads of one worker.

import type { Host, Job, Outcome, Runner } from './job.ts';
import type { Registrations } from './library.ts';

export interface PoolOptions {
  /** Threads at most. */
  readonly threads: number;
  /** Bytes of one library on one thread. */
  readonly memory: number;
  /** Bytes that one run may give. */
  readonly maxReplyBytes: number;
  /** ms that a run may go on without giving way; asked before each run, since it can be changed. */
  readonly lockTimeout: () => number;
}

export class Pool implements Runner {
  readonly options: PoolOptions;

  constructor(options: PoolOptions) {
    this.options = options;
  }

  inspect(): Promise<Registrations> {
    return Promise.reject(new Error('no thread'));
  }

  run(_job: Job, _host: Host): Promise<Outcome> {
    return Promise.reject(new Error('no thread'));
  }

  close(): void {}
}
