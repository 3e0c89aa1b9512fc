/** Types of `redis-parser` 3, which has none of its own. Errors arrive as Error objects, null as null. */
declare module 'redis-parser' {
  /** What a RESP2 reply becomes; bulks are Buffers with `returnBuffers`, integers strings with `stringNumbers`. */
  type Reply = string | number | Buffer | null | Error | Reply[];

  interface Options {
    /** Called once for every whole reply that is not an error. */
    returnReply(reply: Reply): void;
    /** Called once for every top-level error reply. */
    returnError(error: Error): void;
    /** Called when the bytes are not RESP; `returnError` where it is left out. */
    returnFatalError?(error: Error): void;
    returnBuffers?: boolean;
    stringNumbers?: boolean;
  }

  class Parser {
    constructor(options: Options);
    /** Parses what has come; whole replies are handed over before it returns. The bytes are kept as a view. */
    execute(bytes: Buffer): void;
    reset(): void;
    setReturnBuffers(on: boolean): void;
    setStringNumbers(on: boolean): void;
  }

  namespace Parser {
    export type { Options, Reply };
  }

  export = Parser;
}
