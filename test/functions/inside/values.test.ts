/** Values of the servers as a library has them, and values of a library as replies. */

import assert from 'node:assert';
import { after, test } from 'node:test';
import { type Call, call, load, scripted, startPool } from '../support.ts';

const pool = startPool({ after });

async function reply(body: string, options: Call = {}, flags = ''): Promise<string> {
  const library = await load(
    pool,
    `redis.registerFunction('f', (client, ...args) => { ${body} }, { flags: [${flags}] })`,
  );
  return call(pool, library, 'f', options);
}

const given: readonly (readonly [string, string, string])[] = [
  ['a status', '+OK\r\n', `value instanceof String && value.__reply_type === 'status' && value == 'OK'`],
  ['a bulk', '$2\r\n\xc3\xbc\r\n', `value === 'ü'`],
  ['a bulk with zeros', '$3\r\na\0b\r\n', `value === 'a\\0b' && value.length === 3`],
  ['an integer', ':9007199254740993\r\n', 'value === 9007199254740993n'],
  ['a double', ',1.5\r\n', 'value === 1.5'],
  ['a whole double', ',3\r\n', 'value === 3'],
  ['infinity', ',-inf\r\n', 'value === -Infinity'],
  ['no number', ',nan\r\n', 'Number.isNaN(value)'],
  ['a null', '_\r\n', 'value === null'],
  ['a boolean', '#t\r\n', 'value === true'],
  [
    'an array',
    '*2\r\n$1\r\na\r\n*1\r\n:1\r\n',
    `Array.isArray(value) && value[0] === 'a' && value[1][0] === 1n`,
  ],
  ['an empty array', '*0\r\n', 'Array.isArray(value) && value.length === 0'],
  [
    'a map',
    '%3\r\n$1\r\na\r\n:1\r\n:2\r\n$1\r\nb\r\n$9\r\n__proto__\r\n:3\r\n',
    `Object.keys(value).join() === '2,a,__proto__' && value.a === 1n && value[2] === 'b' && 'toString' in value`,
  ],
  ['a set', '~2\r\n$1\r\na\r\n$1\r\nb\r\n', `value instanceof Set && [...value].join() === 'a,b'`],
  [
    'a big number',
    '(36893488147419103232\r\n',
    `value instanceof String && value.__reply_type === 'big_number' && value == '36893488147419103232'`,
  ],
  [
    'a verbatim string',
    '=5\r\nmkd:a\r\n',
    `value.__reply_type === 'verbatim' && value.__format === 'mkd' && value == 'a'`,
  ],
  [
    'an error among others',
    '*1\r\n-ERR no\r\n',
    `value[0] instanceof Error && value[0].message === 'ERR no'`,
  ],
];

for (const [name, bytes, condition] of given) {
  test(`a library has ${name}`, async () => {
    const { host } = scripted({ get: bytes });
    assert.equal(await reply(`const value = client.call('get'); return ${condition}`, { host }), '#t\r\n');
    assert.equal(
      await reply(`return client.callAsync('get').then((value) => ${condition})`, { host }),
      '#t\r\n',
    );
  });
}

test('a bulk that is no text is an error of call and a buffer of callRaw', async () => {
  const { host } = scripted({ get: '*1\r\n$2\r\n\xff\0\r\n', empty: '$0\r\n\r\n' });
  await assert.rejects(reply(`client.call('get')`, { host }), {
    message: 'Could not decode value as string',
  });
  const body = `const [value] = client.callRaw('get');
    return [value instanceof ArrayBuffer, value.byteLength, value, client.callRaw('empty').byteLength]`;
  assert.equal(await reply(body, { host }), '*4\r\n#t\r\n:2\r\n$2\r\n\xff\0\r\n:0\r\n');
});

