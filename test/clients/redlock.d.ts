/** What the tests use of redlock, whose package does not lead to its own types. */
declare module 'redlock' {
  interface Lock {
    extend(ms: number): Promise<Lock>;
    release(): Promise<unknown>;
  }
  // biome-ignore lint/style/noDefaultExport: so it is exported
  export default class Redlock {
    constructor(clients: readonly object[], settings: { retryCount: number });
    acquire(resources: readonly string[], ms: number): Promise<Lock>;
  }
}
