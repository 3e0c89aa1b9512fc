/**
 * Somebody else, who changes keys at chosen steps of a command across slots. It is loaded into a proxy by
 * `--import`, and what it does is done before the proxy goes on: a step is published in the middle of its work.
 * What to do stands in a file, whose name is the search part of this module's address.
 */

import { execFileSync } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { STEP_CHANNEL, type Step } from '../../src/gather/steps.ts';
import { remove, temporary } from '../support/reaper.ts';
import type { Server } from '../support/servers.ts';

/** At a step, from its `from`-th time on (the first is 0) and `times` times: commands, by the port of their node. */
export interface Plan {
  readonly step: Step;
  readonly from: number;
  readonly times: number;
  readonly calls: readonly (readonly [port: number, ...words: string[]])[];
}

interface File {
  readonly id: number;
  readonly cli: string;
  readonly env: NodeJS.ProcessEnv;
  readonly plans: readonly Plan[];
}

/** What a test says to it. */
export class Meddler {
  /** The proxy's flags for node. */
  readonly flags: string[];
  private readonly folder = temporary('slotless-meddler');
  private readonly path = join(this.folder, 'plan.json');
  private readonly server: Server;
  private id = 0;

  constructor(server: Server) {
    this.server = server;
    const address = new URL(import.meta.url);
    address.search = this.path;
    this.flags = ['--import', address.href];
    this.plan();
  }

  /** From now on, instead of what was said before. */
  plan(...plans: Plan[]): void {
    const { cli, env } = this.server;
    writeFileSync(this.path, JSON.stringify({ id: ++this.id, cli, env, plans } satisfies File));
  }

  end(): void {
    remove(this.folder);
  }
}

const { search } = new URL(import.meta.url);
if (search !== '') meddle(decodeURIComponent(search.slice(1)));

function meddle(path: string): void {
  let id = 0;
  const seen = new Map<string, number>();
  subscribe(STEP_CHANNEL, (message) => {
    const file = JSON.parse(readFileSync(path, 'utf8')) as File;
    if (file.id !== id) seen.clear();
    id = file.id;
    const step = message as Step;
    const before = seen.get(step) ?? 0;
    seen.set(step, before + 1);
    for (const plan of file.plans) {
      if (plan.step !== step || before < plan.from || before >= plan.from + plan.times) continue;
      for (const [port, ...words] of plan.calls)
        execFileSync(file.cli, ['-p', String(port), ...words], { env: { ...process.env, ...file.env } });
    }
  });
}