const returned: readonly (readonly [string, string, string])[] = [
  ['1', ':1\r\n', ':1\r\n'],
  ['-0', ',-0\r\n', '$2\r\n-0\r\n'],
  ['2 ** 53 - 1', ':9007199254740991\r\n', ':9007199254740991\r\n'],
  ['2 ** 53', ',9007199254740992\r\n', '$16\r\n9007199254740992\r\n'],
  ['1.5', ',1.5\r\n', '$3\r\n1.5\r\n'],
  ['Infinity', ',inf\r\n', '$3\r\ninf\r\n'],
  ['NaN', ',nan\r\n', '$3\r\nnan\r\n'],
  ['5n', ':5\r\n', ':5\r\n'],
  ['-(2n ** 63n)', ':-9223372036854775808\r\n', ':-9223372036854775808\r\n'],
  ['2n ** 63n', '(9223372036854775808\r\n', '$19\r\n9223372036854775808\r\n'],
  ['true', '#t\r\n', ':1\r\n'],
  ['false', '#f\r\n', ':0\r\n'],
  ['null', '_\r\n', '$-1\r\n'],
  ['undefined', '_\r\n', '$-1\r\n'],
  [`'ü\\0'`, '$3\r\n\xc3\xbc\0\r\n', '$3\r\n\xc3\xbc\0\r\n'],
  ['new Uint8Array([255, 0]).buffer', '$2\r\n\xff\0\r\n', '$2\r\n\xff\0\r\n'],
  ['new Uint8Array([1, 255, 0]).subarray(1)', '$2\r\n\xff\0\r\n', '$2\r\n\xff\0\r\n'],
  ['new ArrayBuffer(0)', '$0\r\n\r\n', '$0\r\n\r\n'],
  ['[]', '*0\r\n', '*0\r\n'],
  [`[1, ['a'], null]`, '*3\r\n:1\r\n*1\r\n$1\r\na\r\n_\r\n', '*3\r\n:1\r\n*1\r\n$1\r\na\r\n$-1\r\n'],
  [
    `({ a: 1, b: [] })`,
    '%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*0\r\n',
    '*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*0\r\n',
  ],
  ['new Map([[1, 2]])', '%1\r\n:1\r\n:2\r\n', '*2\r\n:1\r\n:2\r\n'],
  [`new Set(['a', 1])`, '~2\r\n$1\r\na\r\n:1\r\n', '*2\r\n$1\r\na\r\n:1\r\n'],
  [`Object.assign(new String('OK'), { __reply_type: 'status' })`, '+OK\r\n', '+OK\r\n'],
  [
    `Object.assign(new String('text'), { __reply_type: 'verbatim', __format: 'mkd' })`,
    '=8\r\nmkd:text\r\n',
    '$4\r\ntext\r\n',
  ],
  [`Object.assign(new String('12'), { __reply_type: 'big_number' })`, '(12\r\n', '$2\r\n12\r\n'],
  [`new String('text')`, '$4\r\ntext\r\n', '$4\r\ntext\r\n'],
  [`[new Error('no such luck')]`, '*1\r\n-ERR no such luck\r\n', '*1\r\n-ERR no such luck\r\n'],
  [`[new Error('WRONGTYPE no')]`, '*1\r\n-WRONGTYPE no\r\n', '*1\r\n-WRONGTYPE no\r\n'],
];

for (const [value, resp3, resp2] of returned) {
  test(`a library replies ${value}`, async () => {
    assert.equal(await reply(`return ${value}`, { resp: 3 }), resp3);
    assert.equal(await reply(`return ${value}`, { resp: 2 }), resp2);
  });
}

for (const value of ['() => 1', '[Symbol()]']) {
  test(`${value} is no reply`, () =>
    assert.rejects(reply(`return ${value}`), {
      message: /^Can not convert a (function|symbol) to a reply$/,
    }));
}

test('what a server says comes back as it was, in RESP3', async () => {
  const whole = `*12\r\n${given
    .filter(
      ([name]) => !['infinity', 'a map', 'a whole double', 'a verbatim string', 'no number'].includes(name),
    )
    .map(([, bytes]) => bytes)
    .join('')}`;
  const { host } = scripted({ get: whole });
  assert.equal(await reply(`return client.call('get')`, { host }), whole);
});

test('arguments are text, or buffers where the function wants them', async () => {
  assert.equal(await reply('return args', { args: ['ü', 'a\0'] }), '*2\r\n$2\r\n\xc3\xbc\r\n$2\r\na\0\r\n');
  const args = [new Uint8Array([255])];
  await assert.rejects(reply('return args', { args }), { message: 'Can not convert argument to string' });
  assert.equal(
    await reply('return args[0] instanceof ArrayBuffer', { args }, 'redis.functionFlags.RAW_ARGUMENTS'),
    '#t\r\n',
  );
});
