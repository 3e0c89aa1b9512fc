/**
 * Real servers, Redis and Valkey, as the judges: bytes of every kind are sent to them and framed here, and their replies must be
 * those that follow from our frames. Covers the framing of requests, inline words, and the error texts.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { protocol, unknownCommand, unknownSubcommand, wrongArity } from '../../src/resp/errors.ts';
import { COMMAND, Frame, frame, MORE, VIOLATION } from '../../src/resp/request.ts';
import { bulk } from '../../src/resp/write.ts';
import { type Lone, startLone } from '../support/cluster.ts';
import { availableServers } from '../support/servers.ts';
import { tokens } from './cuts.ts';

const LIMITS = { arguments: 2147483647, bulk: 536870912, inline: 65536 };

/** Everything the server answers to these bytes, after which our side ends. */
async function asked(server: Lone, input: Buffer): Promise<string> {
  const socket = connect({ port: server.port, host: server.host, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // A server that closes on a violation resets what we still send; its reply has come by then.
  socket.on('error', () => {});
  socket.end(input);
  await once(socket, 'close');
  return Buffer.concat(chunks).toString('latin1');
}

/** What a server that knows ECHO and CONFIG alone would answer, going by our frames. */
function predicted(input: Buffer, authenticated: boolean): string {
  const replies: Buffer[] = [];
  const f = new Frame();
  f.reset(0);
  for (;;) {
    const result = frame(f, input, input.length, LIMITS, authenticated);
    if (result === MORE) break;
    if (result === VIOLATION) {
      replies.push(protocol(f.error));
      break;
    }
    if (result === COMMAND) replies.push(answer(f, authenticated));
    f.reset(f.consumed);
  }
  return Buffer.concat(replies).toString('latin1');
}

function answer(f: Frame, authenticated: boolean): Buffer {
  const name = Buffer.from(f.bytes.subarray(f.starts[0]!, f.ends[0]!)).toString('latin1').toLowerCase();
  if (name === 'config') return f.argc < 2 ? wrongArity('config') : unknownSubcommand(f);
  if (name !== 'echo') return unknownCommand(f);
  if (f.argc !== 2) return wrongArity('echo');
  if (!authenticated) return Buffer.from('-NOAUTH Authentication required.\r\n');
  return bulk(f.bytes.subarray(f.starts[1]!, f.ends[1]!));
}

/** Valkey 8 takes an array behind a line of blanks for words; Redis, and we, do not. No such line is forwarded. */
function afterBlanks(raw: Buffer): boolean {
  return /(^|\n)[ \t\v\f\r]\s*\n\*/.test(raw.toString('latin1'));
}

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let open: Lone;
    let closed: Lone;

    before(async () => {
      open = await startLone({ server });
      closed = await startLone({ server, password: 'secret' });
    });

    after(async () => {
      await open?.stop();
      await closed?.stop();
    });

    async function agree(input: Buffer): Promise<void> {
      assert.equal(
        await asked(open, input),
        predicted(input, true),
        JSON.stringify(input.toString('latin1')),
      );
      assert.equal(
        await asked(closed, input),
        predicted(input, false),
        JSON.stringify(input.toString('latin1')),
      );
    }

    test('each rule of the framer is the server’s', async () => {
      const x = 'x'.repeat(200);
      const cases = [
        '*2\r\n$4\r\nECHO\r\n$3\r\na\rb\r\n',
        '*2\rX$4\rYECHOzz$1\r\nb\n\n*2\r\n$4\r\necho\r\n$1\r\nc\r\n',
        ...[
          '',
          '-',
          '01',
          '+1',
          '-0',
          '-5',
          '0',
          '11',
          '2147483648',
          '9223372036854775808',
          '1x',
          '1'.repeat(40),
        ].map((count) => `*${count}\r\nECHO after\r\n`),
        ...['', '-1', '01', '+1', '-0', 'x', '16384', '16385', '536870912', '536870913', '1'.repeat(40)].map(
          (length) => `*2\r\n$${length}\r\nECHO\r\n`,
        ),
        ...['+', ':', '\r', '\n', '\xff', '\0', '7', '*', ' '].map((found) => `*1\r\n${found}1\r\nECHO\r\n`),
        '*1\r\nECHO',
        '*1\0\r\n$4\r\nECHO\r\n',
        'ECHO a\0b\r\nECHO c\r\n',
        `*${'1'.repeat(65537)}`,
        `*1\r\n$${'1'.repeat(65537)}`,
        'x'.repeat(65537),
        `ECHO ${'x'.repeat(65000)}\r\n`,
        'ECHO "a\\x41\\n\\q\\\\\\"" \r\nECHO \'a\\\'b\\n\'\necho a"b c"\r\r\n',
        'ECHO "a"b\r\n',
        "ECHO 'a\r\n",
        '""\r\n',
        ' \t\v\f\r \r\n\r\n\nECHO a\vb\f\r\n',
        `foo a b "c\\r\\n" "d\\x00e" ${x} f\r\n${x} a\r\nfoo ${'a'.repeat(60)} ${'b'.repeat(60)} c d e\r\n`,
        `cOnfig ${x}\r\nCONFIG "no\\x00pe"\r\nCONFIG\r\nECHO\r\n`,
      ];
      for (const each of cases) await agree(Buffer.from(each, 'latin1'));
    });

    test('any bytes are taken as the server takes them', async () => {
      const lines = [
        'ECHO ',
        'echo a',
        'foo b',
        '\r\n',
        '\r\n',
        '\n',
        '\r',
        ' ',
        '"',
        "'",
        '\\',
        '\\x41',
        '\\n',
        '\v',
        '\t',
      ];
      const frames = [
        '*2\r\n',
        '*1\r\n',
        '*0\r\n',
        '*2\rX',
        '$4\r\nECHO\r\n',
        '$1\r\nb\r\n',
        '$0\r\n\r\n',
        '$3\rxabc12',
        '*',
        '$',
      ];
      const input = fc.oneof(tokens(lines), tokens(frames), tokens([...lines, ...frames]));
      await fc.assert(
        fc.asyncProperty(
          input.filter((raw) => server.flavour === 'redis' || !afterBlanks(raw)),
          agree,
        ),
        { numRuns: 400 },
      );
    });
  });
}
