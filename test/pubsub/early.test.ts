/** A subscriber that a publisher has been told of hears the message, also when its own confirmation comes later. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { decode, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';

const ROUNDS = 30;
const BEHIND = 3;

let cluster: Cluster;

before(async () => {
  cluster = await startCluster({ replicas: 0 });
});

after(async () => {
  await cluster?.stop();
});

for (const workers of [1, 3]) {
  describe(`with ${workers === 1 ? 'one worker' : `${workers} workers`}`, () => {
    let proxy: RunningProxy;

    before(async () => {
      proxy = await startProxy({ cluster, settings: { workers } });
    });

    after(async () => {
      await proxy?.stop();
    });

    for (const [subscribe, publish, message] of [
      ['SUBSCRIBE', 'PUBLISH', 'message'],
      ['PSUBSCRIBE', 'PUBLISH', 'pmessage'],
      ['SSUBSCRIBE', 'SPUBLISH', 'smessage'],
    ] as const) {
      test(`${publish} counts a client of ${subscribe} only if it hears the message`, async () => {
        const publisher = await proxy.connect();
        for (let round = 0; round < ROUNDS; round++) {
          // The second one finds the subscription taken, or on its way.
          const subscribers = await Promise.all([proxy.connect(), proxy.connect()]);
          if (round % 2) for (const one of subscribers) await one.call('HELLO', 3);
          const channel = `${subscribe}:${round}`;
          for (const one of subscribers) await one.send([subscribe, channel]);
          const counts: number[] = [];
          while (counts.filter((count) => count === 2).length <= BEHIND)
            counts.push(Number(await publisher.ask(publish, channel, counts.length)));
          const heard = await Promise.all(subscribers.map((one) => hears(one, message, counts.length - 1)));
          counts.forEach((count, n) => {
            const reached = heard.filter((its) => its.includes(n)).length;
            assert.ok(reached >= count, `${reached} of ${count} have heard ${n} of ${counts}`);
          });
          for (const its of heard) assert.deepEqual(its, [...counts.keys()].slice(its[0]));
          for (const one of subscribers) one.destroy();
        }
        await publisher.close();
      });
    }
  });
}

/** The confirmation must come first; then the messages up to the one with this number. */
async function hears(client: RawClient, type: string, last: number): Promise<number[]> {
  const [first] = await client.read();
  assert.match(String(first), /subscribe/);
  const numbers: number[] = [];
  while (numbers.at(-1) !== last) {
    const [push = Buffer.alloc(0)] = await client.read();
    const parts = decode(push) as string[];
    assert.equal(parts[0], type);
    numbers.push(Number(parts.at(-1)));
  }
  return numbers;
}
