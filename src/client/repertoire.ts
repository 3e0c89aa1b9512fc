// Sees to it that every node has the scripts and functions that are called there, whichever shard it is and
// since whenever: also one that joined, restarted empty or was a replica a moment ago.
//
//   EVALSHA, first time over a link      SCRIPT LOAD goes ahead of it, in the same pipeline
//   FCALL, first time over a link        the node is asked for its functions, those of others are copied, then it goes
//   told all the same that it is missing the node is asked whether that is so; loaded or copied, sent again
//
// First time over a link, and not when an error comes: what a client has sent behind its EVALSHA would be
// executed by then, and the two would have changed places. What a link's node has is known from then on, until
// the link is lost. When the node loses it meanwhile (somebody has spoken to it directly) the error is followed
// only if nothing of the client's on that slot was sent behind it; else the error is the answer, as a lone server
// gives it that was flushed. A script may say any sentence itself, after it has written: so the node is asked over
// the same link, behind all that may have been refused, and only what it does not have is taken for missing.

import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../cluster/cluster.ts';
import type { Lane } from '../cluster/lanes.ts';
import type { Known, Link } from '../cluster/link.ts';
import type { Node } from '../cluster/node.ts';
import { SCRIPT } from '../command/command.ts';
import type { Config } from '../config.ts';
import { command } from '../resp/write.ts';
import { Asker, askOnce } from './asker.ts';
import type { Peers, Repertoire } from './context.ts';
import { copyFunctions, hasFunction } from './copying.ts';
import { isFollowed } from './order.ts';
import type { Request } from './request.ts';
import { type Script, Sources } from './sources.ts';

const NO_SCRIPT = /^NOSCRIPT No matching script\.( Please use EVAL\.)?$/;
const NO_FUNCTION = /^ERR Function not found$/;
/** Longer than both. */
const LONGEST = 64;
const MINUS = 45;
const NOT_THERE = /^\*1\r\n:0\r\n$/;
const NOPERM = /^-NOPERM /;
const NOT_SERVED = /^CLUSTERDOWN slotless: /;
/** Until a node that could not be asked is asked again, ms. */
const AGAIN_AFTER = 50;
const FUNCTION_LIST = command(['FUNCTION', 'LIST']);

export class Scripts implements Repertoire {
  readonly cluster: Cluster;
  readonly context: { readonly config: Config };
  private readonly config: Config;
  private readonly peers: Peers;
  private readonly sources: Sources;
  /** Counts SCRIPT FLUSH: what was known before one is known no more. */
  private era = 0;
  /** What is being seen to, so that many who need the same wait for one. */
  private readonly searches = new Map<string, Promise<Script | undefined>>();
  private readonly mending = new Map<string, Promise<boolean>>();
  private readonly equipping = new Map<string, Promise<boolean>>();
  private readonly copying = new Map<Node, Promise<ReadonlySet<string>>>();

  constructor(config: Config, cluster: Cluster, peers: Peers) {
    this.config = config;
    this.context = { config };
    this.cluster = cluster;
    this.peers = peers;
    this.sources = new Sources(config.scripts.count, config.scripts.bytes);
  }

  // ---- scripts

  learn(bytes: Buffer, from: number, to: number): string {
    return this.sources.add(bytes, from, to).sha;
  }

  sourceOf(sha: string): Buffer | undefined {
    return this.sources.get(sha)?.source;
  }

  find(sha: string): Promise<Script | undefined> {
    const known = this.sources.get(sha);
    if (known !== undefined || this.alone) return Promise.resolve(known);
    return once(this.searches, sha, async () => {
      const { era } = this;
      const text = await this.peers.findScript(sha);
      if (text === undefined || era !== this.era) return undefined;
      return this.sources.add(text, 0, text.length);
    });
  }

  forgetAll(): void {
    this.era++;
    this.sources.clear();
  }

  async forgetEverywhere(): Promise<void> {
    this.forgetAll();
    if (!this.alone) await this.peers.forgetScripts();
  }

  async load(node: Node, script: Script): Promise<boolean> {
    const reply = await Asker.asProxy(this, (asker) =>
      asker.raw(node, ['SCRIPT', 'LOAD', script.source], false),
    );
    this.judge(script, reply);
    return reply[0] !== MINUS;
  }

  // ---- before a command is sent

  prepare(kind: number, name: string, node: Node, link: Link): Promise<unknown> | undefined {
    if (kind === SCRIPT.function) {
      if (this.knownOf(link).functions.has(name)) return undefined;
      return this.equip(node, name).then(() => this.note(link, kind, name));
    }
    const sha = name.toLowerCase();
    const { scripts } = this.knownOf(link);
    // So that it counts as used.
    const script = this.sources.get(sha);
    if (scripts.has(sha)) return undefined;
    if (script !== undefined) {
      this.loadAhead(link, script);
      return undefined;
    }
    // Nobody here knows it, but the node may.
    if (this.alone) return undefined;
    return this.find(sha).then((found) => {
      if (found === undefined) this.note(link, kind, sha);
    });
  }

  ready(request: Request, node: Node): boolean {
    const kind = request.command.script;
    if (kind === SCRIPT.source) return true;
    return this.prepare(kind, nameIn(request), node, node.link(request.caller.lane)) === undefined;
  }

