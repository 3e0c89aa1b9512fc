// The payload of FUNCTION DUMP, taken apart and put together without some of its libraries. Cold.
//
//   F5 <code> | F5 <code> | ... | version, 2 bytes | CRC64 of all before, 8 bytes, least first        (rdb.c)
//
//   a length     00 and 6 bits | 01 and 14 bits | 80 and 32 bits | 81 and 64 bits, most significant first
//   a string     its length and bytes | C3, the compressed and the real length, and what LZF has made of it
//
// A library's code begins with the line that names it, so only a string's first bytes are ever unpacked.

const LIBRARY = 0xf5;
const COMPRESSED = 0xc3;
const FOOTER = 10;

/**
 * The payload without the libraries that `hides` says.
 * @param hides asked with the first bytes of a library's code, one character each, as many as `shown`
 * @returns undefined where it is no payload of a form that is known
 */
export function withoutLibraries(
  payload: Buffer,
  shown: number,
  hides: (code: string) => boolean,
): Buffer | undefined {
  const end = payload.length - FOOTER;
  const kept: Buffer[] = [];
  for (let at = 0; at < end; ) {
    if (payload[at] !== LIBRARY) return undefined;
    const string = stringAt(payload, at + 1, shown);
    if (string === undefined || string.end > end) return undefined;
    if (!hides(string.head.toString('latin1'))) kept.push(payload.subarray(at, string.end));
    at = string.end;
  }
  if (end < 0) return undefined;
  const body = Buffer.concat([...kept, payload.subarray(end, end + 2)]);
  return Buffer.concat([body, crc64(body)]);
}

interface PackedString {
  readonly head: Buffer;
  readonly end: number;
}

function stringAt(bytes: Buffer, at: number, shown: number): PackedString | undefined {
  if (bytes[at] !== COMPRESSED) {
    const plain = lengthAt(bytes, at);
    if (plain === undefined) return undefined;
    const end = plain.end + plain.value;
    return { head: bytes.subarray(plain.end, Math.min(end, plain.end + shown)), end };
  }
  const packed = lengthAt(bytes, at + 1);
  const real = packed && lengthAt(bytes, packed.end);
  if (real === undefined) return undefined;
  const end = real.end + packed!.value;
  const head = unpack(bytes.subarray(real.end, end), Math.min(shown, real.value));
  return head && { head, end };
}

function lengthAt(bytes: Buffer, at: number): { value: number; end: number } | undefined {
  if (at + 9 > bytes.length) return undefined;
  const first = bytes[at]!;
  if (first < 0x40) return { value: first, end: at + 1 };
  if (first < 0x80) return { value: bytes.readUInt16BE(at) & 0x3fff, end: at + 2 };
  if (first === 0x80) return { value: bytes.readUInt32BE(at + 1), end: at + 5 };
  if (first === 0x81) return { value: Number(bytes.readBigUInt64BE(at + 1)), end: at + 9 };
  return undefined;
}

/** The first bytes of what LZF has packed: literals, and references to what stood before. */
function unpack(packed: Buffer, most: number): Buffer | undefined {
  const out: number[] = [];
  for (let at = 0; out.length < most; ) {
    const control = packed[at++];
    if (control === undefined) return undefined;
    if (control < 32) {
      out.push(...packed.subarray(at, at + control + 1));
      at += control + 1;
      continue;
    }
    let length = control >> 5;
    if (length === 7) length += packed[at++] ?? 0;
    const from = out.length - ((control & 31) << 8) - (packed[at++] ?? 0) - 1;
    if (from < 0) return undefined;
    for (let i = 0; i < length + 2; i++) out.push(out[from + i]!);
  }
  return Buffer.from(out.slice(0, most));
}

// ---- the checksum: Jones' polynomial, its bits in reverse, in halves of 32 bits

const HIGH_POLYNOMIAL = 0x95ac9329;
const LOW_POLYNOMIAL = 0xac4bc9b5;
const HIGH = new Uint32Array(256);
const LOW = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let high = 0;
  let low = byte;
  for (let bit = 0; bit < 8; bit++) {
    const odd = (low & 1) === 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (!odd) continue;
    low ^= LOW_POLYNOMIAL;
    high ^= HIGH_POLYNOMIAL;
  }
  HIGH[byte] = high;
  LOW[byte] = low;
}

/** 8 bytes, the least significant first. */
export function crc64(bytes: Uint8Array): Buffer {
  let high = 0;
  let low = 0;
  for (let i = 0; i < bytes.length; i++) {
    const index = (low ^ bytes[i]!) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ LOW[index]!;
    high = (high >>> 8) ^ HIGH[index]!;
  }
  const out = Buffer.alloc(8);
  out.writeUInt32LE(low >>> 0, 0);
  out.writeUInt32LE(high >>> 0, 4);
  return out;
}
