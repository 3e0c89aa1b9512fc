// Lanes: what makes two connections to a node differ in what the server remembers of them.
//
// Protocol version, user, READONLY or not, and which of several equal connections (`node.links`). Clients of
// one lane share a node's link. A lane's number is small and dense, so that finding a link is two array reads;
// it is given to another only when nobody has used the lane for a while and all its links are closed.

import { command } from '../resp/write.ts';
import type { Greeting } from './connection.ts';

/** What a lane is chosen by. User and password are bytes written as Latin-1; both empty: the default user, no AUTH. */
export interface LaneKey {
  readonly resp: 2 | 3;
  readonly username: string;
  readonly password: string;
  /** The links may read from replicas (READONLY). */
  readonly readOnly: boolean;
  /** Which of several equal links, from 0. */
  readonly copy: number;
  /** The database; 0 where it is left out. */
  readonly db?: number;
  /** What they read is not touched (CLIENT NO-TOUCH). */
  readonly noTouch?: boolean;
}

export interface Lane extends LaneKey {
  readonly index: number;
  /** Sent first on each of its links. */
  readonly handshake: readonly Greeting[];
  /** Sessions that use it. */
  users: number;
}

export class Lanes {
  private readonly linkName: string;
  private readonly lanes: (Lane | undefined)[] = [];
  private readonly unusedSince = new Map<Lane, number>();

  /** `linkName`: for CLIENT SETNAME; may be empty. */
  constructor(linkName: string) {
    this.linkName = linkName;
  }

  /** The lane of a key; it is kept until its users have left. */
  enter(key: LaneKey): Lane {
    const lane = this.lanes.find((each) => each !== undefined && same(each, key)) ?? this.add(key);
    lane.users++;
    this.unusedSince.delete(lane);
    return lane;
  }

  leave(lane: Lane, now: number): void {
    if (--lane.users === 0) this.unusedSince.set(lane, now);
  }

  /** Users that have a lane, the default one included. */
  get userCount(): number {
    return new Set(this.lanes.flatMap((lane) => (lane === undefined ? [] : [lane.username]))).size;
  }

  /** Gives up the lanes that nobody has used since `before`: `close` ends their links. */
  giveUp(before: number, close: (lane: Lane) => void): void {
    for (const [lane, since] of this.unusedSince) {
      if (since > before) continue;
      close(lane);
      this.unusedSince.delete(lane);
      this.lanes[lane.index] = undefined;
    }
  }

  private add(key: LaneKey): Lane {
    const free = this.lanes.indexOf(undefined);
    const index = free >= 0 ? free : this.lanes.length;
    const lane: Lane = { ...key, index, users: 0, handshake: greetings(key, this.linkName) };
    this.lanes[index] = lane;
    return lane;
  }
}

function same(a: LaneKey, b: LaneKey): boolean {
  return (
    a.resp === b.resp &&
    a.copy === b.copy &&
    a.readOnly === b.readOnly &&
    a.username === b.username &&
    a.password === b.password &&
    (a.db ?? 0) === (b.db ?? 0) &&
    (a.noTouch ?? false) === (b.noTouch ?? false)
  );
}

/** What is sent first on a link. */
export function greetings(key: LaneKey, linkName: string): Greeting[] {
  const { resp, username, password, readOnly, db = 0, noTouch = false } = key;
  const list: Greeting[] = [];
  const add = (onError: Greeting['onError'], ...words: string[]) =>
    list.push({ bytes: command(words.map((word) => Buffer.from(word, 'latin1'))), onError });
  if (username !== '') add('must', 'AUTH', username, password);
  else if (password !== '') add('must', 'AUTH', password);
  if (resp === 3) add('must', 'HELLO', '3');
  if (linkName !== '') add('may', 'CLIENT', 'SETNAME', linkName);
  add('may', 'CLIENT', 'SETINFO', 'LIB-NAME', 'slotless');
  if (readOnly) add('must', 'READONLY');
  if (db !== 0) add('must', 'SELECT', String(db));
  if (noTouch) add('may', 'CLIENT', 'NO-TOUCH', 'ON');
  // So that a probe can ask for it.
  add('may', 'CLIENT', 'ID');
  add('ready', 'PING');
  return list;
}
