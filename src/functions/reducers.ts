// The reducers by their names, and those that gather replies as they are.
//
//   numbers        sum min max avg and or             numbers.ts
//   elements       count union inter group            tallies.ts
//   the highest    topk:<n> topk:<n>:<i>              top.ts
//   as they are    first any concat flatten none merge
//   of a library   js:<library>.<name>[:<arg>...]     Scripted: run on a function thread

import { type Decoded, encodeValue, Pairs, Status } from '../resp/value.ts';
import {
  Average,
  Extreme,
  Logical,
  type Numeric,
  numberOf,
  numeric,
  numericText,
  plus,
  Sum,
} from './numbers.ts';
import { entriesOf, listOf, type OnError, owned, type Part, type Reducer } from './reducer.ts';
import { Count, Group, Intersection, Union } from './tallies.ts';
import { TopRows, TopScores } from './top.ts';

/** A reducer that a library has registered. */
export interface Scripted {
  readonly library: string;
  readonly name: string;
  readonly args: readonly string[];
}

const NAMED: Readonly<Record<string, () => Reducer>> = {
  sum: () => new Sum(),
  min: () => new Extreme(-1),
  max: () => new Extreme(1),
  avg: () => new Average(),
  and: () => new Logical(true),
  or: () => new Logical(false),
  count: () => new Count(),
  first: () => new One(true),
  any: () => new One(false),
  concat: () => new Concat(),
  union: () => new Union(),
  inter: () => new Intersection(),
  flatten: () => new Flatten(),
  merge: () => new Merge(),
  group: () => new Group(),
  none: () => new None(),
};

const TOP = /^topk:([1-9]\d{0,8})(?::(\d{1,9}))?$/;
const SCRIPTED = /^js:([^.:]+)\.([^:]+)((?::.*)?)$/s;
/** As much of a wrong name as an error repeats. */
const ECHO = 128;

/**
 * The reducer of a name; names of its own are in lower case.
 * @throws Error with the text for the client, without `ERR`
 */
export function reducerOf(text: string): Reducer | Scripted {
  if (Object.hasOwn(NAMED, text)) return NAMED[text]!();
  const top = TOP.exec(text);
  if (top !== null)
    return top[2] === undefined ? new TopScores(Number(top[1])) : new TopRows(Number(top[1]), Number(top[2]));
  const scripted = SCRIPTED.exec(text);
  if (scripted !== null)
    return { library: scripted[1]!, name: scripted[2]!, args: scripted[3]!.split(':').slice(1) };
  const shown = text.slice(0, ECHO);
  if (text.startsWith('topk'))
    throw new Error(`invalid reducer '${shown}': topk:<n> or topk:<n>:<field>, n from 1 and fields from 0`);
  if (text.startsWith('js:')) throw new Error(`invalid reducer '${shown}': js:<library>.<name>[:<arg>...]`);
  throw new Error(
    `unknown reducer '${shown}', there are: ${Object.keys(NAMED).join(' ')} topk:<n> js:<library>.<name>`,
  );
}

/** The first in order, or the first to arrive. */
class One implements Reducer {
  readonly onError = 'pass';
  readonly ordered: boolean;
  held = 0;
  done = false;
  private reply: Decoded = null;

  constructor(ordered: boolean) {
    this.ordered = ordered;
  }

  add({ reply, bytes }: Part): void {
    if (this.done) return;
    this.reply = reply;
    this.held = bytes;
    this.done = true;
  }

  result(): Decoded {
    return this.reply;
  }
}

abstract class InOrder implements Reducer {
  readonly onError: OnError = 'fail';
  readonly ordered = true;
  readonly done = false;
  held = 0;
  protected readonly items: Decoded[] = [];

  add(part: Part): void {
    this.held += part.bytes;
    this.take(part);
  }

  protected abstract take(part: Part): void;

  result(): Decoded {
    return this.items;
  }
}

/** One array: what is in array replies, and other replies as an element each. */
class Concat extends InOrder {
  protected take({ reply }: Part): void {
    for (const item of listOf(reply) ?? [reply]) this.items.push(item);
  }
}

/** One array of all that is in arrays, at whatever depth. */
class Flatten extends InOrder {
  protected take({ reply }: Part): void {
    this.flatten(reply);
  }

  private flatten(value: Decoded): void {
    const items = listOf(value);
    if (items === undefined) this.items.push(value);
    else for (const item of items) this.flatten(item);
  }
}

/** [node, reply] of each; an error stands in its place. */
class None extends InOrder {
  override readonly onError = 'keep';

  protected take({ node, reply }: Part): void {
    this.items.push([node === undefined ? null : Buffer.from(node), reply]);
  }
}

/** What an entry takes besides its bytes, about. */
const ENTRY = 128;

/** One map. Numbers under the same field are added, as text where both are text; else the last one wins. */
class Merge implements Reducer {
  readonly onError = 'fail';
  readonly ordered = true;
  readonly done = false;
  held = 0;
  private readonly fields = new Map<string, [field: Decoded, value: Decoded]>();

  add({ reply }: Part): void {
    for (const [field, value] of entriesOf(reply)) {
      const form = encodeValue(3, field).toString('latin1');
      const entry = this.fields.get(form);
      const next = entry === undefined ? owned(value) : joined(entry[1], value);
      this.held += entry === undefined ? ENTRY + 2 * form.length : -sizeOf(entry[1]);
      this.held += sizeOf(next);
      if (entry === undefined) this.fields.set(form, [owned(field), next]);
      else entry[1] = next;
    }
  }

  result(): Decoded {
    return new Pairs([...this.fields.values()]);
  }
}

function sizeOf(value: Decoded): number {
  return encodeValue(3, value).length;
}

function joined(before: Decoded, value: Decoded): Decoded {
  const [a, b] = [addend(before), addend(value)];
  if (a === undefined || b === undefined) return owned(value);
  const sum = plus(a, b);
  return isText(before) && isText(value) ? Buffer.from(numericText(sum)) : numeric(sum);
}

function addend(value: Decoded): Numeric | undefined {
  return typeof value === 'boolean' ? undefined : numberOf(value);
}

function isText(value: Decoded): boolean {
  return Buffer.isBuffer(value) || value instanceof Status;
}
