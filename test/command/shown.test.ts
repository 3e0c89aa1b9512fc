import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shownLine } from '../../src/command/shown.ts';
import { framed } from './framed.ts';

const shown = (...words: (string | Buffer)[]) => {
  const name = String(words[0]).toLowerCase();
  const line = shownLine(name, framed(...words), 1339518083_000412, 0, '127.0.0.1:60866');
  const start = '+1339518083.000412 [0 127.0.0.1:60866] ';
  assert.equal(line.slice(0, start.length), start);
  assert.equal(line.slice(-2), '\r\n');
  return line.slice(start.length, -2);
};

test('a command is shown with its arguments in quotes', () => {
  assert.equal(shown('keys', '*'), '"keys" "*"');
  assert.equal(shown('SET', 'k', ''), '"SET" "k" ""');
});

test('bytes that are no printable ASCII are escaped', () => {
  const bytes = Buffer.from([7, 8, 9, 10, 13, 34, 92, 0, 31, 32, 126, 127, 128, 255]);
  assert.equal(shown('ECHO', bytes), String.raw`"ECHO" "\a\b\t\n\r\"\\\x00\x1f ~\x7f\x80\xff"`);
});

test('passwords are hidden, and the names of users with them', () => {
  const hidden = '"(redacted)"';
  assert.equal(shown('AUTH', 'pw'), `"AUTH" ${hidden}`);
  assert.equal(shown('auth', 'user', 'pw'), `"auth" ${hidden} ${hidden}`);
  assert.equal(shown('AUTH', 'a', 'b', 'c'), `"AUTH" ${hidden} ${hidden} ${hidden}`);
  assert.equal(shown('HELLO', '3'), '"HELLO" "3"');
  assert.equal(
    shown('HELLO', '3', 'Auth', 'u', 'p', 'SETNAME', 'n'),
    `"HELLO" "3" "Auth" ${hidden} ${hidden} "SETNAME" "n"`,
  );
  assert.equal(
    shown('HELLO', '3', 'SETNAME', 'auth', 'AUTH', 'u', 'p'),
    `"HELLO" "3" "SETNAME" "auth" "AUTH" ${hidden} ${hidden}`,
  );
  assert.equal(shown('HELLO', '9', 'AUTH', 'p'), `"HELLO" "9" "AUTH" ${hidden}`);
  const migrate = ['MIGRATE', '127.0.0.1', '1', '', '0', '10'];
  const start = '"MIGRATE" "127.0.0.1" "1" "" "0" "10"';
  assert.equal(shown(...migrate, 'AUTH', 'pw', 'KEYS', 'a'), `${start} "AUTH" ${hidden} "KEYS" "a"`);
  assert.equal(shown(...migrate, 'AUTH2', 'u', 'pw'), `${start} "AUTH2" ${hidden} ${hidden}`);
});
