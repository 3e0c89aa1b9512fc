/**
 * What a hostile node says: valid replies, what chance makes of them, and what no server would say.
 *
 * Addresses in redirects are of our own making and on loopback alone, and never mutated, so that no
 * connection goes to anybody else.
 */

import type { Answer, Received } from '../support/fake-node.ts';
import { mutate, NUMBERS, type Random } from './random.ts';

/** A loopback address where nobody else listens. */
export const HOST = '127.0.0.77';

const VALID = [
  '+OK\r\n',
  ':12345\r\n',
  '$5\r\nhello\r\n',
  '$-1\r\n',
  '*-1\r\n',
  '*0\r\n',
  '_\r\n',
  '#t\r\n',
  ',3.25\r\n',
  '(3492890328409238509324850943850943825024385\r\n',
  '=15\r\ntxt:Some string\r\n',
  '!21\r\nSYNTAX invalid syntax\r\n',
  '*3\r\n$1\r\na\r\n$-1\r\n:3\r\n',
  '%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n:1\r\n:2\r\n',
  '~2\r\n$1\r\na\r\n$1\r\nb\r\n',
  '|1\r\n+ttl\r\n:3600\r\n$5\r\nhello\r\n',
  '>3\r\n+message\r\n$2\r\nch\r\n$2\r\nhi\r\n',
  '>2\r\n+invalidate\r\n*1\r\n$3\r\nf:1\r\n',
  '*2\r\n$2\r\n17\r\n*2\r\n$3\r\nf:1\r\n$3\r\nf:2\r\n',
  '*2\r\n$1\r\n0\r\n*0\r\n',
  '-ERR something\r\n',
  '$60\r\n# Server\r\nredis_version:7.0.15\r\nused_memory:1\r\nrole:master\r\n\r\n',
].map((text) => Buffer.from(text, 'latin1'));

const ERRORS = [
  'CLUSTERDOWN The cluster is down',
  'CLUSTERDOWN Hash slot not served',
  'TRYAGAIN Multiple keys request during rehashing of slot',
  'LOADING Redis is loading the dataset in memory',
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  "READONLY You can't write against a read only replica.",
  'NOAUTH Authentication required.',
  'WRONGPASS invalid username-password pair or user is disabled.',
  'NOPERM no permission',
  'OOM command not allowed',
  'MOVED',
  'MOVED 1',
  'ASK x y',
  '',
];

/** A redirect for the slot that was asked for, or any other, to somewhere or nowhere. */
function redirect(random: Random, slot: number, ports: readonly number[]): string {
  const kind = random.pick(['MOVED', 'MOVED', 'ASK', 'ASK', 'moved']);
  const where = random.chance(0.8) ? String(slot) : random.pick([...NUMBERS, '16383', '16384']);
  const host = random.pick([
    HOST,
    HOST,
    HOST,
    '',
    '?',
    '[::1]',
    '::1',
    'localhost',
    '127.0.0.77\0x',
    '*',
    'a b',
  ]);
  // Real ports of this host's nodes; elsewhere none that anybody could be listening on.
  const port = host === HOST || host === '' ? random.pick([...ports, ...ports, 1, 0, 70000]) : 1;
  return `-${kind} ${where} ${host}:${random.chance(0.9) ? port : random.pick(['', '-1', 'x', '1e3', '99999999'])}\r\n`;
}

function nested(random: Random): string {
  const open = random.pick(['*1\r\n', '%1\r\n+k\r\n', '~1\r\n', '|1\r\n', '*2\r\n']);
  return open.repeat(random.size(20_000));
}

/** What is answered to any command, at the will of chance. `slot`: of its key. */
export function anyAnswer(random: Random, slot: number, ports: readonly number[]): Answer | Promise<Answer> {
  const valid = () => random.pick(VALID);
  const hostile = (): Buffer => {
    switch (random.int(10)) {
      case 0:
        return random.bytes(random.size(20_000));
      case 1:
        return random.tokens(random.size(2000));
      case 2:
        return Buffer.from(
          `${random.pick(['$', '*', '%', '~', '>', '|', '=', '!'])}${random.pick(NUMBERS)}\r\n`,
        );
      case 3:
        return Buffer.from(nested(random));
      case 4:
        return Buffer.from(random.pick(['+', '-', ':', '-MOVED ']) + 'x'.repeat(random.size(3_000_000)));
      case 5:
        return Buffer.concat([
          Buffer.from('>2\r\n+message\r\n$999999999\r\n'),
          Buffer.alloc(random.size(4_000_000)),
        ]);
      case 6:
        return Buffer.concat([valid(), valid(), valid()]);
      case 7:
        return Buffer.concat([
          Buffer.from(`*${random.size(100_000)}\r\n`),
          Buffer.alloc(random.size(400_000), ':1\r\n'),
        ]);
      default:
        return mutate(random, valid(), VALID);
    }
  };
  switch (random.int(20)) {
    case 0:
      return random.chance(0.1) ? { fate: 'hang' } : valid();
    case 1:
      return { fate: random.pick(['cut', 'reset'] as const) };
    case 2: {
      const bytes = random.chance(0.5) ? valid() : hostile();
      return {
        fate: random.pick(['cut', 'reset'] as const),
        after: bytes.subarray(0, random.int(bytes.length)),
      };
    }
    case 3:
    case 4:
    case 5:
      return redirect(random, slot, ports);
    case 6:
    case 7:
      return `-${random.pick(ERRORS)}\r\n`;
    case 8:
      return '';
    case 9:
    case 10:
      return hostile();
    case 11:
      return mutate(random, valid(), VALID);
    case 12: {
      const large = Buffer.alloc(random.size(1_000_000), 'z');
      return Buffer.concat([Buffer.from(`$${large.length}\r\n`), large, Buffer.from('\r\n')]);
    }
    default:
      return valid();
  }
}

/** The default answer, or something like it, in pieces that come one by one. */
export async function drip(random: Random, { connection }: Received, answer: Buffer): Promise<Answer> {
  const { socket } = connection;
  for (let at = 0; at < Math.min(answer.length, 200); at++) {
    if (socket.destroyed) return '';
    socket.write(answer.subarray(at, at + 1));
    await new Promise((resolve) => setTimeout(resolve, random.int(2)));
  }
  return answer.subarray(200);
}

/** What was to be said of the cluster, or its like: mutated, cut, or something else entirely. */
export function like(random: Random, valid: Buffer): Answer {
  switch (random.int(8)) {
    case 0:
      return valid.subarray(0, random.int(valid.length));
    case 1:
      return {
        fate: random.pick(['cut', 'reset'] as const),
        after: valid.subarray(0, random.int(valid.length)),
      };
    case 2:
      return { fate: 'hang' };
    case 3:
      return random.pick(VALID);
    case 4:
      return Buffer.from(nested(random));
    case 5:
      return Buffer.from(
        `${random.pick(['$', '*', '+', '-'])}${random.pick(NUMBERS)}\r\n`.repeat(random.size(50)),
        'latin1',
      );
    default:
      return mutate(random, valid, VALID);
  }
}
