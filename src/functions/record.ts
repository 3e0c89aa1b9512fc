// A library of remote functions as it lies in the cluster: inside a library of Redis Functions, since these are
// persisted, replicated, and no keys. Pure.
//
//   #!lua name=__slotless_lib_NAME
//   redis.register_function{function_name='__slotless_VERSION', callback=function() return 'RECORD' end, ...}
//
// All records together are a map in which the last writer wins: of two records of one name the one of the higher
// version counts, whoever says it and in whatever order they come. So proxies and shards that have been apart come to
// the same without asking who is right. What was deleted stays as a record without a library, for a day, or an
// older one would come back from a shard that has slept through it.
//
// The version is the name of the one function, for FUNCTION LIST tells that without the code.

import Type from 'typebox';
import { Check } from 'typebox/value';
import type { Library } from './library.ts';

/** How the names begin that are the proxy's own, in the servers' lists of libraries and functions. */
export const RESERVED = '__slotless_';
const CARRIER = `${RESERVED}lib_`;
const DAY = 86_400_000;

/** What is known of a name. */
export interface LibraryRecord {
  readonly name: string;
  readonly version: string;
  /** Undefined: it was deleted. */
  readonly library: Library | undefined;
}

/** Whether a library's name, in whatever case, is the proxy's own. */
export function isReserved(name: string): boolean {
  return name.toLowerCase().startsWith(RESERVED);
}

// ---- versions: a number that grows, and who has given it. They are ordered as texts.

const DIGITS = 10;
const VERSION = /^[0-9a-z]{10}_[0-9a-z]+$/;

/**
 * A version above another. The number is the time where that is enough, so that it also grows beyond what has been
 * forgotten.
 * @param last '' for none @param now ms @param id of the proxy: letters and digits
 */
export function versionAfter(last: string, now: number, id: string): string {
  const number = Math.max(now, last === '' ? 0 : numberOf(last) + 1);
  return `${number.toString(36).padStart(DIGITS, '0')}_${id}`;
}

/** Deleted so long ago that nobody will ask. `now`: ms. */
export function isForgotten({ library, version }: LibraryRecord, now: number): boolean {
  return library === undefined && now - numberOf(version) > DAY;
}

function numberOf(version: string): number {
  return Number.parseInt(version.slice(0, DIGITS), 36);
}

// ---- names and code

/** The name of the server's library that carries a record. */
export function carrierOf(name: string): string {
  return CARRIER + name;
}

/** The name of the library whose record a server's library carries; undefined where it carries none. */
export function nameCarried(carrier: string): string | undefined {
  return carrier.startsWith(CARRIER) ? carrier.slice(CARRIER.length) : undefined;
}

/** The version in the name of a carrier's one function; undefined where it is none. */
export function versionCarried(functionName: string): string | undefined {
  const version = functionName.startsWith(RESERVED) ? functionName.slice(RESERVED.length) : '';
  return VERSION.test(version) ? version : undefined;
}

/** The code of a server's library with one function that says a text. Both names are letters, digits and `_`. */
export function carrier(library: string, functionName: string, text: string): string {
  const callback = `function() return '${Buffer.from(text).toString('base64')}' end`;
  const fields = `function_name='${functionName}',callback=${callback},flags={'no-writes'}`;
  return `#!lua name=${library}\nredis.register_function{${fields}}`;
}

export function encodeRecord({ name, version, library }: LibraryRecord): string {
  return carrier(carrierOf(name), RESERVED + version, JSON.stringify({ name, version, library }));
}

const word = Type.String({ pattern: '^[A-Za-z0-9_]+$' });
const words = Type.Array(Type.String());
const Registrations = Type.Object({
  functions: Type.Array(
    Type.Object({
      name: word,
      isAsync: Type.Boolean(),
      flags: words,
      description: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
  clusterFunctions: words,
  reducers: words,
  commands: Type.Array(
    Type.Object({
      name: Type.String(),
      arity: Type.Integer(),
      firstKey: Type.Integer(),
      lastKey: Type.Integer(),
      keyStep: Type.Integer(),
      flags: words,
    }),
  ),
});
const LibraryRecord = Type.Object({
  name: word,
  version: Type.String({ pattern: VERSION.source }),
  library: Type.Optional(
    Type.Object({
      name: word,
      apiVersion: Type.String(),
      code: Type.String(),
      config: Type.Optional(Type.String()),
      user: Type.String(),
      registrations: Registrations,
      version: Type.String(),
      origin: Type.Literal('cluster'),
    }),
  ),
});

/** The record that the code of a server's library carries; undefined where it is none that a proxy has written. */
export function decodeRecord(code: string): LibraryRecord | undefined {
  const text = /return '([A-Za-z0-9+/=]*)' end/.exec(code)?.[1];
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(Buffer.from(text, 'base64').toString()) as unknown;
    if (!Check(LibraryRecord, value)) return undefined;
    const { name, version, library } = value as LibraryRecord;
    const fits = library === undefined || (library.name === name && library.version === version);
    return fits ? { name, version, library } : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a version of a name counts against what is known of that name. */
export function isNewer(version: string, than: LibraryRecord | undefined): boolean {
  return than === undefined || version > than.version;
}
