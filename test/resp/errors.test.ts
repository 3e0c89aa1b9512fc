/** The error texts that clients match on. Those that echo arguments are compared with a server in redis.test.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as errors from '../../src/resp/errors.ts';
import { skip } from '../../src/resp/reply.ts';
import { Frame, frame } from '../../src/resp/request.ts';
import { command } from '../../src/resp/write.ts';

function framed(...args: string[]): Frame {
  const f = new Frame();
  const bytes = command(args.map((arg) => Buffer.from(arg, 'latin1')));
  frame(f, bytes, bytes.length, { arguments: 1000, bulk: 1000000, inline: 1000 }, true);
  return f;
}

function says(reply: Buffer, expected: string): void {
  assert.equal(reply.toString('latin1'), `-${expected}\r\n`);
  assert.equal(skip(reply, 0, reply.length), reply.length);
}

test('an unknown command is named with the beginning of its arguments', () => {
  says(errors.unknownCommand(framed('foo')), "ERR unknown command 'foo', with args beginning with: ");
  says(
    errors.unknownCommand(framed('foo', 'a', 'b\r\n')),
    "ERR unknown command 'foo', with args beginning with: 'a' 'b  ' ",
  );
  says(
    errors.unknownCommand(framed('f'.repeat(130), 'a\0b', 'x'.repeat(130), 'y')),
    `ERR unknown command '${'f'.repeat(128)}', with args beginning with: 'a' '${'x'.repeat(124)}' `,
  );
});

test('an unknown subcommand is named with its container', () => {
  says(
    errors.unknownSubcommand(framed('config', 'x\xff')),
    "ERR unknown subcommand 'x\xff'. Try CONFIG HELP.",
  );
});

test('texts of Redis', () => {
  says(errors.wrongArity('config|get'), "ERR wrong number of arguments for 'config|get' command");
  says(
    errors.protocol("Protocol error: expected '$', got '\r'"),
    "ERR Protocol error: expected '$', got ' '",
  );
  says(errors.noAuth(), 'NOAUTH Authentication required.');
  says(errors.noProto(), 'NOPROTO unsupported protocol version');
  says(errors.crossSlot(), "CROSSSLOT Keys in request don't hash to the same slot");
  says(errors.helloOption(framed('HELLO', '3', 'FOO'), 2), "ERR Syntax error in HELLO option 'FOO'");
});

test('the proxy’s own errors name it and the setting', () => {
  says(
    errors.refused('shutdown', 'it would stop a node'),
    "ERR slotless: 'shutdown' is refused; the setting 'allow' permits it (it would stop a node)",
  );
  says(
    errors.outcomeUnknown('reset'),
    'ERR slotless: connection to the node was lost before the reply; the outcome of this write is unknown (reset)',
  );
  says(errors.notReady('no node answers'), 'CLUSTERDOWN slotless: no node answers');
  says(
    errors.partFailed('slot 42', 'OOM command not allowed', 'OOM'),
    'OOM slotless: part slot 42 failed: OOM command not allowed',
  );
});
