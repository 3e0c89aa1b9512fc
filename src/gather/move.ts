// Commands that move a value from one slot to another, each by its own file; what they share is in pair.ts and lock.ts.

import type { Crossing } from './crossing.ts';
import { lmove } from './lmove.ts';
import { rename } from './rename.ts';
import { smove } from './smove.ts';

export function move(call: Crossing): Promise<Buffer> {
  switch (call.command.name) {
    case 'rename':
    case 'renamenx':
      return rename(call);
    case 'smove':
      return smove(call);
    default:
      return lmove(call);
  }
}
