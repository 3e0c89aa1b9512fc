// Asks a node that owes replies and says nothing what has become of its connections, over a new one. Cold.
//
//   no answer                          the node is halted, or cut off: it stays doubted
//   nobody listens there any more      all of them are dead
//   it does not know one of them       the node has closed it, and the news never came
//   it has not heard what was sent     that one is dead as well: packets vanish
//   all else                           the node is there, and is slow to answer them: writes are paused, a script
//
// By itself TCP tells of a dead connection after many minutes. What was sent may have been waiting for long on
// both sides, so each silent link is sent a PING besides, of which the next probe looks for a trace.

import { type ControlOptions, withControl } from './control.ts';

/** A connection that owes a reply. */
export interface Owing {
  /** Its id at the node, of CLIENT ID; empty: it may not ask. */
  readonly id: string;
  /** How long ago something was sent on it, ms. */
  readonly sentFor: number;
}

/** The server counts whole seconds. */
const PRECISION = 1500;

/** Those of `owing` that are dead, each with the reason; undefined when the node gives no answer. */
export async function probe<T extends Owing>(
  options: ControlOptions,
  owing: readonly T[],
): Promise<Map<T, string> | undefined> {
  const known = owing.filter(({ id }) => id !== '');
  try {
    return await withControl(options, async (control) => {
      if (known.length === 0) {
        await control.ask('PING');
        return new Map<T, string>();
      }
      return deadOnes(known, String(await control.ask('CLIENT', 'LIST', 'ID', ...known.map(({ id }) => id))));
    });
  } catch (error) {
    const { name, code } = error as NodeJS.ErrnoException;
    if (code === 'ECONNREFUSED') return new Map(owing.map((one) => [one, 'nobody listens there any more']));
    // An error is an answer, too.
    return name === 'ReplyError' ? new Map() : undefined;
  }
}

function deadOnes<T extends Owing>(known: readonly T[], list: string): Map<T, string> {
  const idle = new Map<string, number>();
  for (const line of list.split('\n')) {
    const id = /\bid=(\d+)/.exec(line)?.[1];
    if (id !== undefined) idle.set(id, Number(/ idle=(\d+)/.exec(line)?.[1] ?? 0) * 1000);
  }
  const dead = new Map<T, string>();
  for (const one of known) {
    const unheard = idle.get(one.id);
    if (unheard === undefined) dead.set(one, 'the node has closed the connection');
    else if (unheard > one.sentFor + PRECISION) dead.set(one, 'what was sent did not reach the node');
  }
  return dead;
}
