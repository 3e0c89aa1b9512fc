/** What is promised while a network is parted: see partition.ts. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { adopt } from '../support/reaper.ts';
import { availableServers } from '../support/servers.ts';

const PROGRAM = fileURLToPath(new URL('partition.ts', import.meta.url));
const WITHIN = ['--user', '--map-root-user', '--net'];

/** Why network namespaces can't be had here, if so: some machines allow them to root alone, or to nobody. */
function refusal(): string | undefined {
  const veth = 'ip link add name one type veth peer name two && command -v nsenter';
  const tried = spawnSync('unshare', [...WITHIN, 'sh', '-c', veth], { encoding: 'utf8' });
  if (tried.status === 0) return undefined;
  return `no network namespaces: ${tried.error?.message ?? tried.stderr.trim().split('\n')[0]}`;
}

const why = refusal();

for (const { flavour, version } of await availableServers()) {
  const promise = 'the minority acknowledges nothing once it is replaced, the majority waits and goes on';
  test(`${flavour} ${version}: ${promise}`, { skip: why ?? false }, async () => {
    const child = adopt(spawn('unshare', [...WITHIN, process.execPath, PROGRAM, flavour]));
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        said += chunk;
      });
    const code = await new Promise((resolve) => child.once('close', resolve));
    assert.equal(code, 0, said);
  });
}
