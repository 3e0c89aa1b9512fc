/**
 * How people write settings, and back: text <-> value, by kind.
 *
 * All sources (YAML, environment, flags) deliver text, lists of text or maps of text, so that a value
 * means the same wherever it stands: `012` is never octal and `off` is never a boolean. What is not
 * understood yields undefined, never a guess; the bounds are checked by the schema afterwards.
 * `write` gives the shortest text that `read` takes for the same value.
 */
import { isIPv6 } from 'node:net';
import type { Setting } from './schema.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Where something listens: a TCP port, or a unix socket by its path. */
export type Address = HostPort | { readonly path: string };

/** Bytes unread: at once too many, and too many for `softFor` ms. 0: no such limit. */
export interface OutputLimit {
  readonly hard: number;
  readonly soft: number;
  readonly softFor: number;
}

/** How far a replica may be behind: time, ms, or bytes. */
export interface Lag {
  readonly unit: 'ms' | 'bytes';
  readonly most: number;
}

/** What a source holds for one setting. */
export type Raw = string | readonly string[] | ReadonlyMap<string, string>;

export function isPairs(raw: Raw): raw is ReadonlyMap<string, string> {
  return raw instanceof Map;
}

/**
 * The value that `raw` stands for, or undefined when it is not written as the setting's kind asks.
 * The result may still be out of the setting's bounds.
 */
export function read(setting: Setting, raw: Raw): unknown {
  if (setting.kind === 'nat') return readNat(raw);
  if (setting.kind === 'zones' || setting.kind === 'groups') return readPairs(raw, setting.kind === 'groups');
  if (isPairs(raw)) return undefined;
  switch (setting.kind) {
    case 'nodes':
      return every(list(raw), readHostPort);
    case 'doors':
      return every(list(raw), readAddress);
    case 'commands':
      return list(raw).map((name) => name.toLowerCase());
  }
  if (typeof raw !== 'string') return undefined;
  switch (setting.kind) {
    case 'ms':
      return readUnit(raw, TIMES);
    case 'bytes':
      return readUnit(raw, SIZES);
    case 'count':
      return readUnit(raw, NONE);
    case 'ratio':
      return /^\d+(\.\d+)?$/.test(raw.trim()) ? Number(raw) : undefined;
    case 'door or off':
      return raw === 'off' ? raw : readAddress(raw);
    case 'output limit':
      return readOutputLimit(raw);
    case 'lag':
      return readLag(raw);
    case 'ms or off':
      return raw === 'off' ? raw : readUnit(raw, TIMES);
    case 'hedge':
      return raw === 'off' || raw === 'p99' ? raw : readUnit(raw, TIMES);
    default:
      return raw;
  }
}

/** A value as one would write it in the environment or after a flag. */
export function write(setting: Setting, value: unknown): string {
  switch (setting.kind) {
    case 'ms':
      return writeTime(value as number);
    case 'bytes':
      return writeSize(value as number);
    case 'nodes':
    case 'doors':
      return (value as Address[]).map(addressText).join(',');
    case 'door or off':
      return value === 'off' ? value : addressText(value as Address);
    case 'nat':
      return Object.entries(value as Record<string, HostPort>)
        .map(([from, to]) => `${from}=${addressText(to)}`)
        .join(',');
    case 'commands':
      return (value as string[]).join(',');
    case 'lag': {
      const { unit, most } = value as Lag;
      return unit === 'ms' ? writeTime(most) : writeSize(most);
    }
    case 'ms or off':
    case 'hedge':
      return typeof value === 'number' ? writeTime(value) : String(value);
    case 'zones':
    case 'groups':
      return Object.entries(value as Record<string, string>)
        .map((pair) => pair.join('='))
        .join(',');
    case 'output limit': {
      const { hard, soft, softFor } = value as OutputLimit;
      return `${writeSize(hard)} ${writeSize(soft)} ${writeTime(softFor)}`;
    }
    default:
      return String(value);
  }
}

/** What may be given for a setting, to be read behind "allowed:". */
export function allowed(setting: Setting): string {
  const range = () => `from ${write(setting, setting.low)} to ${write(setting, setting.high)}`;
  switch (setting.kind) {
    case 'ms':
      return `a time ${range()}`;
    case 'bytes':
      return `a size ${range()}`;
    case 'count':
      return `a whole number ${range()}`;
    case 'ratio':
      return `a number ${range()}`;
    case 'choice':
      return setting.choices.join(' | ');
    case 'name':
      return '1 to 64 printable characters without a space';
    case 'nodes':
      return 'one or more of host:port or [v6]:port, with a comma between them';
    case 'doors':
      return 'one or more of host:port, [v6]:port or /path/of.sock, with a comma between them';
    case 'door or off':
      return 'host:port, [v6]:port, /path/of.sock or off';
    case 'nat':
      return 'pairs of host:port=host:port, with a comma between them';
    case 'commands':
      return 'names of commands, with a comma between them';
    case 'output limit':
      return "as Redis's client-output-buffer-limit: a hard size, a soft size and for how long, in seconds, the soft one may be passed; a size of 0 is none";
    case 'lag':
      return 'a time up to 1m, or a size up to 64gb with its unit';
    case 'ms or off':
      return 'a time from 1ms to 1h, or off';
    case 'hedge':
      return 'a time from 1ms to 1m, p99 or off';
    case 'zones':
      return 'pairs of host:port=zone or host=zone, with a comma between them';
    case 'groups':
      return 'pairs of command=where or @category=where, with a comma between them; where is primary, prefer-replica, replica, any or nearest';
    case 'text':
      return 'text';
  }
}

