import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

let cluster: Cluster;
let proxy: RunningProxy;

before(async () => {
  cluster = await startCluster({ primaries: 3, replicas: 0, config: ['--busy-reply-threshold', '100'] });
  proxy = await startProxy({ cluster });
});

after(async () => {
  await proxy.stop();
  await cluster.stop();
});

test('SCRIPT KILL reaches a node whose shared link waits for the script it is to kill', async () => {
  const runs = await proxy.connect();
  const kills = await proxy.connect();
  const script = runs.call('EVAL', 'while true do end', '1', 'k');
  const reply = await until('the script to be killed', async () => {
    const said = String(await kills.call('SCRIPT', 'KILL'));
    return said.startsWith('+OK') ? said : undefined;
  });
  assert.equal(reply, '+OK\r\n');
  assert.match(String(await script), /^-ERR.*[Ss]cript killed/);
  assert.match(String(await kills.call('SCRIPT', 'KILL')), /^-NOTBUSY/);
});
