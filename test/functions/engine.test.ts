/** QuickJS with text in and text out. */

import assert from 'node:assert';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Engine, type HostFunction } from '../../src/functions/engine.ts';

const MB = 1024 * 1024;
const compiled = await WebAssembly.compile(
  await readFile(fileURLToPath(import.meta.resolve('@jitl/quickjs-wasmfile-release-sync/wasm'))),
);

/** With entries, and a host of these functions. */
async function open(entries: string, host: Record<string, HostFunction> = {}, isLate = () => false) {
  const engine = await Engine.open(compiled, 32 * MB, isLate);
  engine.prepare(
    `(function (host, json) { return { explain: (e) => e.message, ${entries} } })`,
    host,
    '{"a":1}',
  );
  return engine;
}

test('text, numbers, booleans and bytes cross the line, both ways', async () => {
  const seen: unknown[] = [];
  const host: Record<string, HostFunction> = {
    see(...all) {
      seen.push(...all);
      return Buffer.from('back');
    },
  };
  const engine = await open(
    `see(...all) { return all.map((it) => typeof it).join() + host.see(...all, new ArrayBuffer(2)).byteLength }`,
    host,
  );
  assert.equal(engine.enter('see', 'ü', 1.5, true, false), 'string,number,boolean,boolean4');
  assert.deepEqual(seen, ['ü', 1.5, true, false, new Uint8Array(2)]);
});

test('bytes that go in are these bytes alone', async () => {
  const part = Buffer.from('before and after').subarray(0, 6);
  const engine = await open('size: () => String(host.part().byteLength)', { part: () => part });
  assert.equal(engine.enter('size'), '6');
});

test('code at the top level is told apart from code that can not be read', async () => {
  const engine = await open('');
  assert.equal(engine.evaluate('1 + 1', 'lib'), '');
  assert.equal(engine.evaluate(`throw new Error('thrown')`, 'lib'), 'thrown');
  assert.equal(engine.compiles(`throw new Error('thrown')`, 'lib'), true);
  assert.equal(engine.compiles('const a = ;', 'lib'), false);
});

test('code that is late ends, and nothing in it can catch that', async () => {
  let late = false;
  const engine = await open(
    `loop() { try { for (;;); } catch { return 'caught' } }, fine: () => 'fine'`,
    {},
    () => late,
  );
  late = true;
  assert.equal(engine.enter('loop'), '');
  late = false;
  assert.equal(engine.enter('fine'), 'fine');
});

test('reactions of promises run one at a time, when they are asked to', async () => {
  const engine = await open(`start() { Promise.resolve().then(() => host.ran()) }`, { ran: () => ++ran });
  let ran = 0;
  engine.enter('start');
  assert.equal(ran, 0);
  assert.equal(engine.hasJobs, true);
  engine.runJob();
  assert.equal(ran, 1);
  assert.equal(engine.hasJobs, false);
});

test('engines share nothing', async () => {
  const [one, other] = [
    await open(`kept: () => String(globalThis.kept)`),
    await open(`kept: () => String(globalThis.kept)`),
  ];
  one.evaluate('globalThis.kept = 1', 'lib');
  assert.equal(one.enter('kept'), '1');
  assert.equal(other.enter('kept'), 'undefined');
});
