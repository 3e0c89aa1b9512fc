// QuickJS, with text in and text out: what of it a sandbox uses, and the handles that nobody else should see.
//
// An exception of a library ends as a value within. What this throws is the engine's own end (no stack, no memory,
// a trap of its WebAssembly): it must not be entered again then, not even to be disposed of. Its memory goes with it.

import imported from '@jitl/quickjs-wasmfile-release-sync';
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSRuntime,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
  Scope,
} from 'quickjs-emscripten-core';

// Its types are those of a CommonJS module, which it is not here.
const variant = imported as unknown as QuickJSSyncVariant;

/** What crosses the line. */
export type Plain = string | number | boolean | Uint8Array;

/** A function that code inside can call. What it throws is thrown there. */
export type HostFunction = (...args: Plain[]) => Plain;

/** Bytes of QuickJS's own stack; the thread's is to be many times that, as parsing takes more of it. */
const STACK = 256 * 1024;

export class Engine {
  private readonly runtime: QuickJSRuntime;
  private readonly context: QuickJSContext;
  private entries: QuickJSHandle | undefined;

  /**
   * @param compiled the WebAssembly of QuickJS; each engine is an instance of its own
   * @param memory bytes
   * @param isLate asked again and again while code runs; true ends it, by an exception that nothing in it can catch
   */
  static async open(compiled: WebAssembly.Module, memory: number, isLate: () => boolean): Promise<Engine> {
    const module = await newQuickJSWASMModuleFromVariant(newVariant(variant, { wasmModule: compiled }));
    return new Engine(module, memory, isLate);
  }

  private constructor(module: QuickJSWASMModule, memory: number, isLate: () => boolean) {
    this.runtime = module.newRuntime({ memoryLimitBytes: memory, maxStackSizeBytes: STACK });
    this.runtime.setInterruptHandler(isLate);
    this.context = this.runtime.newContext();
  }

  /** Evaluates a function of (host, json), calls it, and takes what it gives for the entries. */
  prepare(code: string, host: Readonly<Record<string, HostFunction>>, json: string): void {
    const { context } = this;
    Scope.withScope((scope) => {
      const given = scope.manage(context.newObject());
      for (const [name, fn] of Object.entries(host)) {
        const handle = scope.manage(
          context.newFunction(name, (...args) => this.toInside(fn(...args.map(this.toOutside)))),
        );
        context.setProp(given, name, handle);
      }
      const prelude = scope.manage(
        context.unwrapResult(context.evalCode(code, 'prelude', { type: 'global' })),
      );
      const text = scope.manage(context.newString(json));
      this.entries = context.unwrapResult(context.callFunction(prelude, context.undefined, given, text));
    });
  }

  /** Calls an entry, which gives text. Empty, when it was ended from outside. @throws when the engine has ended */
  enter(name: string, ...args: Plain[]): string {
    return Scope.withScope((scope) => {
      const handles = args.map((arg) => scope.manage(this.toInside(arg)));
      return this.callEntry(name, handles);
    });
  }

  /** Runs code at the top level. What it threw goes to the entry `explain`, and comes back as its text. */
  evaluate(code: string, file: string): string {
    return Scope.withScope((scope) => {
      const result = scope.manage(this.context.evalCode(code, file, { type: 'global' }));
      return result.error ? this.callEntry('explain', [result.error]) : '';
    });
  }

  /** Whether the code can be read at all. */
  compiles(code: string, file: string): boolean {
    return Scope.withScope((scope) => {
      const result = scope.manage(this.context.evalCode(code, file, { type: 'global', compileOnly: true }));
      return result.error === undefined;
    });
  }

  /** Whether there is code that could run now: reactions of promises. */
  get hasJobs(): boolean {
    return this.runtime.hasPendingJob();
  }

  /** Runs one of them. */
  runJob(): void {
    this.runtime.executePendingJobs(1).dispose();
  }

  private callEntry(name: string, args: QuickJSHandle[]): string {
    const { context, entries } = this;
    if (!entries) throw new Error('not prepared');
    return Scope.withScope((scope) => {
      const entry = scope.manage(context.getProp(entries, name));
      const result = scope.manage(context.callFunction(entry, context.undefined, args));
      if (result.error) return '';
      return context.typeof(result.value) === 'string' ? context.getString(result.value) : '';
    });
  }

  private toInside(value: Plain): QuickJSHandle {
    const { context } = this;
    if (typeof value === 'string') return context.newString(value);
    if (typeof value === 'number') return context.newNumber(value);
    if (typeof value === 'boolean') return value ? context.true : context.false;
    // A copy that has its memory for itself: slice() of a Buffer is a view of a greater one.
    return context.newArrayBuffer(new Uint8Array(value).buffer);
  }

  private readonly toOutside = (handle: QuickJSHandle): Plain => {
    const { context } = this;
    switch (context.typeof(handle)) {
      case 'string':
        return context.getString(handle);
      case 'number':
        return context.getNumber(handle);
      case 'boolean':
        return context.eq(handle, context.true);
      case 'object':
        return context.getArrayBuffer(handle).consume((heap) => heap.value.slice());
    }
    throw new TypeError('nothing that crosses the line');
  };
}
