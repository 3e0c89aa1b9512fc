import type { Handler } from './handler.ts';

export const CLUSTER_COMMANDS: Readonly<Record<string, Handler>> = {};
