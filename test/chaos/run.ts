/**
 * `npm run chaos -- [flags]`: faults of every kind while 64 clients write and read, and a table of what they saw.
 * The exit code is 1 when this proxy misses a bar.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { availableServers } from '../support/servers.ts';
import { available, KINDS } from './endpoints.ts';
import { FAULTS } from './faults.ts';
import { type Figures, playRounds } from './round.ts';
import { missed, type Row, table } from './table.ts';

const HELP = `npm run chaos -- [flags]

  --only NAME,...     ${FAULTS.map(({ id }) => id).join(', ')} (all)
  --flavour NAME      redis or valkey (all that are there)
  --proxy NAME,...    ${KINDS.join(', ')} (all that are in PATH)
  --times N           rounds of each fault (10)
  --seconds N         of load before a fault, and behind it (1)
  --clients N         (64)
  --rate N            commands a second of all clients together (6000)
  --json FILE         also writes all figures of all rounds
`;

const one = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    only: one,
    flavour: one,
    proxy: one,
    times: { ...one, default: '10' },
    seconds: { ...one, default: '1' },
    clients: { ...one, default: '64' },
    rate: { ...one, default: '6000' },
    json: one,
    help: { type: 'boolean', short: 'h' },
  },
});

if (values.help) process.stdout.write(HELP);
else process.exitCode = await run();

async function run(): Promise<number> {
  const faults = chosen('only', FAULTS, ({ id }) => id, values.only);
  const kinds = chosen('proxy', KINDS, (kind) => kind, values.proxy).filter((kind) => available(kind));
  const all = await availableServers();
  const servers = chosen('flavour', all, ({ flavour }) => flavour, values.flavour);
  const options = {
    clients: Number(values.clients),
    rate: Number(values.rate),
    span: Number(values.seconds) * 1000,
  };
  const rows: Row[] = [];
  for (const { flavour, version, ...rest } of servers) {
    for (const fault of faults) {
      for (const kind of kinds) {
        if (!available(kind, fault)) continue;
        const server = `${flavour} ${version}`;
        const told: Figures[] = [];
        const tell = (figures: Figures, round: number) => {
          told.push(figures);
          const { unknown, unread, lostByCluster, errors } = figures;
          const [pause, own, took] = [figures.pause, figures.ownPause, figures.took].map(Math.round);
          const line = { pause, own, took, unknown, unread, lostByCluster, errors };
          process.stderr.write(`${kind}, ${server}, ${fault.id} ${round + 1}: ${JSON.stringify(line)}\n`);
        };
        const played = playRounds(
          { flavour, version, ...rest },
          kind,
          fault,
          Number(values.times),
          options,
          tell,
        );
        rows.push({
          fault,
          server,
          kind,
          ...(await played.catch((error) => ({ rounds: told, nodeTimeout: 0, broken: String(error) }))),
        });
      }
    }
  }
  console.log(table(rows));
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ options, rows }, null, 1));
  return rows.some((row) => row.kind === 'slotless' && missed(row).length > 0) ? 1 : 0;
}

/** Those of `all` that a flag names; all of them without it. */
function chosen<T>(
  flag: string,
  all: readonly T[],
  nameOf: (one: T) => string,
  wanted: string | undefined,
): T[] {
  if (wanted === undefined) return [...all];
  return wanted.split(',').map((name) => {
    const found = all.find((each) => nameOf(each) === name);
    if (found !== undefined) return found;
    throw new Error(`--${flag}: unknown ${name}; there are ${all.map(nameOf).join(', ')}`);
  });
}
