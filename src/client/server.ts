import type { Handler } from './handler.ts';
import { scan } from './scan.ts';

export const SERVER_COMMANDS: Readonly<Record<string, Handler>> = { scan };
