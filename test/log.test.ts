import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { createLog, type LogLevel } from '../src/log.ts';

const LOG = new URL('../src/log.ts', import.meta.url).href;

test('a line is JSON with time, level, bindings, fields and text', () => {
  const [line] = lines('info', (log) => log.info({ address: '127.0.0.1:6379' }, 'ready'));
  const { time, ...rest } = JSON.parse(line ?? '');
  assert.deepEqual(rest, { level: 'info', worker: 2, address: '127.0.0.1:6379', msg: 'ready' });
  assert.equal(new Date(time).toISOString(), time);
});

test('lines below the level are not written, and silent writes none', () => {
  const write = (log: ReturnType<typeof createLog>) => {
    log.debug('a');
    log.info('b');
    log.fatal('c');
  };
  assert.equal(lines('debug', write).length, 3);
  assert.equal(lines('warn', write).length, 1);
  assert.equal(lines('silent', write).length, 0);
});

test('credentials are replaced wherever a Config or a link may carry them', () => {
  const [line = ''] = lines('info', (log) =>
    log.info({ password: 's3cret', config: { password: 's3cret', link: { auth: 's3cret' } } }, 'start'),
  );
  assert.equal(line.includes('s3cret'), false);
  assert.deepEqual(JSON.parse(line).config, { password: '***', link: { auth: '***' } });
});

test('without a destination it writes to stdout at once, also when the process is killed right after', () => {
  const script = `const { createLog } = await import(${JSON.stringify(LOG)});
    createLog('info').info('last words');
    process.kill(process.pid, 'SIGKILL');`;
  const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  assert.equal(signal, 'SIGKILL');
  assert.equal(JSON.parse(stdout).msg, 'last words');
});

function lines(level: LogLevel, write: (log: ReturnType<typeof createLog>) => void): string[] {
  const written: string[] = [];
  write(createLog(level, { worker: 2 }, { write: (line) => void written.push(line) }));
  return written;
}
