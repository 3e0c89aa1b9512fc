// The texts of scripts by their SHA1: what a server remembers of EVAL and SCRIPT LOAD, for all shards together.
//
// A lone server knows a script that was once evaluated, so every EVAL is looked at. Hashing a text costs more
// than the rest of an EVAL, so it is hashed only when it is new: a text is known again by its length and a few
// of its bytes, and then compared whole, which is quick. The least recently used are forgotten first.

import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { command } from '../resp/write.ts';

export interface Script {
  /** In lower case. */
  readonly sha: string;
  readonly source: Buffer;
  /** SCRIPT LOAD of it, encoded; `source` is a view of this. */
  readonly load: Buffer;
  /** What it is known again by. */
  readonly look: number;
}

const CRLF = 2;
/** As many bytes of a text make its look. */
const SAMPLES = 32;
/** As many texts of one look are compared; beyond them the SHA1 tells. */
const ALIKE = 8;

export class Sources {
  private readonly bySha: LRUCache<string, Script>;
  /** Texts that look alike, up to ALIKE of each look. */
  private readonly byLook = new Map<number, Script[]>();

  /** @param count of scripts @param bytes of their texts */
  constructor(count: number, bytes: number) {
    this.bySha = new LRUCache({
      max: count,
      maxSize: bytes,
      sizeCalculation: ({ source }) => source.length + 1,
      dispose: (script) => this.forget(script),
    });
  }

  get(sha: string): Script | undefined {
    return this.bySha.get(sha);
  }

  get size(): number {
    return this.bySha.size;
  }

  /** Remembers the text `bytes[from..to)`. */
  add(bytes: Buffer, from: number, to: number): Script {
    const look = lookOf(bytes, from, to);
    const alike = this.byLook.get(look);
    if (alike !== undefined) {
      for (let i = 0; i < alike.length; i++) {
        const script = alike[i]!;
        if (script.source.compare(bytes, from, to) !== 0) continue;
        // It has been used again.
        this.bySha.get(script.sha);
        return script;
      }
    }
    const sha = hash('sha1', bytes.subarray(from, to), 'hex');
    const script = this.bySha.get(sha) ?? scriptOf(sha, bytes.subarray(from, to), look);
    this.bySha.set(sha, script);
    // Too long to be kept: nothing of it stays.
    if (!this.bySha.has(sha)) return script;
    if (alike === undefined) this.byLook.set(look, [script]);
    else if (alike.length < ALIKE) alike.push(script);
    return script;
  }

  delete(sha: string): void {
    this.bySha.delete(sha);
  }

  clear(): void {
    this.bySha.clear();
  }

  private forget({ sha, look }: Script): void {
    const others = this.byLook.get(look)?.filter((script) => script.sha !== sha) ?? [];
    if (others.length > 0) this.byLook.set(look, others);
    else this.byLook.delete(look);
  }
}

function scriptOf(sha: string, text: Buffer, look: number): Script {
  const load = command(['SCRIPT', 'LOAD', text]);
  const end = load.length - CRLF;
  return { sha, load, source: load.subarray(end - text.length, end), look };
}

function lookOf(bytes: Buffer, from: number, to: number): number {
  const length = to - from;
  const step = Math.max(1, Math.floor(length / SAMPLES));
  let look = Math.imul(length ^ 0x811c9dc5, 0x01000193);
  for (let at = from; at < to; at += step) look = Math.imul(look ^ bytes[at]!, 0x01000193);
  return look ^ (look >>> 15);
}
