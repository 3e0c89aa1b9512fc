// ACL SETUSER, DELUSER and LOAD: at every node, and then this proxy's subscribers are looked at. Cold.

import { allSucceeded } from '../command/merge.ts';
import type { Handler } from './handler.ts';
import { Question } from './request.ts';
import { SavedArguments } from './saved.ts';

const changing: Handler = (client, command, f) => {
  const args = new SavedArguments(f);
  return client.workOut(command, async () => {
    const nodes = client.cluster.allNodes().map(({ node }) => node);
    const replies = await Promise.all(nodes.map((node) => Question.ask(client, node, args.request, false)));
    await client.context.revoked.lookEverywhere();
    return allSucceeded(
      replies,
      nodes.map(({ address }) => address),
    );
  });
};

export const ACL_COMMANDS: Readonly<Record<string, Handler>> = {
  'acl|setuser': changing,
  'acl|deluser': changing,
  'acl|load': changing,
};
