/**
 * Plays a scene: what is there, the command through a proxy that dies, or with a node that dies, at one of its steps;
 * then what may be there, as the owners of the keys say it.
 *
 *     each key      what it was, or what the command makes of it: never anything else
 *     a move        where the source has lost it, the destination has it
 *     temporaries   gone, or with a time to live; then gone
 *     others        another proxy goes on, with the same command
 */

import assert from 'node:assert/strict';
import { slotOf } from '../../src/command/slot.ts';
import { STEPS } from '../../src/gather/steps.ts';
import { holdingsOf } from '../oracle/across.ts';
import { connect, type RawClient } from '../support/client.ts';
import type { Cluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';
import { Meddler } from './meddler.ts';
import type { Scene } from './scenes.ts';

/** A place at which somebody may die: the nth time that a step is passed, from 1. */
export interface Place {
  readonly step: string;
  readonly nth: number;
}

/** A key's value as text; undefined where it has none. */
type State = ReadonlyMap<string, string>;

export interface Undisturbed {
  readonly places: readonly Place[];
  readonly before: State;
  readonly after: State;
  /** Where it may be left as well. */
  readonly between: readonly State[];
}

interface Faulty {
  readonly proxy: RunningProxy;
  readonly client: RawClient;
  end(): Promise<void>;
}

/** Of what is left behind, ms: copies; locks have less. */
const LONGEST_LIFE = 10_000;
const FAULT = new URL('fault.ts', import.meta.url);

/** A proxy that tells its steps, and at one of them kills itself, or `pid`. */
async function startFaulty(cluster: Cluster, scene: Scene, place?: Place, pid?: number): Promise<Faulty> {
  const url = new URL(FAULT);
  if (place !== undefined)
    url.search = new URLSearchParams({ step: place.step, nth: `${place.nth}` }).toString();
  if (pid !== undefined) url.searchParams.set('pid', String(pid));
  const meddler = new Meddler(cluster.server);
  if (scene.meddles !== undefined) {
    const { step, from, calls } = scene.meddles;
    const at = (key: string) => cluster.ownerOf(slotOfKey(key));
    const placed = calls.map(async ([key, ...words]) => [(await at(key)).port, ...words] as const);
    meddler.plan({ step, from, times: 1, calls: await Promise.all(placed) });
  }
  const nodeFlags = [...meddler.flags, '--import', url.href];
  const proxy = await startProxy({ cluster, nodeFlags, settings: { ...scene.settings } });
  const client = await proxy.connect();
  const end = async () => {
    client.destroy();
    await proxy.stop();
    meddler.end();
  };
  return { proxy, client, end };
}

/** The steps that scenes pass, and what they do when nobody dies. Scenes with the same settings share a proxy. */
export async function playThrough(
  cluster: Cluster,
  helper: RawClient,
  scenes: readonly Scene[],
): Promise<Map<Scene, Undisturbed>> {
  const played = new Map<Scene, Undisturbed>();
  const alike = Object.groupBy(scenes, ({ settings, meddles }) => JSON.stringify([settings, meddles]));
  for (const some of Object.values(alike)) {
    const { proxy, client, end } = await startFaulty(cluster, some![0]!);
    try {
      for (const scene of some!) {
        const before = await prepare(cluster, helper, scene);
        const from = proxy.log.length;
        const reply = await client.call(...scene.call);
        assert.notEqual(reply[0], '-'.charCodeAt(0), String(reply));
        const after = await stateOf(cluster, scene);
        // What it told before it replied has been read by now.
        const places = placesIn(proxy.log.slice(from));
        const between: State[] = [];
        for (const calls of scene.between ?? []) between.push(await prepare(cluster, helper, scene, calls));
        played.set(scene, { places, before, after, between });
      }
    } finally {
      await end();
    }
  }
  return played;
}

function placesIn(log: readonly string[]): Place[] {
  const told = log.filter((line) => line.startsWith('step ')).map((line) => line.slice(5));
  for (const step of told) assert.ok((STEPS as readonly string[]).includes(step), step);
  return told.map((step, i) => ({ step, nth: told.slice(0, i + 1).filter((one) => one === step).length }));
}

/** The proxy dies. `waits`: until what it has left behind is gone, seconds. @returns where what is there has come to */
export async function killProxy(
  cluster: Cluster,
  helper: RawClient,
  scene: Scene,
  undisturbed: Undisturbed,
  place: Place,
  waits: boolean,
): Promise<'before' | 'between' | 'after'> {
  const { proxy, client, end } = await startFaulty(cluster, scene, place);
  try {
    await prepare(cluster, helper, scene);
    const reply = await client.call(...scene.call).catch(() => undefined);
    assert.equal(reply, undefined, 'it was to die before it replied');
    assert.equal(await proxy.exited, 'SIGKILL');
  } finally {
    await end();
  }
  return judge(cluster, helper, scene, undisturbed, waits);
}

/** The owner of a key dies, and a replica takes its place. The cluster is whole again afterwards. */
export async function killNode(
  cluster: Cluster,
  helper: RawClient,
  scene: Scene,
  undisturbed: Undisturbed,
  place: Place,
  key: string,
): Promise<'before' | 'between' | 'after'> {
  const owner = await cluster.ownerOf(slotOfKey(key));
  const { proxy, client, end } = await startFaulty(cluster, scene, place, owner.pid);
  try {
    await prepare(cluster, helper, scene);
    await client.call(...scene.call);
    assert.ok(proxy.log.includes(`step ${place.step}`), `${place.step} was not passed`);
  } finally {
    await end();
  }
  await cluster.kill(owner.port);
  await until(`another owner of ${key}`, async () => (await cluster.ownerOf(slotOfKey(key))) !== owner);
  const heir = await cluster.ownerOf(slotOfKey(key));
  await until('the cluster to serve', () => stateOf(cluster, scene));
  [owner.role, heir.role] = ['replica', 'primary'];
  const found = await judge(cluster, helper, scene, undisturbed, true);
  await cluster.restart(owner.port);
  await cluster.settled();
  return found;
}

/** What is there before, on the replicas as well. */
async function prepare(
  cluster: Cluster,
  helper: RawClient,
  scene: Scene,
  more: Scene['before'] = [],
): Promise<State> {
  await helper.call('FLUSHALL');
  for (const call of [...scene.before, ...more]) {
    const reply = await helper.call(...call);
    assert.notEqual(reply[0], '-'.charCodeAt(0), String(reply));
  }
  if (cluster.nodes.length > cluster.primaries.length) await helper.call('WAIT', 1, 5000);
  return stateOf(cluster, scene);
}

async function judge(
  cluster: Cluster,
  helper: RawClient,
  scene: Scene,
  { before, after, between }: Undisturbed,
  waits: boolean,
): Promise<'before' | 'between' | 'after'> {
  const found = await stateOf(cluster, scene);
  const is = (state: State) => scene.keys.every((key) => found.get(key) === state.get(key));
  for (const key of scene.keys) {
    const may = [before, after, ...between].map((state) => state.get(key));
    assert.ok(
      may.includes(found.get(key)),
      `${key} is ${found.get(key)}, and may be one of ${may.join(' | ')}`,
    );
  }
  const [gains, loses] = scene.keys;
  if (scene.moves && found.get(loses!) !== before.get(loses!))
    assert.equal(found.get(gains!), after.get(gains!), `${loses} has lost what ${gains} has not got`);
  await noneForever(cluster, waits);
  const where = is(before) ? 'before' : is(after) ? 'after' : 'between';
  await prepare(cluster, helper, scene);
  const reply = await helper.call(...scene.call);
  assert.notEqual(reply[0], '-'.charCodeAt(0), `another proxy goes on: ${reply}`);
  if (scene.meddles === undefined) assert.deepEqual(await stateOf(cluster, scene), after);
  return where;
}

/** Keys of the proxy's own live no longer than they may. `waits`: locks are gone then. */
async function noneForever(cluster: Cluster, waits: boolean): Promise<void> {
  for (const { port } of cluster.primaries) {
    for (const key of await reservedAt(cluster, port)) {
      const life = Number(await cluster.cli(port, 'PTTL', key));
      assert.ok(life !== -1 && life <= LONGEST_LIFE, `${key} lives ${life} ms`);
    }
  }
  if (!waits) return;
  await until('what is left behind to be gone', async () => {
    const left = await Promise.all(cluster.primaries.map(({ port }) => reservedAt(cluster, port)));
    return left.flat().length === 0;
  });
}

async function reservedAt(cluster: Cluster, port: number): Promise<string[]> {
  return (await cluster.cli(port, 'KEYS', 'slotless:*')) as string[];
}

/** What the owners of a scene's keys have. */
async function stateOf(cluster: Cluster, { keys }: Scene): Promise<State> {
  const state = new Map<string, string>();
  for (const key of keys) {
    const owner = await connect((await cluster.ownerOf(slotOfKey(key))).port);
    await owner.call('HELLO', 3);
    for (const [name, text] of await holdingsOf(owner, false, [key])) state.set(name, text);
    owner.destroy();
  }
  return state;
}

function slotOfKey(key: string): number {
  return slotOf(Buffer.from(key), 0, key.length);
}
