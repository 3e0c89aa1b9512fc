// Who moves which keys, within a worker: moves of the same key queue up here, so that fifty clients who move one key
// do not fight over its lock. First come, first served; and no more moves at once than there are links for.
//
// Keys are taken in one order, and a place among those at once when all keys are there: so nobody waits for somebody
// who waits for him.

import * as errors from '../resp/errors.ts';
import { Refusal } from './reach.ts';

/** So many at a time; who comes later waits in line. */
export class Line {
  private inside = 0;
  private readonly waiting = new Set<() => void>();

  /** Nobody is in it, or wants to be. */
  get empty(): boolean {
    return this.inside === 0;
  }

  /** False when one's turn has not come within so many ms. To be left otherwise. */
  enter(most: number, within: number): Promise<boolean> {
    if (this.inside < most) {
      this.inside++;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const end = (entered: boolean) => {
        clearTimeout(late);
        this.waiting.delete(begin);
        resolve(entered);
      };
      const begin = () => end(true);
      const late = setTimeout(end, Math.max(0, within), false);
      this.waiting.add(begin);
    });
  }

  leave(): void {
    const [next] = this.waiting;
    if (next === undefined) this.inside--;
    else next();
  }
}

/** What is waited for, and how long. */
export interface Patience {
  /** The command's name. */
  readonly command: string;
  /** By performance.now(). */
  readonly deadline: number;
  /** The setting, ms. */
  readonly waitFor: number;
}

/** Says that others have moved the keys for as long as one may wait. */
export function waitedInVain({ command, waitFor }: Patience): Refusal {
  return new Refusal(errors.moveWaited(command, waitFor));
}

export class Turns {
  private readonly lines = new Map<string, Line>();
  private readonly all = new Line();

  /**
   * Runs work while nobody else of this worker moves these keys. `most`: works at once.
   * @throws Refusal when it was not its turn in time
   */
  async during<T>(
    keys: readonly Buffer[],
    most: number,
    patience: Patience,
    work: () => Promise<T>,
  ): Promise<T> {
    const names = keys.map((key) => key.toString('latin1')).sort();
    return this.inLines(names, patience, async () => {
      if (!(await this.all.enter(most, left(patience)))) throw waitedInVain(patience);
      try {
        return await work();
      } finally {
        this.all.leave();
      }
    });
  }

  private async inLines<T>(names: readonly string[], patience: Patience, work: () => Promise<T>): Promise<T> {
    const [name, ...others] = names;
    if (name === undefined) return work();
    const line = this.lines.get(name) ?? new Line();
    this.lines.set(name, line);
    if (!(await line.enter(1, left(patience)))) throw waitedInVain(patience);
    try {
      return await this.inLines(others, patience, work);
    } finally {
      line.leave();
      if (line.empty) this.lines.delete(name);
    }
  }
}

function left({ deadline }: Patience): number {
  return deadline - performance.now();
}
