// A message to all who hear it. Hot.
//
// It goes out as the node sent it, but for its first byte, which is another in RESP3. To clients of a plain channel
// that is heard as a shard channel it is a plain one's message.

import { type Area, areaOf } from '../resp/copy.ts';
import { TOTAL } from '../telemetry/counters.ts';
import type { Audience } from './audience.ts';
import { SHARD } from './names.ts';
import type { Subscription } from './subscription.ts';

const NOTHING = areaOf(Buffer.alloc(0));
const PUSH = areaOf(Buffer.from('>'));
/** `*3\r\n$8\r\nsmessage\r\n`, and what stands in its place. */
const SMESSAGE_BYTES = 18;
const MESSAGE = [
  areaOf(Buffer.from('*3\r\n$7\r\nmessage\r\n')),
  areaOf(Buffer.from('>3\r\n$7\r\nmessage\r\n')),
] as const;
const EXPIRED = Buffer.from('expired');
const COLON = 58;
const LF = 10;

/** @param bytes the message is `bytes[from..to)`, as an array in RESP2 */
export function deliver(
  subscription: Subscription,
  totals: Float64Array,
  bytes: Buffer,
  from: number,
  to: number,
): void {
  const { audiences, legacy, kind } = subscription;
  totals[TOTAL.messagesFromNodes]! += 1;
  tell(audiences[0], totals, NOTHING, bytes, from, to);
  tell(audiences[1], totals, PUSH, bytes, from + 1, to);
  if (kind !== SHARD) return;
  tell(legacy[0], totals, MESSAGE[0], bytes, from + SMESSAGE_BYTES, to);
  tell(legacy[1], totals, MESSAGE[1], bytes, from + SMESSAGE_BYTES, to);
}

function tell(
  audience: Audience,
  totals: Float64Array,
  head: Area,
  bytes: Buffer,
  from: number,
  to: number,
): void {
  const { size } = audience.members;
  if (size === 0) return;
  totals[TOTAL.messagesToClients]! += size;
  audience.tell(head, bytes, from, to);
}

/** Whether a node says that a key has expired: the event is the end of the channel, or what stands in the message. */
export function saysExpired(bytes: Buffer, to: number, channelTo: number): boolean {
  return endsWith(bytes, channelTo, COLON) || endsWith(bytes, to - 2, LF);
}

function endsWith(bytes: Buffer, to: number, before: number): boolean {
  const from = to - EXPIRED.length;
  return bytes[from - 1] === before && bytes.compare(EXPIRED, 0, EXPIRED.length, from, to) === 0;
}
