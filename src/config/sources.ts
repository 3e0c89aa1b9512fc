/**
 * Where settings are given: a YAML file, the environment, the command line.
 *
 * Each source yields the same thing, a list of (path, raw value, where it stood), and refuses names it
 * does not know, with the nearest one it does. Nothing that may be a secret is repeated in an error: of
 * YAML's own complaints only the kind and the place are shown, since their texts quote the file.
 */
import { parseArgs } from 'node:util';
import type { Node, YAMLMap } from 'yaml';
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { GROUPS, SETTINGS } from './schema.ts';
import type { Raw } from './values.ts';

/** A configuration that cannot be used. The message is one line, written for the operator. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** One setting as it was found. `where` completes "found x in ...": a file with its line, a variable, a flag. */
export interface Found {
  readonly path: string;
  readonly raw: Raw;
  readonly where: string;
}

/** Flags that are no settings. */
export interface Asked {
  readonly help: boolean;
  readonly version: boolean;
  readonly file: string | undefined;
  readonly found: readonly Found[];
}

/** The flag of a setting in its second form: `limits.clientQuery` -> `limits.client-query`. */
export function kebab(path: string): string {
  return path.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The environment variable of a setting: `limits.clientQuery` -> `SLOTLESS_LIMITS_CLIENT_QUERY`. */
export function variable(path: string): string {
  return `SLOTLESS_${kebab(path).replace(/[-.]/g, '_').toUpperCase()}`;
}

/** Groups whose name alone, with a text behind it, stands for one of their settings. */
const SHORT: ReadonlyMap<string, string> = new Map([
  ['functions', 'functions.dir'],
  ['crossSlot', 'crossSlot.level'],
]);
const PATHS = SETTINGS.map(({ path }) => path);
const VARIABLES = new Map([
  ...PATHS.map((path) => [variable(path), path] as const),
  ...[...SHORT].map(([group, path]) => [variable(group), path] as const),
]);
const FLAGS = new Map([
  ...SHORT,
  ...[...SHORT].map(([group, path]) => [kebab(group), path] as const),
  ...PATHS.flatMap((path) => [
    [path, path] as const,
    [kebab(path), path] as const,
    [kebab(path).replaceAll('.', '-'), path] as const,
  ]),
]);
const LISTS = new Set(
  SETTINGS.filter(({ kind }) => ['nodes', 'doors', 'commands', 'nat'].includes(kind)).map(({ path }) => path),
);

/** Reads the command line (without node and script). A list's flag may come several times; else the last wins. */
export function fromFlags(argv: readonly string[]): Asked {
  const named = Object.fromEntries(
    [...FLAGS.keys(), 'config'].map((flag) => [flag, { type: 'string' } as const]),
  );
  const { tokens } = parseArgs({
    args: [...argv],
    options: { ...named, help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' } },
    strict: false,
    tokens: true,
  });
  const asked = { help: false, version: false, file: undefined as string | undefined };
  const found = new Map<string, Found & { raw: string }>();
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional')
      throw new ConfigError(
        `argument ${token.index + 1}: found a value without a flag; allowed: --name value`,
      );
    const { name, rawName, value } = token;
    if (name === 'help' || name === 'version') {
      asked[name] = true;
      continue;
    }
    const path = FLAGS.get(name);
    if (path === undefined && name !== 'config')
      throw new ConfigError(`${rawName}: no such flag; the nearest is --${nearest(name, PATHS)}`);
    if (value === undefined) throw new ConfigError(`${rawName}: found no value; allowed: ${rawName} value`);
    if (path === undefined) {
      asked.file = value;
      continue;
    }
    const before = LISTS.has(path) ? found.get(path) : undefined;
    found.set(path, { path, raw: before ? `${before.raw},${value}` : value, where: `flag ${rawName}` });
  }
  return { ...asked, found: [...found.values()] };
}

/** Reads every variable that begins with SLOTLESS_; `SLOTLESS_CONFIG` names the file, as --config does. */
export function fromEnvironment(env: Readonly<Record<string, string | undefined>>): {
  file: string | undefined;
  found: Found[];
} {
  const found: Found[] = [];
  for (const [name, raw] of Object.entries(env)) {
    if (!name.startsWith('SLOTLESS_') || name === 'SLOTLESS_CONFIG' || raw === undefined) continue;
    const path = VARIABLES.get(name);
    if (path === undefined)
      throw new ConfigError(
        `${name}: no such variable; the nearest is ${nearest(name, [...VARIABLES.keys()])}`,
      );
    found.push({ path, raw, where: `variable ${name}` });
  }
  return { file: env['SLOTLESS_CONFIG'], found };
}

/**
 * Reads a file's text. The failsafe schema leaves every scalar the text it is, so that numbers, `off` and
 * the like mean what they mean elsewhere; only a plain null (or nothing) is taken as the empty text.
 */
export function fromYaml(text: string, file: string): Found[] {
  const lines = new LineCounter();
  const place = (offset: number) => `${file} line ${lines.linePos(offset).line}`;
  const document = parseDocument(text, { schema: 'failsafe', lineCounter: lines, prettyErrors: false });
  const wrong = document.errors[0] ?? document.warnings[0];
  if (wrong) {
    const { line, col } = lines.linePos(wrong.pos[0]);
    const kind = wrong.code.toLowerCase().replaceAll('_', ' ');
    throw new ConfigError(
      `${file} line ${line}, column ${col}: found no YAML (${kind}); allowed: one mapping of settings, with quotes around values that begin with a sign`,
    );
  }
  const found = new Map<string, Found>();
  const root = document.contents;
  if (root !== null && !empty(root)) walk(mapping(root, file, '', place), '');
  return [...found.values()];

  function walk(map: YAMLMap, prefix: string): void {
    for (const { key, value } of map.items) {
      const where = place((key as Node).range?.[0] ?? 0);
      if (!isScalar(key))
        throw new ConfigError(`${where}: found a key that is no text; allowed: a setting's name`);
      const name = prefix + String(key.value);
      const path = isScalar(value) && !empty(value) ? (SHORT.get(name) ?? name) : name;
      if (GROUPS.has(path)) {
        if (value !== null && !empty(value as Node))
          walk(mapping(value as Node, where, path, place), `${path}.`);
      } else if (!PATHS.includes(path)) {
        throw new ConfigError(
          `${line(path)}: no such setting in ${where}; the nearest is ${nearest(path, [...PATHS, ...GROUPS])}`,
        );
      } else if (found.has(path)) {
        throw new ConfigError(`${path}: found twice, the second time in ${where}; allowed: once`);
      } else {
        found.set(path, { path, raw: plain(value as Node | null, path, where), where });
      }
    }
  }
}

/** The known name that `name` most likely stands for, by the fewest letters to change. */
export function nearest(name: string, known: readonly string[]): string {
  const cost = (candidate: string) =>
    Math.min(
      distance(name, candidate),
      distance(name, candidate.slice(candidate.lastIndexOf('.') + 1)) + 0.5,
    );
  return known.reduce((best, candidate) => (cost(candidate) < cost(best) ? candidate : best));
}

function mapping(node: Node, where: string, path: string, place: (offset: number) => string): YAMLMap {
  if (isMap(node)) return node;
  const at = node.range ? place(node.range[0]) : where;
  throw new ConfigError(
    `${path === '' ? '' : `${path}: `}found ${shape(node)} in ${at}; allowed: a mapping of settings`,
  );
}

function plain(node: Node | null, path: string, where: string): Raw {
  if (node === null || empty(node)) return '';
  if (isScalar(node)) return String(node.value);
  if (isSeq(node) && node.items.every(isScalar)) return node.items.map(({ value }) => String(value));
  if (isMap(node) && node.items.every(({ key, value }) => isScalar(key) && isScalar(value)))
    return new Map(node.items.map(({ key, value }) => [String(key), String(value)]));
  throw new ConfigError(
    `${path}: found ${shape(node)} in ${where}; allowed: text, or a list or mapping of texts`,
  );
}

function empty(node: Node): boolean {
  return isScalar(node) && node.type === 'PLAIN' && /^(|~|null|Null|NULL)$/.test(String(node.value));
}

function shape(node: Node): string {
  return isMap(node) ? 'a mapping' : isSeq(node) ? 'a list' : isScalar(node) ? 'a text' : 'an alias';
}

/** A name from outside on one line and of bounded length. */
function line(name: string): string {
  return JSON.stringify(name.slice(0, 60)).slice(1, -1);
}

/** Levenshtein's distance, without regard to case. */
function distance(a: string, b: string): number {
  const [from, to] = [a.slice(0, 60).toLowerCase(), b.toLowerCase()];
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[to.length]!;
}
