import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';

let cluster: Cluster;
let proxy: RunningProxy;

before(async () => {
  cluster = await startCluster({ primaries: 3, replicas: 0 });
  proxy = await startProxy({ cluster });
});

after(async () => {
  await proxy.stop();
  await cluster.stop();
});

test('what stands between a MULTI that is refused and its EXEC is not executed', async () => {
  const client = await proxy.connect();
  const calls = [['MULTI'], ['SET', 'a', '1'], ['INCR', 'n'], ['EXEC'], ['GET', 'a'], ['INCR', 'n']];
  const replies = (await client.pipeline(calls)).map(String);
  assert.match(replies[0]!, /^-ERR slotless: 'multi' is not supported/);
  for (const reply of replies.slice(1, 3)) assert.match(reply, /^-ERR slotless: '.*' was not executed/);
  assert.match(replies[3]!, /^-ERR slotless: 'exec' is not supported/);
  assert.deepEqual(replies.slice(4), ['$-1\r\n', ':1\r\n']);
});

test('DISCARD and RESET end it as well', async () => {
  const client = await proxy.connect();
  for (const end of ['DISCARD', 'RESET']) {
    await client.call('MULTI');
    assert.match(String(await client.call('SET', 'b', '1')), /^-ERR slotless: 'set' was not executed/);
    await client.call(end);
    assert.equal(String(await client.call('SET', 'b', '1')), '+OK\r\n');
  }
});
