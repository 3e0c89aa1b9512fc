import type { Handler } from './door.ts';

export const SERVER_COMMANDS: Readonly<Record<string, Handler>> = {};
