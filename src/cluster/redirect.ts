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

const LONGEST = 512;

/** The kind of the error line `bytes[from..to)`, which begins with '-'. */
export function redirectOf(bytes: Buffer, from: number, to: number): number {
  switch (bytes[from + 1]) {
    case 77: // M
      if (startsWith(bytes, from, to, 'MOVED ')) return MOVED;
      return startsWith(bytes, from, to, 'MASTERDOWN ') ? DOWN : NONE;
    case 65: // A
      return startsWith(bytes, from, to, 'ASK ') ? ASK : NONE;
    case 84: // T
      return startsWith(bytes, from, to, 'TRYAGAIN ') ? TRYAGAIN : NONE;
    case 67: // C
      return startsWith(bytes, from, to, 'CLUSTERDOWN ') ? DOWN : NONE;
    case 76: // L
      return startsWith(bytes, from, to, 'LOADING ') ? DOWN : NONE;
    case 82: // R
      return startsWith(bytes, from, to, 'READONLY ') ? READONLY : NONE;
  }
  return NONE;
}

function startsWith(bytes: Buffer, from: number, to: number, word: string): boolean {
  if (to - from - 1 < word.length) return false;
  for (let i = 0; i < word.length; i++) if (bytes[from + 1 + i] !== word.charCodeAt(i)) return false;
  return true;
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
  if (!Number.isInteger(slot) || slot < 0 || slot > 16383 || !Number.isInteger(port) || port < 1 || port > 65535) return undefined;
  return { slot, host: host === '?' ? '' : host, port };
}
