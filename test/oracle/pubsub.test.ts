/**
 * Stories of publishers and subscribers, told to a lone server and through the proxy: after every step each client
 * has got the same.
 *
 * A step is `<client><how> <calls>`. The client's name is a letter. `how` is `:`; or `~` where the order of what the
 * client gets is the server's own choice; or `?` where its numbers too may be others. Calls that are sent at once stand
 * with ` ; ` between them, and `#b` is the id of the client b. What one client is told because of another's call may
 * come in any order: at a cluster, two subscriptions are heard at two nodes.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect, encode, type RawClient } from '../support/client.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { wordsOf } from './run.ts';
import { type Both, closeStand, connectBoth, openStand, type Stand } from './stand.ts';
import { NUMBERS, randomStories, STORIES, type Story } from './stories.ts';
import { readCall } from './tables.ts';

/** A channel that no story names. */
const BUS_CHANNEL = 'passed on by all';
/** What a lone server has to say is there after so many round trips. */
const ROUNDS = 5;
/** How long the proxy may take to say as much. */
const LIMIT_MS = 5000;

/** One client, and all that it has got. */
class Listener {
  readonly client: RawClient;
  readonly id: string;
  private readonly got: string[] = [];
  private seen = 0;

  static async open(port: number, resp: 2 | 3): Promise<Listener> {
    const client = await connect(port);
    if (resp === 3) await client.call('HELLO', 3);
    return new Listener(client, String(await client.ask('CLIENT', 'ID')));
  }

  private constructor(client: RawClient, id: string) {
    this.client = client;
    this.id = id;
    void this.listen();
  }

  private async listen(): Promise<void> {
    try {
      for (;;) this.take((await this.client.read())[0]!.toString('latin1'));
    } catch {
      this.take('(closed)');
    }
  }

  private take(text: string): void {
    if (text.includes(`\r\n${BUS_CHANNEL}\r\n`) || /^\+.*"PING" "round"/.test(text)) return;
    this.got.push(text);
  }

  /** How many replies and messages have come. */
  get count(): number {
    return this.got.length;
  }

  /** What has come since it was asked last. */
  news(): string[] {
    const news = this.got.slice(this.seen);
    this.seen = this.got.length;
    return news;
  }
}

/** What each client got at each step. */
type Told = Readonly<Record<string, readonly string[]>>[];

interface Telling {
  readonly port: number;
  readonly resp: 2 | 3;
  /** Asked for nothing but a reply. */
  readonly control: RawClient;
  /** How many replies and messages each client is to get, at each step. */
  readonly counts?: readonly ReadonlyMap<string, number>[];
  /** Resolves when what has been published is on its way to no other node. */
  readonly bus?: Bus;
}

async function tell(story: Story, { port, resp, control, counts, bus }: Telling) {
  const names = [...new Set(story.map((step) => step[0]!))].sort();
  const listeners = new Map<string, Listener>();
  for (const name of names) listeners.set(name, await Listener.open(port, resp));
  const all = [...listeners.values()];
  const ids = all.map(({ id }) => id);
  const told: Told = [];
  const counted: Map<string, number>[] = [];
  for (const [i, step] of story.entries()) {
    const caller = step[0]!;
    const calls = step.slice(3).split(' ; ');
    const bytes = calls.map((text) => bytesOf(text, listeners));
    await listeners
      .get(caller)!
      .client.send(Buffer.concat(bytes))
      .catch(() => {});
    const wanted = counts?.[i];
    // What does not come is seen when the two are compared.
    const enough = () => names.every((name) => listeners.get(name)!.count >= (wanted?.get(name) ?? 0));
    if (wanted) await until('the replies and messages', enough, LIMIT_MS, 1).catch(() => {});
    if (/PUBLISH/i.test(step)) await bus?.settled();
    for (let round = 0; round < ROUNDS; round++) await control.call('PING', 'round');
    await until(
      'replies to be whole',
      () => all.every(({ client }) => client.rest.length === 0),
      LIMIT_MS,
      1,
    );
    counted.push(new Map(names.map((name) => [name, listeners.get(name)!.count])));
    const news = names.map((name) => {
      const found = listeners
        .get(name)!
        .news()
        .map((text) => masked(text, ids, step));
      if (name !== caller) return [name, found.sort()];
      if (step[1] === ':') return [name, found];
      const lines = found.join('').split('\r\n').sort();
      if (step[1] === '~') return [name, lines];
      return [name, lines.map((line) => line.replace(/^:\d+$/, ':(number)'))];
    });
    told.push(Object.fromEntries(news));
  }
  for (const { client } of all) client.destroy();
  return { told, counted };
}

/** The nodes of a cluster, and what they pass on to each other. */
class Bus {
  private readonly nodes: readonly (readonly [RawClient, RawClient])[];

  static async open({ primaries }: Stand['cluster']): Promise<Bus> {
    return new Bus(
      await Promise.all(
        primaries.map(async ({ port }) => [await connect(port), await connect(port)] as const),
      ),
    );
  }

  private constructor(nodes: Bus['nodes']) {
    this.nodes = nodes;
  }

  /** Resolves when every node has heard from every other all that was published before. */
  async settled(): Promise<void> {
    await Promise.all(this.nodes.map(([subscriber]) => subscriber.call('SUBSCRIBE', BUS_CHANNEL)));
    const heard = this.nodes.map(([subscriber]) => subscriber.read(this.nodes.length));
    await Promise.all(this.nodes.map(([, publisher]) => publisher.call('PUBLISH', BUS_CHANNEL, 'm')));
    await Promise.all(heard);
    await Promise.all(this.nodes.map(([subscriber]) => subscriber.call('UNSUBSCRIBE', BUS_CHANNEL)));
  }

