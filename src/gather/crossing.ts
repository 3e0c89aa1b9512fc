// One call with keys in several slots, as it is worked out.

import type { Key } from '../command/across.ts';
import type { Command } from '../command/command.ts';
import type { Config } from '../config.ts';
import type { Reach } from './reach.ts';

export interface Crossing {
  readonly command: Command;
  /** All arguments, the name first. */
  readonly words: readonly Buffer[];
  /** In the order of the key specs, doubles and all. */
  readonly keys: readonly Key[];
  readonly reach: Reach;
  readonly limits: Config['crossSlot'];
}
