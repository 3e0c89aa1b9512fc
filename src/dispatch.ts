// The crossroads: where a framed command is to go. Decides, and does no I/O. Hot.
//
// The answer is one integer, so that the commonest case allocates nothing: a slot (0 .. 16383) for what goes
// to one slot whole, or one of the codes below.

import type { Arguments } from './command/arguments.ts';
import { type Command, ROUTE } from './command/command.ts';
import {
  blocks,
  CROSS,
  findKeys,
  hasPatterns,
  INVALID,
  Keys,
  NONE,
  slotOfKeys,
  UNKNOWN,
} from './command/keys.ts';
import { slotOf } from './command/slot.ts';

/** To be cut by slot. */
export const SPLIT = -10;
/** Keys in several slots, and no command that can be cut: refused. */
export const CROSS_SLOT = -11;
/** To any one primary, whole. */
export const ANY = -12;
/** To every primary, or every node; merged by policy. */
export const FAN_OUT = -13;
/** Answered by the proxy itself. */
export const DOOR = -14;
/** The server has to be asked where the keys are. */
export const ASK_KEYS = -15;
/** Refused. */
export const REFUSED = -16;
/** Would block a link that others share: it gets one of its own. */
export const BLOCKS = -17;
/** A message: to its channel's slot, as long as nobody has to be waited for. */
export const PUBLISH = -18;
/** Reads keys that its arguments don't name, in any slots: SORT with BY or GET. */
export const PATTERNS = -19;

/** Where a command goes. Its arity has been checked. */
export function dispatch(command: Command, args: Arguments): number {
  switch (command.route) {
    case ROUTE.oneSlot:
    case ROUTE.split:
      if (command.keyFirst > 0 && command.keyLast === command.keyFirst) {
        return slotOf(args.bytes, args.starts[command.keyFirst]!, args.ends[command.keyFirst]!);
      }
      return ofKeys(command, args);
    case ROUTE.anyShard:
      return ANY;
    case ROUTE.allShards:
    case ROUTE.allNodes:
      return FAN_OUT;
    case ROUTE.door:
    case ROUTE.scan:
    case ROUTE.special:
      return DOOR;
    case ROUTE.blocks:
      return BLOCKS;
    case ROUTE.publish:
      return PUBLISH;
    default:
      return REFUSED;
  }
}

function ofKeys(command: Command, args: Arguments): number {
  if (command.hand !== 0) {
    if (blocks(command, args)) return BLOCKS;
    if (hasPatterns(command, args)) return PATTERNS;
  }
  const slot = slotOfKeys(command, args);
  if (slot >= 0) return slot;
  if (slot === CROSS) return command.route === ROUTE.split ? SPLIT : CROSS_SLOT;
  if (slot === UNKNOWN) return ASK_KEYS;
  // No keys, or arguments that make no sense: one server would answer this, so one does.
  return slot === NONE || slot === INVALID ? ANY : REFUSED;
}

/** True when every call of the command has one key, at a place that is known. */
export function singleKey(command: Command): boolean {
  return command.keyFirst > 0 && command.keyLast === command.keyFirst;
}

/** True when this call, which `dispatch` has just sent to one slot, has more than one key. */
export function severalKeys(command: Command, args: Arguments): boolean {
  return !singleKey(command) && findKeys(command, args, keys) > 1;
}

const keys = new Keys();
