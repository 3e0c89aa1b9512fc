// May a client's user give a command that the proxy answers itself? The servers' ACL rules say so. Cold.

import * as errors from '../resp/errors.ts';
import { Asker, type OnBehalf, ownUser } from './asker.ts';
import { parseReply, type SavedArguments } from './saved.ts';

/** A command, its name first. */
type Words = Pick<SavedArguments, 'words'>;

/**
 * The error for a user whom the servers' ACL rules deny a command; undefined when they allow it. They are asked
 * with the proxy's own rights; where they can't say, nobody may.
 */
export async function denial(client: OnBehalf, args: Words): Promise<Buffer | undefined> {
  const { username, id } = client.session;
  const user = username === '' ? 'default' : Buffer.from(username, 'latin1');
  const words = args.words();
  const slot = client.cluster.anySlot(id);
  const verdict = parseReply(
    await Asker.asProxy(client, (asker) => asker.raw(slot, ['ACL', 'DRYRUN', user, ...words])),
  );
  if (String(verdict) === 'OK') return undefined;
  if (Buffer.isBuffer(verdict)) return errors.asServerSaid(`NOPERM ${asDenied(String(verdict))}`);
  return errors.asServerSaid(`NOPERM slotless: the proxy's user may not ask ACL DRYRUN: ${verdict}`);
}

/** The same for what the proxy's own user does in the client's place: where that is the client's too, a server judges. */
export async function denialOfOther(client: OnBehalf, args: Words): Promise<Buffer | undefined> {
  const own = ownUser(client.context.config);
  return client.session.username === own.username ? undefined : denial(client, args);
}

/**
 * The error for a user who may not call a script that runs with the proxy's rights. What it will ask of the server
 * nobody can tell before, so it is for those who may do everything.
 */
export async function denialOfScript(client: OnBehalf): Promise<Buffer | undefined> {
  const { username, id } = client.session;
  const { config } = client.context;
  if (username === ownUser(config).username) return undefined;
  const user = username === '' ? 'default' : Buffer.from(username, 'latin1');
  const slot = client.cluster.anySlot(id);
  const said = await Asker.asProxy(client, (asker) => asker.raw(slot, ['ACL', 'GETUSER', user]));
  const fields = parseReply(said);
  if (!Array.isArray(fields)) return errors.scriptRights();
  const of = (name: string) => String(fields[fields.findIndex((each) => String(each) === name) + 1]);
  const all = of('commands') === '+@all' && of('keys') === '~*' && of('channels') === '&*';
  return all ? undefined : errors.scriptRights();
}

/** What a server says where it denies a command: not which key or channel, and in Redis 7.0 in other words. */
function asDenied(verdict: string): string {
  const what = / has no permissions to access the '.*' (key|channel)$/s.exec(verdict)?.[1];
  if (!verdict.startsWith('This')) return what === undefined ? verdict : `No permissions to access a ${what}`;
  if (what === undefined) return verdict.replace('This', 'this');
  return `this user has no permissions to access one of the ${what}s used as arguments`;
}
