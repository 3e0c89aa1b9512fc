// JavaScript for within the sandbox: the clients that functions are given.
//
// A sync client works while it holds the lock: in the function, or the `block`, that it was made for, until that has
// returned. An async client works until its function has ended. What is called through one later is an error.

export const CLIENTS = `
  let lastAsk = 0;

  function promised(run, id) {
    return new Promise((resolve, reject) => { run.pending[id] = { resolve, reject }; });
  }

  // Asks outside, and gives the promise of the answer.
  function ask(run, question) {
    question.ids = [++lastAsk];
    const refused = host.ask(run.id, stringify(question));
    if (refused !== '') throw new Error(refused);
    return promised(run, lastAsk);
  }

  // Commands that are known up front, collected while the lock is held.
  function collect(run, raw, command) {
    if (run.batch === null) run.batch = { kind: 'calls', ids: [], raw: [], commands: [] };
    const { ids, raw: raws, commands } = run.batch;
    const id = ++lastAsk;
    if (ids.length >= about.maxAsks) throw new Error('Too many calls are under way');
    ids[ids.length] = id;
    raws[raws.length] = raw;
    commands[commands.length] = command;
    return promised(run, id);
  }

  function flush(run) {
    const { batch } = run;
    if (batch === null) return;
    run.batch = null;
    const refused = host.ask(run.id, stringify(batch));
    if (refused === '') return;
    for (let i = 0; i < batch.ids.length; i++) settle(run.id, batch.ids[i], 'error', stringify(refused));
  }

  // The scope of a client is what it was made for: a function, or one that runs in the background.
  function enter(run, scope) {
    if (!scope.live || runs[run.id] !== run) throw new Error('Used on invalid client');
  }

  // While the lock is held, nothing else of this run goes on.
  function locked(run, body) {
    if (run.locked) throw new Error('Main thread is already blocked');
    const hold = { held: true };
    run.locked = true;
    try {
      return body(hold);
    } finally {
      hold.held = false;
      run.locked = false;
      flush(run);
    }
  }

  function syncClient(run, scope, hold, blockAllowed) {
    const call = (raw) => (...args) => {
      enter(run, scope);
      if (!hold.held) throw new Error('Main thread is not locked');
      const command = words(args);
      flush(run);
      const answer = parse(host.call(run.id, raw, stringify(command)));
      if (isArray(answer) && answer[0] === '-') throw new Error(answer[1]);
      return revive(answer);
    };
    const callAsync = (raw) => (...args) => {
      enter(run, scope);
      const command = words(args);
      if (hold.held) return collect(run, raw, command);
      return ask(run, { kind: 'calls', raw: [raw], commands: [command] });
    };
    return freeze({
      call: call(false),
      callRaw: call(true),
      callAsync: callAsync(false),
      callAsyncRaw: callAsync(true),
      isBlockAllowed() {
        enter(run, scope);
        return blockAllowed;
      },
      executeAsync(fn) {
        enter(run, scope);
        if (typeof fn !== 'function') throw new TypeError("Argument to 'executeAsync' must be a function");
        return inBackground(run, fn);
      },
    });
  }

  function asyncClient(run, scope) {
    return freeze({
      block(fn) {
        enter(run, scope);
        if (typeof fn !== 'function') throw new TypeError("Argument to 'block' must be a function");
        return locked(run, (hold) => fn(syncClient(run, scope, hold, true)));
      },
      async runOnKey(key, name, ...args) {
        enter(run, scope);
        if (typeof name !== 'string') throw new TypeError('Value is not string');
        return ask(run, { kind: 'runOnKey', key: word(key), name, args: sentArgs(args) });
      },
      async runOnShards(name, ...args) {
        enter(run, scope);
        if (typeof name !== 'string') throw new TypeError('Value is not string');
        return ask(run, { kind: 'runOnShards', name, args: sentArgs(args) });
      },
      async map(commands, reducer, options) {
        enter(run, scope);
        if (!isArray(commands)) throw new TypeError("First argument to 'map' must be an array of commands");
        const all = [];
        for (let i = 0; i < commands.length; i++) all[i] = listed(commands[i], 'map');
        return ask(run, { kind: 'map', commands: all, reducer: String(reducer), options: reduceOptions(options) });
      },
      async fanout(command, reducer, options) {
        enter(run, scope);
        const all = [listed(command, 'fanout')];
        return ask(run, { kind: 'fanout', commands: all, reducer: String(reducer), options: reduceOptions(options) });
      },
    });
  }

  function listed(command, method) {
    if (!isArray(command)) throw new TypeError("A command of '" + method + "' must be an array");
    return words(command);
  }

  function sentArgs(args) {
    const out = [];
    for (let i = 0; i < args.length; i++) out[i] = sent(args[i], 'argument', 'arguments');
    return out;
  }

  function reduceOptions(given) {
    if (given === undefined || given === null) return {};
    if (typeof given !== 'object') throw new TypeError('Options must be an object');
    const known = { on: 'string', timeout: 'number', partial: 'boolean', order: 'string' };
    const names = keys(given);
    const options = {};
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (!has(known, name)) throw new TypeError('Unknown properties given: ' + name);
      const value = given[name];
      if (typeof value !== known[name]) throw new TypeError("'" + name + "' must be a " + known[name]);
      options[name] = value;
    }
    return options;
  }
`;
