/**
 * A reader with a cache of its own, kept as the proxy tells it, while others write to every shard, slots move and
 * primaries die. Whatever is read from the cache must be no older than what was current when the last invalidation
 * of the key had been delivered; and when all is quiet, the cache says what the servers say.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import { connect, decode, type RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

const KEYS = Array.from({ length: 60 }, (_, i) => `key:${i}`);
/** A cluster may lose acknowledged writes then: only that the cache says what the servers say can be asked for. */
const KILLED = 'a killed primary';
const READS = Number(process.env['READS'] ?? 10_000);

let cluster: Cluster;
let proxy: RunningProxy;

before(async () => {
  // Who is primary changes when a test says so, and not because a node has been held up: while a slot moves that
  // could leave it to nobody.
  cluster = await startCluster({ primaries: 3, replicas: 1, config: ['--cluster-node-timeout', '5000'] });
  proxy = await startProxy({ cluster, settings: { workers: 2, 'refresh.every': '500ms' } });
});

after(async () => {
  await proxy?.stop();
  await cluster?.stop();
});

/** A client that keeps what it has read until it is told otherwise. */
class CachingReader {
  readonly cache = new Map<string, number>();
  /** What the last invalidation of each key has ruled out: all that had been acknowledged before it. */
  readonly floor = new Map<string, number>();
  fromCache = 0;
  stale = 0;
  pushes = 0;
  private client: RawClient | undefined;
  private readonly lately: (string | null)[] = [];
  private readonly acknowledged: ReadonlyMap<string, number>;
  private readonly lossy: boolean;

  constructor(acknowledged: ReadonlyMap<string, number>, lossy: boolean) {
    this.acknowledged = acknowledged;
    this.lossy = lossy;
  }

  async open(port: number, ...mode: string[]): Promise<void> {
    this.client = await connect(port, { onPush: (push) => this.forget(decode(push) as never) });
    await this.client.call('HELLO', 3);
    await until(
      'tracking',
      async () => (await this.client!.ask('CLIENT', 'TRACKING', 'ON', ...mode)) === 'OK',
    );
  }

  async read(key: string): Promise<void> {
    const known = this.cache.get(key);
    if (known !== undefined) {
      this.fromCache++;
      if (known < (this.floor.get(key) ?? 0)) this.stale++;
      return;
    }
    this.lately.length = 0;
    const value = await this.client!.ask('GET', key);
    // What was heard before this could look at the reply.
    if (value instanceof Error || this.lately.some((each) => each === null || each === key)) return;
    this.cache.set(key, Number(value ?? 0));
  }

  close(): void {
    this.client?.destroy();
  }

  private forget([, keys]: [string, string[] | null]): void {
    this.pushes++;
    for (const key of keys ?? KEYS) {
      this.cache.delete(key);
      this.floor.set(key, keys === null ? (this.floor.get(key) ?? 0) : this.lastSure(key));
    }
    this.lately.push(...(keys ?? [null]));
  }

  private lastSure(key: string): number {
    if (this.lossy) return 0;
    return Math.max(this.floor.get(key) ?? 0, this.acknowledged.get(key) ?? 0) - 1;
  }
}

/** Writes growing numbers to all keys until it is stopped; keeps what was acknowledged. */
function write(port: number) {
  const acknowledged = new Map<string, number>();
  let going = true;
  const done = (async () => {
    const client = await connect(port);
    for (let n = 1; going; n++) {
      const key = KEYS[(n * 7) % KEYS.length]!;
      const reply = await client.ask('SET', key, n);
      if (reply === 'OK') acknowledged.set(key, n);
      if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    client.destroy();
  })();
  const stop = async () => {
    going = false;
    await done;
  };
  return { acknowledged, stop };
}

async function settle(reader: CachingReader): Promise<void> {
  const check = await connect(proxy.port);
  for (const key of KEYS) await reader.read(key);
  await until(
    'the cache to say what the servers say',
    async () => {
      for (const key of KEYS) {
        const known = reader.cache.get(key);
        if (known === undefined) await reader.read(key);
        else if (known !== Number(await check.ask('GET', key))) return false;
      }
      return true;
    },
    10_000,
  );
  check.destroy();
}

const disturb: Record<string, () => Promise<void>> = {
  nothing: async () => {},
  'moving slots': async () => {
    for (const key of KEYS.slice(0, 4)) {
      const slot = slotOf(Buffer.from(key), 0, key.length);
      const owner = await cluster.ownerOf(slot);
      const other = cluster.primaries.find(({ port }) => port !== owner.port)!;
      await cluster.moveSlot(slot, other.port);
      await cluster.settled();
    }
  },
  [KILLED]: async () => {
    const slot = slotOf(Buffer.from(KEYS[0]!), 0, KEYS[0]!.length);
    const old = await cluster.ownerOf(slot);
    await cluster.kill(old.port);
    await cluster.failover(old.port, 'TAKEOVER');
    await cluster.restart(old.port);
    await cluster.settled();
  },
  'a failover': async () => {
    await cluster.failover(cluster.nodes.find(({ role }) => role === 'replica')!.port);
  },
};

for (const [what, how] of Object.entries(disturb)) {
  for (const mode of [[], ['BCAST']]) {
    test(`a cache is never stale with ${what}, ${mode[0] ?? 'by what was read'}`, async (t) => {
      const writer = write(proxy.port);
      const reader = new CachingReader(writer.acknowledged, what === KILLED);
      t.after(() => Promise.all([writer.stop(), reader.close()]));
      await reader.open(proxy.port, ...mode);
      let over = false;
      const going = how().finally(() => {
        over = true;
      });
      // It is awaited below.
      going.catch(() => {});
      for (let i = 0; (i < READS || !over) && !t.signal.aborted; i++) {
        await reader.read(KEYS[(i * 13) % KEYS.length]!);
        if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      await going;
      await writer.stop();
      await settle(reader);
      assert.equal(reader.stale, 0);
      assert.ok(reader.fromCache > 0 && reader.pushes > 0);
    });
  }
}
