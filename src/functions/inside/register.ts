// JavaScript for within the sandbox: what a library can register, and the checks of it in the order in which their
// errors are told.

/** What one library may register at most, of all kinds, and the characters that their names and texts have. */
const MAX_REGISTRATIONS = 10_000;
const MAX_TEXT = 1 << 20;

export const REGISTER = `
  const registered = {
    function: { __proto__: null },
    cluster: { __proto__: null },
    reducer: { __proto__: null },
    command: { __proto__: null },
  };
  const registrations = { functions: [], clusterFunctions: [], reducers: [], commands: [] };
  const functionFlags = freeze({ NO_WRITES: 'no-writes', ALLOW_OOM: 'allow-oom', RAW_ARGUMENTS: 'raw-arguments' });
  let loading = true;
  let count = 0;
  let length = 0;

  // The checks of all registrations, in the order in which they are told.
  function check(method, args, most, kind, names) {
    if (!loading) throw new Error("'" + method + "' can only be used while the library is loaded");
    if (args.length < 2 || args.length > most) throw new TypeError('Wrong number of arguments given');
    if (typeof args[0] !== 'string') throw new TypeError('Value is not string');
    if (typeof args[1] !== 'function') {
      throw new TypeError("Second argument to '" + method + "' must be a function");
    }
    if (!matches(names, args[0])) {
      throw new Error('Unallowed ' + kind + " name '" + cut(args[0], 0, 256) + "', only letters, digits and '_' are allowed.");
    }
  }

  function keepRegistration(kind, name, list, entry, fn, text) {
    if (++count > ${MAX_REGISTRATIONS}) {
      throw new Error('A library can not register more than ${MAX_REGISTRATIONS} functions');
    }
    length += name.length + text;
    if (length > ${MAX_TEXT}) throw new Error('Names and descriptions of a library are too long');
    registered[kind][name] = { fn, entry };
    defineProperty(list, list.length, { __proto__: null, value: entry, enumerable: true });
  }

  function optionsOf(method, given, known) {
    if (given === undefined) return {};
    if (typeof given !== 'object' || given === null) {
      throw new TypeError("Third argument to '" + method + "' must be an object");
    }
    const names = keys(given);
    const unknown = [];
    for (let i = 0; i < names.length; i++) if (!has(known, names[i])) unknown[unknown.length] = names[i];
    if (unknown.length > 0) throw new TypeError('Unknown properties given: ' + join(unknown, ', '));
    return given;
  }

  function flagsOf(given, allowed) {
    if (given === undefined) return [];
    if (!isArray(given)) throw new TypeError("'flags' must be an array");
    const flags = [];
    for (let i = 0; i < given.length; i++) {
      const flag = given[i];
      if (typeof flag !== 'string' || !allowed(flag)) throw new TypeError('Unknow flag ' + describe(flag) + ' was given');
      flags[i] = flag;
    }
    return flags;
  }

  function addFunction(method, args, isAsync) {
    check(method, args, 3, 'function', /^[A-Za-z0-9_]+$/);
    const [name, fn, given] = args;
    if (!isAsync && fn instanceof AsyncFunction) {
      throw new TypeError(
        "'registerFunction' can not be used with async function, use 'registerAsyncFunction' instead.");
    }
    const options = optionsOf(method, given, { description: 1, flags: 1 });
    const { description = null } = options;
    if (description !== null && typeof description !== 'string') throw new TypeError("'description' must be a string");
    const flags = flagsOf(options.flags,
      (flag) => flag === 'no-writes' || flag === 'allow-oom' || flag === 'raw-arguments');
    if (registered.function[name]) throw new Error('Function ' + name + ' already exists');
    const text = (description === null ? 0 : description.length) + 16 * flags.length;
    keepRegistration('function', name, registrations.functions, { name, isAsync, flags, description }, fn, text);
  }

  function registerFunction(...args) { addFunction('registerFunction', args, false); }
  function registerAsyncFunction(...args) { addFunction('registerAsyncFunction', args, true); }

  function registerClusterFunction(...args) {
    check('registerClusterFunction', args, 2, 'cluster function', /^[A-Za-z0-9_]+$/);
    const [name, fn] = args;
    if (!(fn instanceof AsyncFunction)) throw new TypeError('Remote function must be async');
    if (registered.cluster[name]) throw new Error('Remote function ' + name + ' already exists');
    keepRegistration('cluster', name, registrations.clusterFunctions, name, fn, 0);
  }

  function registerReducer(...args) {
    check('registerReducer', args, 2, 'reducer', /^[A-Za-z0-9_]+$/);
    const [name, fn] = args;
    if (registered.reducer[name]) throw new Error('Reducer ' + name + ' already exists');
    keepRegistration('reducer', name, registrations.reducers, name, fn, 0);
  }

  function registerCommand(...args) {
    check('registerCommand', args, 3, 'command', /^[A-Za-z0-9_.-]+$/);
    const [name, fn, given] = args;
    const options = optionsOf('registerCommand', given, { arity: 1, firstKey: 1, lastKey: 1, keyStep: 1, flags: 1 });
    const { arity = -1, firstKey = 0, lastKey = firstKey, keyStep = firstKey === 0 ? 0 : 1 } = options;
    wholeNumber('arity', arity, arity !== 0);
    wholeNumber('firstKey', firstKey, firstKey >= 0);
    wholeNumber('lastKey', lastKey, lastKey < 0 || lastKey >= firstKey);
    wholeNumber('keyStep', keyStep, firstKey === 0 ? keyStep >= 0 : keyStep > 0);
    const flags = flagsOf(options.flags, (flag) => matches(/^[a-z_-]{1,32}$/, flag));
    if (registered.command[name]) throw new Error('Command ' + name + ' already exists');
    const entry = { name, arity, firstKey, lastKey, keyStep, flags };
    keepRegistration('command', name, registrations.commands, entry, fn, 32 * flags.length);
  }

  function wholeNumber(what, value, fits) {
    if (isSafeInteger(value) && fits && value > -65536 && value < 65536) return;
    throw new TypeError("'" + what + "' does not fit a command");
  }

  const notServed = (method) => () => {
    throw new Error("'" + method + "' is not served by the proxy: the servers' keys and streams trigger nothing in it");
  };
`;
