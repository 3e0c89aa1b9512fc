/**
 * The table of settings for people: what --help prints, and the proxy.yaml of the repository.
 *
 * Both are made from the schema; the test holds proxy.yaml to what `proxyYaml` says. Write it anew with
 *   node -e "import('./src/config/print.ts').then((m) => process.stdout.write(m.proxyYaml()))" > proxy.yaml
 * Groups stand there uncommented and empty, so that removing one '# ' is all it takes to set something.
 */

import type { Setting } from './schema.ts';
import { SETTINGS } from './schema.ts';
import { kebab, variable } from './sources.ts';
import { allowed, write } from './values.ts';

/** The text for --help: every setting with its default, what is allowed and what it means. */
export function help(version: string): string {
  const rows = SETTINGS.map(
    (setting) =>
      `  --${kebab(setting.path)}\n      ${setting.meaning}\n      ${given(setting)}; ${allowed(setting)}`,
  );
  return `slotless ${version}: makes a Redis or Valkey Cluster look like one server to any client

usage: slotless --cluster host:port[,host:port ...] [--setting value | --setting=value ...]

  --config FILE
      a YAML file with settings; without it ./proxy.yaml is read if there is one
  --help, --version
      print this, or the version, and end

Settings. Each may stand in the file (limits: { clientQuery: 1gb }), in the environment
(${variable('limits.clientQuery')}=1gb) or here (--limits.client-query 1gb); the later of these wins.

Times are milliseconds or 500ms, 5s, 2m, 1h; sizes are bytes or, as in Redis, 64kb, 1mb, 1gb.

${rows.join('\n')}
`;
}

/** The text of the default proxy.yaml: all settings with their defaults, commented out. */
export function proxyYaml(): string {
  const lines = HEAD.split('\n');
  let group = '';
  for (const setting of SETTINGS) {
    const [first, last] = setting.path.split('.') as [string, string | undefined];
    const indent = last === undefined ? '' : '  ';
    if (last !== undefined && first !== group) lines.push('', `${first}:`);
    else if (last === undefined) lines.push('');
    group = last === undefined ? '' : first;
    lines.push(
      ...(last !== undefined && lines.at(-1) !== `${first}:` ? [''] : []),
      `${indent}# ${capital(setting.meaning)}.`,
      `${indent}# Allowed: ${allowed(setting)}.`,
      `${indent}# ${last ?? first}: ${yamlDefault(setting)}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

const HEAD = `# slotless: all settings with their defaults.
#
# Read with --config FILE, or from the working directory when no file is named. What stands in the
# environment (SLOTLESS_LIMITS_CLIENTS=5000) or on the command line (--limits.clients 5000) comes first.
# The one setting without a default is cluster.
#
# Times are milliseconds or 500ms, 5s, 2m, 1h. Sizes are bytes or, as in Redis, 64kb, 1mb, 1gb.
# Lists are [a:1, b:2] or a:1,b:2; an IPv6 address wants quotes: ["[::1]:6379"].`;

/** An example stands in for the default where there is none to speak of. */
const EXAMPLES: Record<string, string> = { cluster: '[127.0.0.1:7000, 127.0.0.1:7001]' };

function yamlDefault(setting: Setting): string {
  const example = EXAMPLES[setting.path];
  if (example !== undefined) return example;
  const value = write(setting, setting.fallback);
  if (setting.kind === 'nat') return '{}';
  if (setting.kind === 'commands' || setting.kind === 'doors') return `[${value}]`;
  return value === '' ? "''" : value;
}

function given(setting: Setting): string {
  const value = write(setting, setting.fallback);
  if (setting.path in EXAMPLES) return 'required';
  return `default ${value === '' ? 'empty' : value}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
