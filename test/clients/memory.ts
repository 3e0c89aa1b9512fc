/** What a process holds, as Linux accounts for it. */

import { readFileSync, writeFileSync } from 'node:fs';

export const MB = 1 << 20;

/** False where a process's memory can be read, else what is missing. */
export const noMemory = process.platform === 'linux' ? false : 'needs /proc';

/** Bytes in memory now. */
export function held(pid: number): number {
  return field(pid, 'VmRSS');
}

/** The most bytes that were in memory since the process began or since `forget`. */
export function peak(pid: number): number {
  return field(pid, 'VmHWM');
}

/** Begins a new peak. */
export function forget(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

function field(pid: number, name: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
}