  close(): void {
    for (const client of this.nodes.flat()) client.destroy();
  }
}

function bytesOf(text: string, listeners: ReadonlyMap<string, Listener>): Buffer {
  const words = wordsOf(readCall(text)).map((word) => {
    const id = /^#([a-z])$/.exec(word)?.[1];
    return Buffer.from(id === undefined ? word : listeners.get(id)!.id, 'latin1');
  });
  return encode(words);
}

const LINE_FIELDS = ['name', 'flags', 'sub', 'psub', 'ssub', 'multi', 'cmd', 'user', 'resp'];

/** Without what differs from one connection, and from one moment, to another. */
function masked(text: string, ids: readonly string[], step: string): string {
  if (/^[$=]\d+\r\n(txt:)?id=\d+ /.test(text)) return text[0] + text.split('\n').map(lineOf).join('\n');
  if (/REDIR|TRACKINGINFO/.test(step))
    return ids.reduce((text, id) => text.replaceAll(`:${id}\r\n`, ':(id)\r\n'), text);
  return text.replace(/^\+\d+\.\d{6} \[0 127\.0\.0\.1:\d+\]/, '+T').replace(/\$2\r\nid\r\n:\d+/g, '(id)');
}

function lineOf(line: string): string {
  return [...line.matchAll(/([\w-]+)=(\S*)/g)]
    .filter(([, name = '']) => LINE_FIELDS.includes(name))
    .map(([field]) => field)
    .join(' ');
}

function differences(story: Story, lone: Told, proxy: Told): string[] {
  return lone.flatMap((told, i) =>
    Object.keys(told).flatMap((name) => {
      const [expected, found] = [JSON.stringify(told[name]), JSON.stringify(proxy[i]![name])];
      if (expected === found) return [];
      return [`${story[i]}\n  ${name} alone: ${cut(expected)}\n  ${name} proxy: ${cut(found)}`];
    }),
  );
}

const cut = (text: string) => (text.length > 1500 ? `${text.slice(0, 1500)}...` : text);

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let stand: Stand;
    let control: Both<RawClient>;
    let bus: Bus;
    let workers: RunningProxy;
    let sharded: RunningProxy;

    before(async () => {
      stand = await openStand({ server, replicas: 0 });
      control = await connectBoth(stand);
      bus = await Bus.open(stand.cluster);
      const { cluster } = stand;
      workers = await startProxy({ cluster, settings: { workers: 2 } });
      sharded = await startProxy({ cluster, settings: { workers: 2, 'pubsub.mode': 'sharded' } });
    });

    after(async () => {
      bus?.close();
      await Promise.all([workers?.stop(), sharded?.stop()]);
      await closeStand(stand);
    });

    /** Tells a story to the lone server and to a proxy, and says where they differ. */
    const compare = async (story: Story, resp: 2 | 3, port: number, proxyControl: RawClient) => {
      const lone = await tell(story, { port: stand.lone.port, resp, control: control.lone });
      await nothingLeft(control.lone);
      const options = { port, resp, control: proxyControl, counts: lone.counted, bus };
      const proxy = await tell(story, options);
      await nothingLeft(proxyControl);
      return differences(story, lone.told, proxy.told).join('\n');
    };

    for (const { name, story, only } of STORIES) {
      for (const resp of [2, 3] as const) {
        if (only?.resp !== undefined && only.resp !== resp) continue;
        if (only?.server !== undefined && !only.server(server)) continue;
        test(`${name}, in RESP${resp}, as one server`, async () => {
          assert.equal(await compare(story, resp, stand.proxy.port, control.proxy), '');
        });
      }
    }

    for (const resp of [2, 3] as const) {
      const proxies = {
        'at one worker': () => stand.proxy.port,
        'at two workers': () => workers.port,
        // Where most patterns are refused.
        'with shard channels for channels': () => sharded.port,
      };
      Object.entries(proxies).forEach(([where, port], i) => {
        test(`random subscriptions and messages ${where}, in RESP${resp}, as one server`, async () => {
          const client = await connect(port());
          for (const story of randomStories(10 * i + resp, resp, i < 2))
            assert.equal(await compare(story, resp, port(), client), '');
          client.destroy();
        });
      });
    }

    for (const resp of [2, 3] as const) {
      test(`a client is told in another's place that everything has changed, in RESP${resp}, as by one server`, async () => {
        const story = [
          'b: SUBSCRIBE __redis__:invalidate',
          'a: CLIENT TRACKING ON REDIRECT #b',
          'c: FLUSHALL',
        ];
        const lone = await tell(story, { port: stand.lone.port, resp, control: control.lone });
        const { port } = stand.proxy;
        const proxy = await tell(story, { port, resp, control: control.proxy, counts: lone.counted });
        // Each primary tells of it.
        assert.deepEqual([...new Set(proxy.told.at(-1)?.['b'])], lone.told.at(-1)?.['b']);
      });
    }

    for (const resp of [2, 3] as const) {
      test(`${NUMBERS.name}, at two workers, in RESP${resp}, as one server`, async () => {
        const client = await workers.connect();
        // Each time the clients come to other workers.
        for (let i = 0; i < 4; i++)
          assert.equal(await compare(NUMBERS.story, resp, workers.port, client), '');
        client.destroy();
      });
    }
  });
}

/** Waits until everything that anybody had subscribed to has been given back. */
async function nothingLeft(control: RawClient): Promise<void> {
  await until(
    'nothing to be subscribed',
    async () => {
      const all = [
        await control.ask('PUBSUB', 'CHANNELS'),
        await control.ask('PUBSUB', 'NUMPAT'),
        await control.ask('PUBSUB', 'SHARDCHANNELS'),
      ];
      return all.flat().join() === '0';
    },
    LIMIT_MS,
    1,
  );
}
