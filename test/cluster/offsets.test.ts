import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { FROM } from '../../src/cluster/copies.ts';
import { Offsets, type OffsetsOptions } from '../../src/cluster/offsets.ts';
import { EMPTY } from '../../src/cluster/topology.ts';
import type { Answer, FakeNode } from '../support/fake-node.ts';
import { until } from '../support/wait.ts';
import { laneKey, rig } from './rig.ts';

/** What a node's INFO says. */
interface Said {
  id: string;
  offset: number;
  link: 'up' | 'down';
  zone: string;
  /** In place of an answer. */
  instead?: Answer;
}

/** A primary and a replica whose INFO says what a test wants, and somebody who reads. */
async function stage(t: TestContext, more: Partial<OffsetsOptions> = {}) {
  const { fake, cluster } = await rig(t);
  const [primary, replica] = fake.nodes as [FakeNode, FakeNode];
  const info = ({ id, host, port }: FakeNode) => ({ id, host, port, hostname: '' });
  const said: { primary: Said; replica: Said } = {
    primary: { id: 'a', offset: 100, link: 'up', zone: '' },
    replica: { id: 'a', offset: 100, link: 'up', zone: '' },
  };
  let asked = 0;
  primary.script = ({ name }) => {
    if (name !== 'INFO') return undefined;
    asked++;
    const { id, offset, zone, instead } = said.primary;
    return (
      instead ??
      bulk(
        `role:master\r\nmaster_replid:${id}\r\nmaster_repl_offset:${offset}\r\navailability_zone:${zone}\r\n`,
      )
    );
  };
  replica.script = ({ name }) => {
    if (name !== 'INFO') return undefined;
    asked++;
    const { id, offset, link, zone, instead } = said.replica;
    return (
      instead ??
      bulk(
        `role:slave\r\nmaster_link_status:${link}\r\nslave_repl_offset:${offset}\r\nmaster_replid:${id}\r\navailability_zone:${zone}\r\n`,
      )
    );
  };
  cluster.turn.tick();
  cluster.adopt({
    ...EMPTY,
    slots: new Uint16Array(16384),
    shards: [{ primary: info(primary), replicas: [info(replica)] }],
  });
  const options = { every: 10, silence: 100, fine: true, zones: {}, ...more };
  const lane = cluster.enterLane(laneKey());
  const offsets = new Offsets(cluster.copies, lane, cluster.turn, options);
  t.after(() => offsets.close());
  const [copy] = cluster.copies.shards[0]!.replicas;
  const reads = () => cluster.copies.choose(1, FROM.any, -1, lane, cluster.turn.tick());
  return { cluster, said, copy: copy!, reads, asked: () => asked };
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

test('a replica that has come as far as its primary was when it was asked has all of that time', async (t) => {
  const { cluster, said, copy, reads } = await stage(t);
  said.replica.offset = 99;
  const begun = cluster.turn.tick();
  await until('it to be seen', () => reads() && copy.seenAt > begun + 30);
  assert.deepEqual([copy.linked, copy.upTo, copy.behind], [true, -1, 1]);
  said.replica.offset = 100;
  await until('it to be known', () => reads() && copy.upTo >= begun);
  assert.equal(copy.behind, 0);
  // What the primary has written since is not there.
  said.primary.offset = 200;
  await until('it to be behind', () => reads() && copy.behind === 100);
  const { upTo } = copy;
  const later = copy.seenAt;
  await until('it to be asked more', () => reads() && copy.seenAt > later + 50);
  assert.equal(copy.upTo, upTo);
  said.replica.offset = 150;
  await until('it to have come nearer', () => reads() && copy.behind === 50);
  assert.equal(copy.upTo, upTo);
  said.replica.offset = 200;
  await until('it to have caught up', () => reads() && copy.upTo > upTo);
});

test('places in two streams are not compared', async (t) => {
  const { cluster, said, copy, reads } = await stage(t);
  said.replica.id = 'b';
  const begun = cluster.turn.tick();
  await until('it to be asked often', () => reads() && copy.seenAt > begun + 50);
  assert.equal(copy.upTo, -1);
  said.primary.id = 'b';
  await until('both to be in one', () => reads() && copy.upTo > begun);
});

test('who has lost its primary, or gives no answer, is not known to have anything', async (t) => {
  const { said, copy, reads } = await stage(t);
  await until('it to be known', () => reads() && copy.upTo > 0);
  said.replica.link = 'down';
  await until('it to be left', () => reads() && !copy.linked && copy.upTo === -1);
  said.replica.link = 'up';
  await until('it to be known again', () => reads() && copy.upTo > 0);
  said.replica.instead = '-NOPERM no\r\n';
  await until('it to be left once more', () => reads() && !copy.linked && copy.doubted);
});

test('who owes an answer for too long is doubted, until it has given one', async (t) => {
  const { said, copy, reads } = await stage(t);
  await until('it to be known', () => reads() && copy.upTo > 0);
  said.replica.instead = { fate: 'hang' };
  await until('it to be doubted', () => reads() && copy.doubted);
  delete said.replica.instead;
  for (const link of copy.node.lanes) link?.breakOff('to be asked again');
  await until('it to be trusted again', () => reads() && !copy.doubted && copy.linked);
});

test('nobody is asked anything unless somebody reads', async (t) => {
  const { asked, reads, copy } = await stage(t);
  assert.equal(asked(), 0);
  await until('it to be known', () => reads() && copy.upTo > 0);
  // One second after the last read.
  let before = -1;
  await until(
    'nobody to ask any more',
    () => {
      const still = asked() === before;
      before = asked();
      return still;
    },
    10_000,
    300,
  );
  await until('it to be asked anew', () => reads() && asked() > before);
});

test('a zone is what the node says, unless the settings say otherwise by address or by host', async (t) => {
  const own = await stage(t);
  own.said.replica.zone = 'a';
  await until('its zone to be known', () => own.reads() && own.copy.zone === 'a');
  const { node } = own.copy;
  const byHost = await stage(t, { zones: { [node.host]: 'b' } });
  await until('its zone to be known', () => byHost.reads() && byHost.copy.zone === 'b');
});
