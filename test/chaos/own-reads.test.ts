/** A client reads its own writes, however far replicas are behind: a short form of own-reads.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { availableServers } from '../support/servers.ts';
import { compareOwnReads } from './behind.ts';

const PAIRS = Number(process.env['PAIRS'] ?? 3000);

for (const server of await availableServers()) {
  test(`${server.flavour} ${server.version}: no own read is stale, and without ownWrites some are`, async () => {
    const { sure, bare } = await compareOwnReads(server, { pairs: PAIRS, clients: 16, workers: 2, lag: 300 });
    const { stale, wrong, errors } = sure;
    assert.deepEqual({ stale, wrong, errors: [...errors] }, { stale: 0, wrong: 0, errors: [] });
    assert.ok(sure.byReplicas > 0, 'no read was answered by a replica');
    assert.ok(bare.stale > 0, 'no replica was behind');
  });
}