/** `host:port`, `[v6]:port` or the path of a socket: the form in which addresses are written and compared. */
export function addressText(address: Address): string {
  if ('path' in address) return address.path;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

const HOST_PORT = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/;
const TIMES = { '': 1, ms: 1, s: 1000, m: 60000, h: 3600000 };
const NONE = { '': 1 };
/** As in Redis (util.c, memtoull): k is 1000 and kb is 1024. */
const SIZES = {
  '': 1,
  b: 1,
  k: 1e3,
  kb: 2 ** 10,
  kib: 2 ** 10,
  m: 1e6,
  mb: 2 ** 20,
  mib: 2 ** 20,
  g: 1e9,
  gb: 2 ** 30,
  gib: 2 ** 30,
};

function readUnit(raw: string, units: Record<string, number>): number | undefined {
  const match = /^(-?\d+) ?([a-z]*)$/.exec(raw.trim().toLowerCase());
  const factor = match && Object.hasOwn(units, match[2]!) ? units[match[2]!] : undefined;
  if (!match || factor === undefined) return undefined;
  const value = Number(match[1]) * factor;
  return Number.isSafeInteger(value) ? value : undefined;
}

function writeTime(value: number): string {
  return writeUnit(value, [
    ['h', 3600000],
    ['m', 60000],
    ['s', 1000],
    ['ms', 1],
  ]);
}

function writeSize(value: number): string {
  return writeUnit(value, [
    ['gb', SIZES.gb],
    ['mb', SIZES.mb],
    ['kb', SIZES.kb],
  ]);
}

/** `32mb 8mb 60`: a time without a unit is in seconds, as in Redis. */
function readOutputLimit(raw: string): OutputLimit | undefined {
  const words = raw.trim().split(/\s+/);
  const [hard, soft] = words.slice(0, 2).map((word) => readUnit(word, SIZES));
  const softFor = readUnit(words[2] ?? '', { ...TIMES, '': 1000 });
  if (words.length !== 3 || hard === undefined || soft === undefined || softFor === undefined)
    return undefined;
  return { hard, soft, softFor };
}

/** `10s` is a time, `1mb` a size; a number without a unit could be either. */
function readLag(raw: string): Lag | undefined {
  if (/^\d+$/.test(raw.trim())) return undefined;
  const time = readUnit(raw, TIMES);
  if (time !== undefined) return time >= 0 && time <= TIMES.m ? { unit: 'ms', most: time } : undefined;
  const size = readUnit(raw, SIZES);
  return size === undefined || size < 0 ? undefined : { unit: 'bytes', most: size };
}

function readPairs(raw: Raw, anyCase: boolean): Record<string, string> | undefined {
  const pairs = pairsOf(raw);
  if (pairs.some((pair) => pair.length !== 2 || pair.includes(''))) return undefined;
  return Object.fromEntries(pairs.map(([name, value]) => [anyCase ? name!.toLowerCase() : name, value]));
}

function writeUnit(value: number, units: readonly [string, number][]): string {
  const unit = value === 0 ? undefined : units.find(([, factor]) => value % factor === 0);
  return unit ? `${value / unit[1]}${unit[0]}` : String(value);
}

function readAddress(raw: string): Address | undefined {
  return raw.startsWith('/') ? { path: raw } : readHostPort(raw);
}

function readHostPort(raw: string): HostPort | undefined {
  const match = HOST_PORT.exec(raw.trim());
  if (!match) return undefined;
  const [, v6, name, port] = match;
  if (v6 !== undefined && !isIPv6(v6)) return undefined;
  return { host: (v6 ?? name)!, port: Number(port) };
}

function readNat(raw: Raw): Record<string, HostPort> | undefined {
  const map: Record<string, HostPort> = {};
  for (const pair of pairsOf(raw)) {
    const from = readHostPort(pair[0] ?? '');
    const to = readHostPort(pair[1] ?? '');
    if (!from || !to || pair.length !== 2) return undefined;
    map[addressText(from)] = to;
  }
  return map;
}

/** `a=b,c=d`, or a map; a pair may have too few sides, or too many. */
function pairsOf(raw: Raw): readonly (readonly string[])[] {
  return isPairs(raw) ? [...raw] : list(raw).map((pair) => pair.split('=').map((side) => side.trim()));
}

function list(raw: string | readonly string[]): string[] {
  const items = typeof raw === 'string' ? (raw.trim() === '' ? [] : raw.split(',')) : raw;
  return items.map((item) => item.trim());
}

function every<T>(items: string[], read: (item: string) => T | undefined): T[] | undefined {
  const values = items.map(read);
  return values.includes(undefined) ? undefined : (values as T[]);
}
