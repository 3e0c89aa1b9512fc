/** Configurations for tests: `load` on files that exist only here, and what it throws. */
import assert from 'node:assert/strict';
import { type Config, ConfigError, load } from '../../src/config.ts';

/** The least that a configuration needs. */
export const SEED: readonly string[] = ['--cluster', 'a:1'];

/** `load` with these files and no others. */
export function withFiles(
  argv: readonly string[],
  env: Record<string, string> = {},
  files: Record<string, string> = {},
): Config {
  return load(argv, env, (file) => {
    const text = files[file];
    if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return text;
  });
}

/** Expects a ConfigError of this text, and returns it. */
export function fails(argv: readonly string[], message: string | RegExp, env = {}, files = {}): string {
  let text = '';
  assert.throws(
    () => withFiles(argv, env, files),
    (error: Error) => {
      assert.ok(error instanceof ConfigError, String(error));
      text = error.message;
      return true;
    },
  );
  if (typeof message === 'string') assert.equal(text, message);
  else assert.match(text, message);
  return text;
}

/** Expects it from this proxy.yaml. */
export function failsFile(yaml: string, message: string | RegExp): string {
  return fails([], message, {}, { 'proxy.yaml': yaml });
}
