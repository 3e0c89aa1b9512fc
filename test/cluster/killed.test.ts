/**
 * `kill -9` of the proxy under load: it keeps nothing of its own, so what it has acknowledged is with the nodes.
 * What was under way may have been done or not, once; whoever sent it knows no more than with a server that dies.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../support/client.ts';
import { startCluster } from '../support/cluster.ts';
import { freePort } from '../support/ports.ts';
import { startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const KILLS = 2;
const CLIENTS = 12;
/** Acknowledged by each client, before the proxy is killed. */
const ENOUGH = 60;

/** Appends 0, 1, 2 ... to its key, and remembers how far it was acknowledged. */
class Appender {
  acknowledged = 0;
  private sent = 0;
  private readonly key: string;
  private readonly depth: number;

  constructor(key: string, depth: number) {
    this.key = key;
    this.depth = depth;
  }

  /** Appends until the connection is lost. */
  async run(port: number): Promise<void> {
    const client = await connect(port);
    let length = this.recover(await client.ask('GET', this.key));
    try {
      for (;;) {
        const batch = Array.from({ length: 1 + (this.sent % this.depth) }, () => `${this.sent++},`);
        const replies = batch.map((one) => client.ask('APPEND', this.key, one));
        for (const reply of replies) reply.catch(() => {});
        for (const [i, reply] of replies.entries()) {
          length += batch[i]!.length;
          assert.equal(await reply, length, this.key);
          this.acknowledged++;
        }
      }
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
    } finally {
      client.destroy();
    }
  }

  /** What is there: all that was acknowledged, each once and in order, and perhaps some more. How long it is. */
  recover(value: unknown): number {
    const text = value === null ? '' : String(value);
    const there = text.split(',').length - 1;
    assert.equal(text, Array.from({ length: there }, (_, i) => `${i},`).join(''), this.key);
    assert.ok(there >= this.acknowledged, `${this.key}: ${there} of ${this.acknowledged} acknowledged`);
    assert.ok(there <= this.sent, `${this.key}: ${there} of ${this.sent} sent`);
    this.acknowledged = this.sent = there;
    return text.length;
  }
}

// What becomes of a proxy's clients is its own affair: one server is enough.
for (const server of (await availableServers()).slice(0, 1)) {
  describe(`a proxy that is killed, ${server.flavour} ${server.version}`, () => {
    for (const workers of [1, 2]) {
      test(`with ${workers} worker(s) it loses nothing that it has acknowledged, and does nothing twice`, async (t) => {
        const cluster = await startCluster({ server, replicas: 0 });
        t.after(() => cluster.stop());
        const port = await freePort();
        const start = () => startProxy({ cluster, port, settings: { workers } });
        const appenders = Array.from(
          { length: CLIENTS },
          (_, i) => new Appender(`k${i}`, [1, 4, 16][i % 3]!),
        );
        for (let kill = 0; kill < KILLS; kill++) {
          const proxy = await start();
          const runs = appenders.map((one) => one.run(port));
          const goal = appenders.map(({ acknowledged }) => acknowledged + ENOUGH);
          const enough = () => appenders.every(({ acknowledged }, i) => acknowledged >= goal[i]!);
          await until('enough to be acknowledged', enough);
          process.kill(proxy.pid, 'SIGKILL');
          await Promise.all(runs);
          assert.equal(await proxy.exited, 'SIGKILL');
        }
        const proxy = await start();
        const client = await proxy.connect();
        for (const [i, one] of appenders.entries()) one.recover(await client.ask('GET', `k${i}`));
        client.destroy();
        await proxy.stop();
      });
    }
  });
}
