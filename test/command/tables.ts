// The command tables of the real servers to be had here, each asked once per test file.

import RedisParser from 'redis-parser';
import { CommandTable } from '../../src/command/table.ts';
import { connect } from '../support/client.ts';
import { type Lone, startLone } from '../support/cluster.ts';
import { availableServers } from '../support/servers.ts';

export interface Fixture {
  /** `redis 7.0.15`. */
  readonly name: string;
  /** The reply of COMMAND, as redis-parser gives it. */
  readonly reply: unknown[][];
  readonly table: CommandTable;
  readonly lone: Lone;
}

/** Starts every server and reads its COMMAND. To be stopped with `stopAll`. */
export async function startAll(): Promise<Fixture[]> {
  const servers = await availableServers();
  return Promise.all(
    servers.map(async (server) => {
      const lone = await startLone({ server });
      const reply = parse(await (await connect(lone.port, { host: lone.host })).call('COMMAND'));
      return { name: `${server.flavour} ${server.version}`, reply, table: CommandTable.parse(reply), lone };
    }),
  );
}

export async function stopAll(fixtures: readonly Fixture[]): Promise<void> {
  await Promise.all(fixtures.map(({ lone }) => lone.stop()));
}

/** One RESP2 reply as redis-parser has it. */
export function parse(raw: Buffer): unknown[][] {
  let parsed: unknown;
  const parser = new RedisParser({
    returnReply: (reply) => {
      parsed = reply;
    },
    returnError: (error) => {
      throw error;
    },
  });
  parser.execute(raw);
  return parsed as unknown[][];
}
