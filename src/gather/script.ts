// What is run in place of a call whose keys have stand-ins: the call itself with other names, or, for scripts and
// functions, EVAL of a text that knows both (see shadow.ts).

import { SCRIPT } from '../command/command.ts';
import * as errors from '../resp/errors.ts';
import { type Decoded, decode, Members, Pairs, Status } from '../resp/value.ts';
import type { Crossing } from './crossing.ts';
import { Refusal, type Words } from './reach.ts';
import { succeeded } from './replies.ts';
import { type Shadowed, shadowFunction, shadowScript } from './shadow.ts';

export interface Native {
  /** The command, with the keys' names as `nameOf` has them. */
  words(nameOf: (key: Buffer) => Buffer): Words;
  /** Its reply as the client's own command's. */
  restore(reply: Buffer): Buffer;
}

/** What runs in a slot in place of a call. @throws Refusal when its script or function is not known */
export async function nativeOf(call: Crossing, slot: number): Promise<Native> {
  const { command, words, keys } = call;
  if (command.script === SCRIPT.none) {
    const at = new Map(keys.map((key) => [key.at, key.name]));
    return {
      words: (nameOf) => words.map((word, i) => (at.has(i) ? nameOf(word) : word)),
      restore: (reply) => reply,
    };
  }
  const shadowed = await shadowOf(call, slot);
  const verb = command.name.endsWith('_ro') ? 'EVAL_RO' : 'EVAL';
  const behind = FIRST_KEY + keys.length;
  const names = keys.map(({ name }) => name);
  return {
    words: (nameOf) => [
      verb,
      shadowed.text,
      names.length,
      ...names.map(nameOf),
      ...words.slice(behind),
      ...names,
    ],
    restore: shadowed.restore,
  };
}

/** EVAL script numkeys key .. */
const FIRST_KEY = 3;

/** For the error of a script that is not known, in the server's words. */
const NOBODYS = '0'.repeat(40);

async function shadowOf(call: Crossing, slot: number): Promise<Shadowed> {
  const { command, words, texts, reach } = call;
  const named = words[1]!;
  if (command.script === SCRIPT.source) return shadowScript(named);
  if (command.script === SCRIPT.function) return functionText(call, slot, named.toString('latin1'));
  const text = await texts.scriptOf(named.toString('latin1').toLowerCase());
  if (text === undefined) throw new Refusal(await reach.ask(slot, ['EVALSHA', NOBODYS, 0], true));
  return shadowScript(text);
}

/** A function's library, asked of where it is to run. */
async function functionText({ reach, texts }: Crossing, slot: number, name: string): Promise<Shadowed> {
  await texts.equip(slot, name);
  const list = async (...which: string[]) => {
    const reply = await reach.ask(slot, ['FUNCTION', 'LIST', ...which], true);
    succeeded(reply);
    return itemsOf(decode(reply));
  };
  for (const library of await list()) {
    const found = itemsOf(fieldOf(library, 'functions')).find(
      (each) => textOf(fieldOf(each, 'name')) === name,
    );
    if (found === undefined) continue;
    const [listed] = await list('LIBRARYNAME', textOf(fieldOf(library, 'library_name')), 'WITHCODE');
    const code = listed === undefined ? null : fieldOf(listed, 'library_code');
    if (Buffer.isBuffer(code))
      return shadowFunction(code, name, itemsOf(fieldOf(found, 'flags')).map(textOf));
  }
  throw new Refusal(errors.noFunction());
}

/** Of a map, in either version of the protocol. */
function fieldOf(value: Decoded, name: string): Decoded {
  if (value instanceof Pairs) return value.entries.find(([key]) => textOf(key) === name)?.[1] ?? null;
  const flat = itemsOf(value);
  return flat[flat.findIndex((each, i) => i % 2 === 0 && textOf(each) === name) + 1] ?? null;
}

function itemsOf(value: Decoded): readonly Decoded[] {
  if (value instanceof Members) return value.items;
  return Array.isArray(value) ? (value as readonly Decoded[]) : [];
}

function textOf(value: Decoded): string {
  if (value instanceof Status) return value.text;
  return Buffer.isBuffer(value) ? value.toString('latin1') : '';
}
