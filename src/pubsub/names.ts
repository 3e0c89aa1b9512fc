// What the name of a channel or a pattern says of where its messages come from. Pure.
//
// Most are passed on between all nodes, so that any one node hears them. What a node itself says of its keys
// (__keyspace@0__:<key> and __keyevent@0__:<event>) is passed on to nobody: such a channel must be heard at every
// primary. That holds also where a key is named in full: while its slot is on the move, the key may be at the
// owner or already at the heir. A pattern may be for both kinds (`*`): then each primary tells of its keys, and one
// node of all else.

/** The kinds of subscription, as the commands for them begin: SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE. */
export const CHANNEL = 0;
export const PATTERN = 1;
export const SHARD = 2;
export type Kind = typeof CHANNEL | typeof PATTERN | typeof SHARD;

/** Heard at any one node. */
export const ANY = 0;
/** Heard at every primary: what is said of keys. */
export const EVERY = 1;
/** Heard at every primary what is said of keys, and at one of them all else. */
export const MIXED = 2;
/** Heard at the nodes of one shard. */
export const ONE_SHARD = 3;
export type Scope = typeof ANY | typeof EVERY | typeof MIXED | typeof ONE_SHARD;

const KEYSPACE = Buffer.from('__keyspace@');
const KEYEVENT = Buffer.from('__keyevent@');
const STAR = 42;
const QUESTION = 63;
const OPEN = 91;
const BACKSLASH = 92;
const CLOSE = 93;

/** Where the messages of a subscription are to be had. */
export function scopeOf(kind: Kind, name: Buffer): Scope {
  if (kind === SHARD) return ONE_SHARD;
  if (kind === PATTERN) return scopeOfPattern(name);
  return isOfKeys(name, 0, name.length) ? EVERY : ANY;
}

/** Whether a channel, `bytes[from..to)`, is one on which a node speaks of its own keys. */
export function isOfKeys(bytes: Buffer, from: number, to: number): boolean {
  return startsWith(bytes, from, to, KEYSPACE) || startsWith(bytes, from, to, KEYEVENT);
}

function startsWith(bytes: Buffer, from: number, to: number, prefix: Buffer): boolean {
  if (to - from < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[from + i] !== prefix[i]) return false;
  return true;
}

function scopeOfPattern(pattern: Buffer): Scope {
  if (!mayBegin(pattern, KEYSPACE) && !mayBegin(pattern, KEYEVENT)) return ANY;
  const literal = pattern.findIndex(
    (byte) => byte === STAR || byte === QUESTION || byte === OPEN || byte === BACKSLASH,
  );
  const end = literal < 0 ? pattern.length : literal;
  return isOfKeys(pattern, 0, end) ? EVERY : MIXED;
}

/**
 * Whether a text that begins with `prefix` may be of the pattern. The positions of the pattern that can be come to
 * are followed through the prefix; a class in brackets is taken to match any byte, so the answer is yes too often
 * rather than not often enough.
 */
function mayBegin(pattern: Buffer, prefix: Buffer): boolean {
  let at = new Set([0]);
  for (const byte of prefix) {
    const next = new Set<number>();
    for (const p of withStars(pattern, at)) {
      const first = pattern[p];
      if (first === undefined) continue;
      if (first === STAR) next.add(p);
      else if (first === QUESTION) next.add(p + 1);
      else if (first === OPEN) next.add(behindClass(pattern, p + 1));
      else {
        const literal = first === BACKSLASH && p + 1 < pattern.length ? p + 1 : p;
        if (pattern[literal] === byte) next.add(literal + 1);
      }
    }
    if (next.size === 0) return false;
    at = next;
  }
  return true;
}

/** The positions, and those behind the stars that stand at them. */
function withStars(pattern: Buffer, at: ReadonlySet<number>): Set<number> {
  const all = new Set(at);
  for (const p of all) if (pattern[p] === STAR) all.add(p + 1);
  return all;
}

function behindClass(pattern: Buffer, from: number): number {
  let p = from;
  while (p < pattern.length && pattern[p] !== CLOSE) p += pattern[p] === BACKSLASH ? 2 : 1;
  return Math.min(p + 1, pattern.length);
}
