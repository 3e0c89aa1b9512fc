import type { Handler } from './door.ts';

export const CLUSTER_COMMANDS: Readonly<Record<string, Handler>> = {};
