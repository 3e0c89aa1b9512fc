/**
 * How two replies may differ and still be the same. Equal bytes are asked for first; these are for the rows
 * of `exceptions.ts`.
 *
 * A reply is taken apart into nodes that keep its types, so that a map never passes for an array, nor a
 * double for a string.
 */

export interface Node {
  /** The first byte: `+ - : $ * % ~ , # _ =` and so on. */
  readonly type: string;
  /** Of what is no aggregate: its bytes, one character each. */
  readonly text: string;
  /** Of an aggregate: its elements, of a map the pairs as arrays of two. */
  readonly items: readonly Node[];
}

export type Alike = (lone: Node, proxy: Node) => boolean;

/** A whole reply, as nodes. */
export function nodeOf(reply: Buffer): Node {
  let at = 0;
  const read = (): Node => {
    const end = reply.indexOf('\r\n', at);
    const type = reply.toString('latin1', at, at + 1);
    const rest = reply.toString('latin1', at + 1, end);
    const count = Number(rest);
    at = end + 2;
    if ('$=!'.includes(type) && count >= 0) {
      at += count + 2;
      return { type, text: reply.toString('latin1', at - count - 2, at - 2), items: [] };
    }
    if ('*~>'.includes(type)) return { type, text: '', items: Array.from({ length: count }, read) };
    if (type !== '%') return { type, text: rest, items: [] };
    return { type, text: '', items: Array.from({ length: count }, () => pair(read(), read())) };
  };
  return read();
}

const pair = (a: Node, b: Node): Node => ({ type: '*', text: '', items: [a, b] });
const show = (node: Node): string => JSON.stringify(node);
const same: Alike = (a, b) => show(a) === show(b);
const by =
  (canonical: (node: Node) => Node): Alike =>
  (a, b) =>
    same(canonical(a), canonical(b));

const sorted = (items: readonly Node[]): Node[] => [...items].sort((a, b) => (show(a) < show(b) ? -1 : 1));

/** The same elements, or the same pairs of a map, in any order. */
export const anyOrder = by((node) => ({ ...node, items: sorted(node.items) }));

/** As `anyOrder`, and the elements' elements too. */
export const anyOrderInside = by(function inside(node: Node): Node {
  return { ...node, items: sorted(node.items.map(inside)) };
});

/** As `anyOrderInside`, without the elements that are named so, or whose first element is. */
export function butForRows(names: readonly string[]): Alike {
  const own = ({ text, items }: Node) => names.includes(items[0]?.text ?? text);
  const without = (node: Node): Node => ({ ...node, items: node.items.filter((item) => !own(item)) });
  return (lone, proxy) => anyOrderInside(lone, without(proxy));
}

/** An array of names and values, one after the other, in any order; or a map. */
export const pairsInAnyOrder = by((node) => ({ ...node, items: sorted(inPairs(node)) }));

function inPairs({ type, items }: Node): readonly Node[] {
  if (type !== '*' || items.some((item) => item.type === '*')) return items;
  return items.flatMap((item, i) => (i % 2 === 0 ? [pair(item, items[i + 1] ?? item)] : []));
}

/** A cursor, and elements in any order. */
export const scanned = by((node) => ({
  ...node,
  items: node.items.map((item, i) => (i === 1 ? { ...item, items: sorted(item.items) } : item)),
}));

export const scannedPairs = by((node) => ({
  ...node,
  items: node.items.map((item, i) => (i === 1 ? { ...item, items: sorted(inPairs(item)) } : item)),
}));

/** All the same, but for numbers that may lie so far apart. */
export function near(distance: number): Alike {
  return function alike(a: Node, b: Node): boolean {
    const [x, y] = [Number(a.text), Number(b.text)];
    if (a.type !== b.type || a.items.length !== b.items.length) return false;
    if (a.text !== b.text && !(a.text !== '' && b.text !== '' && Math.abs(x - y) <= distance)) return false;
    return a.items.every((item, i) => alike(item, b.items[i] ?? item));
  };
}

/** All the same, but for what a pattern takes for the server's own choice. */
export function masked(pattern: RegExp): Alike {
  return by(function mask(node: Node): Node {
    return { ...node, text: node.text.replace(pattern, '?'), items: node.items.map(mask) };
  });
}

/** All the same, but for the values of some fields, which have the same type; in a map or a flat array. */
export function butFor(...names: string[]): Alike {
  return by(function mask(node: Node): Node {
    const items = node.items.map(mask);
    const hidden = items.map((item, i) =>
      names.includes(items[i - 1]?.text ?? '') ? { ...item, text: '?' } : item,
    );
    return { ...node, items: hidden };
  });
}

/** As many of the same types, and strings of the same lengths, whatever they say. */
export const shaped = by(function shape(node: Node): Node {
  return {
    ...node,
    text: node.type === ':' ? '' : '?'.repeat(node.text.length),
    items: node.items.map(shape),
  };
});

/** What newer servers add to a line of CLIENT LIST about the bytes that passed. */
const TRAFFIC = /^(tot-net-in|tot-net-out|tot-cmds)$/;

/**
 * The last line of CLIENT LIST: every field that the server has, and the same values of those that say what
 * the client did itself. Fields of newer servers may be there as well.
 */
export function clientLine(fields: readonly string[]): Alike {
  return (lone, proxy) => {
    const [expected, found] = [fieldsOf(lone), fieldsOf(proxy)];
    return (
      lone.type === proxy.type &&
      [...expected].every(([name, value]) => {
        if (!found.has(name)) return TRAFFIC.test(name);
        return !fields.includes(name) || found.get(name) === value;
      })
    );
  };
}

function fieldsOf({ text }: Node): Map<string, string> {
  const line = text.trimEnd().split('\n').at(-1) ?? '';
  return new Map([...line.matchAll(/([\w-]+)=(\S*)/g)].map(([, name = '', value = '']) => [name, value]));
}
