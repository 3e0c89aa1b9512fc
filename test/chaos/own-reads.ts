/**
 * `node test/chaos/own-reads.ts [--pairs 1000000] [--flavour redis|valkey] [--lag 300] [--clients 64] [--workers 2]`
 *
 * Clients write and then read what they have written, over replicas that are up to `lag` ms behind: with
 * `reads.ownWrites` (its default), and without it. No own read may be stale with it; without it some must be, else
 * nothing was behind and the first figure means nothing. The exit code says whether that was so.
 */

import { parseArgs } from 'node:util';
import { availableServers } from '../support/servers.ts';
import { type BehindCount, compareOwnReads } from './behind.ts';

const one = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    pairs: { ...one, default: '1000000' },
    flavour: one,
    lag: { ...one, default: '300' },
    clients: { ...one, default: '64' },
    workers: { ...one, default: '2' },
  },
});
const options = {
  pairs: Number(values.pairs),
  clients: Number(values.clients),
  workers: Number(values.workers),
  lag: Number(values.lag),
};

for (const server of await availableServers()) {
  if (values.flavour !== undefined && server.flavour !== values.flavour) continue;
  const tell = (what: string, { reads, byReplicas, stale, wrong, errors }: BehindCount) => {
    const pairs = `${options.pairs} pairs, ${reads} reads of own keys, ${byReplicas} of them answered by replicas`;
    console.log(`${server.flavour} ${server.version}, ${what}: ${pairs}: ${stale} stale, ${wrong} wrong`);
    for (const [text, times] of errors) console.log(`  ${times} x ${text}`);
  };
  const { sure, bare } = await compareOwnReads(server, options, tell);
  if (sure.stale + sure.wrong + sure.errors.size > 0 || sure.byReplicas === 0) process.exitCode = 1;
  if (bare.stale > 0) continue;
  console.log('nothing was stale without it either: the replicas were not behind');
  process.exitCode = 1;
}
