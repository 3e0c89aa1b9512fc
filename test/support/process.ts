/**
 * One redis-server or valkey-server process: started on a free port, asked things, killed, started again.
 *
 * It keeps nothing on disk but its folder. That it takes connections is read from its own output and not
 * tried by connecting: should its port be taken by another in between, the one that answers is not ours.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Argument, connect, type RawClient, type Value } from './client.ts';
import { BUS, freePort } from './ports.ts';
import { adopt, end } from './reaper.ts';
import type { Server } from './servers.ts';

export interface ProcessOptions {
  /** More settings, as on redis-server's command line: `['--maxmemory', '100mb']`. */
  config?: string[];
  /** The default user's password. */
  password?: string;
  /** An address to listen on, of this machine's as a rule. */
  host?: string;
  /** Default: one that is free. To be given when this process does not have the address. */
  port?: number;
  /** Where it is asked instead, besides being known by the other. */
  control?: string;
}

/** One redis-server process with its folder, its port and a connection to ask it things. */
export class Process {
  readonly host: string;
  port: number;
  private readonly control: string;
  private readonly server: Server;
  private readonly folder: string;
  private readonly password: string | undefined;
  /** All but where it listens. */
  private readonly args: string[];
  private readonly clustered: boolean;
  private child: ChildProcess | undefined;
  private client: RawClient | undefined;

  /** Starts a server on a port that turns out to be free. */
  static async start(
    server: Server,
    folder: string,
    options: ProcessOptions,
    clustered: boolean,
  ): Promise<Process> {
    mkdirSync(folder, { recursive: true });
    const host = options.host ?? '127.0.0.1';
    for (let tries = 1; ; tries++) {
      const port = options.port ?? (await freePort(host, clustered));
      const one = new Process(server, folder, host, port, options, clustered);
      try {
        await one.launch();
        return one;
      } catch (error) {
        const taken = error instanceof Error && /Address already in use|Failed listening/.test(error.message);
        if (!taken || tries === 10 || options.port !== undefined) throw error;
      }
    }
  }

  private constructor(
    server: Server,
    folder: string,
    host: string,
    port: number,
    options: ProcessOptions,
    clustered: boolean,
  ) {
    this.server = server;
    this.folder = folder;
    this.host = host;
    this.control = options.control ?? host;
    this.port = port;
    this.password = options.password;
    this.clustered = clustered;
    const settings = {
      bind: host,
      dir: folder,
      save: '',
      appendonly: 'no',
      'enable-debug-command': 'local',
      'repl-diskless-sync-delay': 0,
      'repl-ping-replica-period': 1,
      ...(clustered && {
        'cluster-enabled': 'yes',
        'cluster-config-file': 'nodes.conf',
        'cluster-node-timeout': 2000,
        // A replica stays with its shard, and may follow its primary however long it has not heard of it.
        'cluster-allow-replica-migration': 'no',
        'cluster-replica-validity-factor': 0,
      }),
      ...(options.password && { requirepass: options.password, masterauth: options.password }),
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const both = options.control === undefined ? [] : ['--bind', host, options.control];
    this.args = [...args, ...both, ...(options.config ?? [])];
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  get running(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** From its next launch on it listens on another port. */
  async move(): Promise<void> {
    this.port = await freePort(this.host, this.clustered);
  }

  /** Resolves when the server itself says that it takes connections: its port may be another's, else. */
  async launch(): Promise<void> {
    const { env, server } = this.server;
    // In a group of its own: a Ctrl-C at the terminal is for the one who started it.
    const detached = true;
    const where = ['--port', String(this.port)];
    if (this.clustered) {
      where.push('--cluster-port', String(this.port + BUS));
      mendShards(join(this.folder, 'nodes.conf'));
    }
    const child = spawn(server, [...where, ...this.args], {
      env,
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached,
    });
    this.child = adopt(child);
    await new Promise<void>((resolve, reject) => {
      let said = '';
      const hear = (chunk: Buffer) => {
        if (said.length < 100_000) said += chunk;
        if (/Ready to accept connections/.test(said)) resolve();
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.once('error', reject);
      child.once('exit', (code) => {
        const last = said.trim().split('\n').slice(-3).join(' | ');
        reject(new Error(`${server} on ${this.port} ended with ${code}: ${last}`));
      });
    });
  }

  async ask(...args: Argument[]): Promise<Value> {
    if (!this.client) {
      const client = await connect(this.port, { host: this.control });
      client.closed.then(() => {
        if (this.client === client) this.client = undefined;
      });
      if (this.password) await client.call('AUTH', this.password);
      this.client = client;
    }
    return this.client.ask(...args);
  }

  async kill(): Promise<void> {
    this.client?.destroy();
    this.client = undefined;
    if (this.child) await end(this.child, 'SIGKILL');
  }
}

/**
 * A server that is killed before it has learned the shard of a node anew refuses its own file at the next start
 * (Valkey 8.0: "corrupted cluster config file"): a replica there is in another shard than its primary. So it is put
 * into that one.
 */
function mendShards(file: string): void {
  if (!existsSync(file)) return;
  const lines = readFileSync(file, 'utf8').split('\n');
  const shards = new Map(lines.map((line) => [line.split(' ')[0], SHARD.exec(line)?.[1]]));
  const mended = lines.map((line) => {
    const shard = shards.get(line.split(' ')[3]);
    return shard === undefined ? line : line.replace(SHARD, `shard-id=${shard}`);
  });
  writeFileSync(file, mended.join('\n'));
}

const SHARD = /shard-id=([0-9a-f]{40})/;
