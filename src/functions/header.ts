// The first line of a library: `#!js api_version=1.0 name=lib`, its properties in any order. Pure.
//
// A line may be wrong in several ways at once. What is told is the first of: no header at all, a property given
// twice, a missing api_version, a missing name, an unknown property; and then a value that does not do: of
// api_version, of the engine, of the name.

export interface Header {
  readonly engine: 'js';
  readonly name: string;
  /** `1.0` or `1.1`. */
  readonly apiVersion: string;
}

const KNOWN = ['api_version', 'name'];
const SUPPORTED = ['1.0', '1.1'];

/**
 * What the first line of a library says.
 * @throws an Error with the text for the client, without `ERR`
 */
export function parseHeader(code: string): Header {
  const [first = ''] = code.split('\n', 1);
  const [engine, ...words] = first.trimEnd().split(/[ \t]+/);
  const pairs = words.map((word) => word.split('=') as [string, string]);
  if (!engine || !/^#!./.test(engine) || pairs.some((pair) => pair.length !== 2 || pair[0] === '')) {
    throw new Error("Invalid or missing prologue. The first line should be '#!js api_version=1.0 name=lib'.");
  }
  const properties = new Map(pairs);
  refuseDuplicates(pairs.map(([key]) => key));
  const apiVersion = properties.get('api_version');
  if (apiVersion === undefined) throw new Error('The api version is missing from the prologue.');
  const name = properties.get('name');
  if (name === undefined) throw new Error('The library name is missing from the prologue.');
  refuseUnknown([...properties.keys()]);
  checkVersion(apiVersion);
  if (engine !== '#!js') throw new Error(`Unknown backend ${engine.slice(2)}, there is only js.`);
  checkName('library', name);
  return { engine: 'js', name, apiVersion };
}

/**
 * Names of libraries, and of what they register.
 * @throws an Error with the text for the client, without `ERR`
 */
export function checkName(kind: string, name: string): void {
  if (/^[A-Za-z0-9_]+$/.test(name)) return;
  throw new Error(`Unallowed ${kind} name '${name}', only letters, digits and '_' are allowed.`);
}

function refuseDuplicates(keys: readonly string[]): void {
  const twice = new Set(keys.filter((key, i) => keys.indexOf(key) !== i));
  if (twice.size > 0) throw new Error(`Duplicated prologue properties found: ${[...twice].join(', ')}.`);
}

function refuseUnknown(keys: readonly string[]): void {
  const unknown = keys.filter((key) => !KNOWN.includes(key));
  if (unknown.length === 0) return;
  const list = unknown.map((key) => `"${key}"`).join(', ');
  throw new Error(
    `Unknown prologue properties provided: ${list}. They may be misspelt. Known properties: ${KNOWN.join(', ')}.`,
  );
}

function checkVersion(version: string): void {
  if (!/^\d+\.\d+$/.test(version)) {
    throw new Error(`The API version has been incorrectly specified: ${version} is not like 1.0.`);
  }
  if (SUPPORTED.includes(version)) return;
  throw new Error(
    `An unsupported API version was requested: ${version}. Supported versions: ${SUPPORTED.join(', ')}.`,
  );
}
