/**
 * A partition, in network namespaces: to be run by partition.test.ts within `unshare --user --map-root-user --net`,
 * so that it needs no privilege and touches nothing of the machine's own network.
 *
 *   this namespace: 10.0.0.1                    |  another: 10.0.0.2, and 10.0.1.2 for this process alone
 *   two primaries, the replica of the third     |  the third primary
 *   a proxy, its clients                        |  a proxy; its clients' connections cross by 10.0.1.x
 *
 * The cut is silent, as a cable that is pulled somewhere in between: each side sends on, to an Ethernet address that
 * nobody has. It ends with code 0 when all is as promised, else with what was not.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type RawClient } from '../support/client.ts';
import { Cluster } from '../support/cluster.ts';
import { Process } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { adopt, temporary } from '../support/reaper.ts';
import { type Flavour, findServer, type Server } from '../support/servers.ts';
import { until } from '../support/wait.ts';
import { Appender } from './appender.ts';
import { tagOf } from './moves.ts';

const [HERE, THERE] = ['10.0.0.1', '10.0.0.2'];
const [OWN_CONTROL, CONTROL] = ['10.0.1.1', '10.0.1.2'];
const NOBODY = '02:00:00:00:00:01';
const REFUSED = /outcome of this write is unknown|CLUSTERDOWN/;
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
/** Others than loopback addresses are let in. */
const OPEN = ['--protected-mode', 'no'];
/** Slots of the primary that is cut off, and of the two others. */
const [CUT_OFF, ...LEFT] = [1, 8000, 16000] as const;

const folder = temporary('slotless-partition');
const ip = (...args: string[]) => execFileSync('ip', args);

/** Makes the other namespace and both roads to it; what is to be put before a command that shall run there. */
async function otherSide(): Promise<string[]> {
  const holder = adopt(spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' }));
  const pid = String(holder.pid);
  const own = readlinkSync('/proc/self/ns/net');
  await until('the other namespace', () => readlinkSync(`/proc/${pid}/ns/net`) !== own);
  const there = ['nsenter', '--target', pid, '--net', '--'];
  const ipThere = (...args: string[]) => execFileSync(there[0]!, [...there.slice(1), 'ip', ...args]);
  ip('link', 'set', 'lo', 'up');
  ipThere('link', 'set', 'lo', 'up');
  for (const [name, a, b] of [
    ['data', HERE, THERE],
    ['control', OWN_CONTROL, CONTROL],
  ] as const) {
    ip('link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', name, 'netns', pid);
    ip('addr', 'add', `${a}/24`, 'dev', name);
    ipThere('addr', 'add', `${b}/24`, 'dev', name);
    ip('link', 'set', name, 'up');
    ipThere('link', 'set', name, 'up');
  }
  return there;
}

/** From now on (or no more) what is sent across gets lost. */
function cut(there: readonly string[], on: boolean): void {
  for (const [before, address] of [
    [[], THERE],
    [there, HERE],
  ] as const) {
    const change = on
      ? ['neigh', 'replace', address, 'lladdr', NOBODY, 'nud', 'permanent', 'dev', 'data']
      : ['neigh', 'del', address, 'dev', 'data'];
    const [program = '', ...args] = [...before, 'ip', ...change];
    execFileSync(program, args);
  }
}

/** A program that runs another one there. */
function launcher(name: string, command: readonly string[]): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\nexec ${command.join(' ')} "$@"\n`, { mode: 0o755 });
  return path;
}

async function form(server: Server, there: readonly string[]): Promise<Cluster> {
  const far = { ...server, server: launcher('server', [...there, server.server]) };
  const start = (i: number) =>
    i === 0
      ? Process.start(
          far,
          join(folder, '0'),
          { host: THERE, control: CONTROL, port: 7000, config: OPEN },
          true,
        )
      : Process.start(server, join(folder, String(i)), { host: HERE, config: OPEN }, true);
  const cluster = new Cluster(server, folder, await Promise.all([0, 1, 2, 3].map(start)));
  await cluster.form(3);
  return cluster;
}

/** The maps that a proxy has had, each as its primaries. */
function mapsOf({ log }: RunningProxy): string[] {
  const lines = log.filter((one) => one.includes('the map has changed'));
  return lines.map((line) => (JSON.parse(line) as { shards: string[] }).shards.join());
}

async function run(flavour: Flavour): Promise<void> {
  const there = await otherSide();
  const cluster = await form(await findServer(flavour), there);
  const [lone, second, third, heir] = cluster.nodes;
  const near = await startProxy({ cluster, settings: { 'failover.holdFor': '30s' } });
  const far = await startProxy({
    cluster,
    program: launcher('proxy', [...there, process.execPath, MAIN]),
    settings: { listen: `${CONTROL}:6379`, 'failover.holdFor': '1s' },
  });
  const key = (slot: number, name: string) => `{${tagOf(slot)}}${name}`;
  const appenders: Appender[] = [];
  const append = (client: RawClient, name: string, allowed?: RegExp) => {
    const appender = new Appender(client, name, allowed);
    appenders.push(appender);
    return appender;
  };
  const farClient = () => connect(6379, { host: CONTROL });
  const moved = append(await near.connect(), key(CUT_OFF, 'near'));
  const others = [
    append(await near.connect(), key(LEFT[0], 'near')),
    append(await near.connect(), key(LEFT[1], 'near')),
  ];
  const cutOff = append(await farClient(), key(CUT_OFF, 'far'), REFUSED);
  const across = append(await farClient(), key(LEFT[0], 'far'), REFUSED);
  const runs = appenders.map((one) => one.run());
  const more = (all: readonly Appender[]) => {
    const goals = all.map(({ acknowledged }) => acknowledged.length + 100);
    return until('writes', () => all.every(({ acknowledged }, i) => acknowledged.length >= goals[i]!));
  };
  await more(appenders);

  cut(there, true);
  const before = mapsOf(far).length;
  // In the middle of it all the majority goes on with its own, without an error.
  await more(others);
  await until('the replica to take over', async () =>
    String(await cluster.cli(heir!.port, 'ROLE')).startsWith('master'),
  );
  const taken = cutOff.acknowledged.length;
  // What has waited for the new primary is done there.
  await more([moved, ...others]);
  const refused = cutOff.errors + across.errors;
  await until('the minority to be told so', () => cutOff.errors + across.errors > refused + 20);
  assert.equal(cutOff.acknowledged.length, taken, 'the minority has acknowledged writes after the failover');
  assert.equal(mapsOf(far).length, before, 'the minority has changed the map');
  const primaries = [heir, second, third].map((node) => `${node!.host}:${node!.port}`).join();
  await until('the majority to have the new map', () => mapsOf(near).at(-1) === primaries);

  cut(there, false);
  await until('the old primary to follow the new', async () =>
    String(await cluster.cli(lone!.port, 'ROLE')).startsWith('slave'),
  );
  await more(appenders);
  for (const one of appenders) one.stop();
  await Promise.all(runs);
  await until('the minority to have the new map', () => mapsOf(far).at(-1) === primaries);
  const client = await near.connect();
  for (const one of [...others, across]) assert.deepEqual(await one.check(client), { missing: 0, runs: 0 });
  assert.deepEqual(
    others.map(({ errors }) => errors),
    [0, 0],
  );
  // What the old primary has acknowledged last, and could tell nobody, the servers lose.
  for (const one of [moved, cutOff]) assert.ok((await one.check(client)).runs <= 1);
}

await run(process.argv[2] as Flavour);
process.exit(0);
