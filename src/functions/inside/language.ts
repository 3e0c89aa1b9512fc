// JavaScript for within the sandbox: what of the language the prelude uses, held in names of its own before any library
// has run. What a library changes later (Array.prototype, Promise, JSON ...) changes its own replies, not the rules.

export const LANGUAGE = `
  const { BigInt, Error, InternalError, Map, Number, Promise, Set, String, SyntaxError, TypeError } = globalThis;
  const { isArray } = Array;
  const { isFinite, isSafeInteger } = Number;
  const { isView } = ArrayBuffer;
  const { defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf, is, keys } = Object;
  const { parse, stringify } = JSON;
  const { apply } = Reflect;
  const AsyncFunction = getPrototypeOf(async () => {}).constructor;
  const unbound = (method) => (self, ...rest) => apply(method, self, rest);
  const add = unbound(Set.prototype.add);
  const byteLength = unbound(getOwnPropertyDescriptor(ArrayBuffer.prototype, 'byteLength').get);
  const cut = unbound(String.prototype.slice);
  const forEachMember = unbound(Set.prototype.forEach);
  const forEachPair = unbound(Map.prototype.forEach);
  const has = unbound(Object.prototype.hasOwnProperty);
  const join = unbound(Array.prototype.join);
  const exec = unbound(RegExp.prototype.exec);
  const matches = (pattern, text) => exec(pattern, text) !== null;
  const slice = unbound(ArrayBuffer.prototype.slice);
  const stringOf = unbound(String.prototype.valueOf);
  const then = unbound(Promise.prototype.then);
  const resolved = Promise.resolve();
  const isPromise = (value) => value instanceof Promise;
  const isOutOfMemory = (thrown) =>
    thrown === null || (thrown instanceof InternalError && thrown.message === 'out of memory');
`;
