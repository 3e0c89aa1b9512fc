// One step of SCAN: one node, asked once. Shared by the walks over newer and older servers.

import type { Node } from '../cluster/node.ts';
import { isReserved } from '../command/reserved.ts';
import { ServerError } from './asker.ts';
import type { Survey } from './survey.ts';

/** What a call of SCAN asks for. */
export interface ScanCall {
  /** All arguments behind the cursor. */
  readonly options: readonly Buffer[];
  readonly count: number;
  readonly pattern: Buffer | undefined;
  /** In lower case. */
  readonly type: string | undefined;
  /** The one slot that the pattern lies in, or -1. */
  readonly slot: number;
}

/** A step of the walk. */
export interface Step {
  readonly keys: Buffer[];
  /** The client's next cursor; '0' at the end. */
  readonly next: string;
  /** The node asked has no more: the walk goes on at another. */
  readonly ended: boolean;
}

/** One SCAN of one node. */
export async function scanNode(
  survey: Survey,
  call: ScanCall,
  node: Node,
  cursor: string,
): Promise<{ cursor: string; keys: Buffer[] }> {
  const [next, keys] = (await survey.asker.value(node, ['SCAN', cursor, ...call.options])) as [
    Buffer,
    Buffer[],
  ];
  return { cursor: String(next), keys: keys.filter((key) => !isReserved(key)) };
}

const processes = new WeakMap<Node, string>();

/** The process that a node was when it was last asked. */
export async function processOf(survey: Survey, node: Node): Promise<string> {
  return processes.get(node) ?? remember(node, (await survey.standingOf(node)).process);
}

export function remember(node: Node, process: string): string {
  processes.set(node, process);
  return process;
}

export function tooLarge(): never {
  throw new ServerError('ERR slotless: a cursor of the server is too large to be passed on');
}
