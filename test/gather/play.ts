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
}

/** Of what is left behind, ms: copies; locks have less. */
const LONGEST_LIFE = 60_000;
const FAULT = new URL('fault.ts', import.meta.url);

/** A proxy that tells its steps, and at one of them kills itself, or `pid`. */
export function startFaulty(
  cluster: Cluster,
  scene: Scene,
  place?: Place,
  pid?: number,
): Promise<RunningProxy> {
  const url = new URL(FAULT);
  if (place !== undefined)
    url.search = new URLSearchParams({ step: place.step, nth: `${place.nth}` }).toString();
  if (pid !== undefined) url.searchParams.set('pid', String(pid));
  return startProxy({ cluster, nodeFlags: ['--import', url.href], settings: { ...scene.settings } });
}

/** The steps that scenes pass, and what they do when nobody dies. Scenes with the same settings share a proxy. */
export async function playThrough(
  cluster: Cluster,
  helper: RawClient,
  scenes: readonly Scene[],
): Promise<Map<Scene, Undisturbed>> {
  const played = new Map<Scene, Undisturbed>();
  const alike = Object.groupBy(scenes, ({ settings }) => JSON.stringify(settings ?? {}));
  for (const some of Object.values(alike)) {
    const proxy = await startFaulty(cluster, some![0]!);
    const client = await proxy.connect();
    try {
      for (const scene of some!) {
        const before = await prepare(cluster, helper, scene);
        const from = proxy.log.length;
        const reply = await client.call(...scene.call);
        assert.notEqual(reply[0], '-'.charCodeAt(0), String(reply));
        played.set(scene, {
          places: placesIn(proxy.log.slice(from)),
          before,
          after: await stateOf(cluster, scene),
        });
      }
    } finally {
      client.destroy();
      await proxy.stop();
    }
  }
  return played;
}

function placesIn(log: readonly string[]): Place[] {
  const told = log.filter((line) => line.startsWith('step ')).map((line) => line.slice(5));
  for (const step of told) assert.ok((STEPS as readonly string[]).includes(step), step);
  return told.map((step, i) => ({ step, nth: told.slice(0, i + 1).filter((one) => one === step).length }));
}

/** The proxy dies. @returns where what is there has come to */
export async function killProxy(
  cluster: Cluster,
  helper: RawClient,
  scene: Scene,
  undisturbed: Undisturbed,
  place: Place,
): Promise<'before' | 'between' | 'after'> {
  const proxy = await startFaulty(cluster, scene, place);
  const client = await proxy.connect();
  try {
    await prepare(cluster, helper, scene);
    const reply = await client.call(...scene.call).catch(() => undefined);
    assert.equal(reply, undefined, 'it was to die before it replied');
    assert.equal(await proxy.exited, 'SIGKILL');
  } finally {
    client.destroy();
    await proxy.stop();
  }
  return judge(cluster, helper, scene, undisturbed);
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
  const proxy = await startFaulty(cluster, scene, place, owner.pid);
  const client = await proxy.connect();
  try {
    await prepare(cluster, helper, scene);
    await client.call(...scene.call);
    assert.ok(proxy.log.includes(`step ${place.step}`), `${place.step} was not passed`);
  } finally {
    client.destroy();
    await proxy.stop();
  }
  await cluster.kill(owner.port);
  await until(`another owner of ${key}`, async () => (await cluster.ownerOf(slotOfKey(key))) !== owner);
  const heir = await cluster.ownerOf(slotOfKey(key));
  [owner.role, heir.role] = ['replica', 'primary'];
  const found = await judge(cluster, helper, scene, undisturbed);
  await cluster.restart(owner.port);
  await cluster.settled();
  return found;
}

/** What is there before, on the replicas as well. */
async function prepare(cluster: Cluster, helper: RawClient, scene: Scene): Promise<State> {
  await helper.call('FLUSHALL');
  for (const call of scene.before) {
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
  { before, after }: Undisturbed,
): Promise<'before' | 'between' | 'after'> {
  const found = await stateOf(cluster, scene);
  const is = (state: State) => scene.keys.every((key) => found.get(key) === state.get(key));
  for (const key of scene.keys) {
    const may = [before.get(key), after.get(key)];
    assert.ok(
      may.includes(found.get(key)),
      `${key} is ${found.get(key)}, and may be one of ${may.join(' | ')}`,
    );
  }
  const [gains, loses] = scene.keys;
  if (scene.moves && found.get(loses!) !== before.get(loses!))
    assert.equal(found.get(gains!), after.get(gains!), `${loses} has lost what ${gains} has not got`);
  await noneLeft(cluster);
  const where = is(before) ? 'before' : is(after) ? 'after' : 'between';
  await prepare(cluster, helper, scene);
  await helper.call(...scene.call);
  assert.deepEqual(await stateOf(cluster, scene), after, 'another proxy goes on');
  return where;
}

/** Keys of the proxy's own live no longer than they may; locks are waited for. */
async function noneLeft(cluster: Cluster): Promise<void> {
  for (const { port } of cluster.primaries) {
    for (const key of await reservedAt(cluster, port)) {
      const life = Number(await cluster.cli(port, 'PTTL', key));
      assert.ok(life !== -1 && life <= LONGEST_LIFE, `${key} lives ${life} ms`);
    }
  }
  await until('locks to be gone', async () => {
    const left = await Promise.all(cluster.primaries.map(({ port }) => reservedAt(cluster, port)));
    return left.flat().every((key) => !key.startsWith('slotless:lock:'));
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
