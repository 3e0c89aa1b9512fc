// Reducers over the elements of replies: union, inter, group, and how many there are.
//
// An element is known by its type and its bytes, its RESP3 form; of each one its form is kept, how often it came, and
// where first, so that the result is in the order of the replies whichever came first.

import { type Decoded, decode, encodeValue, Members, Pairs } from '../resp/value.ts';
import { elementsOf, type Part, type Reducer } from './reducer.ts';

/** Positions within one reply stay below. */
const PLACE = 2 ** 32;
/** What an entry of a map takes besides its text, about. */
const ENTRY = 64;

function formOf(element: Decoded): string {
  return encodeValue(3, element).toString('latin1');
}

function elementOf(form: string): Decoded {
  return decode(Buffer.from(form, 'latin1'));
}

abstract class OverElements implements Reducer {
  readonly onError = 'fail';
  readonly ordered = false;
  readonly done = false;
  held = 0;

  abstract add(part: Part): void;
  abstract result(): Decoded;

  /** Bytes that an element takes, about. */
  protected sizeOf(form: string): number {
    return form.length + ENTRY;
  }
}

/** The elements that any of the replies has, each once. */
export class Union extends OverElements {
  private readonly first = new Map<string, number>();

  add({ reply, place }: Part): void {
    elementsOf(reply).forEach((element, i) => {
      const form = formOf(element);
      const at = place * PLACE + i;
      const before = this.first.get(form);
      if (before === undefined) this.held += this.sizeOf(form);
      if (before === undefined || at < before) this.first.set(form, at);
    });
  }

  result(): Decoded {
    return inOrder(this.first);
  }
}

/** The elements that all replies have, each once. A nil has none. */
export class Intersection extends OverElements {
  private common: Map<string, number> | undefined = undefined;

  add({ reply, place }: Part): void {
    const { common } = this;
    const next = new Map<string, number>();
    let held = 0;
    elementsOf(reply).forEach((element, i) => {
      const form = formOf(element);
      const before = common?.get(form);
      if (next.has(form) || (common !== undefined && before === undefined)) return;
      next.set(form, Math.min(before ?? Number.POSITIVE_INFINITY, place * PLACE + i));
      held += this.sizeOf(form);
    });
    this.common = next;
    this.held = held;
  }

  result(): Decoded {
    return inOrder(this.common ?? new Map());
  }
}

function inOrder(places: ReadonlyMap<string, number>): Decoded {
  const sorted = [...places].sort(([, a], [, b]) => a - b);
  return new Members(sorted.map(([form]) => elementOf(form)));
}

/** A map of each element to how often it came, most often first. */
export class Group extends OverElements {
  private readonly tallies = new Map<string, { count: number; first: number }>();

  add({ reply, place }: Part): void {
    elementsOf(reply).forEach((element, i) => {
      const form = formOf(element);
      const at = place * PLACE + i;
      const tally = this.tallies.get(form);
      if (tally === undefined) {
        this.tallies.set(form, { count: 1, first: at });
        this.held += this.sizeOf(form);
        return;
      }
      tally.count++;
      tally.first = Math.min(tally.first, at);
    });
  }

  result(): Decoded {
    const sorted = [...this.tallies].sort(([, a], [, b]) => b.count - a.count || a.first - b.first);
    return new Pairs(sorted.map(([form, { count }]) => [elementOf(form), BigInt(count)] as const));
  }
}

/** How many elements there are that are not nil. */
export class Count extends OverElements {
  private count = 0;

  add({ reply }: Part): void {
    for (const element of elementsOf(reply)) if (element !== null) this.count++;
  }

  result(): Decoded {
    return BigInt(this.count);
  }
}
