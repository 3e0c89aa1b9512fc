// What an error reply asks of the road: nothing, to go elsewhere, or to wait. Pure; the first byte was '-'.
//
// All of these say "not executed", so the command may be sent again without being done twice.

export const NONE = 0;
/** The slot's owner is another node, for good. */
export const MOVED = 1;
/** This key, this once, at another node, after ASKING. */
export const ASK = 2;
/** Some of the command's keys have moved and some not yet. */
export const TRYAGAIN = 3;
/** The cluster, the slot or the node can't serve now: CLUSTERDOWN LOADING MASTERDOWN. */
export const DOWN = 4;
/** A write reached a replica: our map is older than a failover. */
export const READONLY = 5;

/** A login that a node refuses, or a right: an error's text. It says nothing of the node. */
export const REFUSED_LOGIN = /^(WRONGPASS|NOAUTH|NOPERM) /;

const LONGEST = 512;

/**
 * The servers' whole sentences (Redis 7, Valkey 8), not only their first words: a script that has written and
 * then says TRYAGAIN of its own must not be run again.
 */
const SENTENCES: readonly (readonly [number, RegExp])[] = [
  [MOVED, /^MOVED \d+ \S*:\d+$/],
  [ASK, /^ASK \d+ \S*:\d+$/],
  [TRYAGAIN, /^TRYAGAIN Multiple keys request during rehashing of slot$/],
  [DOWN, /^CLUSTERDOWN (The cluster is down( and only accepts read commands)?|Hash slot not served)$/],
  [DOWN, /^LOADING (Redis|Valkey) is loading the dataset in memory$/],
  [DOWN, /^MASTERDOWN Link with (MASTER|PRIMARY) is down and replica-serve-stale-data is set to 'no'\.$/],
  [READONLY, /^READONLY You can't write against a read only replica\.$/],
];

/** The kind of the error line `bytes[from..to)`, which begins with '-'. */
export function redirectOf(bytes: Buffer, from: number, to: number): number {
  // Most errors are told by their first letter: M A T C L R.
  if (to - from > LONGEST || !FIRST_LETTERS.includes(bytes[from + 1]!)) return NONE;
  const line = bytes.toString('latin1', from + 1, to - 2);
  return SENTENCES.find(([, sentence]) => sentence.test(line))?.[0] ?? NONE;
}

const FIRST_LETTERS = Buffer.from('MATCLR');

/** Whether a server's word can be connected to at all. */
export function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65536;
}

/** A name or an address; empty is for the caller to interpret. */
export function isHost(host: string): boolean {
  return /^[\w.:%?-]{0,253}$/.test(host);
}

export interface Target {
  readonly slot: number;
  /** Empty: the host of the node that answered. */
  readonly host: string;
  readonly port: number;
}

/** Slot and address of `-MOVED 3999 127.0.0.1:6381` and `-ASK ...`, or undefined when the line is not of that form. */
export function targetOf(bytes: Buffer, from: number, to: number): Target | undefined {
  if (to - from > LONGEST) return undefined;
  const [, slotText, address] = bytes.toString('latin1', from, to - 2).split(' ');
  const colon = address?.lastIndexOf(':') ?? -1;
  if (slotText === undefined || address === undefined || colon < 0) return undefined;
  const slot = Number(slotText);
  const port = Number(address.slice(colon + 1));
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  if (!Number.isInteger(slot) || slot < 0 || slot > 16383 || !isPort(port) || !isHost(host)) return undefined;
  return { slot, host: host === '?' ? '' : host, port };
}
