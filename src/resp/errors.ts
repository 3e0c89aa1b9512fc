// Every error the proxy can give a client, as encoded replies. None is ever thrown.
//
// The first part is Redis's own (7.0), byte for byte, since clients match on them; the second part is what only
// a proxy can say, and names itself: `slotless:` behind the prefix. Text that echoes what a client sent is
// handled one character per byte, ends at a NUL as in C, and can hold no line break.

import { error } from './write.ts';

/** A framed command: argument i is `bytes[starts[i]..ends[i])`. */
interface Arguments {
  readonly bytes: Uint8Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly argc: number;
}

/** As much of each argument, and of all arguments together, as an error repeats. */
const ECHO = 128;
/** Where Redis repeats an argument whole, this much of it. */
const LONG_ECHO = 65536;

// ---- Redis's own: any command

/** server.c commandCheckExistence. */
export function unknownCommand(args: Arguments): Buffer {
  let list = '';
  for (let i = 1; i < args.argc && list.length < ECHO; i++) list += `'${echo(args, i, ECHO - list.length)}' `;
  return error(`ERR unknown command '${echo(args, 0)}', with args beginning with: ${list}`);
}

/** server.c commandCheckExistence, for a container command without such a subcommand. */
export function unknownSubcommand(args: Arguments): Buffer {
  const container = echo(args, 0).replace(/[a-z]/g, (letter) => letter.toUpperCase());
  return error(`ERR unknown subcommand '${echo(args, 1)}'. Try ${container} HELP.`);
}

/** networking.c addReplySubcommandSyntaxError: a subcommand that there is, with too many arguments. */
export function subcommandSyntax(args: Arguments): Buffer {
  const container = echo(args, 0).replace(/[a-z]/g, (letter) => letter.toUpperCase());
  const name = echo(args, 1);
  return error(`ERR unknown subcommand or wrong number of arguments for '${name}'. Try ${container} HELP.`);
}

/** `name` in lower case, with its container: `config|get`. */
export function wrongArity(name: string): Buffer {
  return error(`ERR wrong number of arguments for '${name}' command`);
}

/** `text`: a Frame's `error`. The connection closes after it. */
export function protocol(text: string): Buffer {
  return error(`ERR ${text}`);
}

export const syntax = fixed('ERR syntax error');
export const notInteger = fixed('ERR value is not an integer or out of range');
/** sort.c: a weight that is no number. */
export const noWeight = fixed("ERR One or more scores can't be converted into double");
export const selectInCluster = fixed('ERR SELECT is not allowed in cluster mode');
export const tryAgain = fixed('TRYAGAIN Multiple keys request during rehashing of slot');
export const dbIndex = fixed('ERR DB index is out of range');
export const selectRange = fixed('ERR value is out of range, value must between -2147483648 and 2147483647');
export const noSuchKey = fixed('ERR no such key');
export const invalidCursor = fixed('ERR invalid cursor');
export const crossSlot = fixed("CROSSSLOT Keys in request don't hash to the same slot");
export const invalidSlot = fixed('ERR Invalid slot');
export const invalidSlotOrCount = fixed('ERR Invalid slot or number of keys');
export const maxClients = fixed('ERR max number of clients reached');

// ---- Redis's own: the session

export const noAuth = fixed('NOAUTH Authentication required.');
export const noProto = fixed('NOPROTO unsupported protocol version');
export const protocolVersion = fixed('ERR Protocol version is not an integer or out of range');

export function helloOption(args: Arguments, index: number): Buffer {
  return error(`ERR Syntax error in HELLO option '${echo(args, index, LONG_ECHO)}'`);
}

export const clientName = fixed('ERR Client names cannot contain spaces, newlines or special characters.');
export const clientId = fixed('ERR client-id should be greater than 0');
export const invalidClientId = fixed('ERR Invalid client ID');
export const maxAge = fixed('ERR maxage is not an integer or out of range');
export const maxAgeSign = fixed('ERR maxage should be greater than 0');
export const noSuchClient = fixed('ERR No such client');
export const unblockReason = fixed('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR');

export function unknownClientType(args: Arguments, index: number): Buffer {
  return error(`ERR Unknown client type '${echo(args, index, LONG_ECHO)}'`);
}

/** CLIENT SETINFO of an attribute that there is not. */
export function clientInfoOption(args: Arguments, index: number): Buffer {
  return error(`ERR Unrecognized option '${echo(args, index, LONG_ECHO)}'`);
}

/** CLIENT SETINFO with a value that would break the lines of CLIENT LIST. */
export function clientInfoValue(args: Arguments, index: number): Buffer {
  return error(`ERR ${echo(args, index)} cannot contain spaces, newlines or special characters.`);
}

export const pauseMode = fixed('ERR CLIENT PAUSE mode must be WRITE or ALL');
export const timeoutNotInteger = fixed('ERR timeout is not an integer or out of range');
export const timeoutNegative = fixed('ERR timeout is negative');
export const timeoutRange = fixed('ERR timeout is out of range');
/** To a monitor, which is a kind of replica to the server. */
export const replicaKeyspace = fixed("ERR Replica can't interact with the keyspace");

