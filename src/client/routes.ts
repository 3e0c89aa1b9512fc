// Where a command goes that goes to no one slot: by what dispatch has decided.

import { type Command, SCRIPT } from '../command/command.ts';
import { ANY, ASK_KEYS, BLOCKS, CROSS_SLOT, DOOR, FAN_OUT, PATTERNS, PUBLISH, SPLIT } from '../dispatch.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { askKeys, goAcross } from './across.ts';
import { block } from './blocking.ts';
import { catalog } from './catalog.ts';
import type { Client, Routes } from './client.ts';
import { atTheDoor } from './door.ts';
import { fanOut, splitBySlot } from './fanout.ts';
import { configGet, configSet } from './gears.ts';
import { queue } from './multi.ts';
import { toAny } from './nodes.ts';
import { publish } from './publish.ts';
import { runScript } from './scripts.ts';
import { callRegistered } from './tfcall.ts';

export const routes: Routes = { elsewhere, unknown: callRegistered, queue };

function elsewhere(client: Client, command: Command, f: Frame, where: number): boolean {
  if (command.script !== SCRIPT.none && (where >= 0 || where === ANY))
    return runScript(client, command, f, where);
  switch (where) {
    case ANY:
      return catalog(client, command, f) ?? configGet(client, command, f) ?? toAny(client, command, f);
    case SPLIT:
      return splitBySlot(client, command, f);
    case FAN_OUT:
      return configSet(client, command, f) ?? fanOut(client, command, f);
    case DOOR:
      return atTheDoor(client, command, f);
    case ASK_KEYS:
      return askKeys(client, command, f);
    case CROSS_SLOT:
    case PATTERNS:
      return goAcross(client, command, f);
    case BLOCKS:
      return block(client, command, f);
    case PUBLISH:
      return publish(client, command, f);
  }
  return client.refuse(command, errors.refused(command.name, command.refusal));
}
