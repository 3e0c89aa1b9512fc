/**
 * The log: one JSON line on stdout for each change of state, and none per command.
 *
 * Lines are written synchronously: they are few, and the last one before a crash is the one that counts.
 * What a line carries besides its text are the names used everywhere (node, client, slot, reason), so
 * that lines can be searched. Values under names that hold credentials are replaced, three levels deep:
 * a whole Config may be logged.
 */

import type { DestinationStream, Logger } from 'pino';
import { pino } from 'pino';

export type Log = Logger;

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

const SECRETS = ['password', 'auth', 'credentials'];

/**
 * Opens the log.
 *
 * @param bindings what every line shall carry, as { worker: 2 }
 * @param to where to write to; stdout if not given
 */
export function createLog(
  level: LogLevel,
  bindings: Record<string, unknown> = {},
  to?: DestinationStream,
): Log {
  return pino(
    {
      level,
      base: bindings,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '***' },
    },
    to ?? pino.destination({ fd: 1, sync: true }),
  );
}
