// SCAN over the whole cluster, with a cursor that needs no memory here (command/cursor.ts has its forms).
//
//   cursor -> slot -> its owner --SCAN--> keys, the owner's cursor -> the client's next cursor
//                          '--standing--> were all slots passed its own, and here? Else again, or elsewhere too
//
// A node is asked at a time. Where its slots end and there were fewer keys than COUNT, the next is asked in the
// same call, so that what is small comes at once, as from one server. Options are the server's business: they
// are passed on as they came, and its errors to them too.

import { type Arguments, equalsIgnoreCase, toInteger } from '../command/arguments.ts';
import type { Command } from '../command/command.ts';
import { type Cursor, decodeCursor, slotOfPattern } from '../command/cursor.ts';
import * as errors from '../resp/errors.ts';
import type { Frame } from '../resp/request.ts';
import { array, bulk, bulkString } from '../resp/write.ts';
import type { Client } from './client.ts';
import { walkPlaces } from './places.ts';
import { SavedArguments } from './saved.ts';
import type { ScanCall, Step } from './step.ts';
import { Survey } from './survey.ts';
import { walkSlots } from './walk.ts';

const DEFAULT_COUNT = 10;
/** Nodes asked in one call. */
const MOST_STEPS = 16;
const START: Cursor = { form: 'slot', at: 0, dict: 0, tag: -1 };

/** SCAN cursor [MATCH pattern] [COUNT count] [TYPE type] */
export function scan(client: Client, command: Command, f: Frame): boolean {
  const args = new SavedArguments(f);
  const cursor = decodeCursor(args.text(1));
  if (cursor === undefined) return client.refuse(command, errors.invalidCursor());
  const call = readCall(args);
  const bySlot = client.context.server.slotCursors;
  // The servers' version has changed under the walk: it begins anew.
  const from = (cursor.form === 'slot') === bySlot ? cursor : START;
  return client.workOut(command, () =>
    Survey.with(client, async (survey) => {
      const { keys, next } = bySlot
        ? await walkOn(survey, call, from)
        : await survey.persist(() => walkPlaces(survey, call, from));
      return array([bulkString(next), array(keys.map(bulk))]);
    }),
  );
}

async function walkOn(survey: Survey, call: ScanCall, from: Cursor): Promise<Step> {
  let cursor = from;
  let keys: Buffer[] = [];
  for (let steps = 1; ; steps++) {
    const step = await survey.persist(() => walkSlots(survey, call, cursor));
    keys = keys.concat(step.keys);
    const done = step.next === '0' || !step.ended || keys.length >= call.count || steps === MOST_STEPS;
    if (done) return { ...step, keys };
    cursor = decodeCursor(step.next)!;
  }
}

function readCall(args: SavedArguments): ScanCall {
  const call = {
    options: wordsFrom(args, 2),
    count: DEFAULT_COUNT,
    pattern: undefined as Buffer | undefined,
    type: undefined as string | undefined,
    slot: -1,
  };
  for (let i = 2; i + 1 < args.argc; i += 2) {
    if (equalsIgnoreCase(args, i, 'count')) call.count = toInteger(args, i + 1) ?? DEFAULT_COUNT;
    else if (equalsIgnoreCase(args, i, 'type')) call.type = args.text(i + 1).toLowerCase();
    else if (equalsIgnoreCase(args, i, 'match')) {
      call.pattern = args.word(i + 1);
      call.slot = slotOfPattern(args.bytes, args.starts[i + 1]!, args.ends[i + 1]!);
    }
  }
  return call;
}

function wordsFrom(args: SavedArguments & Arguments, from: number): Buffer[] {
  return Array.from({ length: Math.max(0, args.argc - from) }, (_, i) => args.word(from + i));
}
