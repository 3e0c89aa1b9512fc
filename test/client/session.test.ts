import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { Session } from '../../src/client/session.ts';
import { Lanes } from '../../src/cluster/lanes.ts';
import { laneKey } from '../cluster/rig.ts';

const lane = new Lanes('').enter(laneKey());

function session(ends: Partial<Socket>, authenticated = true): Session {
  return new Session(7, ends as Socket, lane, authenticated, 1234);
}

test('a session is what a server would remember of a connection that has just been made', () => {
  const before = Date.now();
  const fresh = session(
    { remoteAddress: '10.0.0.1', remotePort: 5, localAddress: '10.0.0.2', localPort: 6 },
    false,
  );
  const { id, address, localAddress, activeAt, resp, username, name, libName, authenticated, readOnly } =
    fresh;
  assert.deepEqual(
    { id, address, localAddress, activeAt, resp, username, name, libName, authenticated, readOnly },
    {
      id: 7,
      address: '10.0.0.1:5',
      localAddress: '10.0.0.2:6',
      activeAt: 1234,
      resp: 2,
      username: '',
      name: '',
      libName: '',
      authenticated: false,
      readOnly: false,
    },
  );
  assert.equal(fresh.lane, lane);
  assert.ok(before <= fresh.createdAt && fresh.createdAt <= Date.now());
});

test('addresses are written as Redis writes them', () => {
  const six = session({ remoteAddress: '::1', remotePort: 5, localAddress: '::1', localPort: 6 });
  assert.deepEqual([six.address, six.localAddress], ['[::1]:5', '[::1]:6']);
  assert.equal(session({}).address, '/unix:0');
});
