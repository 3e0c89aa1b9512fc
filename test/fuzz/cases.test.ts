import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { connect, encode } from '../support/client.ts';
import { commandReply, startFake } from '../support/fake-node.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';
import { HOST } from './replies.ts';
import { within } from './watch.ts';

describe('what fuzzing has found', () => {
  let commands: Buffer;
  before(async () => {
    commands = await commandReply();
  });

  it('lengths that a node announces for its map cost no memory', async (t) => {
    const cluster = await startFake({ commands, host: HOST });
    t.after(() => cluster.stop());
    const proxy = await startProxy({
      cluster: { seeds: cluster.seeds },
      settings: { 'refresh.every': '100ms' },
    });
    t.after(() => proxy.stop());
    let told = 0;
    cluster.nodes[1]!.script = ({ name }) => {
      if (name !== 'CLUSTER') return undefined;
      told++;
      // Each is a quarter of a gigabyte, if room is made for it: the process would end before the third.
      return '*32000000\r\n'.repeat(100);
    };
    await until('it to have been told three times', () => told >= 3);
    const client = await proxy.connect();
    assert.equal(await client.ask('GET', 'a'), null);
    client.destroy();
  });

  it('a slot comes back from a MOVED that led nowhere', async (t) => {
    const cluster = await startFake({ commands, host: HOST });
    t.after(() => cluster.stop());
    const settings = { 'failover.holdFor': '200ms', 'link.backoffMax': '50ms' };
    const proxy = await startProxy({ cluster: { seeds: cluster.seeds }, settings });
    t.after(() => proxy.stop());
    let lies = 1;
    cluster.script = ({ name }) => (name === 'GET' && lies-- > 0 ? `-MOVED 12182 ${HOST}:1\r\n` : undefined);
    const client = await proxy.connect();
    await client.call('GET', 'foo');
    await until('the slot to be served', async () => (await client.ask('GET', 'foo')) === null);
    client.destroy();
  });

  it('a deep pipeline of commands with several keys of a slot stops nobody', async (t) => {
    const cluster = await startFake({ commands, primaries: 3, host: HOST });
    t.after(() => cluster.stop());
    const proxy = await startProxy({ cluster: { seeds: cluster.seeds } });
    t.after(() => proxy.stop());
    const keys = Array.from({ length: 20 }, (_, i) => `k:${i % 10}`);
    const one = encode(['MSET', ...keys.flatMap((key) => [key, 'v'])]);
    const [deep, other] = [await connect(proxy.port), await connect(proxy.port)];
    const count = 4000;
    deep.send(Buffer.concat(Array.from({ length: count }, () => one)));
    // Minutes, when each part looks at all those before it.
    await within(30_000, 'replies to all', deep.read(count));
    assert.equal(String(await other.call('PING')), '+PONG\r\n');
    deep.destroy();
    other.destroy();
  });
});
