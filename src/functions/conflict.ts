// Whether what a library registers can stand beside what else there is. Pure.

import type { Library, Registrations } from './library.ts';

/**
 * Why it can't, or undefined. A registered command hides neither one of the servers or of the proxy, nor one of
 * another library.
 * @param others all other libraries @param isCommand of the servers or of the proxy, by its name in lower case
 */
export function conflictOf(
  { commands }: Registrations,
  others: readonly Library[],
  isCommand: (name: string) => boolean,
): string | undefined {
  for (const command of commands) {
    const name = command.name.toLowerCase();
    if (isCommand(name)) return `Command ${command.name} is there already, and can't be registered.`;
    const other = others.find(({ registrations }) =>
      registrations.commands.some((theirs) => theirs.name.toLowerCase() === name),
    );
    if (other !== undefined) return `Command ${command.name} is registered by library ${other.name} already.`;
  }
  return undefined;
}
