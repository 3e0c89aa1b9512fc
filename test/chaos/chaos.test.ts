/** A short form of `npm run chaos`: every fault once, on one server or the other. Times are not judged here. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { availableServers } from '../support/servers.ts';
import { FAULTS } from './faults.ts';
import { play } from './round.ts';
import { Stand } from './stand.ts';

const LOAD = { clients: 64, rate: 2000, span: 200 };
const SCALE = 0.1;

const servers = await availableServers();

for (const [i, server] of servers.entries()) {
  describe(`${server.flavour} ${server.version}`, () => {
    const faults = FAULTS.filter((_, at) => at % servers.length === i);
    let stand: Stand;

    before(async () => {
      const relayed = faults.some((fault) => fault.relayed);
      // Where the machine is busy the cluster takes longer to replace a primary than commands are held by default.
      const settings = { 'failover.holdFor': '1m' };
      stand = await Stand.open(server, 'slotless', { scale: SCALE, relayed, reads: 'half', settings });
    });

    after(() => stand?.close());

    for (const [round, fault] of faults.entries()) {
      test(`${fault.name}: nothing is lost, doubled or out of order`, async () => {
        // The relay is before the first node, whose shard is left alone.
        const { answered, ...figures } = await play(stand, fault, 1 + (round % 2), LOAD);
        const {
          errors,
          unknown,
          unread,
          lost,
          lostByCluster,
          doubled,
          disordered,
          stale,
          malformed,
          examples,
        } = figures;
        assert.ok(answered > 0);
        const told = [...Object.entries(errors), ...examples].join('\n');
        const wrong = { errors: Object.keys(errors).length, lost, doubled, disordered, malformed };
        assert.deepEqual(wrong, { errors: 0, lost: 0, doubled: 0, disordered: 0, malformed: 0 }, told);
        if (fault.lossy) return;
        assert.deepEqual(
          { unknown, unread, lostByCluster, stale },
          { unknown: 0, unread: 0, lostByCluster: 0, stale: 0 },
          told,
        );
      });
    }
  });
}
