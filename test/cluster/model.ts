/**
 * What one client must be told, worked out without a server: for keys that are its own, every reply is determined.
 *
 * Each key has a set of states it may be in, one of them as a rule. A command is played on all of them; the
 * states whose reply is the one that came are those it may be in afterwards, and if there are none, the reply
 * was wrong: lost, doubled, out of order or another's. A write whose outcome is unknown leaves both its states,
 * and the next read settles which it was. A key never comes back to a state it has had (values are numbered,
 * counters grow), so that two writes that changed places show.
 */

import type { Argument } from '../support/client.ts';

/** A string's value, a counter's, or a set's members, sorted and joined; undefined: there is no such key. */
export type State = string | undefined;

/** A command, its keys, and what it does to their states. Replies are RESP as text, `|` for the line ends. */
export interface Step {
  /** Commands that are sent right before it, and their replies. */
  readonly before?: readonly { readonly words: readonly Argument[]; readonly reply: string }[];
  readonly words: readonly Argument[];
  readonly keys: readonly string[];
  play(states: readonly State[]): { reply: string; after: readonly State[] };
}

/** What a client may be told of what was in flight when a node was lost. */
export const IN_FLIGHT = /the outcome of this write is unknown|this read was not asked again/;

/** Combinations of states that are tried for one command; more can't come of a few unknown outcomes. */
const MOST = 4096;

export class Model {
  /** Replies that left an outcome open. */
  unknown = 0;
  private readonly states = new Map<string, State[]>();

  /** Takes the reply to the next step. Returns what is wrong with it, if anything is. */
  take(step: Step, reply: string, unknown: RegExp | undefined): string | undefined {
    const possible = step.keys.map((key) => this.of(key));
    const open = unknown?.test(reply) === true;
    if (open) this.unknown++;
    const after: Set<State>[] = step.keys.map((_, i) => new Set(open ? possible[i] : []));
    const expected = new Set<string>();
    for (const states of combinations(possible)) {
      const played = step.play(states);
      expected.add(played.reply);
      if (!open && played.reply !== reply) continue;
      for (const [i, state] of played.after.entries()) after[i]!.add(state);
    }
    if (!open && !expected.has(reply)) {
      return `${step.words.join(' ')} -> ${reply}, expected ${[...expected].join(' or ')}`;
    }
    for (const [i, key] of step.keys.entries()) this.states.set(key, [...after[i]!]);
    return undefined;
  }

  of(key: string): State[] {
    return this.states.get(key) ?? [undefined];
  }

  get keys(): string[] {
    return [...this.states.keys()];
  }
}

function* combinations(possible: readonly State[][]): Generator<State[]> {
  const count = possible.reduce((product, states) => product * states.length, 1);
  if (count > MOST) throw new Error(`${count} combinations of states`);
  for (let n = 0; n < count; n++) {
    let rest = n;
    yield possible.map((states) => {
      const state = states[rest % states.length];
      rest = Math.floor(rest / states.length);
      return state;
    });
  }
}

/** GET's reply. */
export function bulkText(state: State, resp: 2 | 3): string {
  if (state === undefined) return resp === 3 ? '_|' : '$-1|';
  return `$${state.length}|${state}|`;
}

/** Numbers that follow from a seed, in [0, 1). */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export interface Mix {
  readonly resp: 2 | 3;
  /** In the names of its keys, so that they are its own. */
  readonly client: number;
  /** Hash tags, each of a slot. */
  readonly tags: readonly string[];
  /** Keys of each kind in each slot. */
  readonly keys: number;
  /** Bytes that values are made longer by. */
  readonly padding: number;
}

