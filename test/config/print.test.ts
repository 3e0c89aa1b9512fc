import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { proxyYaml } from '../../src/config/print.ts';
import { SETTINGS } from '../../src/config/schema.ts';
import { kebab } from '../../src/config/sources.ts';
import { DEFAULTS, notice, VERSION } from '../../src/config.ts';
import { SEED, withFiles } from './given.ts';

test('proxy.yaml is what the table of settings says, and names each one with its default', () => {
  const file = readFileSync(new URL('../../proxy.yaml', import.meta.url), 'utf8');
  assert.equal(file, proxyYaml());
  const [first] = SETTINGS;
  const uncommented = file.replace(/^( *)# ([A-Za-z]+: )(?=\S)(?!.*\.$)/gm, '$1$2');
  const config = withFiles([], {}, { 'proxy.yaml': uncommented });
  assert.equal(first?.path, 'cluster');
  assert.deepEqual({ ...config, cluster: [], file: '' }, DEFAULTS);
  assert.equal(config.cluster.length, 2);
  for (const { path } of SETTINGS)
    assert.match(uncommented, new RegExp(`^ *${path.split('.').at(-1)}: \\S`, 'm'));
  assert.equal(uncommented.match(/^ *[A-Za-z]+: \S.*$/gm)?.length, SETTINGS.length);
  assert.throws(() => withFiles([], {}, { 'proxy.yaml': file }), /^ConfigError: cluster: found nothing; /);
});

test('--help names every setting with its default and its range, --version the version', () => {
  const help = notice([...SEED, '--help']) ?? '';
  for (const { path, meaning } of SETTINGS) {
    assert.match(help, new RegExp(`^  --${kebab(path)}$`, 'm'));
    assert.ok(help.includes(meaning), path);
  }
  assert.match(help, /--workers\n.*\n {6}default 1; a whole number from 1 to 64\n/);
  assert.equal(notice(['-h']), notice(['--help']));
  assert.equal(notice(['--version']), `slotless ${VERSION}\n`);
  assert.match(VERSION, /^\d+\.\d+\.\d+/);
  assert.equal(notice(SEED), undefined);
});
