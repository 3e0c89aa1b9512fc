import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergeStreams } from '../../src/command/streams.ts';

const bytes = (text: string) => Buffer.from(text.replaceAll('|', '\r\n'));
const asked = (...names: [number, string][]) => names.map(([at, name]) => ({ at, name: Buffer.from(name) }));

test('streams of several slots come in the order asked for', () => {
  const slots = [
    { asked: asked([4, 'a'], [6, 'c']), reply: bytes('*2|*2|$1|a|*0|*2|$1|c|*1|*2|$3|1-1|*0|') },
    { asked: asked([5, 'b']), reply: bytes('*1|*2|$1|b|*0|') },
    { asked: asked([7, 'd']), reply: bytes('*-1|') },
  ];
  const merged = mergeStreams(2, slots);
  assert.deepEqual(merged, bytes('*3|*2|$1|a|*0|*2|$1|b|*0|*2|$1|c|*1|*2|$3|1-1|*0|'));
});

test('in RESP3 they are a map, and a stream asked for twice comes twice', () => {
  const slots = [
    { asked: asked([4, 'a'], [6, 'a']), reply: bytes('%2|$1|a|*0|$1|a|*1|$1|x|') },
    { asked: asked([5, 'b']), reply: bytes('%1|$1|b|*0|') },
  ];
  assert.deepEqual(mergeStreams(3, slots), bytes('%3|$1|a|*0|$1|b|*0|$1|a|*1|$1|x|'));
});

test('nothing from nobody is the null', () => {
  assert.deepEqual(mergeStreams(2, [{ asked: asked([4, 'a']), reply: bytes('*-1|') }]), bytes('*-1|'));
  assert.deepEqual(mergeStreams(3, [{ asked: asked([4, 'a']), reply: bytes('_|') }]), bytes('_|'));
});