// CLIENT TRACKING and CACHING (networking.c, tracking.c).
export const oneRedirect = fixed('ERR A client can only redirect to a single other client');
export const noRedirect = fixed('ERR The client ID you want redirect to does not exist');
export const prefixNeedsBcast = fixed('ERR PREFIX option requires BCAST mode to be enabled');
export const switchBcast = fixed(
  "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
);
export const switchOpt = fixed(
  "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
);
export const bcastWithOpt = fixed('ERR OPTIN and OPTOUT are not compatible with BCAST');
export const bothOpts = fixed("ERR You can't specify both OPTIN mode and OPTOUT mode");
export const cachingOutside = fixed(
  'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
);
export const cachingYes = fixed(
  'ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.',
);
export const cachingNo = fixed(
  'ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.',
);

/** Two prefixes of one client, of which one begins with the other. `which`: 'an existing' or 'another provided'. */
export function prefixOverlaps(prefix: Buffer, other: Buffer, which: string): Buffer {
  const text = (bytes: Buffer) => bytes.toString('latin1').split('\0', 1)[0];
  const overlaps = `Prefix '${text(prefix)}' overlaps with ${which} prefix '${text(other)}'`;
  return error(`ERR ${overlaps}. Prefixes for a single client must not overlap.`);
}

/** CLIENT KILL USER. `name`: one character per byte. */
export function noSuchUser(name: string): Buffer {
  return error(`ERR No such user '${name.split('\0', 1)[0]}'`);
}

/** cluster.c, for an id that is no node's. */
export function unknownNode(args: Arguments, index: number): Buffer {
  return error(`ERR Unknown node ${echo(args, index, LONG_ECHO)}`);
}

export const execWithoutMulti = fixed('ERR EXEC without MULTI');
export const discardWithoutMulti = fixed('ERR DISCARD without MULTI');
export const nestedMulti = fixed('ERR MULTI calls can not be nested');
export const watchInMulti = fixed('ERR WATCH inside MULTI is not allowed');
export const execAbort = fixed('EXECABORT Transaction discarded because of previous errors.');

export const monitorInTransaction = fixed("ERR MONITOR isn't allowed for DENY BLOCKING client");
export const shardInTransaction = fixed("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");

export const notInMulti = fixed('ERR Command not allowed inside a transaction');

/** sort.c: BY and GET are for users who may read every key. */
export function sortDenied(option: 'BY' | 'GET'): Buffer {
  return error(`ERR ${option} option of SORT denied due to insufficient ACL permissions.`);
}

/** multi.c execCommandAbort. `text`: the error that EXEC or one of the commands met. */
export function execAbortBecause(text: string): Buffer {
  return error(`EXECABORT Transaction discarded because of: ${text.replace(/^ERR /, '')}`);
}

/** `pubsub.mode: sharded`: no pattern can be subscribed to. */
export const shardedPattern = fixed(
  'ERR slotless: psubscribe is not supported: with pubsub.mode sharded no node hears all channels; patterns of __keyspace@ and __keyevent@ are served',
);

/** A command that a RESP2 client may not give while it is subscribed. */
export function subscribed(name: string): Buffer {
  return error(
    `ERR Can't execute '${name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`,
  );
}

/** An error as a server said it: its prefix and text. */
export function asServerSaid(text: string): Buffer {
  return error(text);
}

// ---- the proxy's own

/** A command that is not passed on unless `setting` says so. `name` in lower case. */
export function refused(name: string, reason: string, setting = 'allow'): Buffer {
  return error(`ERR slotless: '${name}' is refused; the setting '${setting}' permits it (${reason})`);
}

/** A command that cannot be done through the proxy; `reason` is a clause. */
export function unsupported(name: string, reason: string): Buffer {
  return error(`ERR slotless: '${name}' is not supported: ${reason}`);
}

/** A transaction whose keys lie in several slots. */
export const crossSlotTransaction = fixed(
  "CROSSSLOT Keys in request don't hash to the same slot; " +
    "slotless: the setting 'transactions: per-slot', or 'crossSlot: all', allows one transaction per slot",
);

/** Keys in several slots, and a setting that does not permit it. `level`: the least that would. */
export function crossSlotRefused(name: string, level: string): Buffer {
  return error(
    `CROSSSLOT Keys in request don't hash to the same slot; slotless: '${name}' is refused over several slots; the setting 'crossSlot: ${level}' permits it`,
  );
}

/** A node has answered a step of a command across slots with what no server answers. */
export const senseless = fixed(
  'ERR slotless: a node gave a reply that makes no sense; the command was not finished',
);

/** A command across slots would copy more than it may. Bytes. */
export function tooMuchToCopy(bytes: number, most: number): Buffer {
  return error(
    `ERR slotless: the command would copy ${bytes} bytes from slot to slot; the setting 'crossSlot.maxBytes' permits ${most}`,
  );
}

/** What locks its keys: others have moved or written the same ones for as long as it may wait, ms. */
export function moveWaited(name: string, waitFor: number): Buffer {
  return error(
    `TRYAGAIN slotless: '${name}' was not done: others move the same keys; the setting 'crossSlot.waitFor' (${waitFor} ms) says how long it waits for them`,
  );
}