/** Steps without end, picked by `random`. */
export function steps(mix: Mix, random: () => number): () => Step {
  const { client, tags, keys, resp } = mix;
  const pad = 'x'.repeat(mix.padding);
  let number = 0;
  const pick = (count: number) => Math.floor(random() * count);
  /** All keys of a transaction are of one slot. */
  let bound: string | undefined;
  const tag = () => bound ?? tags[pick(tags.length)]!;
  const name = (kind: string, of: string) => `{${of}}:${client}:${kind}${pick(keys)}`;
  const value = () => `${client}.${number++}.${pad}`;
  const bulk = (state: State) => bulkText(state, resp);
  /** Some different keys, in one slot or in any. */
  const several = (kind: string, one: boolean) => {
    const of = tag();
    return [...new Set(Array.from({ length: 2 + pick(4) }, () => name(kind, one ? of : tag())))];
  };
  const reads = (words: string[], key: string, reply: (state: State) => string): Step => {
    return { words, keys: [key], play: ([state]) => ({ reply: reply(state), after: [state] }) };
  };
  const writes = (
    words: string[],
    key: string,
    after: (state: State) => State,
    reply: (next: State, state: State) => string,
  ): Step => ({
    words,
    keys: [key],
    play: ([state]) => {
      const next = after(state);
      return { reply: reply(next, state), after: [next] };
    },
  });
  const kinds: { weight: number; make: () => Step }[] = [
    {
      weight: 6,
      make: () => {
        const [key, text] = [name('s', tag()), value()];
        return writes(
          ['SET', key, text],
          key,
          () => text,
          () => '+OK|',
        );
      },
    },
    {
      weight: 4,
      make: () => {
        const [key, text] = [name('s', tag()), `${number++},`];
        return writes(
          ['APPEND', key, text],
          key,
          (state = '') => state + text,
          (next) => `:${next!.length}|`,
        );
      },
    },
    {
      weight: 6,
      make: () => {
        const key = name('n', tag());
        return writes(
          ['INCR', key],
          key,
          (state = '0') => String(Number(state) + 1),
          (next) => `:${next}|`,
        );
      },
    },
    {
      weight: 6,
      make: () => {
        const key = name(random() < 0.5 ? 's' : 'n', tag());
        return reads(['GET', key], key, bulk);
      },
    },
    {
      weight: 1,
      make: () => {
        const key = name('s', tag());
        return reads(['STRLEN', key], key, (state) => `:${state?.length ?? 0}|`);
      },
    },
    {
      weight: 2,
      make: () => {
        const chosen = several('s', random() < 0.5);
        return {
          words: ['MGET', ...chosen],
          keys: chosen,
          play: (states) => ({ reply: `*${states.length}|${states.map(bulk).join('')}`, after: states }),
        };
      },
    },
    {
      weight: 2,
      make: () => {
        const chosen = several('s', random() < 0.5);
        const values = chosen.map(value);
        return {
          words: ['MSET', ...chosen.flatMap((key, i) => [key, values[i]!])],
          keys: chosen,
          play: () => ({ reply: '+OK|', after: values }),
        };
      },
    },
    {
      weight: 1,
      make: () => {
        const chosen = several('s', random() < 0.5);
        const count = (states: readonly State[]) => states.filter((state) => state !== undefined).length;
        return {
          words: [random() < 0.5 ? 'DEL' : 'UNLINK', ...chosen],
          keys: chosen,
          play: (states) => ({ reply: `:${count(states)}|`, after: states.map(() => undefined) }),
        };
      },
    },
    {
      weight: 1,
      make: () => {
        const chosen = several('s', random() < 0.5);
        const count = (states: readonly State[]) => states.filter((state) => state !== undefined).length;
        return {
          // The first of them twice: a key counts as often as it is named.
          words: [random() < 0.5 ? 'EXISTS' : 'TOUCH', ...chosen, chosen[0]!],
          keys: chosen,
          play: (states) => ({ reply: `:${count([...states, states[0]])}|`, after: states }),
        };
      },
    },
    {
      weight: 2,
      make: () => {
        const [key, member] = [name('e', tag()), String(pick(20))];
        const add = (state: State) => [...new Set([...members(state), member])].sort().join();
        return writes(['SADD', key, member], key, add, (next, state) => (next === state ? ':0|' : ':1|'));
      },
    },
    {
      weight: 1,
      make: () => {
        const of = tag();
        const [into, a, b] = [`{${of}}:${client}:u${pick(keys)}`, name('e', of), name('e', of)];
        const union = (x: State, y: State) => [...new Set([...members(x), ...members(y)])].sort();
        return {
          words: ['SUNIONSTORE', into, a, b],
          keys: a === b ? [into, a] : [into, a, b],
          play: ([, x, y]) => {
            const all = union(x, a === b ? x : y);
            const stored = all.length === 0 ? undefined : all.join();
            return { reply: `:${all.length}|`, after: a === b ? [stored, x] : [stored, x, y] };
          },
        };
      },
    },
    {
      weight: 1,
      make: () => {
        const key = `{${tag()}}:${client}:u${pick(keys)}`;
        return reads(['SCARD', key], key, (state) => `:${members(state).length}|`);
      },
    },
  ];
  const total = kinds.reduce((sum, { weight }) => sum + weight, 0);
  const single = () => {
    let at = random() * total;
    for (const { weight, make } of kinds) {
      at -= weight;
      if (at < 0) return make();
    }
    return kinds[0]!.make();
  };
  return () => {
    if (random() > TRANSACTIONS) return single();
    bound = tag();
    const parts = Array.from({ length: 1 + pick(4) }, single);
    bound = undefined;
    return transaction(parts);
  };
}

/** How many of the steps are transactions. */
const TRANSACTIONS = 0.2;

/** Several steps as one: all of them are played, one after the other, or none. */
function transaction(parts: readonly Step[]): Step {
  const keys = [...new Set(parts.flatMap((part) => part.keys))];
  return {
    before: [
      { words: ['MULTI'], reply: '+OK|' },
      ...parts.map(({ words }) => ({ words, reply: '+QUEUED|' })),
    ],
    words: ['EXEC'],
    keys,
    play: (states) => {
      const now = new Map(keys.map((key, i) => [key, states[i]]));
      const replies = parts.map((part) => {
        const { reply, after } = part.play(part.keys.map((key) => now.get(key)));
        for (const [i, key] of part.keys.entries()) now.set(key, after[i]);
        return reply;
      });
      return { reply: `*${parts.length}|${replies.join('')}`, after: keys.map((key) => now.get(key)) };
    },
  };
}

function members(state: State): string[] {
  return state === undefined ? [] : state.split(',');
}
