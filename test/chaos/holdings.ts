/** What the nodes hold at the end, asked at each slot's owner and not through the proxy. */

import { slotOf } from '../../src/command/slot.ts';
import { connect, decode } from '../support/client.ts';
import type { Cluster } from '../support/cluster.ts';

const AT_ONCE = 1000;

/** The values of keys; null where there is none. */
export async function holdings(
  cluster: Cluster,
  keys: readonly string[],
): Promise<Map<string, string | null>> {
  const owners = await ownersOf(cluster);
  const byPort = new Map<number, string[]>();
  for (const key of keys) {
    const port = owners[slotOfKey(key)]!;
    const some = byPort.get(port);
    if (some === undefined) byPort.set(port, [key]);
    else some.push(key);
  }
  const values = new Map<string, string | null>();
  for (const [port, some] of byPort) {
    const client = await connect(port);
    for (let at = 0; at < some.length; at += AT_ONCE) {
      const part = some.slice(at, at + AT_ONCE);
      const replies = await client.pipeline(part.map((key) => ['GET', key]));
      for (const [i, reply] of replies.entries()) {
        const value = decode(reply);
        if (value instanceof Error) throw new Error(`GET ${part[i]} at ${port}: ${value.message}`);
        values.set(part[i]!, value as string | null);
      }
    }
    client.destroy();
  }
  return values;
}

/** The port of each slot's owner. */
export async function ownersOf(cluster: Cluster): Promise<number[]> {
  const owners: number[] = [];
  const ranges = (await cluster.cli(cluster.nodes[0]!.port, 'CLUSTER', 'SLOTS')) as [
    number,
    number,
    [string, number],
  ][];
  for (const [from, to, [, port]] of ranges) for (let slot = from; slot <= to; slot++) owners[slot] = port;
  return owners;
}

function slotOfKey(key: string): number {
  const bytes = Buffer.from(key);
  return slotOf(bytes, 0, bytes.length);
}
