// One call with keys in several slots, as it is worked out.

import type { Key } from '../command/across.ts';
import type { Command } from '../command/command.ts';
import type { Config } from '../config.ts';
import type { Reach } from './reach.ts';

/** Texts of the scripts and functions that a call names. */
export interface Texts {
  /** A script's, by its SHA1 in lower case, if anybody here knows it. */
  scriptOf(sha: string): Promise<Buffer | undefined>;
  /** Sees to it that the owner of a slot has a function, if any shard has it. */
  equip(slot: number, name: string): Promise<void>;
}

export interface Crossing {
  readonly command: Command;
  /** All arguments, the name first. */
  readonly words: readonly Buffer[];
  /** In the order of the key specs, doubles and all. */
  readonly keys: readonly Key[];
  readonly reach: Reach;
  readonly limits: Config['crossSlot'];
  readonly texts: Texts;
}
