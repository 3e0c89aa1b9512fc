/** The lock of all proxies, and what else is asked of one primary: on a lone server, which has FUNCTION as well. */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Control } from '../../src/cluster/control.ts';
import { withLock } from '../../src/functions/lock.ts';
import { versionAfter } from '../../src/functions/record.ts';
import {
  dropAt,
  holderAt,
  lockAt,
  putAt,
  recordAt,
  unlockAt,
  versionsAt,
} from '../../src/functions/shard.ts';
import { type Lone, startLone } from '../support/cluster.ts';
import { findServer } from '../support/servers.ts';

for (const server of [await findServer()]) {
  describe(`${server.flavour} ${server.version}`, () => {
    let lone: Lone;
    const controls: Control[] = [];

    before(async () => {
      lone = await startLone({ server });
    });

    afterEach(async () => {
      for (const control of controls.splice(0)) control.close();
      await lone.ask('FUNCTION', 'FLUSH');
    });

    after(async () => {
      await lone?.stop();
    });

    const connect = () => {
      const control = new Control({
        host: lone.host,
        port: lone.port,
        username: '',
        password: '',
        timeout: 2000,
      });
      controls.push(control);
      return control;
    };
    const failure = (error: Error) => new Error(`not locked: ${error.message}`);
    const options = (holder: string) => ({ holder, most: 300, patience: 5000, failure });

    test('one has the lock, the others wait', async () => {
      let inside = 0;
      let most = 0;
      const work = async (control: Control, holder: string) => {
        await withLock(control, options(holder), async () => {
          most = Math.max(most, ++inside);
          assert.equal(await holderAt(connect()), holder);
          inside--;
        });
      };
      await Promise.all(['a1', 'b2', 'c3', 'd4'].map((holder) => work(connect(), holder)));
      assert.equal(most, 1);
      assert.equal(await holderAt(connect()), undefined);
    });

    test('it is free again when the work fails', async () => {
      const control = connect();
      const failing = withLock(control, options('a'), () => Promise.reject(new Error('no')));
      await assert.rejects(failing, { message: 'no' });
      assert.equal(await lockAt(control, 'b'), true);
    });

    test('it is taken from one that has it for too long, which has not written any more by then', async () => {
      const control = connect();
      let late: boolean | undefined;
      const slow = withLock(connect(), options('slow'), async (inTime) => {
        assert.equal(inTime(), true);
        await withLock(control, options('next'), async () => {
          late = !inTime();
        });
      });
      await slow;
      assert.equal(late, true);
    });

    test('one that waits for too long gives up', async () => {
      const control = connect();
      assert.equal(await lockAt(control, 'a'), true);
      const waiting = withLock(connect(), { ...options('b'), most: 60_000, patience: 50 }, async () => {});
      await assert.rejects(waiting, /not locked: others are changing libraries/);
      await unlockAt(control, 'b');
      assert.equal(await holderAt(control), 'a');
    });

    test('records are put, listed, read and dropped', async () => {
      const control = connect();
      const [old, mid, now] = [1, 2, 3].map((n) => versionAfter('', n, 'p')) as [string, string, string];
      const gone = (version: string, name = 'x') => ({ name, version, library: undefined });
      await putAt(control, gone(mid));
      await putAt(control, gone(now, 'X'));
      assert.equal(await lockAt(control, 'a'), true);
      assert.deepEqual(
        await versionsAt(control),
        new Map(
          [
            ['x', mid],
            ['X', now],
          ].sort() as [string, string][],
        ),
      );
      assert.deepEqual(await recordAt(control, 'x'), gone(mid));
      assert.deepEqual(await recordAt(control, 'X'), gone(now, 'X'));
      assert.equal(await recordAt(control, 'y'), undefined);
      await dropAt(control, gone(old));
      assert.deepEqual(await recordAt(control, 'x'), gone(mid));
      await dropAt(control, gone(now));
      assert.deepEqual([...(await versionsAt(control)).keys()], ['X']);
      await dropAt(control, gone(now));
    });
  });
}
