/**
 * proxy.yaml, environment and flags -> one frozen Config.
 *
 *   defaults < file < environment < flags          (the later wins, setting by setting)
 *
 * The file is the one that --config (or SLOTLESS_CONFIG) names; without either it is ./proxy.yaml, if
 * there is one. Whatever was read is kept in `Config.file`, so that the start can log it: a file found by
 * chance must not act unseen. A name or value that is not understood ends the start with one line that
 * names the path of the setting, what was found and what is allowed. Secrets are not repeated there.
 */
import { readFileSync } from 'node:fs';
import { Check } from 'typebox/value';
import { help } from './config/print.ts';
import type { Setting, Settings } from './config/schema.ts';
import { SETTINGS } from './config/schema.ts';
import type { Found } from './config/sources.ts';
import { ConfigError, fromEnvironment, fromFlags, fromYaml } from './config/sources.ts';
import type { Raw } from './config/values.ts';
import { allowed, isPairs, read, write } from './config/values.ts';

export { ConfigError } from './config/sources.ts';
export type { Address, HostPort } from './config/values.ts';
export { addressText } from './config/values.ts';

/** All settings: times in milliseconds, sizes in bytes, addresses as {host, port} or {path}. Deeply frozen. */
export type Config = Settings & {
  /** The file that was read, '' if none was. */
  readonly file: string;
};

/** The version of this package. */
export const VERSION: string = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
).version;

const DEFAULT_FILE = 'proxy.yaml';

/** Every setting's default. `cluster` has none and is empty here. */
export const DEFAULTS: Config = build(new Map(), '');

/**
 * Reads the configuration.
 *
 * @param argv the arguments behind the script's name
 * @param readFile the text of a file; throws an error with code ENOENT if there is none
 * @throws ConfigError with a message of one line for the operator
 */
export function load(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  readFile: (file: string) => string = (file) => readFileSync(file, 'utf8'),
): Config {
  const flags = fromFlags(argv);
  const environment = fromEnvironment(env);
  const named = flags.file ?? environment.file;
  const text = fileText(named, readFile);
  const file = text === undefined ? '' : (named ?? DEFAULT_FILE);
  const values = new Map<string, unknown>();
  for (const found of [...fromYaml(text ?? '', file), ...environment.found, ...flags.found])
    values.set(found.path, checked(found));
  if (!values.has('cluster'))
    throw new ConfigError(`cluster: found nothing; allowed: ${allowed(settingAt('cluster'))}`);
  const config = build(values, file);
  ordered(config.link.backoffMin, 'link.backoffMin', config.link.backoffMax, 'link.backoffMax');
  ordered(config.refresh.minGap, 'refresh.minGap', config.refresh.every, 'refresh.every');
  return config;
}

/** What --help or --version ask to be printed, undefined when neither is there. Throws as `load` does. */
export function notice(argv: readonly string[]): string | undefined {
  const asked = fromFlags(argv);
  if (asked.help) return help(VERSION);
  return asked.version ? `slotless ${VERSION}\n` : undefined;
}

function fileText(named: string | undefined, readFile: (file: string) => string): string | undefined {
  try {
    return readFile(named ?? DEFAULT_FILE);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'an error';
    if (named === undefined && code === 'ENOENT') return undefined;
    throw new ConfigError(
      `config: found ${code} when reading ${JSON.stringify(named ?? DEFAULT_FILE)}; allowed: a file that can be read`,
    );
  }
}

function checked({ path, raw, where }: Found): unknown {
  const setting = settingAt(path);
  const value = read(setting, raw);
  if (value !== undefined && Check(setting.schema, value)) return value;
  throw new ConfigError(`${path}: found ${shown(setting, raw)} in ${where}; allowed: ${allowed(setting)}`);
}

/** What was found, on one line and of bounded length; never a secret, nor the credentials in a URL. */
function shown(setting: Setting, raw: Raw): string {
  if (setting.secret) return 'a value that is not shown';
  if (isPairs(raw)) return 'a mapping';
  const text = (typeof raw === 'string' ? raw : raw.join(',')).replace(/^.*@/s, '***@');
  if (text === '') return 'nothing';
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}

function ordered(low: number, lowPath: string, high: number, highPath: string): void {
  if (low <= high) return;
  const show = (path: string, value: number) => write(settingAt(path), value);
  throw new ConfigError(
    `${lowPath}: found ${show(lowPath, low)}; allowed: at most ${highPath}, which is ${show(highPath, high)}`,
  );
}

function settingAt(path: string): Setting {
  return SETTINGS.find((setting) => setting.path === path)!;
}

function build(values: ReadonlyMap<string, unknown>, file: string): Config {
  const config: Record<string, unknown> = { file };
  for (const { path, fallback } of SETTINGS) {
    const value = values.has(path) ? values.get(path) : structuredClone(fallback);
    const [first, last] = path.split('.') as [string, string | undefined];
    if (last === undefined) config[first] = value;
    else config[first] = { ...(config[first] as object), [last]: value };
  }
  return freeze(config) as Config;
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(freeze);
    Object.freeze(value);
  }
  return value;
}
