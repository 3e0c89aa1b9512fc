// What the steps are answered with, read in either version of the protocol.

import * as errors from '../resp/errors.ts';
import { type Decoded, decode } from '../resp/value.ts';
import { Refusal } from './reach.ts';

const MINUS = 45;

export function isError(reply: Buffer): boolean {
  return reply[0] === MINUS;
}

/** Nothing was executed: the node has lost the slot, a part of it has moved, or it is nowhere for a while. */
export function isElsewhere(reply: Buffer): boolean {
  return isError(reply) && ELSEWHERE.test(reply.toString('latin1', 0, 16));
}

const ELSEWHERE = /^-(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|LOADING|READONLY) /;

/** The bytes of a bulk; undefined for a null. @throws Refusal with an error reply, or where it is no bulk */
export function bulkOf(reply: Buffer): Buffer | undefined {
  return bulkIn(decoded(reply));
}

/** The bulks of an array, undefined for a null. @throws Refusal with an error reply, or where it is none */
export function bulksOf(reply: Buffer): (Buffer | undefined)[] {
  const value = decoded(reply);
  if (!Array.isArray(value)) throw senseless();
  return value.map(bulkIn);
}

/** A whole number; undefined for a null. @throws Refusal with an error reply, or where it is none */
export function integerOf(reply: Buffer): number | undefined {
  const value = decoded(reply);
  if (value === null) return undefined;
  if (typeof value !== 'bigint' || !Number.isSafeInteger(Number(value))) throw senseless();
  return Number(value);
}

/** The text of a simple string. @throws Refusal with an error reply */
export function statusOf(reply: Buffer): string {
  succeeded(reply);
  return reply.toString('latin1', 1, reply.length - 2);
}

/** What was meant to succeed. @throws Refusal with an error reply */
export function succeeded(reply: Buffer | undefined): void {
  if (reply !== undefined && isError(reply)) throw new Refusal(reply);
}

function bulkIn(value: Decoded): Buffer | undefined {
  if (value === null) return undefined;
  if (Buffer.isBuffer(value)) return value;
  throw senseless();
}

function decoded(reply: Buffer): Decoded {
  succeeded(reply);
  try {
    return decode(reply);
  } catch {
    throw senseless();
  }
}

function senseless(): Refusal {
  return new Refusal(errors.senseless());
}
