// A command as MONITOR shows it (replication.c replicationFeedMonitors, sds.c sdscatrepr).
//
//     +1339518083.107412 [0 127.0.0.1:60866] "AUTH" "(redacted)"
//
// What the server hides is hidden: the arguments of AUTH, and those behind AUTH in HELLO and MIGRATE. In doubt more
// is hidden than the server does, never less.

import { type Arguments, equalsIgnoreCase } from './arguments.ts';

const REDACTED = '"(redacted)"';

/**
 * A line with its end, one character per byte.
 * @param name of the command, in lower case
 * @param micros wall clock
 * @param address as CLIENT LIST has it, or `unix:` and the path
 */
export function shownLine(
  name: string,
  args: Arguments,
  micros: number,
  db: number,
  address: string,
): string {
  const seconds = Math.floor(micros / 1e6);
  let line = `+${seconds}.${String(micros - seconds * 1e6).padStart(6, '0')} [${db} ${address}]`;
  const hidden = hiddenOf(name, args);
  for (let i = 0; i < args.argc; i++) line += ` ${hidden?.has(i) ? REDACTED : quoted(args, i)}`;
  return `${line}\r\n`;
}

/** Which arguments hold a secret. */
function hiddenOf(name: string, args: Arguments): Set<number> | undefined {
  switch (name) {
    case 'auth':
      return new Set(Array.from({ length: args.argc - 1 }, (_, i) => i + 1));
    case 'hello':
      return behind(args, 2, { auth: 2 }, { setname: 1 });
    case 'migrate':
      return behind(args, 6, { auth: 1, auth2: 2 }, {});
    default:
      return undefined;
  }
}

type Options = Readonly<Record<string, number>>;

/** The arguments of some options: so many behind each. `others` have arguments that are no options. */
function behind(args: Arguments, from: number, secret: Options, others: Options): Set<number> {
  const hidden = new Set<number>();
  const named =
    (i: number) =>
    ([option]: [string, number]) =>
      equalsIgnoreCase(args, i, option);
  for (let i = from; i < args.argc; i++) {
    const [, count = 0] = Object.entries(secret).find(named(i)) ?? [];
    for (let j = 1; j <= count; j++) hidden.add(i + j);
    const [, skipped = 0] = Object.entries(others).find(named(i)) ?? [];
    i += count + skipped;
  }
  return hidden;
}

const ESCAPES: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
};

/** Argument `i` in quotes. */
function quoted({ bytes, starts, ends }: Arguments, i: number): string {
  let text = '"';
  for (let at = starts[i]!; at < ends[i]!; at++) {
    const byte = bytes[at]!;
    text += ESCAPES[byte] ?? (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : hex(byte));
  }
  return `${text}"`;
}

function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}
