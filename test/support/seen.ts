/**
 * What one node says of its cluster (CLUSTER NODES, CLUSTER INFO, INFO replication), taken apart. Pure: nothing is
 * asked here.
 */

/** A line of CLUSTER NODES. */
export interface Seen {
  readonly id: string;
  readonly port: number;
  readonly flags: readonly string[];
  /** Its primary's id; `-` for a primary. */
  readonly primary: string;
  readonly linked: boolean;
  readonly hasSlots: boolean;
}

/** The lines of a CLUSTER NODES reply. */
export function seenIn(text: string): Seen[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [id = '', address = '', flags = '', primary = '', , , , link, ...slots] = line.split(' ');
      return {
        id,
        port: Number(/:(\d+)@/.exec(address)?.[1]),
        flags: flags.split(','),
        primary,
        linked: link === 'connected',
        hasSlots: slots.length > 0,
      };
    });
}

/** One that does not run and has no slots any more has been replaced, although nobody has told it so yet. */
export function isPrimary({ primary, hasSlots }: Seen, running: boolean): boolean {
  return primary === '-' && (hasSlots || running);
}

export interface Said {
  /** CLUSTER INFO. */
  readonly info: string;
  readonly nodes: readonly Seen[];
  /** INFO replication. */
  readonly replication: string;
}

/** What is not as in a whole cluster of `count` nodes, of which those at `ports` run; undefined when it is whole. */
export function wrongIn(
  { info, nodes, replication }: Said,
  count: number,
  ports: readonly number[],
): string | undefined {
  const missing = ['state:ok', 'slots_ok:16384', `known_nodes:${count}`].find(
    (line) => !info.includes(`cluster_${line}`),
  );
  if (missing) return `no ${missing}, but ${info.replaceAll('\r\n', ' ')}`;
  const odd = nodes.find(({ port, flags, linked }) => {
    if (flags.includes('handshake') || flags.includes('noaddr')) return true;
    return ports.includes(port) && (!linked || flags.includes('fail'));
  });
  if (odd) return `${odd.port} is ${odd.flags}${odd.linked ? '' : ' and not connected'}`;
  if (replication.includes('role:slave') && !replication.includes('master_link_status:up'))
    return 'it has no link to its primary';
  return undefined;
}