  private loadAhead(link: Link, script: Script): void {
    const known = this.knownOf(link);
    note(known.scripts, script.sha, this.config.scripts.count);
    const pending = {
      reply: (bytes: Buffer, from: number) => {
        if (bytes[from] !== MINUS) return;
        known.scripts.delete(script.sha);
        this.judge(script, bytes.subarray(from));
      },
      piece: () => {},
      lost: () => {},
    };
    link.send(pending, script.load, 0, script.load.length).release();
  }

  /** A text that is no script is not kept. */
  private judge(script: Script, reply: Buffer): void {
    if (reply.toString('latin1', 0, 5) === '-ERR ') this.sources.delete(script.sha);
  }

  /** Sees to it that a node has a function, if any primary has it; whether it has. */
  private equip(node: Node, name: string): Promise<boolean> {
    return once(this.equipping, `${node.address} ${name}`, async () => {
      for (;;) {
        const running = this.copying.get(node);
        const names = await (running ?? once(this.copying, node, () => this.copy(node, name)));
        // What runs for another's sake may have looked for that one alone.
        if (running === undefined || names.has(name)) return names.has(name);
      }
    });
  }

  /** While the node can't be asked, and nobody has replaced it, it is waited for: it may come back empty. */
  private async copy(node: Node, name: string): Promise<ReadonlySet<string>> {
    const deadline = performance.now() + this.config.failover.holdFor;
    for (;;) {
      try {
        return await Asker.asProxy(this, (asker) => copyFunctions(asker, node, name));
      } catch (error) {
        const again = NOT_SERVED.test((error as Error).message) && this.cluster.primaries.includes(node);
        if (!again || performance.now() > deadline) return new Set();
      }
      await delay(AGAIN_AFTER);
    }
  }

  // ---- after an error

  lacks(request: Request, bytes: Buffer, from: number, to: number): boolean {
    const kind = request.command.script;
    if (kind === SCRIPT.source || to - from > LONGEST) return false;
    const said = bytes.toString('latin1', from + 1, to - 2);
    if (!(kind === SCRIPT.sha ? NO_SCRIPT : NO_FUNCTION).test(said)) return false;
    const name = kind === SCRIPT.sha ? nameIn(request).toLowerCase() : nameIn(request);
    const node = request.node!;
    const { lane } = request.caller;
    const known = this.knownOf(node.link(lane));
    (kind === SCRIPT.sha ? known.scripts : known.functions).delete(name);
    if (kind === SCRIPT.sha && this.alone && this.sources.get(name) === undefined) return false;
    if (isFollowed(request)) return false;
    const mended = once(this.mending, `${node.address} ${lane.index} ${kind} ${name}`, () =>
      (kind === SCRIPT.sha ? this.mendScript(node, lane, name) : this.mendFunction(node, lane, name)).catch(
        () => false,
      ),
    );
    return request.mend(mended, bytes, from, to);
  }

  /** True when a script was missing at a node and is no more. */
  private async mendScript(node: Node, lane: Lane, sha: string): Promise<boolean> {
    const { era } = this;
    // Without a wait where it is known here: the question must go out before others load it ahead of theirs.
    const script = this.sources.get(sha) ?? (await this.find(sha));
    if (script === undefined) return false;
    const link = node.link(lane);
    const ask = ['SCRIPT', 'EXISTS', sha];
    const exists = String(await askOnce(link, command(ask)));
    if (NOPERM.test(exists)) {
      const own = await Asker.asProxy(this, (asker) => asker.raw(node, ask));
      if (!NOT_THERE.test(String(own))) return false;
    } else if (!NOT_THERE.test(exists)) return false;
    if (era !== this.era) return false;
    const reply = await askOnce(link, script.load);
    this.judge(script, reply);
    const loaded = reply[0] !== MINUS || (NOPERM.test(String(reply)) && (await this.load(node, script)));
    if (loaded) this.note(link, SCRIPT.sha, sha);
    return loaded;
  }

  /** True when a function was missing at a node and is no more. */
  private async mendFunction(node: Node, lane: Lane, name: string): Promise<boolean> {
    const link = node.link(lane);
    const list = await askOnce(link, FUNCTION_LIST);
    if (list[0] === MINUS || hasFunction(list, name)) return false;
    const copied = await this.equip(node, name);
    if (copied) this.note(link, SCRIPT.function, name);
    return copied;
  }

  // ---- what links are known to have

  private knownOf(link: Link): Known {
    const { known } = link;
    if (known !== undefined && known.era === this.era) return known;
    const next = {
      era: this.era,
      scripts: new Set<string>(),
      functions: known?.functions ?? new Set<string>(),
    };
    link.known = next;
    return next;
  }

  private note(link: Link, kind: number, name: string): void {
    const { scripts, functions } = this.knownOf(link);
    note(kind === SCRIPT.function ? functions : scripts, name, this.config.scripts.count);
  }

  private get alone(): boolean {
    return this.config.workers === 1;
  }
}

/** The SHA1 or the function's name in a call. */
function nameIn(request: Request): string {
  return request.argument(1).toString('latin1');
}

/** Adds to a set that may not grow for ever. */
function note(names: Set<string>, name: string, most: number): void {
  if (names.size >= most) names.clear();
  names.add(name);
}

/** Does some work, unless the same is being done. */
function once<K, T>(all: Map<K, Promise<T>>, key: K, work: () => Promise<T>): Promise<T> {
  const running = all.get(key);
  if (running !== undefined) return running;
  const started = work().finally(() => all.delete(key));
  all.set(key, started);
  return started;
}
