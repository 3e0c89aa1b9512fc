// What a node says of itself: which process it is, which slots it owns, and which of them are on the move.
//
// The map may be a moment behind, and a command without keys is never redirected: so what is asked of a slot
// without naming a key (SCAN, CLUSTER COUNTKEYSINSLOT) is followed by this question to the same node, and asked
// again elsewhere where the node turns out to be another than the map said.

import { SLOTS } from '../cluster/topology.ts';

export class Standing {
  /** Node id and run id: a process, and not the one that comes after it. */
  readonly process: string;
  /** 1 for a slot that the node owns. */
  readonly owned: Uint8Array;
  /** Slots on their way from this node: the id of the node they go to. */
  readonly leaving: ReadonlyMap<number, string>;
  private readonly lines: readonly string[][];

  private constructor(process: string, owned: Uint8Array, leaving: Map<number, string>, lines: string[][]) {
    this.process = process;
    this.owned = owned;
    this.leaving = leaving;
    this.lines = lines;
  }

  /**
   * @param nodes the reply of CLUSTER NODES
   * @param info the reply of INFO server
   * @returns undefined where they are not such replies
   */
  static read(nodes: string, info: string): Standing | undefined {
    const lines = nodes.split('\n').map((line) => line.split(' '));
    const own = lines.find(([, , flags]) => flags?.split(',').includes('myself'));
    const runId = runIdOf(info);
    if (own === undefined || runId === undefined) return undefined;
    const owned = new Uint8Array(SLOTS);
    const leaving = new Map<number, string>();
    for (const word of own.slice(SLOT_WORDS)) {
      const move = /^\[(\d+)->-(\w+)\]$/.exec(word);
      if (move !== null) leaving.set(Number(move[1]), move[2]!);
      const range = rangeOf(word);
      if (range !== undefined) owned.fill(1, range[0], range[1] + 1);
    }
    return new Standing(`${own[0]} ${runId}`, owned, leaving, lines);
  }

  /** Whether both are of the same process, with the same slots. */
  equals(other: Standing): boolean {
    const leaving = (one: Standing) => [...one.leaving].join();
    if (this.process !== other.process || leaving(this) !== leaving(other)) return false;
    return this.owned.every((one, slot) => one === other.owned[slot]);
  }

  /** The last slot of the contiguous run, from `slot` on, that the node owns. */
  runEnd(slot: number): number {
    let end = slot;
    while (this.owned[end + 1] === 1) end++;
    return end;
  }

  /** The id of the slot's owner as this node sees it. */
  ownerOf(slot: number): string | undefined {
    return this.lines.find((line) =>
      line.slice(SLOT_WORDS).some((word) => {
        const range = rangeOf(word);
        return range !== undefined && range[0] <= slot && slot <= range[1];
      }),
    )?.[0];
  }
}

/** From a reply of INFO server. */
export function runIdOf(info: string): string | undefined {
  return /^run_id:(\w+)/m.exec(info)?.[1];
}

/** `<id> <address> <flags> <primary> <ping> <pong> <epoch> <link>`, then the slots. */
const SLOT_WORDS = 8;

/** `12-34` or `12`; open slots are in brackets. */
function rangeOf(word: string): [number, number] | undefined {
  const range = /^(\d+)(?:-(\d+))?$/.exec(word);
  return range === null ? undefined : [Number(range[1]), Number(range[2] ?? range[1])];
}
