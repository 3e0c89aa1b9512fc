// What the bench was asked for: the flags of `npm run bench`.

import { parseArgs } from 'node:util';
import type { Endpoint } from './loads.ts';
import { WORKLOADS, type Workload } from './workloads.ts';

export const HELP = `npm run bench -- [flags]

  --endpoint NAME=HOST:PORT[:PID]  an endpoint to measure, may be repeated; its CPU and memory need its PID.
                                   Without any, a cluster of three primaries and a lone server are started, and
                                   in front of them the proxy (one worker), predixy and haproxy (where they are
                                   in PATH; haproxy in TCP mode to the lone server), and the lone server (bare)
  --only NAME,...                  of those that would be started, only these
  --proxy NAME=FILE                another build of the proxy to start, by its main.ts; may be repeated
  --set PATH=VALUE                 a setting for the proxies that are started; may be repeated
  --workload NAME,...              ${WORKLOADS.map(({ name }) => name).join(', ')} (default: all)
  --rounds N                       alternating rounds, A B C, A B C, ... (5)
  --seconds N                      length of a round (2); --requests N: its number of commands instead
  --warm N                         seconds of load before each round that are not measured (0.5)
  --rate N                         open loop: N commands (of PUBLISH: messages) per second, latency from the time
                                   they were due
  --loader own|redis-benchmark     (own)
  --baseline NAME                  the endpoint that ratios are to (predixy, else haproxy; of PUBLISH: bare)
  --idle N                         instead of the workloads: memory per client with N idle clients
  --json FILE                      also writes all figures of all rounds
`;

export interface Options {
  readonly endpoints: readonly Endpoint[];
  readonly only: readonly string[];
  /** Builds of the proxy to start besides the one here: name and main.ts. */
  readonly proxies: readonly (readonly [string, string])[];
  readonly settings: readonly string[];
  readonly workloads: readonly Workload[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warm: number;
  readonly requests: number;
  readonly rate: number;
  readonly loader: 'own' | 'redis-benchmark';
  readonly baseline: string;
  readonly idle: number;
  readonly json: string;
}

/** Reads the flags; undefined when help was asked for. Throws one line for what can't be understood. */
export function readOptions(argv: readonly string[]): Options | undefined {
  const one = { type: 'string' } as const;
  const many = { type: 'string', multiple: true } as const;
  const { values } = parseArgs({
    args: [...argv],
    options: {
      endpoint: many,
      only: one,
      proxy: many,
      set: many,
      workload: one,
      rounds: one,
      seconds: one,
      warm: one,
      requests: one,
      rate: one,
      loader: one,
      baseline: one,
      idle: one,
      json: one,
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return undefined;
  const loader = values.loader ?? 'own';
  if (loader !== 'own' && loader !== 'redis-benchmark') throw new Error(`--loader: unknown loader ${loader}`);
  const rate = number('rate', values.rate, 0);
  if (rate > 0 && loader !== 'own') throw new Error('--rate: only the own loader has an open loop');
  return {
    endpoints: (values.endpoint ?? []).map(endpoint),
    only: list(values.only),
    proxies: (values.proxy ?? []).map((text) => pair('proxy', text)),
    settings: (values.set ?? []).flatMap((text) => {
      const [path, value] = pair('set', text);
      return [`--${path}`, value];
    }),
    workloads: workloads(values.workload),
    rounds: Math.max(1, number('rounds', values.rounds, 5)),
    seconds: number('seconds', values.seconds, 2),
    warm: number('warm', values.warm, 0.5),
    requests: number('requests', values.requests, 0),
    rate,
    loader,
    baseline: values.baseline ?? '',
    idle: number('idle', values.idle, 0),
    json: values.json ?? '',
  };
}

function endpoint(text: string): Endpoint {
  const match = /^([^=]+)=(?:\[([^\]]+)\]|([^:]+)):(\d+)(?::(\d+))?$/.exec(text);
  if (match === null) throw new Error(`--endpoint: ${text} is not NAME=HOST:PORT[:PID]`);
  const [, name = '', v6, host = '', port, pid] = match;
  return { name, host: v6 ?? host, port: Number(port), pid: Number(pid ?? 0) };
}

function workloads(text: string | undefined): Workload[] {
  if (text === undefined) return [...WORKLOADS];
  return list(text).map((wanted) => {
    const workload = WORKLOADS.find(({ name }) => name === wanted);
    if (workload === undefined) {
      throw new Error(
        `--workload: unknown ${wanted}; there are ${WORKLOADS.map(({ name }) => name).join(', ')}`,
      );
    }
    return workload;
  });
}

function pair(flag: string, text: string): readonly [string, string] {
  const cut = text.indexOf('=');
  if (cut <= 0) throw new Error(`--${flag}: ${text} has no "="`);
  return [text.slice(0, cut), text.slice(cut + 1)];
}

function list(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((part) => part !== '');
}

function number(flag: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new Error(`--${flag}: ${text} is not a number >= 0`);
  return value;
}
