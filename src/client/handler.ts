import type { Command } from '../command/command.ts';
import type { Frame } from '../resp/request.ts';
import type { Client } from './client.ts';

/** Answers a command of the door. False: not now, the client waits and it is asked again. */
export type Handler = (client: Client, command: Command, f: Frame) => boolean;
