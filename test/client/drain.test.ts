import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Drain, type DrainTimes, type Ending } from '../../src/client/drain.ts';

const HOUR = 3_600_000;

/** Clients, of which some leave when they are told to, and what was done with them. */
function stage(times: DrainTimes, leaves: readonly boolean[]) {
  const clients = new Map<number, Ending>();
  const log: string[] = [];
  leaves.forEach((leaves, i) => {
    clients.set(i, {
      end: () => {
        log.push(`end ${i}`);
        if (leaves) clients.delete(i);
      },
      close: () => {
        log.push(`close ${i}`);
        clients.delete(i);
      },
    });
  });
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const drain = new Drain(clients, times, resolve);
  return { clients, log, over, drain };
}

test('it is over when the last client has left by itself', async () => {
  const { clients, log, over, drain } = stage({ grace: HOUR, timeout: 0 }, [true, true]);
  drain.begin();
  clients.clear();
  await over;
  assert.deepEqual(log, []);
});

test('after the grace all are told to end, once, and after the timeout who has not is cut off', async () => {
  const { log, over, drain } = stage({ grace: 50, timeout: 50 }, [true, false, true]);
  drain.begin();
  await over;
  assert.deepEqual(log, ['end 0', 'end 1', 'end 2', 'close 1']);
});

test('without a grace, or in a hurry, they are told as soon as nobody more comes', async () => {
  for (const grace of [0, HOUR]) {
    const none = stage({ grace, timeout: HOUR }, [true]);
    if (grace > 0) none.drain.hurry();
    assert.deepEqual(none.log, []);
    none.drain.begin();
    assert.deepEqual(none.log, ['end 0']);
    await none.over;
  }
  const { clients, drain, log, over } = stage({ grace: HOUR, timeout: HOUR }, [true, false]);
  drain.begin();
  assert.deepEqual(log, []);
  drain.hurry();
  drain.hurry();
  assert.deepEqual(log, ['end 0', 'end 1']);
  clients.clear();
  await over;
  assert.equal(log.length, 2);
});
