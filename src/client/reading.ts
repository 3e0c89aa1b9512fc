// Which of a client's reads may be answered by replicas, and by which. Hot for who reads from replicas; a client
// that reads from primaries alone has none of this.
//
// Never: what is read under a WATCH or with CLIENT TRACKING, since what is read there is acted upon when the key
// changes at its primary; what a transaction or a script that may write reads. On servers whose replicas do not
// know that a slot is on the move (before Valkey 8) neither several keys at a time, nor what scripts and modules
// read: whether a key was missing can't be told from the reply (see attempt.ts).

import { Choice, type Reads } from '../cluster/attempt.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { type Copy, FROM, type From } from '../cluster/copies.ts';
import type { Lane } from '../cluster/lanes.ts';
import { type Command, FLAG, SCRIPT } from '../command/command.ts';
import type { CommandTable } from '../command/table.ts';
import type { Config } from '../config.ts';
import { OwnWrites } from './own-writes.ts';
import { onlyReads } from './request.ts';
import type { Session } from './session.ts';

/** Where each command reads from, by its id: one of FROM. */
export type Policy = Uint8Array;

export interface Policies {
  /** Of clients that have said nothing of it; undefined: primaries alone. */
  readonly byDefault: Policy | undefined;
  /** Of clients that have said READONLY. */
  readonly readOnly: Policy;
}

type Where = Config['reads']['from'];

const FROM_WHERE: Readonly<Record<Where, From>> = {
  primary: FROM.primary,
  'prefer-replica': FROM.preferReplica,
  replica: FROM.replica,
  any: FROM.any,
  nearest: FROM.nearest,
};

/** The settings `reads.from` and `reads.groups`, command by command. */
export function policiesOf(
  { from, groups }: Config['reads'],
  table: CommandTable,
  replicasKnowMoves: boolean,
): Policies {
  const policy = (otherwise: Where) =>
    Uint8Array.from(table.commands, (command) => {
      if (!mayGoToReplica(command, replicasKnowMoves)) return FROM.primary;
      return FROM_WHERE[whereOf(command, groups) ?? otherwise];
    });
  const byDefault = policy(from);
  return {
    byDefault: byDefault.some((each) => each !== FROM.primary) ? byDefault : undefined,
    readOnly: policy(from === 'primary' ? 'prefer-replica' : from),
  };
}

/** By its name, else by the first of its categories that is named. */
function whereOf({ name, categories }: Command, groups: Config['reads']['groups']): Where | undefined {
  const named = [name, ...categories].find((group) => Object.hasOwn(groups, group));
  return named === undefined ? undefined : groups[named];
}

/** Names in `reads.groups` that no command and no category has. */
export function unknownGroups({ groups }: Config['reads'], table: CommandTable): string[] {
  const known = new Set(table.commands.flatMap(({ name, categories }) => [name, ...categories]));
  return Object.keys(groups).filter((group) => !known.has(group));
}

/** What a key's use is at the primary is asked, and done, there. */
const OF_USE = new Set(['touch', 'object|freq', 'object|idletime']);

function mayGoToReplica(command: Command, replicasKnowMoves: boolean): boolean {
  if (!onlyReads(command) || OF_USE.has(command.name)) return false;
  return replicasKnowMoves || (command.script === SCRIPT.none && (command.flags & FLAG.module) === 0);
}

export class Reading implements Reads {
  policy: Policy;
  private readonly cluster: Cluster;
  private readonly session: Session;
  private readonly writes: OwnWrites | undefined;
  private readonly ownWritesFor: number;
  /** Lane of the session for which there is a lane to replicas. */
  private base: Lane | undefined = undefined;
  private toReplicas: Lane | undefined = undefined;

  /** `ownWrites`: for how long a client's reads see its own writes, ms; 'off': perhaps not. */
  constructor(cluster: Cluster, session: Session, policy: Policy, ownWrites: number | 'off') {
    this.cluster = cluster;
    this.session = session;
    this.policy = policy;
    this.ownWritesFor = ownWrites === 'off' ? 0 : ownWrites;
    this.writes = ownWrites === 'off' ? undefined : new OwnWrites();
    this.wroteAnywhere();
  }

  /** Whom this call is to ask; undefined: it is the primary's affair. `several`: it has several keys. */
  choice(command: Command, slot: number, several: boolean): Choice | undefined {
    const { session, cluster } = this;
    const from = this.policy[command.id] as From;
    if (from === FROM.primary || session.watch !== undefined || session.tracking !== undefined)
      return undefined;
    if (several && !cluster.options.replicasKnowMoves) return undefined;
    return new Choice(this, from, this.choose(slot, from));
  }

  choose(slot: number, from: From, not?: Copy): Copy | undefined {
    const { cluster, writes } = this;
    const after = writes === undefined ? -1 : writes.after(slot);
    return cluster.copies.choose(slot, from, after, this.lane, cluster.turn.now, not);
  }

  /** As the session's own, but that the links are told READONLY. */
  get lane(): Lane {
    const { session, cluster } = this;
    if (this.base !== session.lane) {
      this.leave();
      this.base = session.lane;
      this.toReplicas = cluster.enterLane({ ...session.lane, readOnly: true });
    }
    return this.toReplicas!;
  }

  /** Nothing that is under way needs the lane any more. */
  leave(): void {
    if (this.toReplicas !== undefined) this.cluster.leaveLane(this.toReplicas);
    this.base = this.toReplicas = undefined;
  }

  // ---- what the client writes

  writing(slot: number): void {
    this.writes?.started(slot);
  }

  wrote(slot: number): void {
    const { writes, cluster } = this;
    if (writes === undefined) return;
    writes.answered(slot, cluster.turn.now);
    if (writes.due) writes.sweep(cluster.copies.allUpTo, cluster.turn.now - this.ownWritesFor);
  }

  /** It may have written, to whatever slot. */
  wroteAnywhere(): void {
    this.writes?.all(this.cluster.turn.now);
  }
}
