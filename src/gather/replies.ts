// What the steps are answered with, read in either version of the protocol.

import { decode } from '../resp/value.ts';
import { Refusal } from './reach.ts';

const MINUS = 45;
const COLON = 58;

export function isError(reply: Buffer): boolean {
  return reply[0] === MINUS;
}

/** A null, in either version. */
export function isNull(reply: Buffer): boolean {
  return reply.length <= 5 && /^(\$-1|\*-1|_)\r\n$/.test(reply.toString('latin1'));
}

/** The bytes of a bulk; undefined for a null. @throws Refusal with an error reply */
export function bulkOf(reply: Buffer): Buffer | undefined {
  const value = decoded(reply);
  return Buffer.isBuffer(value) ? value : undefined;
}

/** The bulks of an array, undefined for a null. @throws Refusal with an error reply */
export function bulksOf(reply: Buffer): (Buffer | undefined)[] {
  const value = decoded(reply);
  if (!Array.isArray(value)) throw new TypeError('no array of bulks');
  return value.map((each) => (Buffer.isBuffer(each) ? each : undefined));
}

/** A whole number; undefined for a null. @throws Refusal with an error reply */
export function integerOf(reply: Buffer): number | undefined {
  if (reply[0] === COLON) return Number(reply.toString('latin1', 1, reply.length - 2));
  const value = decoded(reply);
  return value === null ? undefined : Number(value);
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

function decoded(reply: Buffer): unknown {
  succeeded(reply);
  return decode(reply);
}
