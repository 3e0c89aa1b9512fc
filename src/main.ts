// Configuration -> proxy -> signals -> drain -> exit code.

import process from 'node:process';
import { type Config, ConfigError, load, notice } from './config.ts';
import { createLog } from './log.ts';
import { Slotless } from './proxy.ts';

/** Wrong settings, or a start that failed: the usual code for "give it up". */
const FAILED = 1;

async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  const text = notice(argv);
  if (text !== undefined) {
    process.stdout.write(text);
    return;
  }
  await run(load(argv, process.env));
}

async function run(config: Config): Promise<void> {
  const log = createLog(config.log.level);
  const proxy = new Slotless(config, log);
  const stop = () => {
    proxy.close().then(
      () => process.exit(0),
      (error: Error) => {
        log.fatal({ error: error.stack }, 'closing failed');
        process.exit(FAILED);
      },
    );
  };
  // A further one ends the grace. A terminal and npm may both deliver the same one: there, too, nobody wants to wait.
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  try {
    await proxy.open();
  } catch (error) {
    log.fatal({ error: (error as Error).message }, 'the proxy could not start');
    process.exit(FAILED);
  }
}

main().catch((error: Error) => {
  process.stderr.write(
    `slotless: ${error instanceof ConfigError ? error.message : (error.stack ?? error.message)}\n`,
  );
  process.exit(FAILED);
});
