// What a process has cost so far, by the kernel's own books (/proc on Linux).
//
// CPU per command is this bench's first figure: on a machine that endpoints, servers and loader share, the
// commands per second tell mostly who was given the processor, while CPU per command stays what it is.
// The books count all threads of the process, also those that have ended. Their step is 10 ms (USER_HZ is 100
// wherever Linux shows it to user space), so a round should hold a second of CPU or more.

import { readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** Seconds of CPU (user and system, all threads) spent by `pid` so far; NaN where it can't be known. Source: proc(5). */
export function cpuSeconds(pid: number): number {
  const stat = read(pid, 'stat');
  // The second field is the program's name in brackets and may hold blanks and brackets itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? Number.NaN) + Number(fields[12] ?? Number.NaN)) / TICKS_PER_SECOND;
}

/** Bytes of memory of `pid` that are resident now; NaN where it can't be known. */
export function residentBytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(read(pid, 'status'))?.[1];
  return Number(kibibytes ?? Number.NaN) * 1024;
}

function read(pid: number, file: string): string {
  if (pid <= 0) return '';
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
