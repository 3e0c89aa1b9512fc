// JavaScript for within the sandbox: runs, from their start to their end, and the answers to what they have asked.
//
// A run goes on in slices: from an entry (start, settle) until nothing is left that could run at once. It has ended
// when its function has, and is over when what that has started in the background has ended, too.

export const RUNS = `
  const runs = { __proto__: null };

  function start(id, kind, name, json, blockAllowed) {
    const run = { id, pending: { __proto__: null }, batch: null, locked: false, tasks: 1 };
    runs[id] = run;
    const scope = { live: true };
    const end = (ended, value) => {
      scope.live = false;
      ended(run, value);
      leave(run);
    };
    const succeed = kind === 'cluster' ? succeedSent : succeedReply;
    let value;
    try {
      value = invoke(run, scope, kind, name, revive(parse(json)), blockAllowed);
    } catch (error) {
      return end(fail, error);
    }
    if (!isPromise(value)) return end(succeed, value);
    if (!blockAllowed) return end(fail, new Error(
      'Can not block client for background execution, the function has returned a promise while blocking was ' +
      'not allowed; you must use TFCALLASYNC instead.'));
    then(value, (result) => end(succeed, result), (error) => end(fail, error));
  }

  function invoke(run, scope, kind, name, args, blockAllowed) {
    const found = registered[kind][name];
    if (!found) throw new Error(missing(kind, name));
    const { fn, entry } = found;
    if (kind === 'reducer') return apply(fn, undefined, args);
    if (kind !== 'function' || entry.isAsync) {
      if (!blockAllowed) throw new Error(
        'The function is declared as async and was called while blocking was not allowed; ' +
        'it can not be waited for, you must use TFCALLASYNC instead.');
      return apply(fn, undefined, [asyncClient(run, scope), ...args]);
    }
    return locked(run, (hold) => apply(fn, undefined, [syncClient(run, scope, hold, blockAllowed), ...args]));
  }

  function missing(kind, name) {
    if (kind === 'cluster') return 'Remote function ' + name + ' does not exists on library ' + about.name;
    return 'Unknown ' + kind + ' ' + name;
  }

  // Goes on when its caller's function has ended: it has a client and an end of its own.
  function inBackground(run, fn) {
    const scope = { live: true };
    run.tasks++;
    const end = () => {
      scope.live = false;
      leave(run);
    };
    const task = then(resolved, () => apply(fn, undefined, [asyncClient(run, scope)]));
    then(task, end, end);
    return task;
  }

  function leave(run) {
    if (--run.tasks > 0) return;
    delete runs[run.id];
    host.over(run.id);
  }

  function succeedReply(run, value) {
    if (value instanceof Error) return fail(run, value);
    try {
      host.ended(run.id, 'reply', flattened(value));
    } catch (error) {
      fail(run, error);
    }
  }

  function succeedSent(run, value) {
    if (value instanceof Error) return fail(run, value);
    try {
      host.ended(run.id, 'result', stringify(sent(value, 'result', 'result')));
    } catch (error) {
      fail(run, error);
    }
  }

  function fail(run, error) {
    host.ended(run.id, isOutOfMemory(error) ? 'exhausted' : 'error', stringify(describe(error)));
  }

  // The answer to what was asked. How: a value, an error, or a string to reject with.
  function settle(id, askId, how, json) {
    const run = runs[id];
    const waiting = run && run.pending[askId];
    if (!waiting) return;
    delete run.pending[askId];
    const answer = parse(json);
    if (how === 'string') return waiting.reject(answer);
    if (how === 'error') return waiting.reject(new Error(answer));
    if (isArray(answer) && answer[0] === '-') return waiting.reject(new Error(answer[1]));
    waiting.resolve(revive(answer));
  }

  // Nobody waits for this run any more: its promises stay as they are, and its clients say so.
  function drop(id) {
    delete runs[id];
  }

  // What is told of an error at the top level of a library: whether it is a SyntaxError, its text, and its place.
  function explain(error) {
    if (isOutOfMemory(error)) return stringify([false, 'out of memory', '']);
    if (!(error instanceof SyntaxError)) return stringify([false, describe(error), '']);
    const place = exec(/[A-Za-z0-9_]+:[0-9]+:[0-9]+/, describe(error.stack));
    return stringify([true, describe(error), place === null ? '' : ' at ' + place[0]]);
  }

  function loaded() {
    loading = false;
    const { functions, reducers, commands } = registrations;
    if (functions.length + reducers.length + commands.length === 0) {
      return stringify('Neither function nor other registrations were found.');
    }
    return stringify(registrations);
  }
`;
