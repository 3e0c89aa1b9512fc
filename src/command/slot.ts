// The slot of a key: CRC16-XMODEM modulo 16384 over the key, or over its hash tag where it has one (Redis
// Cluster specification, "Hash tags"). HOT: once per key of every command.
//
// The hash tag is what stands between the first `{` and the first `}` after it; where nothing stands between
// them, or one is missing, the whole key is hashed.
//
// Four bytes at a time: a byte's share in the remainder depends on how many bytes follow it, so a table for
// each of four distances lets the four look-ups run side by side instead of one after the other.
//
// Why not cluster-key-slot itself: it wants a Buffer view of each key, and takes longer (bench/routing.ts has
// both); and it sees a tag in `{}a}`, where the server sees none. For all other keys it is the test's oracle.

export const SLOTS = 16384;

/** The slot, 0..16383, of the key bytes[start..end). */
export function slotOf(bytes: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    if (bytes[i] === OPEN) return crc16OfTag(bytes, start, i + 1, end) & 16383;
  }
  return crc16(bytes, start, end) & 16383;
}

const OPEN = 123;
const CLOSE = 125;

/** @param tag where the bytes after the `{` begin */
function crc16OfTag(bytes: Uint8Array, start: number, tag: number, end: number): number {
  for (let i = tag; i < end; i++) {
    if (bytes[i] === CLOSE) return i === tag ? crc16(bytes, start, end) : crc16(bytes, tag, i);
  }
  return crc16(bytes, start, end);
}

function crc16(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  let i = start;
  for (; i + 3 < end; i += 4) {
    crc =
      THIRD[(crc >> 8) ^ bytes[i]!]! ^
      SECOND[(crc & 255) ^ bytes[i + 1]!]! ^
      FIRST[bytes[i + 2]!]! ^
      LAST[bytes[i + 3]!]!;
  }
  for (; i < end; i++) crc = ((crc << 8) & 0xffff) ^ LAST[(crc >> 8) ^ bytes[i]!]!;
  return crc;
}

/** What each byte leaves by the polynomial x^16 + x^12 + x^5 + 1 when no byte follows it; then one, two, three. */
const LAST = Uint16Array.from({ length: 256 }, (_, byte) => oneByte(byte << 8));
const FIRST = LAST.map(oneByte);
const SECOND = FIRST.map(oneByte);
const THIRD = SECOND.map(oneByte);

/** The remainder after one more byte of zeros. */
function oneByte(remainder: number): number {
  let crc = remainder;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc & 0xffff;
}
