/** Ten libraries that mean harm, for the tests and for the bench: how each is called, and what its caller is told. */

export interface Hostile {
  readonly what: string;
  /** Without the header line. */
  readonly code: string;
  /** Where it shows what it is: while it is loaded, or when its function `f` is called. */
  readonly at: 'load' | 'call';
  /** What that is answered, sooner or later. */
  readonly error: RegExp;
}

const TERMINATED = /Execution was terminated due to OOM or timeout/;

function sync(body: string): string {
  return `redis.registerFunction('f', (client) => { ${body} });`;
}

function async_(body: string): string {
  return `redis.registerAsyncFunction('f', async (client) => { ${body} });`;
}

/** The limits of the functions must be below those of the proxy's defaults: memory 128 MB, a reply of 64 MB. */
export const HOSTILE: readonly Hostile[] = [
  { what: 'an endless loop', code: sync('for (;;);'), at: 'call', error: TERMINATED },
  {
    what: 'an endless chain of promises',
    code: async_('const again = async () => { for (;;) await null; }; return again().then(again, again);'),
    at: 'call',
    error: TERMINATED,
  },
  {
    what: 'a memory bomb',
    code: sync('const all = []; for (;;) all.push(new Array(1000).fill(1.5));'),
    at: 'call',
    error: TERMINATED,
  },
  {
    what: 'a huge string',
    code: sync("let text = 'x'; for (;;) text = (text + text).replace('x', 'y');"),
    at: 'call',
    error: /Execution was terminated due to OOM or timeout|invalid string length|The reply is longer/,
  },
  {
    what: "tricks with the prototypes of the host's objects",
    code: `
      const evil = { configurable: true, get() { return {}; }, set() {} };
      redis.registerFunction('f', (client) => {
        for (const method of [client.call, redis.log, redis.registerFunction]) {
          const outside = method.constructor('return typeof process + typeof require')();
          if (outside !== 'undefinedundefined') return outside;
          Object.setPrototypeOf(Object.getPrototypeOf(method), new Proxy({}, { get: () => evil.get }));
        }
        Promise.prototype.then = Reflect.apply = JSON.stringify = JSON.parse = () => '"evil"';
        Object.prototype.toJSON = () => ({ evil: 1 });
        for (let i = 0; i < 9; i++) Object.defineProperty(Array.prototype, i, evil);
        return [1, [2]];
      });`,
    at: 'call',
    error: /The library has changed the language so that its value can not be read/,
  },
  {
    what: 'a million registrations',
    code: "for (let i = 0; i < 1e6; i++) redis.registerFunction('f' + i, () => 1);",
    at: 'load',
    error: /Failed loading library: A library can not register more than 10000 functions/,
  },
  {
    what: 'deep recursion',
    code: sync('const f = () => [f()]; return f();'),
    at: 'call',
    error: /stack overflow/,
  },
  {
    what: 'a getter that throws, in a result',
    code: sync("return [1, { get field() { throw new Error('from a getter'); } }];"),
    at: 'call',
    error: /from a getter/,
  },
  {
    what: 'a reply of 100 MB',
    code: sync("return Array(100).fill('x'.repeat(1e6));"),
    at: 'call',
    error: /The reply is longer than functions\.maxReplyBytes allows/,
  },
  {
    what: 'commands after its end',
    code: `
      let said;
      redis.registerAsyncFunction('f', async (client) => {
        const late = async () => {
          for (let i = 0; i < 10; i++) await null;
          try { client.block((client) => client.call('set', 'hostile:late', '1')); } catch (error) { said = error; }
        };
        if (said !== undefined) throw said;
        late();
        return 'done';
      });`,
    at: 'call',
    error: /Used on invalid client/,
  },
];
