/** What of WebAssembly is used: Node has it, but its types come with those of browsers. */
declare namespace WebAssembly {
  class Module {
    private readonly compiled;
  }
  function compile(bytes: Uint8Array): Promise<Module>;
}
