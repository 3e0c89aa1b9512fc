/** The published package: packed, installed into an empty folder, started as a user would start it. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Cluster, startCluster } from './support/cluster.ts';
import { startProxy } from './support/proxy.ts';
import { remove, temporary } from './support/reaper.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));

let cluster: Cluster;
let folder: string;
let installed: string;

before(async () => {
  folder = temporary('slotless-package');
  [cluster] = await Promise.all([startCluster({ replicas: 0 }), install()]);
});

after(async () => {
  await cluster?.stop();
  remove(folder);
});

/** Packs this project and installs the file that comes of it, with its dependencies from the registry. */
async function install(): Promise<void> {
  // `npm test` tells its child where it is at home; the npm started here is at home elsewhere.
  const own = /^(npm_(config_(local_)?prefix|package|lifecycle|command)|INIT_CWD)/;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)));
  env['PATH'] = `${dirname(process.execPath)}:${env['PATH']}`;
  await run('npm', ['pack', '--pack-destination', folder], { cwd: root, env });
  const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
  const tarball = join(folder, `slotless-${version}.tgz`);
  assert.ok(existsSync(tarball), 'npm pack made no tarball');
  await run('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', tarball], { cwd: folder, env });
  installed = join(folder, 'node_modules/slotless');
}

test('the package carries JavaScript, type declarations and proxy.yaml, and no sources', () => {
  for (const file of ['dist/main.js', 'dist/main.d.ts', 'dist/proxy.js', 'dist/proxy.d.ts', 'proxy.yaml']) {
    assert.ok(existsSync(join(installed, file)), `${file} is not in the package`);
  }
  assert.equal(existsSync(join(installed, 'src')), false);
  assert.equal(existsSync(join(installed, 'test')), false);
  assert.match(readFileSync(join(installed, 'dist/main.js'), 'utf8'), /^#!\/usr\/bin\/env node\n/);
  accessSync(join(folder, 'node_modules/.bin/slotless'), constants.X_OK);
});

for (const workers of [1, 2]) {
  test(`the installed command serves a real cluster with ${workers} worker(s), and ends on SIGTERM`, async () => {
    const program = join(folder, 'node_modules/.bin/slotless');
    const proxy = await startProxy({ cluster, program, cwd: folder, settings: { workers } });
    try {
      const client = await proxy.connect();
      assert.equal(String(await client.call('PING')), '+PONG\r\n');
      assert.equal(String(await client.call('SET', 'packed', 'yes')), '+OK\r\n');
      assert.equal(String(await client.call('GET', 'packed')), '$3\r\nyes\r\n');
      const library =
        '#!js api_version=1.0 name=packed\nredis.registerFunction("get", (c, key) => c.call("get", key));';
      assert.equal(String(await client.call('TFUNCTION', 'LOAD', 'REPLACE', library)), '+OK\r\n');
      assert.equal(String(await client.call('TFCALL', 'packed.get', 1, 'packed')), '$3\r\nyes\r\n');
      await client.close();
    } finally {
      await proxy.stop();
    }
    assert.equal(await proxy.exited, 0);
  });
}
