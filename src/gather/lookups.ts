// What stands behind keys in any slots, strings or fields of hashes, as SORT looks it up: what is not there, or is of
// another type, is nothing.
//
//     w_1 w_2 w_3 w_1 o_7->a o_7->b     slot of w_1:  MGET w_1 w_3
//                                       slot of w_2:  MGET w_2
//                                       slot of o_7:  HMGET o_7 a b
//
// Each is read once, however often it is wanted; only so many questions are under way at a time.

import { slotOf } from '../command/slot.ts';
import type { Named } from '../command/sort.ts';
import type { Meter } from './meter.ts';
import type { Reach, Words } from './reach.ts';
import { bulksOf } from './replies.ts';

/** Keys or fields in one question. */
const TOGETHER = 100;
/** Questions at a time. */
const AT_ONCE = 256;

type Found = Buffer | undefined;

interface Question {
  readonly slot: number;
  readonly words: Words;
  /** Places of what is asked, in the order of the answer. */
  readonly places: readonly number[];
}

/**
 * Reads what is wanted; undefined in places where nothing is. `meter` counts the bytes that are found.
 * @throws Refusal when a node has not answered, or what is found is more than may be read
 */
export async function lookUp(
  reach: Reach,
  wanted: readonly (Named | undefined)[],
  meter: Meter,
): Promise<Found[]> {
  const once = new Map<string, { readonly named: Named; readonly place: number }>();
  const places = wanted.map((named) => {
    if (named === undefined) return -1;
    const name = nameOf(named);
    const known = once.get(name) ?? { named, place: once.size };
    once.set(name, known);
    return known.place;
  });
  const found = new Array<Found>(once.size).fill(undefined);
  await several(questionsFor([...once.values()].map(({ named }) => named)), async (question) => {
    const values = await answerTo(reach, question);
    for (const [i, place] of question.places.entries()) {
      meter.count(values[i]?.length ?? 0);
      found[place] = values[i];
    }
  });
  return places.map((place) => found[place]);
}

/** The length keeps a key and its field apart. */
function nameOf({ key, field }: Named): string {
  const name = key.toString('latin1');
  return field === undefined ? `=${name}` : `${key.length}:${name}${field.toString('latin1')}`;
}

/** Strings are asked for by slot, fields by hash. */
function questionsFor(all: readonly Named[]): Question[] {
  const strings = grouped(all, ({ key, field }) => (field === undefined ? String(slot(key)) : undefined));
  const fields = grouped(all, ({ key, field }) => (field === undefined ? undefined : key.toString('latin1')));
  return [
    ...strings.map((places) => ({
      slot: slot(all[places[0]!]!.key),
      words: ['MGET', ...places.map((place) => all[place]!.key)],
      places,
    })),
    ...fields.map((places) => ({
      slot: slot(all[places[0]!]!.key),
      words: ['HMGET', all[places[0]!]!.key, ...places.map((place) => all[place]!.field!)],
      places,
    })),
  ];
}

/** Indexes of what has one name in common, at most TOGETHER of them in one group. */
function grouped(all: readonly Named[], by: (named: Named) => string | undefined): number[][] {
  const groups: number[][] = [];
  const open = new Map<string, number[]>();
  for (const [i, named] of all.entries()) {
    const name = by(named);
    if (name === undefined) continue;
    let group = open.get(name);
    if (group === undefined || group.length === TOGETHER) {
      group = [];
      open.set(name, group);
      groups.push(group);
    }
    group.push(i);
  }
  return groups;
}

async function answerTo(reach: Reach, { slot, words }: Question): Promise<readonly Found[]> {
  const reply = await reach.ask(slot, words, true);
  // Fields of what is no hash.
  return reply.toString('latin1', 0, 10) === '-WRONGTYPE' ? [] : bulksOf(reply);
}

/** Does work for each of many, AT_ONCE at a time. After a failure nothing more is begun; what is under way ends first. */
async function several<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  let next = 0;
  const worker = async () => {
    while (next < all.length && failures.length === 0)
      await work(all[next++]!).catch((failure) => failures.push(failure));
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, all.length) }, worker));
  if (failures.length > 0) throw failures[0];
}

function slot(key: Buffer): number {
  return slotOf(key, 0, key.length);
}
