/**
 * What one client of the load does: commands on keys that it alone writes, and what each reply must be.
 *
 * Client `c` of `n` owns the slots whose number leaves `c` when divided by `n`, with a counter, a journal and a
 * register in each, so that all clients together cover every slot. Half of the picks fall on a few slots, so that
 * several commands on one key are under way at the same time: only those can change places.
 */

import { slotOf } from '../../src/command/slot.ts';
import type { Argument, Value } from '../support/client.ts';
import { SLOTS } from '../support/cluster.ts';
import { Counter, type Findings, Journal, type Ledger, Register, VALUE } from './ledger.ts';

/** One command, and what becomes of its outcome. */
export interface Step {
  readonly words: readonly Argument[];
  /** The only slot it is in; undefined: several, or none. */
  readonly slot?: number;
  /** It has parts: an error of one says nothing of the others. */
  readonly parts?: boolean;
  /** It waits for replicas, so it says nothing of the proxy's pauses. */
  readonly patient?: boolean;
  /** The reply, which is not an error. */
  take(reply: Value): void;
  /** It may have been executed, or not. Without it the command only reads. */
  leaveOpen?(): void;
}

export interface WorkOptions {
  readonly client: number;
  readonly clients: number;
  /** In the names of the keys: no two rounds share one. */
  readonly round: string;
  /** Behind each write a replica is waited for, by WAIT 1. */
  readonly safe: boolean;
}

const HOT = 8;
/** How long WAIT may wait for the replica, ms. */
const WAIT_MS = 1000;

/** A hash tag for each slot. */
const TAGS: readonly string[] = tags();

export class Work {
  /** Every key that was written to. */
  readonly ledgers = new Map<string, Ledger>();
  private readonly options: WorkOptions;
  private readonly findings: Findings;
  private readonly hot: number[];
  private next: Step | undefined;

  constructor(options: WorkOptions, findings: Findings) {
    this.options = options;
    this.findings = findings;
    this.hot = Array.from({ length: HOT }, () => this.anySlot());
  }

  /** The next command. */
  step(): Step {
    const { next } = this;
    this.next = undefined;
    return next ?? this.pick();
  }

  private pick(): Step {
    const kind = Math.random() * 14;
    const slot = this.slot();
    if (kind < 3) return this.increment(slot);
    if (kind < 6) return this.append(slot);
    if (kind < 9) return this.set(slot);
    if (kind < 11 || this.options.safe) return this.get(slot);
    if (kind < 12) return this.look(Math.floor(Math.random() * SLOTS));
    return kind < 13 ? this.getSeveral() : this.setSeveral();
  }

  private increment(slot: number): Step {
    const counter = this.ledger(Counter, slot, 'n');
    const place = counter.send();
    return this.write(counter, slot, ['INCR', counter.key], {
      take: (reply) => counter.take(place, Number(reply)),
      leaveOpen: () => counter.leaveOpen(),
    });
  }

  private append(slot: number): Step {
    const journal = this.ledger(Journal, slot, 'j');
    const { number, record } = journal.next();
    return this.write(journal, slot, ['APPEND', journal.key, record], {
      take: (reply) => journal.take(number, Number(reply)),
      leaveOpen: () => journal.leaveOpen(number),
    });
  }

  private set(slot: number): Step {
    const register = this.ledger(Register, slot, 'r');
    const { number, value } = register.next();
    return this.write(register, slot, ['SET', register.key, value], {
      take: (reply) => this.expect(reply === 'OK', 'SET', reply) && register.take(number),
      leaveOpen: () => register.leaveOpen(number),
    });
  }

  private get(slot: number): Step {
    const register = this.ledger(Register, slot, 'r');
    return { words: ['GET', register.key], slot, take: (reply) => register.read(textOf(reply)) };
  }

  /** Another client's register: nobody knows which value, but it is one. */
  private look(slot: number): Step {
    const take = (reply: Value) => {
      this.expect(reply === null || (typeof reply === 'string' && VALUE.test(reply)), 'GET', reply);
    };
    return { words: ['GET', this.name(slot, 'r')], slot, take };
  }

  private getSeveral(): Step {
    const registers = this.several();
    return {
      words: ['MGET', ...registers.map(({ key }) => key)],
      parts: true,
      take: (reply) => {
        const whole = Array.isArray(reply) && reply.length === registers.length;
        if (!this.expect(whole, 'MGET', reply)) return;
        for (const [i, register] of registers.entries()) register.read(textOf((reply as Value[])[i] ?? null));
      },
    };
  }

  private setSeveral(): Step {
    const writes = this.several().map((register) => ({ register, ...register.next() }));
    return {
      words: ['MSET', ...writes.flatMap(({ register, value }) => [register.key, value])],
      parts: true,
      take: (reply) => {
        if (!this.expect(reply === 'OK', 'MSET', reply)) return;
        for (const { register, number } of writes) register.take(number);
      },
      leaveOpen: () => {
        for (const { register, number } of writes) register.leaveOpen(number);
      },
    };
  }

  /** A write to one key, and the WAIT behind it. */
  private write(
    ledger: Ledger,
    slot: number,
    words: readonly Argument[],
    then: { take(reply: Value): void; leaveOpen(): void },
  ): Step {
    if (!this.options.safe) return { words, slot, ...then };
    return {
      words,
      slot,
      take: (reply) => {
        then.take(reply);
        this.next = {
          words: ['WAIT', 1, WAIT_MS],
          patient: true,
          take: (replicas) => Number(replicas) >= 1 && ledger.confirm(),
        };
      },
      leaveOpen: then.leaveOpen,
    };
  }

  private several(): Register[] {
    const slots = new Set(Array.from({ length: 2 + Math.floor(Math.random() * 5) }, () => this.slot()));
    return [...slots].map((slot) => this.ledger(Register, slot, 'r'));
  }

  private ledger<T extends Ledger>(
    Kind: new (key: string, findings: Findings) => T,
    slot: number,
    kind: string,
  ): T {
    const key = this.name(slot, kind);
    let ledger = this.ledgers.get(key);
    if (ledger === undefined) {
      ledger = new Kind(key, this.findings);
      this.ledgers.set(key, ledger);
    }
    return ledger as T;
  }

  private expect(right: boolean, command: string, reply: Value): boolean {
    if (right) return true;
    this.findings.malformed++;
    this.findings.note(`${command} -> ${String(reply).slice(0, 60)}`);
    return false;
  }

  private name(slot: number, kind: string): string {
    return `${this.options.round}:{${TAGS[slot]}}:${kind}`;
  }

  private slot(): number {
    return Math.random() < 0.5 ? this.hot[Math.floor(Math.random() * HOT)]! : this.anySlot();
  }

  private anySlot(): number {
    const { client, clients } = this.options;
    return client + clients * Math.floor((Math.random() * (SLOTS - client)) / clients);
  }
}

function textOf(reply: Value): string | null {
  return reply === null ? null : String(reply);
}

function tags(): string[] {
  const found: string[] = [];
  for (let n = 0, missing = SLOTS; missing > 0; n++) {
    const tag = n.toString(36);
    const slot = slotOf(Buffer.from(tag), 0, tag.length);
    if (found[slot] !== undefined) continue;
    found[slot] = tag;
    missing--;
  }
  return found;
}
