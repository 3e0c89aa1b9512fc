// Copies bytes between buffers. Hot: two or three times per command.
//
// Most pieces are a short command, a key or a value. A call into `Buffer.copy` takes some 90 ns whatever the
// length, a loop over bytes 2 ns each; a loop over words of four, through DataViews, takes 40 ns for 64 bytes.
// Making a view costs as much as it saves: so what is copied to keeps its own (Area), and for what is copied
// from the last one is remembered, since piece after piece comes from one chunk.

/** Bytes and the view through which they are copied. */
export interface Area {
  readonly bytes: Buffer;
  readonly view: DataView;
}

const LOOP_BYTES = 128;
/** What is longer is not remembered, since it would be kept alive. */
const KEPT_BYTES = 1048576;

let chunk: Buffer = Buffer.alloc(0);
let chunkView = viewOf(chunk);

/** An area that is the whole of a buffer. */
export function areaOf(bytes: Buffer): Area {
  return { bytes, view: viewOf(bytes) };
}

/** Copies `source[from..to)` to `target[at..)`, which must have the room. */
export function copyBytes(source: Buffer, from: number, to: number, target: Area, at: number): void {
  if (to - from > LOOP_BYTES || (source !== chunk && !remember(source))) {
    source.copy(target.bytes, at, from, to);
    return;
  }
  copyWords(chunkView, from, to, target.view, at);
}

/** As `copyBytes`, from an area. */
export function copyArea(source: Area, from: number, to: number, target: Area, at: number): void {
  if (to - from > LOOP_BYTES) source.bytes.copy(target.bytes, at, from, to);
  else copyWords(source.view, from, to, target.view, at);
}

/** The view of the whole of a buffer. */
export function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function remember(source: Buffer): boolean {
  if (source.length > KEPT_BYTES) return false;
  chunk = source;
  chunkView = viewOf(source);
  return true;
}

function copyWords(source: DataView, from: number, to: number, target: DataView, at: number): void {
  const last = to - 4;
  let i = from;
  let j = at;
  for (; i <= last; i += 4, j += 4) target.setInt32(j, source.getInt32(i, true), true);
  for (; i < to; i++, j++) target.setInt8(j, source.getInt8(i));
}
