/** A cluster with a proxy of one worker and one of three before it, for tests of remote functions. */

import { after, before, describe } from 'node:test';
import type { RawClient, Value } from '../support/client.ts';
import { type Cluster, type ClusterOptions, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers, findServer, type Server } from '../support/servers.ts';
import { until } from '../support/wait.ts';

export interface Stand {
  readonly cluster: Cluster;
  /** With one worker. */
  readonly one: RunningProxy;
  /** With three. */
  readonly three: RunningProxy;
  /** A client of the first, in RESP2. */
  readonly client: RawClient;
  /** A client of the second, in RESP3. */
  readonly client3: RawClient;
}

type Settings = Record<string, string | number | boolean>;
type Options = Partial<ClusterOptions>;

type Tests = (stand: () => Stand) => void;

/** Runs the same tests on every server there is. */
export function onEveryServer(what: string, tests: Tests, settings?: Settings, options?: Options): void {
  describe(what, async () => {
    for (const server of await availableServers()) on(server, tests, settings, options);
  });
}

/** Runs tests of what is the proxy's affair alone, on one server. */
export function onAServer(what: string, tests: Tests, settings?: Settings, options?: Options): void {
  describe(what, async () => on(await findServer(), tests, settings, options));
}

function on(server: Server, tests: Tests, settings: Settings = {}, options: Options = { replicas: 0 }): void {
  describe(`${server.flavour} ${server.version}`, () => {
    let stand: Stand;

    before(async () => {
      const cluster = await startCluster({ server, ...options });
      // Tests run beside others: what takes its time shall not be taken for late.
      const all = { 'functions.remoteTaskTimeout': '10s', 'functions.lockTimeout': '2s', ...settings };
      const one = await startProxy({ cluster, settings: all });
      const three = await startProxy({ cluster, settings: { workers: 3, ...all } });
      const client3 = await three.connect();
      await client3.ask('HELLO', '3');
      stand = { cluster, one, three, client: await one.connect(), client3 };
    });

    after(async () => {
      await stand?.one.stop();
      await stand?.three.stop();
      await stand?.cluster.stop();
    });

    tests(() => stand);
  });
}

/** Loads a library at a proxy: `#!js` and its name are put before the code. */
export async function load(
  client: RawClient,
  name: string,
  code: string,
  ...options: string[]
): Promise<void> {
  const reply = await client.ask(
    'TFUNCTION',
    'LOAD',
    'REPLACE',
    ...options,
    `#!js api_version=1.0 name=${name}\n${code}`,
  );
  if (reply !== 'OK') throw new Error(`TFUNCTION LOAD: ${reply}`);
}

/** Asks until the library is there: another proxy may have loaded it just now. */
export function asked(client: RawClient, ...words: (string | number)[]): Promise<Value> {
  return until('the library to be there', async () => {
    const reply = await client.ask(...words);
    return /Unknown (library|function)/.test(String(reply)) ? undefined : reply;
  });
}
