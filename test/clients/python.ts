/** Debian's Python packages, run by the system's own python3. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { environmentOf } from '../support/apt.ts';
import { installPeers, which } from '../support/servers.ts';

/** Why there are none; false when there are. */
export const noPython = which('apt-get') ? false : "needs Debian's packages";

/** What runs packages of Python. Where the system has no Python, its package comes along with them. */
export async function findPython(...packages: string[]): Promise<{ python: string; env: NodeJS.ProcessEnv }> {
  const root = await installPeers(['python3', ...packages]);
  const env: NodeJS.ProcessEnv = {
    PYTHONPATH: join(root, 'usr/lib/python3/dist-packages'),
    PYTHONDONTWRITEBYTECODE: '1',
  };
  const own = join(root, 'usr/bin/python3');
  if (!existsSync('/usr/bin/python3'))
    return { python: own, env: { ...(await environmentOf(root)), ...env, PYTHONHOME: join(root, 'usr') } };
  return { python: '/usr/bin/python3', env: { ...process.env, ...env } };
}