/** The same, when it was tried often, and each time somebody changed the source in between. */
export function moveThwarted(name: string): Buffer {
  return error(`TRYAGAIN slotless: '${name}' was not done: the keys are changed all the time`);
}

/** The value has arrived, and is perhaps not gone where it was. */
export function movedHalf(name: string, reason: string): Buffer {
  return error(`ERR slotless: '${name}' was not finished: the value may be in both keys (${reason})`);
}
/** A command that runs on copies: others have changed its keys each time, before they could be written back. */
export function keysChanged(name: string, attempts: number): Buffer {
  return error(
    `TRYAGAIN slotless: '${name}' was not done: its keys were changed by others ${attempts} times while it ran`,
  );
}

/**
 * A command that runs on copies, of which some were written back and some not. Names of keys, one character per byte;
 * `unknown`: nobody knows of these. `why`: an error's text, or ''.
 */
export function writtenInPart(
  name: string,
  keys: { readonly written: string[]; readonly unwritten: string[]; readonly unknown: string[] },
  why: string,
): Buffer {
  const list = (what: string, names: string[]) =>
    names.length === 0 ? '' : `; ${what}: ${names.join(' ').slice(0, LONG_ECHO)}`;
  const parts = [
    list('written', keys.written),
    list('not written', keys.unwritten),
    list('nobody knows of', keys.unknown),
  ];
  return error(
    `ERR slotless: '${name}' was executed in part${parts.join('')}${why === '' ? '' : ` (${why})`}`,
  );
}

/** eval.c, script.c: FCALL of a name that no library has. */
export const noFunction = fixed('ERR Function not found');

/** A script across slots runs with the proxy's rights. */
export const scriptRights = fixed(
  'NOPERM slotless: a script with keys in several slots runs with the rights of the proxy, so only users who may do everything (+@all ~* &*) may call it',
);

/** A WATCH whose keys lie in several slots; no setting helps. */
export const crossSlotWatch = fixed(
  "CROSSSLOT Keys in request don't hash to the same slot; slotless: all that is watched must lie in one slot",
);

/** The node refused MULTI, after the client had been told OK, and executed what followed. */
export function notBegun(text: string): Buffer {
  return error(`${text}; slotless: MULTI was refused, so the commands behind it were executed one by one`);
}

/** A bound that the client has passed. */
export function limit(setting: string, value: number): Buffer {
  return error(`ERR slotless: the limit of the setting '${setting}' is passed (${value})`);
}

/** The connection ended after a write was sent and before its reply came: it is not sent again. */
export function outcomeUnknown(reason = ''): Buffer {
  const detail = reason === '' ? '' : ` (${reason})`;
  return error(
    `ERR slotless: connection to the node was lost before the reply; the outcome of this write is unknown${detail}`,
  );
}

/** The same of what only reads: asked again it could find what was written behind it. */
export function readLost(reason: string): Buffer {
  return error(
    `ERR slotless: connection to the node was lost before the reply; this read was not asked again, since a write was sent behind it (${reason})`,
  );
}

/** The command was not executed, or only reads: it may be given again. */
export function notServed(reason: string): Buffer {
  return error(`CLUSTERDOWN slotless: the command was not served: ${reason}`);
}

/** The same, since it would have to wait and no more may: `setting` says how many. */
export function notHeld(reason: string, setting: string, value: number): Buffer {
  return notServed(`${reason}, and no more may wait for it (the setting '${setting}', ${value})`);
}

/** CLIENT TRACKING where a node does not tell the proxy what changes. */
export function notTracked(reason: string): Buffer {
  return error(`ERR slotless: changes of keys can not be followed: ${reason}`);
}

/** The cluster, or the part of it that is asked for, is not known (yet). */
export function notReady(reason: string): Buffer {
  return error(`CLUSTERDOWN slotless: ${reason}`);
}

/**
 * A command of several parts of which one failed. `part` names it (`slot 42`, `node 10.0.0.1:6379`), `text` is
 * the server's own error; `prefix` is that error's first word when the client should still recognize it.
 */
export function partFailed(part: string, text: string, prefix = 'ERR'): Buffer {
  return error(`${prefix} slotless: part ${part} failed: ${text}`);
}

/** A part of a command was not answered in time, ms. `changes`: it was sent, and may do what it does all the same. */
export function late(timeout: number, changes: boolean): Buffer {
  return error(`ERR Timeout: no reply within ${timeout} ms${changes ? '; its outcome is unknown' : ''}`);
}

function fixed(text: string): () => Buffer {
  const bytes = error(text);
  return () => bytes;
}

/** Argument `index` as C's `%.*s` prints it. */
function echo(args: Arguments, index: number, limit = ECHO): string {
  const start = args.starts[index]!;
  const part = args.bytes.subarray(start, Math.min(args.ends[index]!, start + limit));
  const nul = part.indexOf(0);
  return Buffer.from(nul < 0 ? part : part.subarray(0, nul)).toString('latin1');
}
