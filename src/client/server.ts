import type { Handler } from './door.ts';
import { scan } from './scan.ts';

export const SERVER_COMMANDS: Readonly<Record<string, Handler>> = { scan };
