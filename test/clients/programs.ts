/**
 * Programs run as a user would run them: to their end with what they said, or at a terminal, line by line.
 *
 * A terminal is util-linux's `script`, which gives the program a pty of its own. What is typed before the
 * program has put its terminal into raw mode would be thrown away, so each line waits for a prompt.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { adopt, end } from '../support/reaper.ts';
import { which } from '../support/servers.ts';

const LIMIT_MS = 60_000;

export interface Ended {
  /** The exit code; a signal's name when it was ended by one. */
  readonly code: number | string;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  input?: string | Buffer;
  env?: NodeJS.ProcessEnv;
  limitMs?: number;
}

/** Runs a program to its end. One that takes longer than its limit is killed, which its code shows. */
export async function run(program: string, args: string[], options: RunOptions = {}): Promise<Ended> {
  const { env = process.env, limitMs = LIMIT_MS } = options;
  const child = adopt(spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] }));
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  // A program may end before it has read everything.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const [code, signal] = await once(child, 'close');
  clearTimeout(timer);
  return { code: code ?? signal, out, err };
}

/** False where there are terminals, else what is missing. */
export const noTerminal =
  process.platform === 'linux' && which('script') ? false : 'needs script of util-linux';

export class Terminal {
  private readonly child: ReturnType<typeof Terminal.spawn>;
  private readonly prompt: string;
  private seen = '';
  private closed = false;
  private look: () => void = () => {};

  private static spawn(command: string, env: NodeJS.ProcessEnv) {
    // Without a size the program would ask the terminal for one, and nobody would answer.
    const args = ['-qec', `stty cols 200 rows 50; exec ${command}`, '/dev/null'];
    return adopt(spawn('script', args, { env, stdio: ['pipe', 'pipe', 'inherit'] }));
  }

  /** Starts `command` (for a shell) and resolves at its first prompt. */
  static async open(command: string, prompt: string, env: NodeJS.ProcessEnv): Promise<Terminal> {
    const terminal = new Terminal(Terminal.spawn(command, { ...env, TERM: 'xterm' }), prompt);
    await terminal.awaits(() => plain(terminal.seen).includes(prompt), 'a prompt');
    return terminal;
  }

  private constructor(child: ReturnType<typeof Terminal.spawn>, prompt: string) {
    this.child = child;
    this.prompt = prompt;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.seen += text;
      this.look();
    });
    child.stdin.on('error', () => {});
    child.once('close', () => {
      this.closed = true;
      this.look();
    });
  }

  /** Types one line; resolves with what the program printed up to its next prompt. */
  async type(line: string): Promise<string> {
    this.seen = '';
    this.child.stdin.write(`${line}\r`);
    // The line editor repeats the prompt with each key: the answer is what follows the line's own end.
    const answer = () => /\n([\s\S]*)$/.exec(plain(this.seen))?.[1] ?? '';
    await this.awaits(() => answer().endsWith(this.prompt), `the prompt after ${line}`);
    return answer().slice(0, -this.prompt.length);
  }

  /** Types keys without a line end and resolves when the screen shows what is wanted. */
  async shows(keys: string, wanted: string | Pick<RegExp, 'test'>): Promise<void> {
    this.seen = '';
    this.child.stdin.write(keys);
    const pattern = typeof wanted === 'string' ? { test: (text: string) => text.includes(wanted) } : wanted;
    await this.awaits(() => pattern.test(plain(this.seen)), String(wanted));
  }

  /** Types a last line; resolves with the exit code. */
  async leave(line: string): Promise<number | null> {
    this.child.stdin.write(`${line}\r`);
    if (!this.closed) await once(this.child, 'close');
    return this.child.exitCode;
  }

  close(): Promise<void> {
    return end(this.child, 'SIGKILL');
  }

  private awaits(condition: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => done(`waited ${LIMIT_MS} ms for ${what}`), LIMIT_MS);
      const done = (problem?: string) => {
        clearTimeout(late);
        this.look = () => {};
        if (problem === undefined) resolve();
        else reject(new Error(`${problem}: ${JSON.stringify(this.seen)}`));
      };
      this.look = () => {
        if (condition()) done();
        else if (this.closed) done('the program ended');
      };
      this.look();
    });
  }
}

/** Without the terminal's control sequences and line ends. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '').replace(/\r/g, '');
}
