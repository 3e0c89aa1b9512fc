// May a client's user read every key, as SORT wants it of whoever gives it a pattern (acl.c,
// ACLUserCheckCmdWithUnrestrictedPerms)? Cold.
//
// The server's own test cannot be asked for: one in a cluster refuses patterns before it looks at rights, and ACL
// DRYRUN sees no pattern. But a selector of the user's that permits the same call of a key that none of his patterns
// fits, other than `*`, can read every key. So:
//
//     ACL GETUSER ann                         ~a* (%R~* +sort)        some key that does not begin with a: 9f3a..
//     ACL DRYRUN ann SORT 9f3a.. BY w_*       OK

import { randomBytes } from 'node:crypto';
import { type Command, HAND } from '../command/command.ts';
import { matchesGlob } from '../command/glob.ts';
import { parseSort } from '../command/sort.ts';
import { Asker, type OnBehalf, ownUser, ServerError } from './asker.ts';
import { denial } from './rights.ts';
import { parseReply, type SavedArguments } from './saved.ts';

/** What ACL GETUSER gives for the right to read every key. */
const EVERYTHING: ReadonlySet<string> = new Set(['~*', '%R~*', '%RW~*', '%WR~*']);

/** Names that are tried until one fits no pattern. */
const ATTEMPTS = 50;

/**
 * The error for a call of SORT with patterns whose user may not read every key; undefined where he may, or there are
 * none. What the proxy's own user does in his place, a server judges key by key.
 */
export async function denialOfPatterns(
  client: OnBehalf,
  { hand }: Command,
  args: SavedArguments,
): Promise<Buffer | undefined> {
  if (hand !== HAND.sort && hand !== HAND.sortRo) return undefined;
  if (client.session.username === ownUser(client.context.config).username) return undefined;
  const words = args.words();
  const denied = parseSort(words, false);
  if (!Buffer.isBuffer(denied)) return undefined;
  return (await readsAll(client, words)) ? undefined : denied;
}

async function readsAll(client: OnBehalf, words: readonly Buffer[]): Promise<boolean> {
  const patterns = await keyPatterns(client);
  const other = patterns.filter((pattern) => !EVERYTHING.has(pattern)).map(globOf);
  if (other.length === patterns.length) return false;
  const key = keyBeside(other);
  if (key === undefined) return false;
  const probe = [words[0]!, key, ...words.slice(2)];
  return (await denial(client, { words: () => probe })) === undefined;
}

/** The key patterns of all selectors of a client's user, as ACL GETUSER writes them. @throws ServerError */
async function keyPatterns(client: OnBehalf): Promise<string[]> {
  const { username, id } = client.session;
  const user = username === '' ? 'default' : Buffer.from(username, 'latin1');
  const slot = client.cluster.anySlot(id);
  const said = parseReply(await Asker.asProxy(client, (asker) => asker.raw(slot, ['ACL', 'GETUSER', user])));
  if (said instanceof Error)
    throw new ServerError(`NOPERM slotless: the proxy's user may not ask ACL GETUSER: ${said.message}`);
  return patternsIn(said);
}

/** `keys` is followed by patterns with blanks between, `selectors` by lists of the same form. */
function patternsIn(said: unknown): string[] {
  if (!Array.isArray(said)) return [];
  return said.flatMap((value, i) => {
    if (String(said[i - 1]) === 'keys')
      return (value as Buffer).toString('latin1').split(' ').filter(Boolean);
    return String(said[i - 1]) === 'selectors' ? (value as unknown[]).flatMap(patternsIn) : [];
  });
}

/** Without the rights in front: `%W~a*`. */
function globOf(pattern: string): Buffer {
  return Buffer.from(pattern.slice(pattern.indexOf('~') + 1), 'latin1');
}

/** A key that fits none of these; undefined where none is found. */
function keyBeside(globs: readonly Buffer[]): Buffer | undefined {
  return Array.from({ length: ATTEMPTS }, () => randomBytes(16)).find(
    (key) => !globs.some((glob) => matchesGlob(glob, key)),
  );
}
